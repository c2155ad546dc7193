"""`audit`: attack synthetic texts, and say what the attacks found in words that anyone can read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from smotext_lab.errors import DataError
from smotext_lab.guards.cosines import unit
from smotext_lab.guards.words import fold
from smotext_lab.markup import texts_table
from smotext_lab.privacy.attacks import CONFIDENCE, Attack, membership, nearest_of
from smotext_lab.privacy.bounds import epsilon_at_least, epsilon_could_show, roc
from smotext_lab.privacy.guarantee import FIGURES_NOT_COVERED, stated_in
from smotext_lab.privacy.masking import find_personal
from smotext_lab.privacy.reading import plain_texts
from smotext_lab.privacy.reconstruction import reconstruct, recovered
from smotext_lab.privacy.verbatim import disclosures, passages
from smotext_lab.privacy.verdict import verdict
from smotext_lab.surrogates import encodable

__all__ = ["Audit", "audit"]

_MOST_POINTS = 2000  # that lines are looked for among


@dataclass(frozen=True, eq=False)
class Audit:
    """What attacks on synthetic texts found.

    Attributes
    ----------
    attacks : list of Attack
        The more successful first. Their intervals allow for there being several.
    disclosures : DataFrame
        See `verbatim.disclosures`.
    runs : DataFrame
        Longest runs of words shared with the synthetic texts, of train and holdout; in scripts
        without spaces of characters.
    passages : dict
        How many texts of train and holdout share a long run; see `verbatim.passages`.
    reconstruction : dict
        How many training vectors came back from the geometry of the parents, of how many.
    personal : DataFrame
        Personal data of structured kinds in the synthetic texts.
    worst : DataFrame
        The training texts that the `surest` attack ranks first, with their nearest synthetic ones.
    nearest : DataFrame
        Cosine to the nearest synthetic text; a check for copies, and no measure of privacy.
    sizes : dict
    once : ndarray of bool
        Which training texts stand in train once: the others may move a mechanism several times as
        far as it states for one text.
    guarantee : dict, optional
        What mechanisms state, as it stands in the synthesis, several releases together; empty
        without one. None where that is not known, the texts having come without a provenance.
    """

    attacks: list[Attack]
    disclosures: pd.DataFrame
    runs: pd.DataFrame
    passages: dict[str, int]
    reconstruction: dict[str, int]
    personal: pd.DataFrame
    worst: pd.DataFrame
    nearest: pd.DataFrame
    sizes: dict[str, int]
    once: np.ndarray
    guarantee: dict[str, Any] | None = None

    @property
    def best(self) -> Attack:
        """The more successful attack."""
        return self.attacks[0]

    @property
    def surest(self) -> Attack:
        """The attack that finds most texts at 1% false alarms; not always the better one."""
        return max(self.attacks, key=lambda attack: attack.tpr_1.value)

    @property
    def epsilon_at_least(self) -> float:
        """The largest ε that an attack showed, at 95% confidence over all of them."""
        return max(attack.epsilon for attack in self.attacks)

    @property
    def epsilon_could_show(self) -> float:
        """The most that `epsilon_at_least` can be with so many texts, by a perfect attack."""
        return max(attack.could_show for attack in self.attacks)

    @property
    def epsilon_put_to_test(self) -> float:
        """The largest ε shown by the texts that stand in train once; a stated one is held to it.

        What is stated for one text is less than what one does that stands there several times.
        """
        if self.once.sum() < 2:
            return 0.0
        bounds = [
            epsilon_at_least(attack.members[self.once], attack.others, **self._terms)
            for attack in self.attacks
        ]
        return max(bounds)

    @property
    def epsilon_put_to_test_at_most(self) -> float:
        """The most that `epsilon_put_to_test` can be, by a perfect attack."""
        return epsilon_could_show(int(self.once.sum()), self.sizes["holdout"], **self._terms)

    @property
    def epsilon_copying_shows(self) -> float:
        """What `epsilon_put_to_test` would be about, were the new texts copies of real ones.

        Where that is no more than a stated ε, not even handing out real texts contradicts it.
        """
        n = int(self.once.sum())
        copies = min(n, self.sizes["synthetic"])
        return epsilon_could_show(n, self.sizes["holdout"], betrayed=copies, **self._terms)

    @property
    def _terms(self) -> dict[str, Any]:
        """Of the bounds that a stated ε is held to."""
        delta = float((self.guarantee or {}).get("delta") or 0.0)
        return {"delta": delta, "confidence": 1 - (1 - CONFIDENCE) / len(self.attacks)}

    @property
    def guaranteed(self) -> bool:
        """Whether a mechanism states an ε."""
        return (self.guarantee or {}).get("epsilon") is not None

    @property
    def notes(self) -> list[str]:
        """What belongs to the answers: the statement, what it leaves out, what no audit shows."""
        stated = str((self.guarantee or {}).get("sentence", ""))
        caveat = FIGURES_NOT_COVERED if self.guaranteed else ""
        return [note for note in (stated, caveat, _CAVEAT) if note]

    def verdict(self) -> pd.DataFrame:
        """Return the findings: a question a row, its answer, the figures, and how to read them."""
        return verdict(self)

    def roc(self) -> pd.DataFrame:
        """Return the curves of all attacks: ``attack``, ``false_positives``, ``true_positives``."""
        curves = []
        for attack in self.attacks:
            false, true = roc(attack.members, attack.others)
            curve = {"false_positives": false, "true_positives": true}
            curves.append(pd.DataFrame(curve).assign(attack=attack.name))
        return pd.concat(curves, ignore_index=True)

    def figures(self) -> dict[str, Any]:
        """Return the figures by name, the most telling first."""
        best, surest = self.best, self.surest
        return {
            "auc": best.auc.value,
            "auc_low": best.auc.low,
            "auc_high": best.auc.high,
            "tpr_at_1_percent": surest.tpr_1.value,
            "tpr_at_1_percent_high": surest.tpr_1.high,
            "tpr_at_01_percent": surest.tpr_01.value,
            "tpr_at_01_percent_high": surest.tpr_01.high,
            "epsilon_at_least": self.epsilon_at_least,
            "epsilon_could_show": self.epsilon_could_show,
            "epsilon_stated": (self.guarantee or {}).get("epsilon"),
            "epsilon_put_to_test": self.epsilon_put_to_test,
            "epsilon_copying_shows": self.epsilon_copying_shows,
            "attack": best.name,
            "attack_at_1_percent": surest.name,
            "longest_shared_run": int(self.runs["train"].max()),
            **{f"disclosed_{k}": int(v) for k, v in self.disclosures["disclosed"].items()},
            **{f"phantom_{k}": int(v) for k, v in self.disclosures["phantoms"].items()},
            **self.reconstruction,
            **self.sizes,
        }

    def _repr_html_(self) -> str:
        return texts_table(self.verdict(), title="Privacy audit", notes=[_CAVEAT])

    def __repr__(self) -> str:
        rows = self.verdict().itertuples()
        lines = [f"{row.question} {row.answer} ({row.figures})" for row in rows]
        return "\n".join([*lines, *self.notes])


_CAVEAT = (
    "An audit finds leaks and cannot show that there are none. Only the statement of a mechanism "
    "guarantees anything."
)


def audit(
    synthesis: Any,
    train: Sequence[str] | pd.Series,
    holdout: Sequence[str] | pd.Series,
    *,
    encoder: Any = None,
    reconstruction: bool = True,
    n_worst: int = 10,
    progress: bool = False,
) -> Audit:
    """Attack synthetic texts with the real ones they came from and some they did not.

    Parameters
    ----------
    synthesis : Synthesis or sequence of str
        `Synthesis.from_parquet` reads one from a file. Texts alone do not tell what was stated
        about them, nor which texts were parents.
    train : sequence of str
        The real texts that were given to whatever made the synthetic ones; all of them, in their
        order, for the attack on the parents' geometry.
    holdout : sequence of str
        Real texts of the same kind that were not.
    encoder : Encoder, optional
        Default `BertEncoder`.
    reconstruction : bool, default=True
        Whether to try ReconSMOTE, where the synthesis names parents.
    n_worst : int, default=10
    progress : bool, default=False

    Returns
    -------
    Audit

    Raises
    ------
    DataError
        If there are too few texts to say anything, or a parent is none of train.

    Notes
    -----
    Texts that are in both train and holdout are left out of the comparisons, and each text counts
    once; case, spaces and marks make no difference. A stated ε is put to the test by the texts
    alone that stand in train once. Train and holdout must be of one distribution: split at random,
    not by time or source, or the attacks find the difference between the two.

    References
    ----------
    Carlini et al., "Membership inference attacks from first principles", IEEE S&P 2022, for true
    positives at few false ones.

    Examples
    --------
    >>> from smotext_lab.privacy import audit
    >>> audit(new, train["text"], holdout["text"])  # doctest: +SKIP
    """
    from smotext_lab.encoders import BertEncoder

    given = made_texts(synthesis), plain_texts(train, "train"), plain_texts(holdout, "holdout")
    # as SMOTExT reads them: no tokenizer takes a half of a surrogate pair
    made, everything, kept_out = ([encodable(text) for text in each] for each in given)
    inside, outside, once = _apart(everything, kept_out)
    if not made or min(len(inside), len(outside)) < 20:
        msg = (
            f"An audit of {len(made)} synthetic texts with {len(inside)} training and "
            f"{len(outside)} holdout texts says nothing: give some synthetic texts, and of each of "
            f"the others at least 20 different ones."
        )
        raise DataError(msg)
    blended = _blended(synthesis, len(everything)) if reconstruction else None
    encoder = BertEncoder() if encoder is None else encoder
    texts = {"made": made, "in": inside, "out": outside}
    vectors = {part: unit(encoder.encode(each, progress=progress)) for part, each in texts.items()}
    info = getattr(synthesis, "info", None)
    stated = None if info is None else stated_in(info)
    attacks = membership(texts, vectors, delta=float((stated or {}).get("delta") or 0.0))
    nearest = {part: nearest_of(vectors[part], vectors["made"]) for part in ("in", "out")}
    found: dict[str, int] = {}
    if blended is not None:
        found = _geometry(blended, everything, vectors["made"], encoder)
    shared = [passages(each, made) for each in (inside, outside)]
    runs, long = ([pd.Series(each) for each in some] for some in zip(*shared, strict=True))
    cosines = [pd.Series(nearest[name][0]) for name in ("in", "out")]
    return Audit(
        attacks,
        disclosures(made, inside, outside),
        pd.DataFrame({"train": runs[0], "holdout": runs[1]}).fillna(0).astype(int),
        {"train": int(long[0].sum()), "holdout": int(long[1].sum())},
        found,
        find_personal(made),
        _worst(
            max(attacks, key=lambda each: each.tpr_1.value), texts, nearest["in"], runs[0], n_worst
        ),
        pd.DataFrame({"train": cosines[0], "holdout": cosines[1]}),
        {"synthetic": len(made), "train": len(inside), "holdout": len(outside)},
        once,
        stated,
    )


def _blended(synthesis: Any, n: int) -> pd.DataFrame | None:
    """Return rows that name parents, which are among `n` training texts; None without any."""
    frame = getattr(synthesis, "accepted", pd.DataFrame({"parents": []}))
    rows = frame[frame["parents"].notna()].head(_MOST_POINTS)
    if not len(rows):
        return None
    last = max(int(parent) for each in rows["parents"] for parent in each)
    if last >= n:
        msg = (
            f"A parent is row {last}, but there are {n} training texts: give all "
            "texts that the synthesis was made from, or reconstruction=False."
        )
        raise DataError(msg)
    return rows


def _geometry(
    rows: pd.DataFrame, train: list[str], made: np.ndarray, encoder: Any
) -> dict[str, int]:
    """Try ReconSMOTE on the exact points, and on the texts' own vectors."""
    parents = sorted({int(parent) for each in rows["parents"] for parent in each})
    real = np.asarray(encoder.encode([train[parent] for parent in parents]))
    place = {parent: at for at, parent in enumerate(parents)}
    points = np.stack(
        [
            np.tensordot(weights, real[[place[int(p)] for p in each]], axes=1)
            for each, weights in zip(rows["parents"], rows["weights"], strict=True)
        ]
    )
    points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    real = unit(real)
    return {
        "parents": len(parents),
        "recovered_from_points": int(recovered(reconstruct(points), real).sum()),
        "recovered_from_texts": int(recovered(reconstruct(made[:_MOST_POINTS]), real).sum()),
    }


