"""What the reports on privacy show: a verdict, curves, the texts most at risk, and ε's price."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from smotext_lab.charts import show
from smotext_lab.charts.privacy import epsilon_chart, roc_chart
from smotext_lab.datasets import load_dataset
from smotext_lab.datasets.labelled import part_of, with_roles
from smotext_lab.datasets.readers import read_file
from smotext_lab.errors import DataError, ParameterError
from smotext_lab.evaluation.classifiers import Remembering, text_classifier
from smotext_lab.evaluation.statistics import retention
from smotext_lab.evaluation.training import TrainingTexts
from smotext_lab.guards.words import fold
from smotext_lab.markup import texts_table
from smotext_lab.privacy.guarantee import FIGURES_NOT_COVERED
from smotext_lab.synthesis import Synthesis
from smotext_lab.synthesis.reading import metadata_of

if TYPE_CHECKING:
    from IPython.display import HTML

    from smotext_lab.privacy import Audit

__all__ = [
    "Comparison",
    "about_parts",
    "answer",
    "canary_figures",
    "halves",
    "learnt",
    "random_texts",
    "read_three",
    "show_epsilon",
    "show_roc",
    "train_holdout_test",
    "verdict_table",
    "worst_table",
]


def read_three(
    synthetic: str, train: str | None, holdout: str | None, text: str | None, label: str | None
) -> tuple[Synthesis | list[str], pd.DataFrame, pd.DataFrame]:
    """Return synthetic, training and holdout texts from their files.

    A file of `Synthesis.to_parquet` gives the synthesis, with what it tells of its making. Files
    need no labels; where there are some, rows without one are left out, as when texts are made. The
    synthetic texts may stand in a column of another name. Of a file with a split column that says
    train and test, train is its training part (all of it, where the synthesis was made from as many
    texts), holdout its test part.

    Raises
    ------
    ParameterError
        If one of the files is not named.

    Warns
    -----
    UserWarning
        If the synthesis was made from another number of texts than train has.
    """
    if train is None or holdout is None:
        msg = (
            "An audit of synthetic texts needs the real ones they were made from (train) and some "
            "of the same kind that were kept out (holdout): give all three files."
        )
        raise ParameterError(msg)
    if metadata_of(synthetic) is not None:
        made: Synthesis | list[str] = Synthesis.from_parquet(synthetic)
    else:
        made = _synthetic(synthetic, text, label)
    read = made.info.get("texts") if isinstance(made, Synthesis) else None
    real = _labelled_or_not(train, text, label)
    if read != len(real):
        real = _part(real, "train")
    kept_out = _part(_labelled_or_not(holdout, text, label), "test")
    if read not in (None, len(real)):
        msg = (
            f"{Path(synthetic).name} was made from {read} texts, and {Path(train).name} has "
            f"{len(real)}: give those it was made from and no others, such as the rows of one "
            "split; else what the attacks find means little."
        )
        warnings.warn(msg, UserWarning, stacklevel=2)
    return made, real, kept_out


def _synthetic(name: str, text: str | None, label: str | None) -> list[str]:
    try:
        frame = _labelled_or_not(name, text, label)
    except DataError:
        if (text is None and label is None) or not Path(name).expanduser().is_file():
            raise
        frame = _labelled_or_not(name, None, None)  # the columns named may be those of the others
    found: list[str] = frame["text"].tolist()
    return found


def _labelled_or_not(name: str, text: str | None, label: str | None) -> pd.DataFrame:
    try:
        return load_dataset(name, text=text, label=label)
    except DataError:
        if label is not None or not Path(name).expanduser().is_file():
            raise
    return with_roles(read_file(name), Path(name).name, {"text": text})


def _part(frame: pd.DataFrame, part: str) -> pd.DataFrame:
    """Return the rows of one part, where there are training and test rows."""
    parts = frame["split"].map(part_of)
    return frame[parts == part] if {"train", "test"} <= set(parts) else frame


def halves(
    frame: pd.DataFrame, per_class: int, random_state: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return two samples of different texts with the same number of each class, drawn at random.

    Texts that differ by case, spaces and marks alone are one text.

    Raises
    ------
    DataError
        If no class has four texts.
    """
    rows = _once(frame, random_state)
    sizes = rows.groupby("label")["text"].transform("size")
    rows = rows[sizes >= 4]
    if not len(rows):
        msg = "No class has the four different texts that two halves need."
        raise DataError(msg)
    place = rows.groupby("label").cumcount()
    size = rows.groupby("label")["text"].transform("size").floordiv(2).clip(upper=per_class)
    first, second = rows[place < size], rows[(place >= size) & (place < 2 * size)]
    return first.reset_index(drop=True), second.reset_index(drop=True)


