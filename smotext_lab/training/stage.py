"""The last stage of training: learnt tokens and LoRA, with checkpoints and early stopping."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from tqdm.auto import tqdm

from smotext_lab._version import __version__
from smotext_lab.bridges import Bridge, split_words
from smotext_lab.bridges.durable import write_aside
from smotext_lab.errors import DataError, ModelError, ParameterError
from smotext_lab.lora import Lora
from smotext_lab.training.checkpoints import (
    checkpoint_facts,
    load_checkpoint,
    load_optimizer,
    optimizer_tensors,
    save_checkpoint,
)
from smotext_lab.training.folder import locked
from smotext_lab.training.gain import changes
from smotext_lab.training.given import Ends, Texts
from smotext_lab.training.log import TrainingLog
from smotext_lab.training.trainer import Batch, Batches, BridgeRecipe, BridgeTrainer
from smotext_lab.writer import positions

__all__ = ["MOST_UNSEEN", "TokenStage"]

_MOST_TOKENS = 128
MOST_UNSEEN = 512
"""So many held-back texts are watched, at most, and as many judged."""

_LEAST_UNSEEN = 3  # two to be judged: one has no error
_MEASURING = 0.02  # share of a run's minutes that one measurement may take: there are ten and more
_SPEED_STEPS = 10
_LOG_STEPS = 20


class TokenStage:
    """Trains the learnt tokens and the LoRA of a bridge.

    Parameters
    ----------
    corpus : Texts
    ends : Ends
    bridge : Bridge
        Trained in place.
    recipe : BridgeRecipe
    log : TrainingLog
    pause : float
        Seconds between checkpoints.
    head : str
        What stands for the words of the bridge and how they were learnt.
    random_state : int

    Raises
    ------
    DataError, ModelError, ParameterError
        If the corpus, the LLM or a checkpoint in the log's folder does not fit: told before
        anything is written.
    """

    least_measured = 128  # of watched and of judged texts, if there are so many
    axis = "loss (nats a token)"
    drawn: Mapping[str, str] = {
        "loss": "in training (noise, words left out)",
        "unseen_loss": "unseen texts (by which weights are chosen)",
    }

    def __init__(
        self,
        corpus: Texts,
        ends: Ends,
        *,
        bridge: Bridge,
        recipe: BridgeRecipe,
        log: TrainingLog,
        pause: float,
        head: str = "",
        random_state: int,
    ) -> None:
        self.texts, self.bridge, self.recipe = corpus.texts, bridge, recipe
        self.vectors: np.ndarray  # which `train` is given: they take hours
        self.ends = ends
        self.split = getattr(bridge, "split", split_words)
        self.log, self.pause = log, pause
        # with what is trained; the words and how they were learnt are the bridge's own
        self.given = f"{corpus.key(ends)}, from {bridge.facts.sha256}, {head}"
        self.checkpoint = log.folder / "work" / "checkpoint.safetensors"
        self.best_file = self.checkpoint.with_name("best.safetensors")
        self.known_by = self.checkpoint.with_name("run.json")
        ids = ends.tokenizer(corpus.texts, add_special_tokens=False)["input_ids"]
        ends.check_tokens(ids)
        self.ids = [np.asarray(row, np.int32) for row in ids]
        self.lengths = np.array([len(row) for row in self.ids])
        self.rows = self._usable(corpus.train)
        unseen = self._usable(corpus.unseen)
        if len(self.rows) < recipe.batch_size or len(unseen) < _LEAST_UNSEEN:
            msg = (
                f"of {len(corpus.texts)} texts {len(self.rows) + len(unseen)} can be learnt from, "
                f'those of 3 to {self._most_tokens} tokens that end neither in "…" nor in "..."; a '
                f"bridge needs a batch of them ({recipe.batch_size}), and {_LEAST_UNSEEN} of those "
                f"held back: cut texts into sentences"
            )
            raise DataError(msg)
        # the least of many measurements flatters: what weights are chosen by judges no gain
        n = min(MOST_UNSEEN, len(unseen) // 2)
        self.watched, self.judged = (
            rows[np.argsort(self.lengths[rows], kind="stable")]
            for rows in (unseen[:n], unseen[n : n + MOST_UNSEEN])
        )
        self.held = [len(self.watched), len(self.judged)]  # before `_thin`
        # of the watched texts: the least loss, at which step that was, how long it took, and by
        # every how manieth text it is measured
        self.marks: dict[str, float] = {}
        self.before: dict[str, np.ndarray] = {}  # of the judged ones, before the first step
        self.measuring = 0.0  # seconds, in all
        self.measured_at = -1  # the last step at which it was
        self.planned: float | None = None  # minutes that the number of steps was set by
        self.trainer = BridgeTrainer(ends.model, bridge, recipe, ends.end, random_state)
        self._refuse_others()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the log's folder for this run, and leave in it what the run is known by.

        Raises
        ------
        ParameterError
            If another run holds the folder, or has begun there.
        """
        with locked(self.checkpoint.parent):
            self._refuse_others()  # again: one may have begun since
            self.log.begin()  # from here on, what an earlier run has left is written over
            write_aside(self.known_by, json.dumps(self._asked(), indent=2) + "\n")
            yield

    def train(self, vectors: np.ndarray, minutes: float | None) -> Bridge:
        """Train for `minutes`, or for the recipe's steps; go on from a checkpoint if there is one.

        Parameters
        ----------
        vectors : ndarray of float16, shape (n, d)
            Of the corpus' texts.
        minutes : float or None

        Returns
        -------
        Bridge
            With the weights that did best on the watched texts, saved in the log's folder.
        """
        self.vectors, trainer, began = vectors, self.trainer, time.monotonic()
        self._go_on(trainer, minutes)
        if not self.marks:
            self._thin(1 if minutes is None else self._spacing(trainer, 60 * minutes * _MEASURING))
            self._evaluate(trainer)
            self.before = self._judge(trainer)
        try:
            self._steps(trainer, minutes, began)
        except KeyboardInterrupt:
            self._save(trainer)
            tqdm.write(
                f"stopped at step {trainer.step}; run the same command again to go on\n"
                f"measuring and writing the bridge as it is now; another interrupt leaves that out",
                sys.stderr,
            )
            self._finish(trainer)
            raise
        self._save(trainer)
        return self._finish(trainer)

    def _steps(self, trainer: BridgeTrainer, minutes: float | None, began: float) -> None:
        lengths = self.lengths[self.rows]
        batches = Batches(lengths, self.recipe.batch_size, trainer.random_state)
        started, first = time.monotonic(), trainer.step
        saved, losses, measuring = started, [], self.measuring
        planned = minutes is None or minutes == self.planned
        with tqdm(total=trainer.recipe.steps, initial=first, desc="bridge", unit="step") as bar:
            while trainer.step < trainer.recipe.steps and not self._stale(trainer):
                batch = self._batch(self.rows[batches.at(trainer.step)])
                losses.append(self._step(trainer, batch))
                bar.update()
                taken, seconds = trainer.step - first, time.monotonic() - started
                if minutes is not None and not planned and taken == _SPEED_STEPS:
                    step = (seconds - (self.measuring - measuring)) / taken
                    steps = self._planned_steps(trainer, step, began + 60 * minutes)
                    planned, self.planned = True, minutes
                    trainer.recipe = trainer.recipe.planned(steps)
                    self._save(trainer)  # killed before the first pause, it goes on as planned
                    bar.reset(steps)
                    bar.update(trainer.step)
                if taken % _LOG_STEPS == 0:
                    speed, loss = taken * self.recipe.batch_size / seconds, np.mean(losses[-50:])
                    bar.set_postfix(loss=f"{loss:.3f}", texts_per_s=f"{speed:.1f}")
                    self._tell(trainer, loss=float(loss), texts_per_second=speed)
                if trainer.step % trainer.recipe.evaluate_every == 0:
                    self._evaluate(trainer)
                if time.monotonic() - saved > self.pause:
                    self._save(trainer)
                    saved = time.monotonic()

    def _planned_steps(self, trainer: BridgeTrainer, step: float, ends: float) -> int:
        """Return how many steps there is time for, with what is measured and saved beside them.

        Parameters
        ----------
        trainer : BridgeTrainer
        step : float
            Seconds that a step takes.
        ends : float
            When the time is over.
        """
        began = time.monotonic()
        self._save(trainer)
        left = ends - time.monotonic()
        saving = time.monotonic() - began
        # where a step is longer than the pause, each has its checkpoint in it already
        left -= saving * (left // self.pause if self.pause > step else 0)
        steps = trainer.step + max(0, int(left / step))
        while steps > trainer.step:
            every = trainer.recipe.planned(steps).evaluate_every
            # at the end, where it is not due there anyway, and the judged texts
            measured = 1 + (steps % every > 0) + steps // every - (trainer.step - 1) // every
            over = (steps - trainer.step) * step + measured * self.marks["seconds"] - left
            if over <= 0:
                break
            steps -= max(1, int(over / (2 * step)))
        return max(steps, trainer.step)

    def _step(self, trainer: BridgeTrainer, batch: Batch) -> float:
        return trainer.train_step(batch)

    def _usable(self, rows: np.ndarray) -> np.ndarray:
        """Leave out texts that are too long to learn from, or that end in the middle."""
        most = self._most_tokens
        whole = [not self.texts[row].endswith(("…", "...")) for row in rows]
        lengths = self.lengths[rows]
        return rows[(lengths >= 3) & (lengths <= most) & np.array(whole, bool)]

    @property
    def _most_tokens(self) -> int:
        """Of a text, so that it has room in the LLM behind the soft tokens, with its end."""
        return min(_MOST_TOKENS, positions(self.ends.model) - self.bridge.facts.n_tokens - 1)

    def _batch(self, rows: np.ndarray) -> Batch:
        vectors = np.stack([np.asarray(self.vectors[row], np.float32) for row in rows])
        ids = [self.ids[row] for row in rows]
        return Batch.of([self.texts[row] for row in rows], vectors, ids, self.split)

    def _batches(self, rows: np.ndarray) -> Iterator[Batch]:
        for start in range(0, len(rows), self.recipe.batch_size):
            yield self._batch(rows[start : start + self.recipe.batch_size])

    def _tell(self, trainer: BridgeTrainer, **facts: float) -> None:
        before = self.bridge.facts.training.get("texts_seen", 0)
        seen = before + trainer.step * self.recipe.batch_size
        self.log.write(stage="tokens", step=trainer.step, texts_seen=seen, **facts)

    def _spacing(self, trainer: BridgeTrainer, seconds: float) -> int:
        """Return by every how manieth text to measure, so that it takes about `seconds`."""
        most = len(self.watched) // self.least_measured
        if most < 2:
            return 1
        some = self.watched[:: max(1, len(self.watched) // self.recipe.batch_size)]
        for _ in range(2):  # the first time, what is set up on first use is in it
            began = time.monotonic()
            trainer.loss_on(self._batches(some))
            takes = (time.monotonic() - began) * len(self.watched) / len(some)
        return min(most, max(1, round(takes / max(seconds, 1e-9))))

    def _thin(self, every: int) -> None:
        """Measure on every so-manieth of the texts, which are in order of length, alone."""
        self.marks["every"] = every
        self.watched, self.judged = self.watched[::every], self.judged[::every]

    def _evaluate(self, trainer: BridgeTrainer, *, keep: bool = True) -> None:
        """Measure on the watched texts; keep the weights in a file if none did better."""
        began = time.monotonic()
        lost, measured = self._measure(trainer)
        if not np.isfinite(lost):
            msg = (
                f"the loss on held-back texts is {lost} at step {trainer.step}: the models or the "
                f"bridge hold numbers that are none; lower the learning rate, or choose others"
            )
            raise ModelError(msg)
        self._tell(trainer, **{f"unseen_{name}": value for name, value in measured.items()})
        if lost < self.marks.get("least", np.inf):
            self.marks |= {"least": lost, "step": trainer.step}
            if keep:
                save_checkpoint(self.best_file, self._weights(trainer), dict(self.marks))
        self.measured_at = trainer.step
        self.marks["seconds"] = time.monotonic() - began
        self.measuring += self.marks["seconds"]

    def _measure(self, trainer: BridgeTrainer) -> tuple[float, dict[str, float]]:
        """Return what is to be least, and what is told of it."""
        loss = trainer.loss_on(self._batches(self.watched))
        return loss, {"loss": loss}

    def _judge(self, trainer: BridgeTrainer) -> dict[str, np.ndarray]:
        """Return what the judged texts have of each figure and count for it; see `changes`."""
        return {"loss": trainer.losses_on(self._batches(self.judged))}

    def _stale(self, trainer: BridgeTrainer) -> bool:
        """Tell whether the last `patience` evaluations brought nothing."""
        waited = trainer.step - self.marks["step"]
        return waited >= trainer.recipe.patience * trainer.recipe.evaluate_every

    def _weights(self, trainer: BridgeTrainer) -> dict[str, torch.Tensor]:
        tensors = {f"bridge.{k}": v for k, v in self.bridge.state_dict().items()}
        if trainer.lora:
            tensors |= {f"lora.{k}": v for k, v in trainer.lora.tensors().items()}
        return tensors

    def _take(self, trainer: BridgeTrainer, tensors: dict[str, torch.Tensor]) -> None:
        self.bridge.load_state_dict(_under(tensors, "bridge."))
        if trainer.lora:
            trainer.lora.load(_under(tensors, "lora."))

    def _save(self, trainer: BridgeTrainer) -> None:
        tensors = self._weights(trainer) | optimizer_tensors(trainer.optimizer)
        facts = {"step": trainer.step, "recipe": asdict(trainer.recipe), "marks": self.marks}
        facts |= {"before": {name: each.tolist() for name, each in self.before.items()}}
        facts |= {"planned": self.planned} | self._asked()
        save_checkpoint(self.checkpoint, tensors, facts)

    def _asked(self) -> dict[str, Any]:
        """Return what a run has in common with the one that goes on from its checkpoint."""
        asked = asdict(replace(self.recipe, steps=0))
        return {
            "asked": asked,
            "given": self.given,
            "held": self.held,
            "seed": self.trainer.random_state,
        }

    def _refuse_others(self) -> None:
        """Refuse a folder in which a run has begun that is not this one."""
        ours = self._asked()
        for file, read in ((self.known_by, _read_facts), (self.checkpoint, checkpoint_facts)):
            facts = read(file) if file.is_file() else None
            if facts is not None and {name: facts.get(name) for name in ours} != ours:
                msg = (
                    f"{file} is of a run with another recipe, corpus, model, random state or "
                    f"bridge to start from; remove {file.parent} to begin anew, or give the same "
                    f"options"
                )
                raise ParameterError(msg)

    def _go_on(self, trainer: BridgeTrainer, minutes: float | None) -> None:
        """Take up the last checkpoint.

        Where it had planned its steps by as many minutes, they stand; by others, there are so many
        more from here.
        """
        if not self.checkpoint.is_file():
            return
        tensors, facts = load_checkpoint(self.checkpoint)
        self._take(trainer, tensors)
        load_optimizer(trainer.optimizer, tensors)
        trainer.step, self.marks = int(facts["step"]), facts["marks"]
        self._thin(int(self.marks.get("every", 1)))
        self.before = {name: np.array(each) for name, each in facts["before"].items()}
        self.planned = facts["planned"]
        if minutes is not None and minutes == self.planned:
            trainer.recipe = type(self.recipe)(**facts["recipe"])
        elif minutes is not None:
            trainer.recipe = replace(trainer.recipe, steps=self.recipe.steps + trainer.step)
        tqdm.write(f"going on from step {trainer.step}", sys.stderr)

    def _finish(self, trainer: BridgeTrainer) -> Bridge:
        """Measure, take the best weights, attach the LoRA, save."""
        if self.measured_at != trainer.step:
            # not kept: a run that was stopped goes on from its checkpoint, as if it had not been
            self._evaluate(trainer, keep=False)
        if self.marks["step"] != trainer.step:
            self._take(trainer, load_checkpoint(self.best_file)[0])
        training = self._told(trainer)
        if trainer.lora:
            self.bridge.lora = Lora(trainer.lora.tensors(), self.recipe.lora_scale)
        scale = self.recipe.lora_scale if trainer.lora else 0.0
        self.bridge.facts = replace(self.bridge.facts, training=training, lora_scale=scale)
        self.bridge.save(self.log.folder)
        self.log.draw(self.axis, self.drawn)
        return self.bridge.eval()

    def _told(self, trainer: BridgeTrainer) -> dict[str, Any]:
        """Return ``facts.training``: of this run, and under ``from`` what it began with."""
        bridge, some = self.bridge, self.vectors[: 4 * MOST_UNSEEN].astype(np.float32)
        before = bridge.facts.training
        training: dict[str, Any] = {
            "texts_seen": before.get("texts_seen", 0) + trainer.step * self.recipe.batch_size
        }
        judged = changes(self.before, self._judge(trainer))
        training |= {name: round(value, 4) for name, value in judged.items()}
        training |= {"unseen_texts": len(self.judged), "version": __version__}
        training |= {"recipe": asdict(trainer.recipe), "corpus_texts": len(self.texts)}
        training["vector_length"] = float(f"{np.linalg.norm(some, axis=1).mean():.3g}")
        if bridge.folder is not None:
            own = {"name": bridge.folder.name, "sha256": bridge.facts.sha256, "training": before}
            training["from"] = own
        if "guarantee" in before:  # imported here: its package trains bridges too
            from smotext_lab.privacy.guarantee import trained_on

            training["guarantee"] = trained_on(before["guarantee"])
        return training


def _read_facts(path: Path) -> dict[str, Any] | None:
    """Return what a run is known by; None where the file is not whole."""
    try:
        return cast("dict[str, Any]", json.loads(path.read_text("utf-8")))
    except ValueError:
        return None


def _under(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
