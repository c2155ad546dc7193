"""What the reports of the protocols share: setting up, answering, showing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from smotext_lab import charts
from smotext_lab.charts.robustness import drop_chart
from smotext_lab.errors import ParameterError
from smotext_lab.evaluation.splits import Split
from smotext_lab.evaluation.study import CLEAN, Arm, Results
from smotext_lab.evaluation.thesaurus import wordnet
from smotext_lab.markup import inert, shortened
from smotext_lab.reports.pieces import html_page

if TYPE_CHECKING:
    from IPython.display import HTML

    from smotext_lab.decoders import XRAGDecoder

__all__ = [
    "about",
    "answer",
    "compared",
    "drops",
    "drops_by_noise",
    "effect_figures",
    "examples",
    "feasible",
    "names_of",
    "prepared",
    "quickly",
    "show_compared",
    "show_drops",
    "table",
]

_QUICK = {"resamples": 3, "test_rows": 150, "max_classes": 3, "n_candidates": 1}


def quickly(quick: bool, **asked: Any) -> dict[str, Any]:
    """Return the settings of a run, cut down where it should be a quick look only.

    Lists keep their first value; ``resamples``, ``test_rows``, ``max_classes`` and
    ``n_candidates`` are capped.

    Examples
    --------
    >>> quickly(True, ks=[5, 10], resamples=10)
    {'ks': [5], 'resamples': 3}
    """
    if not quick:
        return asked
    cut = {
        name: value[:1] if name in ("ks", "times", "ratios") else value
        for name, value in asked.items()
    }
    return {
        name: value if name not in _QUICK or value is None else min(value, _QUICK[name])
        for name, value in cut.items()
    } | ({"max_classes": _QUICK["max_classes"]} if "max_classes" in asked else {})


def prepared(
    dataset: str,
    *,
    text: str | None,
    label: str | None,
    max_classes: int | None,
    test_rows: int,
    overlap: Literal["error", "drop"],
    random_state: int,
) -> Split:
    """Read a data set and split it; the largest `max_classes` classes are kept.

    Raises
    ------
    DataError
        If test texts stand in the training part (see `Split.read`), or there are no two classes.
    """
    from smotext_lab import load_dataset

    # nothing is dropped while reading: a test text that is in the training part must be seen
    frame = load_dataset(dataset, text=text, label=label)
    if max_classes is not None:
        if max_classes < 2:
            msg = f"max_classes must be 2 or more, not {max_classes}"
            raise ParameterError(msg)
        largest = frame["label"].value_counts().index[:max_classes]
        frame = frame[frame["label"].isin(largest)]
    name = dataset.rsplit("/", 1)[-1].partition(".")[0]
    return Split.read(frame, name, test_rows=test_rows, overlap=overlap, random_state=random_state)


def feasible(ks: Sequence[int], split: Split) -> list[int]:
    """Return those of `ks` that two classes have training texts for, or else the most there are.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [(f"{word} {n}", word) for word in ("rain", "goal") for n in range(10)]
    >>> split = Split.read(pd.DataFrame(rows, columns=["text", "label"]))
    >>> feasible([5, 20], split), feasible([20], split)
    ([5], [6])
    """
    most = int(np.sort(np.unique(split.train_labels, return_counts=True)[1])[-2])
    return [k for k in ks if k <= most] or [most]


def names_of(decoder: XRAGDecoder) -> str:
    """Return what the models of a decoder are called."""
    bridge = getattr(decoder.bridge, "folder", None) or decoder.bridge
    return f"{decoder.encoder.name}, {decoder.llm}, {Path(str(bridge)).name} bridge"


def about(split: Split, resamples: int, models: str, *, left_out: Collection[int] = ()) -> str:
    """Return on what a report's figures were measured.

    Parameters
    ----------
    split : Split
    resamples : int
    models : str
        Their names.
    left_out : collection of int
        Numbers of texts of each class that there are too few texts for.
    """
    found = wordnet()
    told = [
        f"{len(split.train_texts)} training texts of {split.name} to draw from, "
        f"{len(split.classes)} classes",
        f"{len(split.test_texts)} real test texts",
        f"{resamples} resamples",
        "95% intervals by a bootstrap over resamples and test texts",
        models,
        f"synonyms from {found}" if found else "no synonyms in EDA and noise: WordNet is not there",
    ]
    if split.overlap:
        told.append(f"{split.overlap} test texts left out that stand in the training part")
    if left_out:
        told.append(f"too few texts for k = {', '.join(map(str, sorted(left_out)))}")
    return "; ".join(told) + "."


def compared(results: Results, over: Arm | None = None, test: str = CLEAN) -> pd.DataFrame:
    """Return one row for each arm, classifier and k, with its difference to `over`.

    Parameters
    ----------
    results : Results
    over : Arm, optional
        By default the real texts alone.

    Returns
    -------
    DataFrame
        Columns ``k``, ``classifier``, ``trained on``, ``macro_f1``, ``gain``, ``low``, ``high``
        (95%), ``win/tie/loss``.
    """
    over = Arm() if over is None else over
    rows = []
    for arm, classifier, k in results.cells:
        row = {
            "k": k,
            "classifier": classifier,
            "trained on": str(arm),
            "macro_f1": results.mean(arm, classifier, k, "macro_f1", test),
        }
        if arm != over:
            effect = results.gain(arm, over, classifier, k, test)
            row |= {"gain": effect.value, "low": effect.low, "high": effect.high}
            row["win/tie/loss"] = "/".join(map(str, results.wins(arm, over, classifier, k)))
        rows.append(row)
    return pd.DataFrame(rows)


def effect_figures(name: str, effect: Any) -> dict[str, float]:
    """Return an effect as figures: ``gain``, ``gain_low``, ``gain_high``."""
    return {name: effect.value, f"{name}_low": effect.low, f"{name}_high": effect.high}


def drops(results: Results) -> pd.DataFrame:
    """Return the share of accuracy that each arm loses under all noises, and that it spares.

    Parameters
    ----------
    results : Results
        Of `robustness`.

    Returns
    -------
    DataFrame
        Columns ``k``, ``classifier``, ``trained on``, ``accuracy`` (on clean texts), ``drop``,
        ``drop_low``, ``drop_high`` (95%); ``gain``, ``low``, ``high``, how much less is lost than
        with the real texts alone; ``win/tie/loss``.

    Raises
    ------
    DataError
        If nothing was tested under noise.
    """
    rows = []
    for arm, classifier, k in results.cells:
        row = {
            "k": k,
            "classifier": classifier,
            "trained on": str(arm),
            "accuracy": results.mean(arm, classifier, k, "accuracy"),
            **effect_figures("drop", results.drop(arm, classifier, k)),
        }
        if arm != Arm():
            effect = results.drop_difference(arm, Arm(), classifier, k)
            row |= {"gain": effect.value, "low": effect.low, "high": effect.high}
            row["win/tie/loss"] = "/".join(map(str, results.drop_wins(arm, Arm(), classifier, k)))
        rows.append(row)
    return pd.DataFrame(rows)


def drops_by_noise(results: Results) -> pd.DataFrame:
    """Return what each noise at each strength costs each arm.

    Parameters
    ----------
    results : Results
        Of `robustness`.

    Returns
    -------
    DataFrame
        Columns ``k``, ``classifier``, ``trained on``, ``noise``, ``strength``, ``accuracy``,
        ``drop``, ``low``, ``high`` (95%). The clean texts come first, as a noise of strength 0
        that has cost nothing: no drop.
    """
    rows = []
    for arm, classifier, k in results.cells:
        for test in (CLEAN, *results.noises):
            kind, _, strength = test.rpartition(" ")
            row = {
                "k": k,
                "classifier": classifier,
                "trained on": str(arm),
                "noise": kind or CLEAN,
                "strength": float(strength) if kind else 0.0,
                "accuracy": results.mean(arm, classifier, k, "accuracy", test),
            }
            if test != CLEAN:
                effect = results.drop(arm, classifier, k, [test])
                row |= {"drop": effect.value, "low": effect.low, "high": effect.high}
            rows.append(row)
    return pd.DataFrame(rows)


def show_drops(frame: pd.DataFrame) -> None:
    """Display what each noise costs, as `drops_by_noise` returns it."""
    drawn = _grouped(frame.dropna(subset=["drop"]), "k")
    charts.show(drop_chart(drawn), "share of accuracy lost under each noise, by its strength")


def answer(sentence: str, tiles: Mapping[str, str], *, about: str, quick: bool) -> HTML:
    """Return the first page: the answer in one sentence, and the figures it rests on."""
    shown = "".join(
        f"<div class='tile'><b>{inert(number)}</b><span>{inert(name)}</span></div>"
        for name, number in tiles.items()
    )
    warned = "A quick run: few resamples and texts, so this is only indicative. " if quick else ""
    note = f"<p class='soft'>{warned}{inert(about)}</p>"
    return html_page(f"<p class='big'>{inert(sentence)}</p><div class='tiles'>{shown}</div>{note}")


def table(frame: pd.DataFrame) -> HTML:
    """Return a frame of figures as a table of inert text."""
    head = "".join(f"<th>{inert(name)}</th>" for name in frame.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{_written(value)}</td>" for value in row) + "</tr>"
        for row in frame.itertuples(index=False)
    )
    return html_page(f"<table><tr>{head}</tr>{rows}</table>")


def examples(frame: pd.DataFrame, methods: Sequence[str] | None = None) -> HTML:
    """Return example texts of each method as inert text."""
    kept = frame if methods is None else frame[frame["method"].isin(list(methods))]
    rows = "".join(
        f"<tr><td class='name'>{inert(row.method)}</td><td class='name'>{inert(row.label)}</td>"
        f"<td>{shortened(row.text, 320)}</td></tr>"
        for row in kept.itertuples()
    )
    head = "<tr><th>method</th><th>class</th><th>text</th></tr>"
    return html_page(f"<table>{head}{rows}</table>")


def show_compared(frame: pd.DataFrame, *, title: str, k: str = "k") -> None:
    """Display what each way of training gives over the real texts, with its interval.

    `k` is what the numbers in the column of that name are called.
    """
    import altair as alt

    drawn = _grouped(frame.dropna(subset=["gain"]), k)
    parts = [
        _gains(rows, title).properties(title=charts.label(group, 60))
        for group, rows in drawn.groupby("group", sort=False)
    ]
    # the text of an axis is drawn a little wider than it is measured
    whole = alt.vconcat(*parts, padding={"left": 40, "top": 5, "right": 5, "bottom": 5})
    charts.show(charts.styled(whole), title)


def _grouped(frame: pd.DataFrame, k: str) -> pd.DataFrame:
    """Return the frame with the column ``group``: classifier, and `k` and its number."""
    pairs = zip(frame["classifier"], frame["k"], strict=True)
    return frame.assign(group=[f"{classifier}, {k} = {number}" for classifier, number in pairs])


def _gains(frame: pd.DataFrame, title: str) -> Any:
    """Draw one classifier's means and intervals, way by way, with a line at nothing gained."""
    import altair as alt

    names = ["trained on", "gain", "low", "high"]
    records: Any = frame[names].rename(columns={"trained on": "way"}).to_dict("records")
    base = alt.Chart(alt.Data(values=charts.plain_rows(records))).encode(
        y=alt.Y("way:N", sort=list(frame["trained on"]), title=None, axis=alt.Axis(labelLimit=260))
    )
    bars = base.mark_rule(strokeWidth=2, color=charts.PALETTE[0]).encode(
        x=alt.X("low:Q", title=title), x2="high:Q"
    )
    dots = base.mark_circle(size=70, opacity=1, color=charts.PALETTE[0]).encode(x="gain:Q")
    zero = alt.Chart(alt.Data(values=[{"x": 0}])).mark_rule(color=charts.MUTED).encode(x="x:Q")
    return alt.layer(bars, dots, zero).properties(width=420, height=alt.Step(22))


def _written(value: Any) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.3f}"
    return inert(str(value))
