"""Canaries: made-up texts put among the real ones, to see whether they sing in the new ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from smotext_lab.errors import DataError, ParameterError
from smotext_lab.guards.cosines import unit
from smotext_lab.privacy.attacks import CONFIDENCE, membership
from smotext_lab.privacy.auditing import made_texts
from smotext_lab.privacy.bounds import Interval
from smotext_lab.privacy.likelihood import WordModel
from smotext_lab.privacy.parameters import check_whole
from smotext_lab.privacy.reading import plain_labels, plain_texts
from smotext_lab.sampler.forms import Given
from smotext_lab.surrogates import encodable

__all__ = ["Canaries", "canary_audit", "exposure"]


@dataclass(frozen=True)
class Canaries:
    """Texts that are put in, and others of the same kind that are kept out, to compare with.

    Which of your own are inside must have been drawn at random, or an attack finds how the two
    differ.

    Parameters
    ----------
    inside, outside : sequence of str
        Kept as lists, as `labels` are.
    labels : sequence
        Of those inside.

    Raises
    ------
    DataError
        If there are fewer than two of either, not one label for each inside, or one is no text.
    """

    inside: list[str]
    outside: list[str]
    labels: list[Any]

    def __post_init__(self) -> None:
        for part in ("inside", "outside"):
            texts = [encodable(text) for text in plain_texts(getattr(self, part), part)]
            object.__setattr__(self, part, texts)
        object.__setattr__(self, "labels", plain_labels(self.labels))
        if min(len(self.inside), len(self.outside)) < 2 or len(self.labels) != len(self.inside):
            msg = (
                f"{len(self.inside)} canaries inside with {len(self.labels)} labels, and "
                f"{len(self.outside)} outside: give at least two of both, and a label for each "
                "inside."
            )
            raise DataError(msg)

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        labels: Sequence[Any],
        n: int = 50,
        *,
        random_state: int | None = None,
    ) -> Canaries:
        """Make canaries that begin like real texts and go on as none would.

        Parameters
        ----------
        texts, labels : sequences
            Real ones, from which beginnings and words are taken.
        n : int, default=50
            Canaries that are put in; as many more are kept out.
        random_state : int, optional

        References
        ----------
        In-distribution prefix, high-perplexity suffix: "The canary's echo", arXiv 2502.14921.

        Examples
        --------
        >>> made = Canaries.of(["the rain fell all day"] * 5 + ["a cold snow came"] * 5,
        ...                    list("ab") * 5, n=3, random_state=0)
        >>> len(made.inside), len(made.outside), made.inside[0].split()[0] in {"the", "a"}
        (3, 3, True)
        """
        texts, labels = _read(texts, labels)
        words = sorted({word for text in texts for word in text.split()})
        if len(texts) < 2 or len(words) < 2:
            msg = "Canaries are made of real texts and their words: give at least two of each."
            raise DataError(msg)
        rng = np.random.default_rng(random_state)
        rows = rng.choice(len(texts), 2 * n)
        made = []
        for row in rows:
            known = texts[row].split()
            half = max(1, len(known) // 2)
            strange = rng.choice(words, max(3, len(known) - half)).tolist()
            made.append(" ".join([*known[:half], *strange, str(rng.integers(10**7, 10**8))]))
        return cls(made[:n], made[n:], [labels[row] for row in rows[:n]])


def canary_audit(
    generate: Callable[[list[str], list[Any]], Any],
    texts: Sequence[str],
    labels: Sequence[Any],
    *,
    n: int = 50,
    repetitions: Sequence[int] = (1, 4, 16),
    canaries: Canaries | None = None,
    encoder: Any = None,
    random_state: int | None = None,
) -> pd.DataFrame:
    """Put canaries among real texts, make new texts, and look for the canaries in them.

    Parameters
    ----------
    generate : callable
        ``(texts, labels) -> Synthesis or list of str``; it is called once for each number of
        repetitions. For a mechanism with a guarantee the texts must be such that may be used: each
        call costs its ε.
    texts, labels : sequences
    n : int, default=50
    repetitions : sequence of int, default=(1, 4, 16)
        How often each canary is put in.
    canaries : Canaries, optional
        Your own; default `n` that `Canaries.of` makes of the texts.
    encoder : Encoder, optional
        Default `BertEncoder`.
    random_state : int, optional

    Returns
    -------
    DataFrame
        A row for each number of repetitions: ``auc`` with ``auc_low`` and ``auc_high`` of the
        better attack (0.5 is guessing), and ``exposure`` in bits, mean and most (without a leak
        the mean is about 1.4 and the most about ``log2(n)``).

    Raises
    ------
    DataError
        If a canary of yours has a label that no text has, or no text was made.
    ParameterError
        If `repetitions` are not whole numbers of at least 1.

    References
    ----------
    Exposure: Carlini et al., "The secret sharer", USENIX Security 2019.
    """
    from smotext_lab.encoders import BertEncoder

    counts = _counts(repetitions)
    encoder = BertEncoder() if encoder is None else encoder
    texts, labels = _read(texts, labels)
    made = canaries or Canaries.of(texts, labels, n, random_state=random_state)
    unknown = sorted({repr(label) for label in made.labels if label not in labels})
    if unknown:  # a mechanism with classes would read none of those
        msg = f"Canaries have labels that no text has ({', '.join(unknown)}): give those of texts."
        raise DataError(msg)
    parts = {"in": made.inside, "out": made.outside}
    vectors = {part: unit(encoder.encode(each)) for part, each in parts.items()}
    rows = []
    for times in counts:
        result = generate([*texts, *(made.inside * times)], [*labels, *(made.labels * times)])
        new = made_texts(result)
        if not new:
            msg = (
                f"With each canary put in {times} times no text was made: nothing can be attacked."
            )
            raise DataError(msg)
        best = membership(
            parts | {"made": new},
            vectors | {"made": unit(encoder.encode(new))},
        )[0]
        bits = exposure(WordModel(new), made)
        rows.append(_row(times, best.auc, best.name, bits))
    return pd.DataFrame(rows)


def exposure(model: WordModel, canaries: Canaries) -> np.ndarray:
    """Return the exposure of each canary inside, in bits, by its rank among those outside.

    ``log2(m + 1) - log2(rank)`` for m outside: about 1.4 on average where nothing leaks.
    """
    inside, outside = model.scores(canaries.inside), model.scores(canaries.outside)
    ranks = 1 + (outside[None, :] >= inside[:, None]).sum(axis=1)
    bits: np.ndarray = np.log2(len(outside) + 1) - np.log2(ranks)
    return bits


def _counts(repetitions: Any) -> list[int]:
    if not np.iterable(repetitions):
        msg = f"repetitions must be a list of whole numbers, got {repetitions!r}: give it in [...]."
        raise ParameterError(msg)
    for times in repetitions:
        check_whole(**{"each of repetitions": times})
    return [int(times) for times in repetitions]  # a NumPy number would multiply what is in a list


def _read(texts: Sequence[str], labels: Sequence[Any]) -> tuple[list[str], list[Any]]:
    given = Given.read(texts, labels)
    return [encodable(text) for text in given.texts], plain_labels(given.labels)


def _row(times: int, auc: Interval, attack: str, bits: np.ndarray) -> dict[str, Any]:
    return {
        "repetitions": times,
        "auc": auc.value,
        "auc_low": auc.low,
        "auc_high": auc.high,
        "attack": attack,
        "exposure_mean": float(bits.mean()),
        "exposure_most": float(bits.max()),
        "confidence": CONFIDENCE,
    }
