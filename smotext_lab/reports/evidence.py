"""What the reports of the protocols share: setting up, answering, showing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from smotext_lab import charts
from smotext_lab.errors import ParameterError
from smotext_lab.evaluation.methods import WRITTEN
from smotext_lab.evaluation.splits import Split
from smotext_lab.evaluation.statistics import Effect
from smotext_lab.evaluation.study import CLEAN, Arm, Results
from smotext_lab.evaluation.thesaurus import wordnet
from smotext_lab.markup import inert, shortened
from smotext_lab.reports.pieces import html_page, shown_text

if TYPE_CHECKING:
    from IPython.display import HTML

    from smotext_lab.decoders import XRAGDecoder

__all__ = [
    "about",
    "answer",
    "compared",
    "effect_figures",
    "examples",
    "failures",
    "feasible",
    "feasible_ratios",
    "grouped",
    "names_of",
    "prepared",
    "quickly",
    "retained",
    "show_compared",
    "table",
    "what_failed",
    "with_single_token",
]

_QUICK = {
    "resamples": 3,
    "train_rows": 2000,
    "test_rows": 150,
    "max_classes": 3,
    "most": 40,
    "n_candidates": 1,
}
_REFUSED = "refused_"
_NAMED = 8  # classes, where more are left out
_LISTS = ("ks", "times", "ratios")
_WAYS = ("methods", "controls")
_LEAST = 50  # training texts that no class is cut below


def quickly(quick: bool, **asked: Any) -> dict[str, Any]:
    """Return the settings of a run, cut down where it should be a quick look only.

    Lists of numbers keep their first value, and of the ways to be compared those are left out that
    a language model writes for, but SMOTExT; ``resamples``, ``train_rows``, ``test_rows``,
    ``max_classes``, ``most`` and ``n_candidates`` are capped, also where they are None, which is
    no cap.

    Examples
    --------
    >>> quickly(True, ks=[5, 10], resamples=10, train_rows=None)
    {'ks': [5], 'resamples': 3, 'train_rows': 2000}
    """

    def cut(name: str, value: Any) -> Any:
        if name in _LISTS:
            return value[:1]
        if name in _WAYS:
            return [way for way in value if way == "smotext" or way not in WRITTEN] or value
        if name not in _QUICK:
            return value
        return _QUICK[name] if value is None else min(value, _QUICK[name])

    return {name: cut(name, value) for name, value in asked.items()} if quick else asked


def prepared(
    dataset: str,
    *,
    text: str | None,
    label: str | None,
    max_classes: int | None,
    test_rows: int,
    overlap: Literal["error", "drop"],
    random_state: int,
    train_rows: int | None = None,
    split: str | None = None,
) -> Split:
    """Read a data set and split it; the largest `max_classes` classes are kept.

    Of the training part about `train_rows` texts are kept, drawn within classes: the same share
    of each, but of none fewer than 50.

    Raises
    ------
    DataError
        If test texts stand in the training part (see `Split.read`), or there are no two classes.
    """
    from smotext_lab import load_dataset

    # nothing is dropped while reading: a test text that is in the training part must be seen
    frame = load_dataset(dataset, text=text, label=label, split=split)
    every = frame["label"].nunique()
    if max_classes is not None:
        if max_classes < 2:
            msg = f"max_classes must be 2 or more, not {max_classes}"
            raise ParameterError(msg)
        largest = frame["label"].value_counts().index[:max_classes]
        frame = frame[frame["label"].isin(largest)]
    name = dataset.rsplit("/", 1)[-1].partition(".")[0]
    whole = Split.read(frame, name, test_rows=test_rows, overlap=overlap, random_state=random_state)
    whole = replace(whole, beyond=every - frame["label"].nunique())
    return whole if train_rows is None else _thinned(whole, train_rows, random_state)


def _thinned(split: Split, rows: int, random_state: int) -> Split:
    share = rows / len(split.train_texts)
    if share >= 1:
        return split
    rng = np.random.default_rng(random_state)
    kept: list[int] = []
    for label in split.classes:
        own = rng.permutation(np.flatnonzero(split.train_labels == label))
        kept += own[: max(_LEAST, round(share * len(own)))].tolist()
    kept.sort()
    texts = [split.train_texts[row] for row in kept]
    return replace(split, train_texts=texts, train_labels=split.train_labels[kept])


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


def feasible_ratios(ratios: Sequence[int], split: Split, most: int) -> list[int]:
    """Return those of `ratios` at which two texts of a cut class are left, or the highest that is.

    Parameters
    ----------
    ratios : sequence of int
        Of class imbalance; 1 cuts nothing.
    split : Split
    most : int
        Texts of a class that is not cut, at most.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [(f"{word} {n}", word) for word in ("rain", "goal") for n in range(30)]
    >>> split = Split.read(pd.DataFrame(rows, columns=["text", "label"]))
    >>> feasible_ratios([1, 5, 50], split, 100), feasible_ratios([50], split, 100)
    ([1, 5], [9])
    """
    largest = min(most, int(np.unique(split.train_labels, return_counts=True)[1].max()))
    highest = max(2, largest // 2)
    return [ratio for ratio in ratios if ratio <= highest] or [highest]


def with_single_token(
    decoder: XRAGDecoder, bridge: str | None, ways: Sequence[str]
) -> tuple[XRAGDecoder | None, list[str]]:
    """Return a decoder with that bridge of one token, and *single token* among the ways.

    Where no bridge is given, None and the ways as they are.
    """
    from smotext_lab import XRAGDecoder

    if bridge is None:
        return None, list(ways)
    single = XRAGDecoder(
        decoder.llm,
        bridge,
        encoder=decoder.encoder,
        n_candidates=decoder.n_candidates,
        max_new_tokens=decoder.sampling.max_new_tokens,
    )
    return single, list(dict.fromkeys([*ways, "single token"]))


def names_of(decoder: XRAGDecoder) -> str:
    """Return what the models of a decoder are called."""
    bridge = getattr(decoder.bridge, "folder", None) or decoder.bridge
    return f"{decoder.encoder.name}, {decoder.llm}, {Path(str(bridge)).name} bridge"


def about(
    split: Split,
    resamples: int,
    models: str,
    *,
    left_out: Collection[int] = (),
    k: str = "k",
    drawn: int = 0,
) -> str:
    """Return on what a report's figures were measured.

    Parameters
    ----------
    split : Split
    resamples : int
    models : str
        Their names.
    left_out : collection of int
        Numbers of texts of each class, or what else `k` says they are, that there are too few
        texts for.
    drawn : int, default=0
        Texts of each class that a resample draws.
    """
    found = wordnet()
    n = len(split.classes)
    told = [
        f"{len(split.train_texts)} training texts of {split.name} to draw from, "
        + (f"the {n} largest of {n + split.beyond} classes" if split.beyond else f"{n} classes"),
        f"{len(split.test_texts)} real test texts",
        f"{resamples} resamples",
        "95% intervals by a bootstrap over resamples and test texts",
        models,
        f"synonyms from {found}" if found else "no synonyms in EDA and noise: WordNet is not there",
    ]
    least = int(np.unique(split.train_labels, return_counts=True)[1].min())
    if drawn > least / 2:
        told.append(
            f"{drawn} of the {least} training texts of a class are drawn each time: resamples are "
            "much alike, and the intervals say little of what other training texts would give"
        )
    if split.overlap:
        told.append(f"{split.overlap} test texts left out that stand in the training part")
    if split.too_small:
        names = ", ".join(label[:40] for label in split.too_small[:_NAMED])
        more = len(split.too_small) - _NAMED
        names += f" and {more} more" if more > 0 else ""
        told.append(f"classes left out, of which there are too few texts: {names}")
    if left_out:
        told.append(f"too few texts for {k} = {', '.join(map(str, sorted(left_out)))}")
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


def retained(results: Results) -> pd.DataFrame:
    """Return what is kept of the real texts, and how near the new ones are to them.

    Returns
    -------
    DataFrame
        One row for each k, classifier, method and number of new texts; columns ``k``,
        ``classifier``, ``trained on``, ``macro_f1``, ``retention``, ``low``, ``high`` (95%),
        ``near_real``, ``shared_run``, ``longest_shared_run`` (see `nearness`; of the longest, too,
        the mean over resamples).
    """
    rows = []
    for arm, classifier, k in results.cells:
        if not arm.makes:
            continue
        share = results.kept(arm, Arm(), classifier, k)
        row = {"k": k, "classifier": classifier, "trained on": str(arm)}
        row["macro_f1"] = results.mean(arm, classifier, k, "macro_f1")
        row |= {"retention": share.value, "low": share.low, "high": share.high}
        for metric in ("near_real", "shared_run", "longest_shared_run"):
            row[metric] = results.mean(arm, classifier, k, metric)
        rows.append(row)
    return pd.DataFrame(rows)


def failures(results: Results) -> pd.DataFrame:
    """Return what became of the new texts that were asked for, over all k and resamples.

    Texts that were made for the largest number serve for the smaller ones too, so each counts
    once.

    Returns
    -------
    DataFrame
        One row a method; columns ``method``, ``asked for``, ``made``, ``short of``, and
        ``refused: …`` for each kind of reason. What was refused was written again, as far as
        the attempts went, so that a method may have refused texts and be short of none.
    """
    frame = results.frame
    refusals = frame["metric"].str.startswith(_REFUSED)
    told = frame[frame["metric"].isin(["n_asked", "n_new"]) | refusals]
    pools = told.sort_values("times", ascending=False, kind="stable").drop_duplicates(
        ["method", "k", "resample", "metric"]
    )
    counts = pools.pivot_table("value", "method", "metric", "sum", fill_value=0).astype(int)
    counts = counts.reindex(told["method"].unique())  # in the order in which they were asked
    found = counts[["n_asked", "n_new"]].set_axis(["asked for", "made"], axis=1)
    found["short of"] = found["asked for"] - found["made"]
    for name in counts.columns.difference(["n_asked", "n_new"]):
        found[f"refused: {name.removeprefix(_REFUSED)}"] = counts[name]
    return found.reset_index()


def effect_figures(name: str, effect: Effect) -> dict[str, float]:
    """Return an effect as figures: ``gain``, ``gain_low``, ``gain_high``."""
    return {name: effect.value, f"{name}_low": effect.low, f"{name}_high": effect.high}


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
    return html_page(_table(frame))


def examples(frame: pd.DataFrame, methods: Sequence[str] | None = None) -> HTML:
    """Return example texts of each method as inert text."""
    kept = frame if methods is None else frame[frame["method"].isin(list(methods))]
    return html_page(_texts(kept))


def what_failed(results: Results) -> HTML:
    """Return how much was asked for and not made or refused, with a few of the refused texts."""
    told = f"{_table(failures(results))}<p class='soft'>Over the whole run.</p>"
    if results.refused.empty:
        return html_page(f"{told}<p>In the first resample no text was refused.</p>")
    return html_page(f"{told}<p>Refused in the first resample:</p>{_texts(results.refused)}")


def _texts(frame: pd.DataFrame) -> str:
    """Return texts with method and class, those that were refused with the reason."""
    head = "<tr><th>method</th><th>class</th><th>text</th></tr>"
    return f"<table>{head}{''.join(map(_text_row, frame.to_dict('records')))}</table>"


def _text_row(row: Mapping[Any, Any]) -> str:
    reason = row.get("reason")
    why = f"<div class='why'>{inert(reason)}</div>" if reason else ""
    names = "".join(f"<td class='name'>{inert(row[name])}</td>" for name in ("method", "label"))
    return f"<tr>{names}<td>{shortened(shown_text(row['text'], reason), 320)}{why}</td></tr>"


def show_compared(
    frame: pd.DataFrame, *, title: str, k: str = "k", value: str = "gain", line: float = 0.0
) -> None:
    """Display what each way of training gives, with its interval.

    `k` is what the numbers in the column of that name are called; `value` the column of the
    figures, whose intervals are in ``low`` and ``high``; at `line` nothing is gained or lost.
    """
    import altair as alt
    from IPython.display import display

    drawn = grouped(frame.dropna(subset=[value]), k)
    if drawn.empty:
        display(html_page(f"<p>Nothing to draw: no {inert(value)} is known.</p>"))
        return
    parts = [
        _gains(rows, title, value, line).properties(title=charts.label(group, 60))
        for group, rows in drawn.groupby("group", sort=False)
    ]
    # the text of an axis is drawn a little wider than it is measured
    whole = alt.vconcat(*parts, padding={"left": 40, "top": 5, "right": 5, "bottom": 5})
    charts.show(charts.styled(whole), title)


def grouped(frame: pd.DataFrame, k: str) -> pd.DataFrame:
    """Return the frame with the column ``group``: classifier, and `k` and its number."""
    pairs = zip(frame["classifier"], frame["k"], strict=True)
    return frame.assign(group=[f"{classifier}, {k} = {number}" for classifier, number in pairs])


def _gains(frame: pd.DataFrame, title: str, value: str, line: float) -> Any:
    """Draw one classifier's means and intervals, way by way, with a line at nothing gained."""
    import altair as alt

    names = {"trained on": "way", value: "value", "low": "low", "high": "high"}
    records: Any = frame[list(names)].rename(columns=names).to_dict("records")
    base = alt.Chart(alt.Data(values=charts.plain_rows(records))).encode(
        y=alt.Y("way:N", sort=list(frame["trained on"]), title=None, axis=alt.Axis(labelLimit=260))
    )
    bars = base.mark_rule(strokeWidth=2, color=charts.PALETTE[0]).encode(
        x=alt.X("low:Q", title=title), x2="high:Q"
    )
    dots = base.mark_circle(size=70, opacity=1, color=charts.PALETTE[0]).encode(x="value:Q")
    zero = alt.Chart(alt.Data(values=[{"x": line}])).mark_rule(color=charts.MUTED).encode(x="x:Q")
    return alt.layer(bars, dots, zero).properties(width=420, height=alt.Step(22))


def _table(frame: pd.DataFrame) -> str:
    head = "".join(f"<th>{inert(name)}</th>" for name in frame.columns)
    rows = "".join(
        "<tr>" + "".join(_cell(value) for value in row) + "</tr>"
        for row in frame.itertuples(index=False)
    )
    return f"<table><tr>{head}</tr>{rows}</table>"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"<td class='v'>{'' if np.isnan(value) else f'{value:.3f}'}</td>"
    if isinstance(value, int):
        return f"<td class='v'>{value}</td>"
    return f"<td class='w'>{inert(value)}</td>"
