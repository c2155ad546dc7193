"""The judge: guards that know the real texts, and remember what they have accepted."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from smotext_lab.errors import DataError
from smotext_lab.guards.blocked import masked
from smotext_lab.guards.cosines import UnitRows, unit
from smotext_lab.guards.label_evidence import LabelEvidence
from smotext_lab.guards.words import SharedRuns, ends_sentence, find_loop, fold

if TYPE_CHECKING:
    from smotext_lab.guards import Guards

__all__ = ["Judge", "Verdict"]

_BLOCK = 1024  # decoded texts that are compared with others at a time
_SHARPNESS = 0.1  # a neighbour this much less similar than the nearest has 1/e of its vote


@dataclass(frozen=True)
class Verdict:
    """What the guards say about one decoded text.

    Parameters
    ----------
    status : {"accepted", "rejected"}
    reason : str or None
        None if accepted, else such as ``"copy: cosine 0.97 to text 12"``. What stands before
        the colon is one of ``degenerate``, ``unsafe``, ``copy``, ``duplicate``, ``label``.
    cosine_to_nearest_real : float
    nearest_real : int
        Number of the nearest real text.
    label_probability : float
        Share of the wanted label in the neighbours' vote; NaN where there is only one class
        or `Guards.label_neighbors` is None.
    """

    status: Literal["accepted", "rejected"]
    reason: str | None
    cosine_to_nearest_real: float
    nearest_real: int
    label_probability: float

    @property
    def accepted(self) -> bool:
        """Whether the text is kept."""
        return self.status == "accepted"


class Judge:
    """Guards that know the real texts, and remember what they have accepted.

    Made by `Guards.fit`; see there for the parameters.
    """

    def __init__(
        self,
        guards: Guards,
        texts: Sequence[str],
        vectors: np.ndarray,
        labels: Any,
        *,
        positions: Sequence[int] | None = None,
    ) -> None:
        classes, codes = np.unique(np.asarray(labels), return_inverse=True)
        if not len(texts) or not len(texts) == len(vectors) == len(codes):
            msg = (
                "Guards need at least one real text, and a vector and a label for each: got "
                f"{len(texts)} texts, {len(vectors)} vectors, {len(codes)} labels."
            )
            raise DataError(msg)
        self.guards = guards
        self.classes = classes
        self._codes = codes
        self._vectors = UnitRows.of(vectors)
        self._positions = np.arange(len(texts)) if positions is None else np.asarray(positions)
        self._vote = 1.0 / np.bincount(codes)  # of a text, by class
        self._texts = texts
        self._blocked = guards.blocked()
        folded = [fold(text) for text in texts]
        self._equal: dict[str, int] = {}
        for place, text in enumerate(folded):
            if text:
                self._equal.setdefault(text, place)
        longest = guards.max_shared_words
        self._runs = None if longest is None else SharedRuns(folded, longest + 1)
        self._evidence = LabelEvidence(self._vectors, codes)
        self._asked = guards.label_classifier and len(classes) > 1
        self._accepted: dict[str, int] = {}
        self._accepted_rows: list[int] = []
        self._accepted_vectors = np.empty((0, self._vectors.rows.shape[1]), dtype=np.float32)

    def anew(self) -> Judge:
        """Return a judge that knows the same real texts and has accepted nothing yet."""
        other = copy.copy(self)
        other._accepted, other._accepted_rows = {}, []
        other._accepted_vectors = self._accepted_vectors[:0]
        return other

    def judge(
        self,
        texts: Sequence[str],
        vectors: np.ndarray,
        labels: Any,
        *,
        label_weights: np.ndarray | None = None,
        classes: np.ndarray | None = None,
        parents: Sequence[Sequence[int] | np.ndarray] | None = None,
        exempt: np.ndarray | None = None,
        cut: np.ndarray | None = None,
        rows: Sequence[int] | None = None,
    ) -> list[Verdict]:
        """Judge decoded texts in the order they are given in.

        What is accepted is remembered: a later text that equals it is a duplicate, in this
        call and in those that follow.

        Parameters
        ----------
        texts : sequence of str, length m
        vectors : ndarray of shape (m, d)
            The texts, encoded again.
        labels : array-like of shape (m,)
            The wanted labels.
        label_weights : ndarray of shape (m, c), optional
            Soft labels over `classes`. The labels that weigh at least half as much as the
            heaviest are then all wanted, and their shares of the vote are added.
        classes : ndarray of shape (c,), optional
            What the columns of `label_weights` stand for.
        parents : sequence of m sequences of int, optional
            Which real texts each text was made from, by their place among those that the
            judge was fitted on. A blocked word passes where one of them has one; without
            parents none has.
        exempt : bool ndarray of shape (m,), optional
            Texts that may repeat a real one: those of a walk between two of them.
        cut : bool ndarray of shape (m,), optional
            Texts that the length limit ended.
        rows : sequence of int, length m, optional
            What the texts are called in reasons; by default 0, 1, …

        Returns
        -------
        list of Verdict, length m
        """
        m = len(texts)
        vectors = unit(vectors)
        exempt = np.zeros(m, dtype=bool) if exempt is None else np.asarray(exempt)
        cut = np.zeros(m, dtype=bool) if cut is None else np.asarray(cut)
        rows = range(m) if rows is None else rows
        wanted = self._wanted(np.asarray(labels), label_weights, classes)
        verdicts = []
        for start in range(0, m, _BLOCK):
            block = slice(start, start + _BLOCK)
            nearest, cosine, shares = self._compare(vectors[block])
            evidence = self._evident(vectors[block])
            twins = _Twins(vectors[block], self._accepted_vectors, self._accepted_rows)
            kept = []
            for i in range(len(nearest)):
                at = start + i
                probability = _probability(shares[i], wanted[at])
                reason = (
                    self._broken(texts[at], bool(cut[at]))
                    or self._unsafe(texts[at], () if parents is None else parents[at])
                    or (None if exempt[at] else self._copied(texts[at], nearest[i], cosine[i]))
                    or self._repeated(texts[at], twins, i)
                    or self._mislabelled(shares[i], evidence[i], wanted[at], probability)
                )
                if reason is None:
                    self._accepted.setdefault(fold(texts[at]), int(rows[at]))
                    twins.keep(i, int(rows[at]))
                    kept.append(i)
                verdicts.append(
                    Verdict(
                        status="accepted" if reason is None else "rejected",
                        reason=reason,
                        cosine_to_nearest_real=float(cosine[i]),
                        nearest_real=int(self._positions[nearest[i]]),
                        label_probability=probability,
                    )
                )
            self._remember(vectors[block][kept], [int(rows[start + i]) for i in kept])
        return verdicts

    def agreement(
        self,
        vectors: np.ndarray,
        labels: Any,
        *,
        label_weights: np.ndarray | None = None,
        classes: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return how surely each text is of its wanted label, shape (m,), 0 to 1.

        What all real texts say together (`Guards.label_classifier`), or else the vote of the
        nearest; 0 for all where there is neither.

        Parameters
        ----------
        vectors : ndarray of shape (m, d)
        labels, label_weights, classes
            See `judge`.
        """
        vectors = unit(vectors)
        if self._asked:
            shares = self._evident(vectors)
        else:
            blocks = range(0, max(1, len(vectors)), _BLOCK)
            shares = np.concatenate(
                [self._compare(vectors[start : start + _BLOCK])[2] for start in blocks]
            )
        wanted = self._wanted(np.asarray(labels), label_weights, classes)
        agreed: np.ndarray = np.nan_to_num((shares * wanted).sum(axis=1))
        return agreed

    def outward(
        self,
        labels: Any,
        *,
        label_weights: np.ndarray | None = None,
        classes: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the way from the mean of all classes to that of each wanted one.

        Parameters
        ----------
        labels, label_weights, classes
            See `judge`. Of several labels that are wanted, the mean of their ways.

        Returns
        -------
        ndarray of float32, shape (m, d)
            In the space of the real texts' vectors at length 1; zeros where there is one class.
        """
        wanted = self._wanted(np.asarray(labels), label_weights, classes)
        shares = wanted / np.maximum(wanted.sum(axis=1, keepdims=True), 1)
        ways: np.ndarray = (shares @ self._evidence.outward).astype(np.float32)
        return ways

    def _broken(self, text: str, cut: bool) -> str | None:
        guards, folded = self.guards, fold(text)
        if not folded:
            if guards.allow_empty:
                return None
            return "degenerate: no words" if text.strip() else "degenerate: empty"
        loop = None if guards.max_repeats is None else find_loop(folded, guards.max_repeats)
        if loop is not None:
            return f"degenerate: goes on repeating {_shortened(loop)!r}"
        if cut and not guards.allow_cut and not ends_sentence(text):
            return "degenerate: cut in mid-sentence by the length limit"
        return None

    def _unsafe(self, text: str, parents: Sequence[int] | np.ndarray) -> str | None:
        made_from = (self._texts[parent] for parent in parents)
        word = None if self._blocked is None else self._blocked.brought_in(text, made_from)
        if word is None:
            return None
        return f"unsafe: blocked word {masked(word)!r}, and none in the texts it was made from"

    def _copied(self, text: str, nearest: int, cosine: float) -> str | None:
        guards, folded = self.guards, fold(text)
        if not guards.allow_equal and folded in self._equal:
            return f"copy: equal to text {self._positions[self._equal[folded]]}"
        if guards.max_copy_cosine is not None and cosine > guards.max_copy_cosine:
            return f"copy: cosine {cosine:.2f} to text {self._positions[nearest]}"
        shared = None if self._runs is None else self._runs.find(folded)
        if shared is not None:
            longest = guards.max_shared_words
            return f"copy: more than {longest} words in a row of text {self._positions[shared]}"
        return None

    def _repeated(self, text: str, twins: _Twins, i: int) -> str | None:
        guards = self.guards
        earlier = None if guards.allow_equal else self._accepted.get(fold(text))
        if earlier is not None:
            return f"duplicate: equal to row {earlier}"
        cosine, row = twins.nearest(i)
        if guards.max_duplicate_cosine is not None and cosine > guards.max_duplicate_cosine:
            return f"duplicate: cosine {cosine:.2f} to row {row}"
        return None

    def _mislabelled(
        self, shares: np.ndarray, evidence: np.ndarray, wanted: np.ndarray, probability: float
    ) -> str | None:
        for who, said in (("nearest real texts", shares), ("all real texts together", evidence)):
            best = int(said.argmax())
            if said[wanted].max(initial=0.0) < said[best]:
                name = self.classes[best : best + 1].tolist()[0]
                return f"label: {who} say {name!r} ({said[best]:.2f})"
        if probability < self.guards.min_label_probability:
            return f"label: probability {probability:.2f}"
        return None

    def _evident(self, vectors: np.ndarray) -> np.ndarray:
        """Return what all real texts say together, (m, c); NaN where they are not asked."""
        if not self._asked:
            return np.full((len(vectors), len(self.classes)), np.nan)
        return self._evidence.shares(vectors)

    def _compare(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return per text its nearest real text, the cosine to it, and the vote (m, c)."""
        k, c = self.guards.label_neighbors, len(self.classes)
        if k is None or c < 2:
            nearest, best, _, _ = self._vectors.nearest(vectors)
            return nearest, best, np.full((len(vectors), c), np.nan)
        nearest, best, top, cosines = self._vectors.nearest(vectors, k)
        votes = np.exp((cosines - best[:, None]) / _SHARPNESS) * self._vote[self._codes[top]]
        shares = np.zeros((len(vectors), c))
        np.add.at(shares, (np.arange(len(vectors))[:, None], self._codes[top]), votes)
        return nearest, best, shares / shares.sum(axis=1, keepdims=True)

    def _wanted(
        self, labels: np.ndarray, weights: np.ndarray | None, named: np.ndarray | None
    ) -> np.ndarray:
        """Return which classes each text may be of, (m, c)."""
        if weights is None or named is None:
            wanted: np.ndarray = labels[:, None] == self.classes
            return wanted
        heavy = weights >= 0.5 * weights.max(axis=1, keepdims=True)
        matches: np.ndarray = heavy @ (named[:, None] == self.classes)
        return matches

    def _remember(self, vectors: np.ndarray, rows: list[int]) -> None:
        self._accepted_vectors = np.concatenate([self._accepted_vectors, vectors])
        self._accepted_rows += rows


class _Twins:
    """The accepted text nearest to each text of a block, while the block is being judged."""

    def __init__(self, block: np.ndarray, accepted: np.ndarray, rows: list[int]) -> None:
        self._within = block @ block.T
        self._rows = np.full(len(block), -1)
        self._cosines = np.full(len(block), -np.inf)
        if len(accepted):
            nearest, self._cosines, _, _ = UnitRows(accepted).nearest(block)
            self._rows = np.asarray(rows)[nearest]

    def nearest(self, i: int) -> tuple[float, int]:
        """Return the cosine to the nearest accepted text (-inf without one) and its row."""
        return float(self._cosines[i]), int(self._rows[i])

    def keep(self, i: int, row: int) -> None:
        """Note that text `i` of the block was accepted."""
        nearer = self._within[i] > self._cosines
        self._rows[nearer], self._cosines[nearer] = row, self._within[i][nearer]


def _probability(shares: np.ndarray, wanted: np.ndarray) -> float:
    return float(shares[wanted].sum()) if not np.isnan(shares).any() else float("nan")


def _shortened(phrase: str) -> str:
    return phrase if len(phrase) <= 40 else f"{phrase[:39]}…"
