"""The lexical head: from a sentence vector to the words of the sentence."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import nn

from smotext_lab.bridges import LexicalHead
from smotext_lab.machine import has_bf16
from smotext_lab.training.bounds import check_bounds
from smotext_lab.training.checkpoints import load_optimizer, optimizer_tensors
from smotext_lab.training.trainer import noisy
from smotext_lab.training.words import RaggedIds

__all__ = ["HeadTrainer", "LexicalRecipe", "recall_at"]


@dataclass(frozen=True)
class LexicalRecipe:
    """How a lexical head is trained.

    Attributes
    ----------
    epochs : float
        Passes over the corpus.
    batch_size : int
    learning_rate : float
        Peak of AdamW's rate, reached after 3% of the steps, cosine to 2% of it.
    noise : float
        Largest length of the random vector added to a unit vector: the head is used
        between real texts, where no training text lies.

    Raises
    ------
    ParameterError
        If a number is out of its range.
    """

    epochs: float = 3.0
    batch_size: int = 256
    learning_rate: float = 1e-3
    noise: float = 0.3

    def __post_init__(self) -> None:
        bounds: dict[str, tuple[float, float | None]] = {
            "epochs": (0, None),
            "batch_size": (1, None),
            "learning_rate": (0, None),
            "noise": (0, None),
        }
        check_bounds(asdict(self), bounds)


def _rate(step: int, steps: int) -> float:
    warm = max(1, int(0.03 * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


class HeadTrainer:
    """Trains a head in place, one step at a time; it can go on from any of them.

    Binary cross-entropy over the whole lexicon, written as ``Σ softplus(z) − Σ z[words
    present]`` so that no dense target is built.

    Parameters
    ----------
    head : LexicalHead
    vectors : ndarray of float16 or float32, shape (n, d)
        May be memory-mapped: only a batch is read at a time.
    rows : ndarray of int, shape (m,)
        Those that are trained on.
    words : RaggedIds
        Which words each of the m texts holds.
    recipe : LexicalRecipe
    random_state : int, default=0

    Attributes
    ----------
    step : int
    steps : int
        Of the whole training.
    """

    def __init__(
        self,
        head: LexicalHead,
        vectors: np.ndarray,
        rows: np.ndarray,
        words: RaggedIds,
        recipe: LexicalRecipe,
        *,
        random_state: int = 0,
    ) -> None:
        self.head, self.vectors, self.rows, self.words = head, vectors, rows, words
        self.recipe = recipe
        self.step = 0
        self.steps = max(1, int(recipe.epochs * len(rows) / recipe.batch_size))
        self.optimizer = torch.optim.AdamW(
            head.parameters(),
            lr=recipe.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=0.0,
            fused=True,
        )
        self._generator = torch.Generator().manual_seed(random_state)
        self._order_of = np.random.default_rng(random_state)
        self._order, self._epoch = np.empty(0, np.int64), -1

    def train_step(self) -> float:
        """Take one step; return the loss of its batch, nats a text."""
        recipe, picked = self.recipe, self._picked()
        batch = torch.from_numpy(np.asarray(self.vectors[self.rows[picked]], np.float32))
        at, ids = self.words.take(picked)
        # elsewhere bfloat16 is emulated, and many times slower
        with torch.autocast("cpu", torch.bfloat16, enabled=has_bf16()):
            logits = self.head(noisy(batch, recipe.noise, self._generator)).float()
        present = logits[torch.from_numpy(at), torch.from_numpy(ids.astype(np.int64))]
        loss = (nn.functional.softplus(logits).sum() - present.sum()) / len(picked)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.head.parameters(), 5.0)
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.learning_rate * _rate(self.step, self.steps)
        self.optimizer.step()
        self.step += 1
        return float(loss.detach())

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return what `load` needs to go on from here."""
        tensors = {f"head.{name}": value for name, value in self.head.state_dict().items()}
        tensors |= optimizer_tensors(self.optimizer)
        return tensors | {"generator": self._generator.get_state()}

    def load(self, tensors: dict[str, torch.Tensor], step: int) -> None:
        """Go on from `step`, of which these are the `tensors`."""
        own = {k.removeprefix("head."): v for k, v in tensors.items() if k.startswith("head.")}
        self.head.load_state_dict(own)
        load_optimizer(self.optimizer, tensors)
        self._generator.set_state(tensors["generator"])
        self.step = step

    def _picked(self) -> np.ndarray:
        """Return the rows of this step's batch; each epoch has an order of its own."""
        size = self.recipe.batch_size
        epoch, place = divmod(self.step, max(1, len(self.rows) // size))
        while self._epoch < epoch:
            self._order, self._epoch = self._order_of.permutation(len(self.rows)), self._epoch + 1
        return self._order[place * size : (place + 1) * size]


@torch.inference_mode()
def recall_at(
    head: LexicalHead, vectors: np.ndarray, words: RaggedIds, top: int, min_information: float = 4.0
) -> float:
    """Return the share of the texts' content words that are among the head's best `top`.

    Content words are those rarer than ``exp(-min_information)`` of the texts (4 nats: in
    fewer than 2% of them).
    """
    found = total = 0
    for start in range(0, len(vectors), 512):
        rows = np.arange(start, min(start + 512, len(vectors)))
        scores = head.information(torch.from_numpy(np.asarray(vectors[rows], np.float32)))
        best = scores.topk(min(top, scores.shape[1]), dim=-1).indices.numpy()
        at, ids = words.take(rows)
        content = head.prior.numpy()[ids] < -min_information
        hit = (best[at[content]] == ids[content, None]).any(axis=1)
        found, total = found + int(hit.sum()), total + int(content.sum())
    return found / max(1, total)
