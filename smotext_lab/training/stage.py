"""The last stage of training: learnt tokens and LoRA, with checkpoints and early stopping."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from smotext_lab._version import __version__
from smotext_lab.bridges import Bridge, split_words
from smotext_lab.errors import DataError, ModelError, ParameterError
from smotext_lab.lora import Lora
from smotext_lab.training.checkpoints import (
    checkpoint_facts,
    load_checkpoint,
    load_optimizer,
    optimizer_tensors,
    save_checkpoint,
)
from smotext_lab.training.given import Ends, Texts
from smotext_lab.training.log import TrainingLog
from smotext_lab.training.trainer import Batch, Batches, BridgeRecipe, BridgeTrainer
from smotext_lab.writer import positions

__all__ = ["TokenStage"]

_MOST_TOKENS = 128
_MOST_UNSEEN = 512
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

    axis = "loss (nats a token)"
    drawn: Mapping[str, str] = {
        "loss": "in training (noise, words left out)",
        "unseen_loss": "unseen texts",
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
        ids = ends.tokenizer(corpus.texts, add_special_tokens=False)["input_ids"]
        ends.check_tokens(ids)
        self.ids = [np.asarray(row, np.int32) for row in ids]
        self.lengths = np.array([len(row) for row in self.ids])
        self.rows = self._usable(corpus.train)
        unseen = self._usable(corpus.unseen)[:_MOST_UNSEEN]
        self.unseen = unseen[np.argsort(self.lengths[unseen], kind="stable")]
        if len(self.rows) < recipe.batch_size or not len(self.unseen):
            msg = (
                f"of {len(corpus.texts)} texts {len(self.rows) + len(unseen)} can be learnt from, "
                f"those of 3 to {self._most_tokens} tokens that do not end in …; a bridge needs a "
                f"batch of them ({recipe.batch_size}), and one to hold back: cut texts into "
                f"sentences"
            )
            raise DataError(msg)
        # measured on the unseen texts: before the first step, at the best one, and when that was
        self.marks: dict[str, float] = {}
        self.planned: float | None = None  # minutes that the number of steps was set by
        self.trainer = BridgeTrainer(ends.model, bridge, recipe, ends.end, random_state)
        self._refuse_others()

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
            With the weights that did best on the unseen texts, saved in the log's folder.
        """
        self.vectors, trainer = vectors, self.trainer
        self._go_on(trainer, minutes)
        if not self.marks:
            self._evaluate(trainer)
        try:
            self._steps(trainer, minutes)
        except KeyboardInterrupt:
            self._save(trainer)
            self._finish(trainer)
            tqdm.write(
                f"stopped at step {trainer.step}; run the same command again to go on", sys.stderr
            )
            raise
        self._save(trainer)
        return self._finish(trainer)

    def _steps(self, trainer: BridgeTrainer, minutes: float | None) -> None:
        lengths = self.lengths[self.rows]
        batches = Batches(lengths, self.recipe.batch_size, trainer.random_state)
        started, first = time.monotonic(), trainer.step
        saved, losses = started, []
        planned = minutes is None or minutes == self.planned
        with tqdm(total=trainer.recipe.steps, initial=first, desc="bridge", unit="step") as bar:
            while trainer.step < trainer.recipe.steps and not self._stale(trainer):
                batch = self._batch(self.rows[batches.at(trainer.step)])
                losses.append(self._step(trainer, batch))
                bar.update()
                taken, seconds = trainer.step - first, time.monotonic() - started
                if minutes is not None and not planned and taken == _SPEED_STEPS:
                    steps = first + max(_SPEED_STEPS, int(minutes * 60 * taken / seconds))
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

    def _unseen_batches(self) -> Iterator[Batch]:
        for start in range(0, len(self.unseen), self.recipe.batch_size):
            yield self._batch(self.unseen[start : start + self.recipe.batch_size])

    def _tell(self, trainer: BridgeTrainer, **facts: float) -> None:
        before = self.bridge.facts.training.get("texts_seen", 0)
        seen = before + trainer.step * self.recipe.batch_size
        self.log.write(stage="tokens", step=trainer.step, texts_seen=seen, **facts)

    def _evaluate(self, trainer: BridgeTrainer, *, keep: bool = True) -> None:
        """Measure on the unseen texts; keep the weights in a file if none did better."""
        lost, measured = self._measure(trainer)
        if not np.isfinite(lost):
            msg = (
                f"the loss on held-back texts is {lost} at step {trainer.step}: the models or the "
                f"bridge hold numbers that are none; lower the learning rate, or choose others"
            )
            raise ModelError(msg)
        unseen = {f"unseen_{name}": value for name, value in measured.items()}
        self._tell(trainer, **unseen)
        if not self.marks:
            self.marks = {f"start_{name}": value for name, value in measured.items()}
        if lost < self.marks.get("least", np.inf):
            self.marks |= {"least": lost, "step": trainer.step, **unseen}
            if keep:
                save_checkpoint(self.best_file, self._weights(trainer), dict(self.marks))

    def _measure(self, trainer: BridgeTrainer) -> tuple[float, dict[str, float]]:
        """Return what is to be least, and what is told of it."""
        loss = trainer.loss_on(self._unseen_batches())
        return loss, {"loss": loss}

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
        facts |= {"planned": self.planned} | self._asked()
        save_checkpoint(self.checkpoint, tensors, facts)

    def _asked(self) -> dict[str, Any]:
        """Return what a run has in common with the one that goes on from its checkpoint."""
        asked = asdict(replace(self.recipe, steps=0))
        return {"asked": asked, "given": self.given, "seed": self.trainer.random_state}

    def _refuse_others(self) -> None:
        if not self.checkpoint.is_file():
            return
        facts, ours = checkpoint_facts(self.checkpoint), self._asked()
        if {name: facts.get(name) for name in ours} != ours:
            msg = (
                f"{self.checkpoint} is of a run with another recipe, corpus, model, random state "
                f"or bridge to start from; remove {self.checkpoint.parent} to begin anew, or give "
                f"the same options"
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
        self.planned = facts["planned"]
        if minutes is not None and minutes == self.planned:
            trainer.recipe = type(self.recipe)(**facts["recipe"])
        elif minutes is not None:
            trainer.recipe = replace(trainer.recipe, steps=self.recipe.steps + trainer.step)
        tqdm.write(f"going on from step {trainer.step}", sys.stderr)

    def _finish(self, trainer: BridgeTrainer) -> Bridge:
        """Measure, take the best weights, attach the LoRA, save."""
        # not kept: a run that was stopped goes on from its checkpoint, as if it had not been
        self._evaluate(trainer, keep=False)
        if self.marks["step"] != trainer.step:
            self._take(trainer, load_checkpoint(self.best_file)[0])
        training = dict(self.bridge.facts.training)
        training["texts_seen"] = (
            training.get("texts_seen", 0) + trainer.step * self.recipe.batch_size
        )
        measured = {k: v for k, v in self.marks.items() if k not in ("least", "step")}
        training |= {k: round(v, 4) for k, v in measured.items()}
        training |= {"unseen_texts": len(self.unseen), "version": __version__}
        training |= {"recipe": asdict(trainer.recipe), "corpus_texts": len(self.texts)}
        if "guarantee" in training:  # imported here: its package trains bridges too
            from smotext_lab.privacy.guarantee import trained_on

            training["guarantee"] = trained_on(training["guarantee"])
        if trainer.lora:
            self.bridge.lora = Lora(trainer.lora.tensors(), self.recipe.lora_scale)
        scale = self.recipe.lora_scale if trainer.lora else 0.0
        self.bridge.facts = replace(self.bridge.facts, training=training, lora_scale=scale)
        self.bridge.save(self.log.folder)
        self.log.draw(self.axis, self.drawn)
        return self.bridge.eval()


def _under(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
