"""The lexical head: from a sentence vector to the words of the sentence."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from smotext_lab.bridges import LexicalHead
from smotext_lab.training.trainer import noisy
from smotext_lab.training.words import RaggedIds

__all__ = ["LexicalRecipe", "recall_at", "train_lexical_head"]


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
    """

    epochs: float = 3.0
    batch_size: int = 256
    learning_rate: float = 1e-3
    noise: float = 0.3


def _rate(step: int, steps: int) -> float:
    warm = max(1, int(0.03 * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def train_lexical_head(
    head: LexicalHead,
    vectors: np.ndarray,
    rows: np.ndarray,
    words: RaggedIds,
    recipe: LexicalRecipe,
    *,
    random_state: int = 0,
) -> Iterator[tuple[int, float]]:
    """Train `head` in place; yield ``(step, loss)`` so that the caller may log and stop.

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
    """
    generator = torch.Generator().manual_seed(random_state)
    order_of = np.random.default_rng(random_state)
    steps = max(1, int(recipe.epochs * len(rows) / recipe.batch_size))
    optimizer = torch.optim.AdamW(
        head.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.99), weight_decay=0.0, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: _rate(s, steps))
    order = np.empty(0, np.int64)
    for step in tqdm(range(steps), desc="lexical head", unit="step"):
        if len(order) < recipe.batch_size:
            order = order_of.permutation(len(rows))
        picked, order = order[: recipe.batch_size], order[recipe.batch_size :]
        batch = torch.from_numpy(np.asarray(vectors[rows[picked]], np.float32))
        at, ids = words.take(picked)
        with torch.autocast("cpu", torch.bfloat16):
            logits = head(noisy(batch, recipe.noise, generator)).float()
        present = logits[torch.from_numpy(at), torch.from_numpy(ids.astype(np.int64))]
        loss = (nn.functional.softplus(logits).sum() - present.sum()) / len(picked)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        yield step, float(loss.detach())


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
