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
from smotext_lab.markup import texts_table

if TYPE_CHECKING:
    from IPython.display import HTML

    from smotext_lab.privacy import Audit

__all__ = [
    "answer",
    "halves",
    "read_three",
    "retention",
    "show_epsilon",
    "show_roc",
    "verdict_table",
    "worst_table",
]


def read_three(
    synthetic: str, train: str | None, holdout: str | None, text: str | None, label: str | None
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return synthetic, training and holdout texts from their files.

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
    frames = [load_dataset(name, text=text, label=label) for name in (synthetic, train, holdout)]
    return frames[0], frames[1], frames[2]


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
    """Show the training texts that the best attack is surest of."""
    worst = audit.worst if show_texts else audit.worst.drop(columns="training text")
    note = "Real texts are on this page: pass it on only where you may pass them on."
    return _html(texts_table(worst, notes=[note] if show_texts else []))


def show_roc(audit: Audit) -> None:
    """Display the curves of all attacks on logarithmic axes."""
    best = audit.best
    show(
        roc_chart(audit.roc()),
        f"ROC curves; the best attack finds {best.tpr_1.value:.1%} at 1% false alarms",
    )


def show_epsilon(rows: Sequence[dict[str, Any]], value: str, title: str) -> None:
    """Display figures against ε."""
    show(epsilon_chart(rows, value=value, title=title), f"{title} against the stated ε")


def retention(
    vectors: np.ndarray,
    labels: Sequence[Any],
    real: tuple[np.ndarray, Sequence[Any]],
    test: tuple[np.ndarray, Sequence[Any]],
) -> float:
    """Return the macro-F1 of training on synthetic vectors only over that on the real ones.

    Logistic regression on the encoder's vectors; both tested on the same real texts.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score

    scores = []
    for rows, names in ((vectors, labels), real):
        if len(set(names)) < 2:
            return float("nan")
        model = LogisticRegression(max_iter=1000).fit(rows, np.asarray(names).astype(str))
        told = model.predict(test[0])
        scores.append(f1_score(np.asarray(test[1]).astype(str), told, average="macro"))
    return float(scores[0] / scores[1])


def _html(page: str) -> HTML:
    from IPython.display import HTML

    return HTML(page)
