"""What the reports on privacy show: a verdict, curves, the texts most at risk, and ε's price."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from smotext_lab.charts import show
from smotext_lab.charts.privacy import epsilon_chart, roc_chart
from smotext_lab.datasets import load_dataset
from smotext_lab.errors import DataError, ParameterError
from smotext_lab.evaluation.classifiers import Remembering, text_classifier
from smotext_lab.evaluation.scores import macro_f1, prior_macro_f1
from smotext_lab.evaluation.training import TrainingTexts
from smotext_lab.markup import texts_table
from smotext_lab.synthesis import Synthesis
from smotext_lab.synthesis.reading import metadata_of

if TYPE_CHECKING:
    from IPython.display import HTML

    from smotext_lab.privacy import Audit

__all__ = [
    "Comparison",
    "above_guessing",
    "answer",
    "halves",
    "kept",
    "random_texts",
    "read_three",
    "show_epsilon",
    "show_roc",
    "verdict_table",
    "worst_table",
]


def read_three(
    synthetic: str, train: str | None, holdout: str | None, text: str | None, label: str | None
) -> tuple[Synthesis | list[str], pd.DataFrame, pd.DataFrame]:
    """Return synthetic, training and holdout texts from their files.

    A file of `Synthesis.to_parquet` gives the synthesis, with what it tells of its making.

    Raises
    ------
    ParameterError
        If one of the files is not named.
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
        made = load_dataset(synthetic, text=text, label=label)["text"].tolist()
    real, kept_out = (load_dataset(name, text=text, label=label) for name in (train, holdout))
    return made, real, kept_out


def halves(
    frame: pd.DataFrame, per_class: int, random_state: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return two samples of different texts with the same number of each class, drawn at random.

    Raises
    ------
    DataError
        If no class has four texts.
    """
    rows = frame.drop_duplicates("text").sample(frac=1, random_state=random_state)
    sizes = rows.groupby("label")["text"].transform("size")
    rows = rows[sizes >= 4]
    if not len(rows):
        msg = "No class has the four different texts that two halves need."
        raise DataError(msg)
    place = rows.groupby("label").cumcount()
    size = rows.groupby("label")["text"].transform("size").floordiv(2).clip(upper=per_class)
    first, second = rows[place < size], rows[(place >= size) & (place < 2 * size)]
    return first.reset_index(drop=True), second.reset_index(drop=True)


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
    rows = pd.DataFrame(
        {
            "": [f"{told}: AUC {best.auc}.", str(stated)],
        }
    )
    return _html(texts_table(rows, title="The answer"))


def verdict_table(audit: Audit) -> HTML:
    """Show the whole verdict."""
    return _html(audit._repr_html_())


def worst_table(audit: Audit, *, show_texts: bool) -> HTML:
    """Show the training texts that the surest attack ranks first."""
    worst = audit.worst if show_texts else audit.worst.drop(columns="training text")
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
    """Display figures against ε, with the stated ε itself where it is their limit."""
    chart = epsilon_chart(rows, value=value, title=title, limit=limit)
    show(chart, f"{title} against the stated ε")


def above_guessing(encoder: Any, train: pd.DataFrame, test: pd.DataFrame) -> float:
    """Return macro-F1 on real test texts above guessing, of a classifier trained on `train` alone.

    The classifier is the evaluation's *embedding-logreg*: logistic regression on the encoder's
    vectors, its regularisation chosen by cross-validation inside `train`. NaN where `train` has
    texts of one class only.

    Parameters
    ----------
    encoder : Encoder
    train, test : DataFrame
        Columns ``text`` and ``label``.
    """
    labels, wanted = (np.asarray(part["label"].astype(str), str) for part in (train, test))
    if len(set(labels)) < 2:
        return float("nan")
    classes = np.unique(np.concatenate([labels, wanted]))
    model = text_classifier("embedding-logreg", encoder, 0)
    model.fit(TrainingTexts(train["text"].tolist(), labels), classes)
    truth = np.searchsorted(classes, wanted)
    said = model.predict_proba(test["text"].tolist()).argmax(axis=1)
    return macro_f1(truth, said, len(classes)) - prior_macro_f1(truth)


def kept(new: float, real: float) -> float:
    """Return retention: what new texts give above guessing, as a share of what real ones give.

    As in `smotext_lab.evaluation.statistics.retention`, which has an interval too.
    """
    return new / real if real > 0 else float("nan")


class Comparison:
    """Methods side by side: what their texts are worth, and what an attack finds in them.

    Parameters
    ----------
    train, holdout, test : DataFrame
        Columns ``text`` and ``label``.
    encoder : Encoder

    Attributes
    ----------
    rows : list of dict
        ``method``, ``epsilon``, ``retention``, ``auc``, ``epsilon_at_least``, ``texts``.
    """

    def __init__(
        self, train: pd.DataFrame, holdout: pd.DataFrame, test: pd.DataFrame, encoder: Any
    ) -> None:
        self.rows: list[dict[str, Any]] = []
        self._train, self._holdout, self._test = train, holdout, test
        self._encoder = Remembering(encoder)
        self._real = above_guessing(self._encoder, train, test)
        self._sentences: list[str] = []

    def add(self, method: str, epsilon: float, made: Any) -> None:
        """Attack what a method made, and train on it; no text, no figures."""
        from smotext_lab.privacy import audit

        new = made.accepted
        if not len(new):
            self._add_nothing(method, epsilon)
            return
        found = audit(
            made,
            self._train["text"],
            self._holdout["text"],
            encoder=self._encoder,
            reconstruction=False,
        )
        self.rows.append(
            {
                "method": method,
                "epsilon": epsilon,
                "retention": kept(above_guessing(self._encoder, new, self._test), self._real),
                "auc": found.best.auc.value,
                "epsilon_at_least": found.epsilon_at_least,
                "texts": len(new),
            }
        )
        if "privacy" in made.info:
            self._sentences.append(f"{method}: {made.info['privacy']}")

    def add_mechanism(self, method: str, mechanism: Any, wanted: dict[Any, int]) -> None:
        """Generate from what a mechanism released; classes too small for it are left out."""
        usable = set(mechanism.released_.centroids()[1].tolist())
        asked = {label: n for label, n in wanted.items() if label in usable}
        if len(asked) < 2:
            self._add_nothing(method, mechanism.epsilon)
            return
        self.add(method, mechanism.epsilon, mechanism.generate(asked))

    def _add_nothing(self, method: str, epsilon: float) -> None:
        unknown = dict.fromkeys(("retention", "auc", "epsilon_at_least"), float("nan"))
        self.rows.append({"method": method, "epsilon": epsilon, **unknown, "texts": 0})

    def table(self) -> pd.DataFrame:
        """Return the figures so far."""
        stated = [f"{r['epsilon']:g}" if np.isfinite(r["epsilon"]) else "none" for r in self.rows]
        return pd.DataFrame(self.rows).round(3).assign(epsilon=stated)

    def sentences(self) -> list[str]:
        """Return what each mechanism guarantees."""
        return list(self._sentences)

    def best(self, *, at_most: float) -> float | None:
        """Return the best retention among the guarantees up to that ε."""
        kept = [r["retention"] for r in self.rows if r["epsilon"] <= at_most]
        known = [value for value in kept if not np.isnan(value)]
        return max(known, default=None)

    def figures(self) -> dict[str, Any]:
        """Return all figures by a name made of method and ε."""
        return {
            f"{row['method']}_{row['epsilon']:g}_{name}".replace(" ", "_").lower(): row[name]
            for row in self.rows
            for name in ("retention", "auc", "epsilon_at_least")
        }


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
