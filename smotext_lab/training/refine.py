"""`refine_bridge`: a trained bridge goes on learning from what its own texts say."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smotext_lab.bridges import Bridge, split_words
from smotext_lab.encoders import Encoder
from smotext_lab.engines.base import Sampling
from smotext_lab.errors import DataError
from smotext_lab.lora import Lora
from smotext_lab.models import DEFAULT_LLM
from smotext_lab.training.bounds import check_bounds, check_run
from smotext_lab.training.card import licence_of, write_card
from smotext_lab.training.corpus import encode_corpus, read_corpus
from smotext_lab.training.folder import check_folder
from smotext_lab.training.given import Ends, Texts, start_bridge
from smotext_lab.training.log import TrainingLog
from smotext_lab.training.stage import MOST_UNSEEN, TokenStage
from smotext_lab.training.trainer import Batch, BridgeRecipe, BridgeTrainer
from smotext_lab.training.tries import Points, Tries
from smotext_lab.writer import Writer

__all__ = ["RefiningRecipe", "refine_bridge"]

_UNSEEN_POINTS = 128


@dataclass(frozen=True)
class RefiningRecipe(BridgeRecipe):
    """How a bridge is refined; what is not said here is as in `BridgeRecipe`.

    Attributes
    ----------
    n_points : int
        Points a step, half of them texts' own vectors and half blends of neighbours.
    n_candidates : int
        Texts written at each, of which the best and the worst are learnt from.
    form_told : float
        Chance that a point's form is asked for.
    temperature, top_p, top_k, max_new_tokens
        See `Sampling`: how the texts are drawn.

    Raises
    ------
    ParameterError
        If a number is out of its range.
    """

    learning_rate: float = 4e-4
    warmup: int = 10
    cooldown: float = 0.5
    steps: int = 300
    evaluate_every: int = 40
    n_points: int = 32
    n_candidates: int = 8
    form_told: float = 0.7
    temperature: float = 0.7
    top_p: float = 0.9
    top_k: int = 50
    max_new_tokens: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        bounds: dict[str, tuple[float, float | None]] = {
            "n_points": (2, None),
            "n_candidates": (2, None),
            "form_told": (0, 1),
        }
        check_bounds(asdict(self), bounds)
        self.sampling()

    def sampling(self) -> Sampling:
        """Return how texts are drawn, its numbers checked."""
        return Sampling(self.temperature, self.top_p, self.top_k, self.max_new_tokens)


def refine_bridge(
    corpus: Sequence[str | Path],
    *,
    out: str | Path,
    start_from: str | Path = "default",
    encoder: str | os.PathLike[str] | Encoder = "all-MiniLM-L6-v2",
    llm: str | os.PathLike[str] = DEFAULT_LLM,
    recipe: RefiningRecipe | None = None,
    minutes: float | None = None,
    text: str = "text",
    checkpoint_minutes: float = 4.0,
    random_state: int = 0,
    split: Callable[[str], list[str]] = split_words,
) -> Bridge:
    """Refine a trained bridge by the cosine that its texts reach.

    A bridge is trained to write the very text of a vector. What is asked of it is another thing:
    a text with that vector, also where no text ever was. So it writes several at each of some
    points, half of them between neighbours; the encoder reads them again; the best becomes likelier
    and the worst less likely, by how far each is from the mean of its point (policy gradient).
    Beside it a batch of real texts is trained on as before, so that the language stays.

    Run it again with the same arguments and it goes on from its last checkpoint.

    Parameters
    ----------
    corpus : sequence of path
        See `read_corpus`; some are held back, as by `train_bridge`.
    out : path
        Folder for the bridge; what is needed to go on lies in ``out/work``.
    start_from : path or "default"
        The bridge that is refined.
    encoder, llm : str or path
        As in `train_bridge`.
    recipe : RefiningRecipe, optional
    minutes : float, optional
        Sets ``recipe.steps`` by the speed of the first steps.
    text, checkpoint_minutes, random_state, split
        As in `train_bridge`.

    Returns
    -------
    Bridge
        Also saved in `out`, with the weights that did best at held-back points. ``facts.training``
        has the cosine of greedy texts at other held-back points before (``start_cosine``) and after
        (``unseen_cosine``), and the standard error of their difference.

    Raises
    ------
    DataError, ModelError, BridgeError, ParameterError
        Where the corpus, the models or the numbers cannot be used.

    References
    ----------
    .. [1] Williams, "Simple statistical gradient-following algorithms for connectionist
       reinforcement learning", Machine Learning 8, 1992: REINFORCE, section 5.
    .. [2] Shen et al., "Minimum Risk Training for Neural Machine Translation", arXiv 1512.02433,
       section 3: training for what a whole text is judged by.

    Examples
    --------
    >>> refine_bridge(["my_texts.csv"], out="mine", minutes=30)  # doctest: +SKIP
    """
    recipe = recipe or RefiningRecipe()
    check_run(minutes, checkpoint_minutes, random_state)
    out = Path(out)
    bridge = start_bridge(start_from, out, split)
    check_folder(out)
    licence = licence_of(bridge)
    recipe = recipe.fitting(bridge)
    ends = Ends.load(encoder, llm)
    facts = ends.facts(bridge.facts.kind, recipe)
    bridge.check(facts.encoder, facts.dim, facts.llm, facts.hidden)
    texts = read_corpus(corpus, text)
    least = 2 * max(recipe.batch_size, recipe.n_points)
    if len(texts) < least:
        msg = f"the corpus holds {len(texts)} texts; refining a bridge takes at least {least}"
        raise DataError(msg)
    log = TrainingLog(out)
    stage = _RefiningStage(
        Texts.divided(texts, random_state),
        ends,
        bridge=bridge,
        recipe=recipe,
        log=log,
        pause=60 * checkpoint_minutes,
        random_state=random_state,
    )
    with stage.alone():
        refined = stage.train(encode_corpus(texts, ends.encoder, out / "work"), minutes)
        write_card(refined, out, corpus=[Path(p).name for p in corpus], licence=licence)
    return refined


class _RefiningStage(TokenStage):
    """The last stage of training, with a bridge's own texts beside the corpus'."""

    recipe: RefiningRecipe
    least_measured = MOST_UNSEEN  # fewer would save nothing: the points are as many
    axis = "cosine to the point"
    drawn: Mapping[str, str] = {
        "cosine": "in training (drawn at random)",
        "unseen_cosine": "held-back points (greedy)",
    }

    def __init__(self, corpus: Texts, ends: Ends, **how: Any) -> None:
        super().__init__(corpus, ends, **how)
        # a second LLM, which writes while the first one learns
        self.writer = Writer.load(ends.llm, self.bridge, ends.encoder, prompt=None, dtype="auto")

    def _step(self, trainer: BridgeTrainer, batch: Batch) -> float:
        recipe = self.recipe
        rng = np.random.default_rng([trainer.random_state, 2, trainer.step])
        points = self._points(self.rows, recipe.n_points, rng)
        tries = self._tries(trainer, points, recipe.sampling(), recipe.n_candidates, rng)
        loss = trainer.text_loss(batch)  # merges the LoRA, for the tries as well
        loss.backward()
        tries.backward(trainer.loss_of)
        trainer.update()
        self._tell(trainer, cosine=float(tries.cosines.mean()), reward=float(tries.rewards.mean()))
        return float(loss.detach())

    def _measure(self, trainer: BridgeTrainer) -> tuple[float, dict[str, float]]:
        """Return minus the mean reward of greedy texts at held-back points, and what is told."""
        loss = trainer.loss_on(self._batches(self.watched))
        tries = self._greedy(trainer, self.watched, 3)
        return -float(tries.rewards.mean()), {"loss": loss, "cosine": float(tries.cosines.mean())}

    def _judge(self, trainer: BridgeTrainer) -> dict[str, np.ndarray]:
        cosines = self._greedy(trainer, self.judged, 4).cosines.ravel().astype(float)
        return super()._judge(trainer) | {"cosine": np.array([cosines, np.ones(len(cosines))])}

    def _greedy(self, trainer: BridgeTrainer, rows: np.ndarray, seed: int) -> Tries:
        """Write at points of held-back `rows`, the same ones each time."""
        rng = np.random.default_rng([trainer.random_state, seed])
        points = self._points(rows, _UNSEEN_POINTS, rng)
        greedy = Sampling(temperature=0, max_new_tokens=self.recipe.max_new_tokens)
        return self._tries(trainer, points, greedy, 1, rng)

    def _points(self, rows: np.ndarray, n: int, rng: np.random.Generator) -> Points:
        told = self.recipe.form_told
        return Points.draw(self.texts, self.vectors, rows, n, form_told=told, rng=rng)

    def _tries(
        self,
        trainer: BridgeTrainer,
        points: Points,
        sampling: Sampling,
        n_candidates: int,
        rng: np.random.Generator,
    ) -> Tries:
        """Write with the weights as they are now."""
        if trainer.lora:
            self.bridge.lora = Lora(trainer.lora.tensors(), self.recipe.lora_scale)
        seeds = rng.integers(0, 2**64, (len(points.vectors), n_candidates), np.uint64)
        with warnings.catch_warnings():  # texts may run long while they are learnt from
            warnings.simplefilter("ignore", UserWarning)
            return Tries.write(points, self.writer, self.ends.encoder, sampling, seeds)