def train_holdout_test(
    frame: pd.DataFrame, per_class: int, random_state: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return train, holdout and test, which share no text and have the same classes.

    Of each class a fifth of the different texts, at least two, is drawn for the test; `halves` are
    drawn of the others. Classes of fewer than six are in none of the three.

    Raises
    ------
    DataError
        If fewer than two classes have six texts.
    """
    rows = _once(frame, random_state)
    sizes = rows.groupby("label")["text"].transform("size")
    rows, sizes = rows[sizes >= 6], sizes[sizes >= 6]
    if rows["label"].nunique() < 2:
        msg = (
            "Fewer than two classes have the six different texts that train, holdout and test "
            "need: give more labelled texts."
        )
        raise DataError(msg)
    tested = rows.groupby("label").cumcount() < sizes.floordiv(5).clip(lower=2)
    train, holdout = halves(rows[~tested], per_class, random_state)
    return train, holdout, rows[tested].reset_index(drop=True)


def about_parts(frame: pd.DataFrame, train: pd.DataFrame, test: pd.DataFrame) -> str:
    """Return how many texts `train_holdout_test` drew of `frame`, and which classes it left out."""
    told = (
        f"{train['label'].nunique()} classes: {len(train)} texts in train, as many in the holdout, "
        f"{len(test)} in the test."
    )
    names = sorted(map(str, set(frame["label"]) - set(train["label"])))
    if names:
        told += f" Left out, with fewer than six different texts: {', '.join(names)}."
    return told


def _once(frame: pd.DataFrame, random_state: int) -> pd.DataFrame:
    """Return each text once, in an order drawn at random."""
    return frame[~frame["text"].map(fold).duplicated()].sample(frac=1, random_state=random_state)


def answer(audit: Audit) -> HTML:
    """Show the verdict in a sentence."""
    best = audit.best
    told = (
        "Attacks can tell which texts were used"
        if best.auc.low > 0.5
        else "These attacks could not tell which texts were used"
    )
    stated = "Whether anything is guaranteed about these texts is not stated in the file."
    if audit.guarantee is not None:
        stated = audit.guarantee.get("sentence", "Nothing is guaranteed about these texts.")
    caveat = [FIGURES_NOT_COVERED] if audit.guaranteed else []
    rows = pd.DataFrame({"": [f"{told}: AUC {best.auc}.", str(stated), *caveat]})
    return _html(texts_table(rows, title="The answer"))


def verdict_table(audit: Audit) -> HTML:
    """Show the whole verdict."""
    return _html(audit._repr_html_())


def worst_table(audit: Audit, *, show_texts: bool) -> HTML:
    """Show the training texts that the surest attack ranks first."""
    # the nearest synthetic text is the training text itself wherever a copy got out
    texts = [] if show_texts else ["training text", "nearest synthetic text"]
    worst = audit.worst.drop(columns=texts)
    note = "Real texts are on this page: pass it on only where you may pass them on."
    return _html(texts_table(worst, notes=[note] if show_texts else []))


def show_roc(audit: Audit) -> None:
    """Display the curves of all attacks on logarithmic axes."""
    found = audit.surest.tpr_1.value
    show(
        roc_chart(audit.roc()),
        f"ROC curves; the surest attack finds {found:.1%} at 1% false alarms",
    )


def show_epsilon(
    rows: Sequence[dict[str, Any]], value: str, title: str, *, limit: bool = False
) -> None:
    """Display figures against ε, with the stated ε itself where it is their limit.

    Where the rows have ``{value}_low`` and ``{value}_high``, they stand as bars.
    """
    chart = epsilon_chart(rows, value=value, title=title, limit=limit)
    show(chart, f"{title} against the stated ε")


def canary_figures(canaries: pd.DataFrame | None) -> dict[str, float]:
    """Return AUC and exposure by how often each canary was put in; nothing of none.

    Examples
    --------
    >>> row = {"repetitions": 4, "auc": 0.5, "exposure_mean": 1.4}
    >>> canary_figures(pd.DataFrame([row]))
    {'canary_auc_4': 0.5, 'canary_exposure_4': 1.4}
    """
    rows = [] if canaries is None else canaries.to_dict("records")
    return {
        f"canary_{name}_{row['repetitions']}": row[column]
        for row in rows
        for name, column in (("auc", "auc"), ("exposure", "exposure_mean"))
    }


def learnt(
    encoder: Any, train: pd.DataFrame, test: pd.DataFrame, classes: np.ndarray
) -> np.ndarray:
    """Return what a classifier trained on `train` alone says of the test texts.

    The classifier is the evaluation's *embedding-logreg*: logistic regression on the encoder's
    vectors, its regularisation chosen by cross-validation inside `train`. Where `train` has texts
    of one class only it says that class always, and where it has none, the first.

    Parameters
    ----------
    encoder : Encoder
    train, test : DataFrame
        Columns ``text`` and ``label``.
    classes : ndarray of str, shape (c,)
        Sorted.

    Returns
    -------
    ndarray of int, shape (n_test,)
        Places in `classes`.
    """
    labels = np.asarray(train["label"].astype(str), str)
    if len(set(labels)) < 2:
        known = labels if len(labels) else classes
        return np.full(len(test), np.searchsorted(classes, known[0]))
    model = text_classifier("embedding-logreg", encoder, 0)
    model.fit(TrainingTexts(train["text"].tolist(), labels), classes)
    return model.predict_proba(test["text"].tolist()).argmax(axis=1)


_FIGURES = (
    "retention",
    "retention_low",
    "retention_high",
    "auc",
    "epsilon_put_to_test",
    "epsilon_copying_shows",
)


@dataclass(frozen=True)
class _Draw:
    """What the texts of one run of a method are worth, and what an attack finds in them."""

    said: np.ndarray
    auc: float
    epsilon_put_to_test: float
    epsilon_copying_shows: float
    texts: int


class Comparison:
    """Methods side by side: what their texts are worth, and what an attack finds in them.

    Parameters
    ----------
    train, holdout, test : DataFrame
        Columns ``text`` and ``label``.
    encoder : Encoder

    Notes
    -----
    A method may be added several times with the same ε: another draw of its noise, blends and
    texts. Retention then is that of all draws, and its interval counts them and the test texts
    (`smotext_lab.evaluation.statistics.retention`); of a single draw it counts the test texts
    alone.
    """

    def __init__(
        self, train: pd.DataFrame, holdout: pd.DataFrame, test: pd.DataFrame, encoder: Any
    ) -> None:
        self._train, self._holdout, self._test = train, holdout, test
        self._encoder = Remembering(encoder)
        named = [np.asarray(part["label"].astype(str), str) for part in (train, test)]
        self._classes = np.unique(np.concatenate(named))
        self._truth = np.searchsorted(self._classes, named[1])
        self._real = learnt(self._encoder, train, test, self._classes)
        self._draws: dict[tuple[str, float], list[_Draw]] = {}
        self._rows: dict[tuple[str, float], dict[str, Any]] = {}
        self._sentences: dict[str, None] = {}

    def add(self, method: str, epsilon: float, made: Any) -> None:
        """Attack what a method made, and train on it.

        A draw without texts teaches a guess and cannot be attacked; where no draw has any there are
        no figures.

        Parameters
        ----------
        method : str
        epsilon : float
            Infinite where nothing is guaranteed.
        made : Synthesis
        """
        from smotext_lab.privacy import audit

        draws = self._draws.setdefault((method, epsilon), [])
        new = made.accepted
        shown = (math.nan, math.nan, math.nan)
        if len(new):
            parts = (self._train["text"], self._holdout["text"])
            found = audit(made, *parts, encoder=self._encoder, reconstruction=False)
            bounds = (found.epsilon_put_to_test, found.epsilon_copying_shows)
            shown = (found.best.auc.value, *bounds)
        said = learnt(self._encoder, new, self._test, self._classes)
        draws.append(_Draw(said, *shown, len(new)))
        self._rows[method, epsilon] = {"method": method, "epsilon": epsilon, **self._figures(draws)}
        if "privacy" in made.info and math.isfinite(epsilon):
            self._sentences[f"{method}: {made.info['privacy']}"] = None

    def add_mechanism(
        self, method: str, epsilon: float, mechanism: Any, wanted: dict[Any, int]
    ) -> None:
        """Generate from what a mechanism released; classes too small for it are left out."""
        usable = set(mechanism.released_.centroids()[1].tolist())
        asked = {label: n for label, n in wanted.items() if label in usable}
        nothing = Synthesis.from_rows([])
        self.add(method, epsilon, mechanism.generate(asked) if asked else nothing)

    def _figures(self, draws: list[_Draw]) -> dict[str, Any]:
        texts = sum(draw.texts for draw in draws)
        if not texts:
            return {**dict.fromkeys(_FIGURES, math.nan), "texts": 0, "draws": len(draws)}
        attacked = [draw for draw in draws if not math.isnan(draw.auc)]
        said = np.stack([draw.said for draw in draws])
        kept = retention(self._truth, said, np.tile(self._real, (len(said), 1)), len(self._classes))
        return {
            "retention": kept.value,
            "retention_low": kept.low,
            "retention_high": kept.high,
            "auc": _median([draw.auc for draw in attacked]),
            # the largest of many bounds at 95% would be above the truth by chance
            "epsilon_put_to_test": _median([draw.epsilon_put_to_test for draw in attacked]),
            "epsilon_copying_shows": _median([draw.epsilon_copying_shows for draw in attacked]),
            "texts": texts,
            "draws": len(draws),
        }

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row for each method and ε.

        ``method``, ``epsilon``, ``retention``, ``retention_low``, ``retention_high``, ``auc`` (the
        median of the draws), ``epsilon_put_to_test``, ``epsilon_copying_shows`` (their medians; see
        `Audit`), ``texts`` and ``draws``.
        """
        return list(self._rows.values())

    def table(self) -> pd.DataFrame:
        """Return the figures so far, as they are shown."""
        rows = pd.DataFrame(self.rows)
        stated = [f"{epsilon:g}" if np.isfinite(epsilon) else "none" for epsilon in rows["epsilon"]]
        of = zip(rows["retention"], rows["retention_low"], rows["retention_high"], strict=True)
        return pd.DataFrame(
            {
                "method": rows["method"],
                "stated ε": stated,
                "kept": [f"{value:.2f} ({low:.2f} to {high:.2f})" for value, low, high in of],
                "AUC": rows["auc"].round(2),
                "ε shown": rows["epsilon_put_to_test"].round(2),
                "ε copies show": rows["epsilon_copying_shows"].round(2),
                "texts": rows["texts"],
                "draws": rows["draws"],
            }
        )

    def sentences(self) -> list[str]:
        """Return what each mechanism guarantees."""
        return list(self._sentences)

    def headline(self, *, at_most: float) -> dict[str, float | None]:
        """Return the best retention among the guarantees up to that ε, with its interval."""
        known = [
            row
            for row in self.rows
            if row["epsilon"] <= at_most and not math.isnan(row["retention"])
        ]
        best = max(known, key=lambda row: float(row["retention"]), default={})
        return {
            f"retention_at_most_{at_most:g}{end}": best.get(f"retention{end}")
            for end in ("", "_low", "_high")
        }

    def figures(self) -> dict[str, Any]:
        """Return all figures by a name made of method and ε."""
        return {
            f"{row['method']}_{row['epsilon']:g}_{name}".replace(" ", "_").lower(): row[name]
            for row in self.rows
            for name in _FIGURES
        }


def _median(values: list[float]) -> float:
    return float(np.median(values)) if values else math.nan


def random_texts(decoder: Any, wanted: dict[Any, int], random_state: int) -> Any:
    """Return texts written from random directions, with labels at random."""
    rng = np.random.default_rng(random_state)
    labels = [label for label, n in wanted.items() for _ in range(n)]
    points = rng.normal(size=(len(labels), decoder.encoder.dim))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    seeds = rng.integers(2**63, size=len(labels)).astype(np.uint64)
    found = decoder.decode_rows(points.astype(np.float32), seeds=seeds)
    return Synthesis.from_rows(
        {"text": d.text, "label": labels[d.row], "status": "accepted"} for d in found
    )


def _html(page: str) -> HTML:
    from IPython.display import HTML

    return HTML(page)