def _worst(
    attack: Attack,
    texts: dict[str, list[str]],
    nearest: tuple[np.ndarray, np.ndarray],
    runs: pd.Series,
    n: int,
) -> pd.DataFrame:
    rows = np.argsort(-attack.members, kind="stable")[:n]
    return pd.DataFrame(
        {
            "training text": [texts["in"][row] for row in rows],
            "nearest synthetic text": [texts["made"][nearest[1][row]] for row in rows],
            "cosine": nearest[0][rows].astype(float),
            "words in a row": runs.to_numpy()[rows],
        }
    )


def made_texts(synthesis: Any) -> list[str]:
    """Return the new texts of a `Synthesis`, or of a list or a column of them."""
    accepted = getattr(synthesis, "accepted", None)
    return plain_texts(synthesis if accepted is None else accepted["text"], "synthesis")


def _apart(train: list[str], holdout: list[str]) -> tuple[list[str], list[str], np.ndarray]:
    """Return each text once and none that is in both, and which stood in train once."""
    keys = [[fold(text) or text.strip() for text in texts] for texts in (train, holdout)]
    times = [Counter(each) for each in keys]
    kept: list[dict[str, str]] = [{}, {}]
    for part, texts in enumerate((train, holdout)):
        for key, text in zip(keys[part], texts, strict=True):
            if key and key not in times[1 - part]:
                kept[part].setdefault(key, text)
    once = np.array([times[0][key] == 1 for key in kept[0]], bool)
    return list(kept[0].values()), list(kept[1].values()), once
