"""A bridge's own texts as lessons: what the encoder puts nearer to the point becomes likelier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from smotext_lab.bridges.hints import hint_ids
from smotext_lab.candidates import broken, in_form
from smotext_lab.encoders import Encoder
from smotext_lab.engines.base import Sampling
from smotext_lab.forms import TextForm, sentence_kind
from smotext_lab.search import dropped_words
from smotext_lab.writer import Writer

__all__ = ["Points", "Tries", "reward"]

_POOL = 2048  # texts among which a blend's second parent is looked for
_NEIGHBORS = 5
_NEAREST, _FARTHEST = 0.2, 0.8  # of λ
_BROKEN, _OTHER_KIND = 0.3, 0.05
_SPREAD = 0.1  # rewards differ by about so much
_MOST = 2.0  # and no text counts more than this
_PART = 32  # texts that gradients are made of at a time


def reward(text: str, cosine: float, form: TextForm | None = None) -> float:
    """Return what a text is worth: its cosine to the point, less what is wrong with it.

    0.3 less where it is empty or goes on repeating itself, 0.05 where it is of another kind than
    `form`.

    Examples
    --------
    >>> reward("It rains.", 0.75), reward("It rains.", 0.75, TextForm.of("Who?"))
    (0.75, 0.7)
    """
    other = form is not None and sentence_kind(text) != form.kind
    return cosine - _BROKEN * broken(text) - _OTHER_KIND * other


@dataclass(frozen=True, eq=False)
class Points:
    """Where texts are tried.

    Attributes
    ----------
    vectors : ndarray of float32, shape (n, d)
        Unit rows: texts' own vectors, then blends of neighbours.
    forms : list of (TextForm or None), length n
        The form that is asked for: the text's, or that of a blend's first parent.
    """

    vectors: np.ndarray
    forms: list[TextForm | None]

    @classmethod
    def draw(
        cls,
        texts: Sequence[str],
        vectors: np.ndarray,
        rows: np.ndarray,
        n: int,
        *,
        form_told: float,
        rng: np.random.Generator,
    ) -> Points:
        """Draw `n` points, half of them blends, from the corpus' `rows`.

        A blend lies on the line to one of the 5 nearest among 2,048 texts, as SMOTE's do, brought
        back to unit length.
        """
        some = rng.choice(rows, min(_POOL, len(rows)), replace=False)
        unit = _unit(np.stack([np.asarray(vectors[row], np.float32) for row in some]))
        own = np.arange(len(some))[:n]
        blended = own[len(own) // 2 :]
        near = unit[blended] @ unit.T
        near[np.arange(len(blended)), blended] = -np.inf
        nearest = np.argsort(-near, axis=1)[:, :_NEIGHBORS]
        other = rng.permuted(nearest, axis=1)[:, 0]
        lam = rng.uniform(_NEAREST, _FARTHEST, (len(blended), 1)).astype(np.float32)
        points = unit[own]
        points[len(own) // 2 :] = _unit((1 - lam) * unit[blended] + lam * unit[other])
        forms = [TextForm.of(texts[row]) for row in some[own]]
        told = rng.random(len(own)) < form_told
        return cls(points, [f if t else None for f, t in zip(forms, told, strict=True)])


@dataclass(frozen=True, eq=False)
class Tries:
    """Texts that were written at points, and what each of them counts.

    Attributes
    ----------
    vectors : ndarray of float32, shape (m, d)
    ids : list of ndarray of int, length m
    dropped : Tensor of bool or None, shape (m, pool)
    hints : Tensor of int64, shape (m, 3)
    counts : ndarray of float32, shape (m,)
        By how much a text's reward is above or below the mean of its point's, in units of 0.1,
        between -2 and 2.
    rewards, cosines : ndarray of float32, shape (n, n_candidates)
        Of all that were written.
    """

    vectors: np.ndarray
    ids: list[np.ndarray]
    dropped: torch.Tensor | None
    hints: torch.Tensor
    counts: np.ndarray
    rewards: np.ndarray
    cosines: np.ndarray

    @classmethod
    def write(
        cls,
        points: Points,
        writer: Writer,
        encoder: Encoder,
        sampling: Sampling,
        seeds: np.ndarray,
    ) -> Tries:
        """Write a text at each point for each of its seeds; keep the best and the worst of them."""
        n, n_candidates = seeds.shape
        owners, tries = np.divmod(np.arange(seeds.size), n_candidates)
        dropped = dropped_words(seeds.ravel(), tries, getattr(writer.bridge, "pool", 0))
        hints = hint_ids([None] * n, points.forms)[owners]
        vectors = points.vectors[owners]
        soft = writer.soft_tokens(torch.from_numpy(vectors), dropped=dropped, hints=hints)
        made = sorted(writer.generate(soft, sampling, seeds.ravel()), key=lambda each: each.row)
        forms = [points.forms[owner] for owner in owners]
        texts = [in_form(writer.text(m.ids), form) for m, form in zip(made, forms, strict=True)]
        cosines = (_unit(encoder.encode(texts)) * vectors).sum(axis=1)
        judged = zip(texts, cosines.tolist(), forms, strict=True)
        rewards = np.array([reward(*each) for each in judged], np.float32).reshape(n, n_candidates)
        first = n_candidates * np.arange(n)
        kept = np.concatenate([first + rewards.argmax(axis=1), first + rewards.argmin(axis=1)])
        counts = ((rewards - rewards.mean(axis=1, keepdims=True)) / _SPREAD).ravel()[kept]
        return cls(
            vectors[kept],
            [made[i].ids for i in kept],
            None if dropped is None else dropped[kept],
            hints[kept],
            np.clip(counts, -_MOST, _MOST).astype(np.float32),
            rewards,
            cosines.reshape(n, n_candidates),
        )

    def backward(self, loss_of: Callable[..., tuple[torch.Tensor, int]]) -> None:
        """Add the gradients by which good texts become likelier and bad ones less likely.

        Parameters
        ----------
        loss_of : callable
            That of the `BridgeTrainer`.
        """
        lengths = np.array([len(ids) for ids in self.ids])
        tokens = float((lengths + 1).sum())
        order = np.argsort(lengths, kind="stable")
        for part in np.array_split(order, max(1, len(order) // _PART)):
            loss, _ = loss_of(
                torch.from_numpy(self.vectors[part]),
                [self.ids[i] for i in part],
                None if self.dropped is None else self.dropped[part],
                self.hints[part],
                torch.from_numpy(self.counts[part]),
            )
            (loss / tokens).backward()


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.maximum(lengths, 1e-12)).astype(np.float32)
