"""Altair charts that reports and widgets share: one look, colours told apart by everyone.

Rows are put into a chart as plain values, not as a frame: Altair then sets no limit of
5,000 rows. A text becomes a label only through `label`, as one short line of printable
characters; it is always a value of the data, never part of an expression or a field name.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np

__all__ = [
    "INK",
    "LINE",
    "MUTED",
    "PALETTE",
    "SOFT",
    "class_counts",
    "cosine_walk",
    "fraction",
    "label",
    "plain_rows",
    "show",
    "styled",
    "svg",
    "word_walk",
]

PALETTE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7f6fb0", "#8c6d31")
"""Okabe and Ito's colours (two added), told apart with any kind of colour vision."""

INK, SOFT, LINE, MUTED = "#1b2430", "#5b6675", "#e3e7ec", "#a9b2bd"
"""Text, lesser text, grid, and what stands behind."""

# metric twins of one another: labels are measured with one and drawn with whichever is there
_FONT = "Helvetica, Arial, Liberation Sans, sans-serif"
_FRACTIONS = {0.0: "0", 0.25: "¼", 1 / 3: "⅓", 0.5: "½", 2 / 3: "⅔", 0.75: "¾", 1.0: "1"}


def label(text: object, limit: int = 28) -> str:
    r"""Return `text` as one short line with nothing invisible in it, to stand in a chart.

    Examples
    --------
    >>> label("two\nlines  and more", limit=12)
    'two lines a…'
    """
    kept = "".join(
        " " if c.isspace() else c
        for c in str(text)[: 20 * limit]
        if c.isspace() or unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co", "Cn"}
    )
    line = " ".join(kept.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def fraction(weight: float) -> str:
    """Return a weight λ as it is spoken: ``½`` rather than 0.5.

    Examples
    --------
    >>> [fraction(w) for w in (0, 0.25, 0.4, 1)]
    ['0', '¼', '0.4', '1']
    """
    for value, sign in _FRACTIONS.items():
        if abs(weight - value) < 1e-6:
            return sign
    return f"{weight:.2f}".rstrip("0").rstrip(".")


def styled(chart: Any) -> Any:
    """Return a chart in the project's look; call it on the outermost chart only.

    Parameters
    ----------
    chart : altair chart of any kind

    Returns
    -------
    altair chart
    """
    axis = {
        "labelColor": SOFT,
        "titleColor": SOFT,
        "titleFontWeight": "normal",
        "labelFontSize": 13,
        "titleFontSize": 13,
        "gridColor": LINE,
        "domainColor": MUTED,
        "tickColor": MUTED,
        "titlePadding": 8,
    }
    title = {
        "anchor": "start",
        "color": INK,
        "fontSize": 14,
        "subtitleColor": SOFT,
        "subtitleFontSize": 12,
        "offset": 12,
    }
    legend = {
        "labelColor": INK,
        "titleColor": SOFT,
        "titleFontWeight": "normal",
        "labelFontSize": 14,
        "titleFontSize": 14,
        "orient": "bottom",
        "symbolOpacity": 1,
        "labelLimit": 220,
    }
    return (
        chart.configure(font=_FONT, background="white")
        .configure_view(stroke=None)
        .configure_axis(**axis)
        .configure_title(**title)
        .configure_legend(**legend)
        .configure_header(labelColor=INK, labelFontSize=12, labelFontWeight="bold", title=None)
    )


def svg(chart: Any) -> str:
    """Return a chart as SVG, drawn in this process with no browser and no network."""
    drawing = io.StringIO()
    chart.save(drawing, format="svg")
    return drawing.getvalue()


def show(chart: Any, description: str) -> None:
    """Display a chart as SVG in a notebook, with a description for those who cannot see it.

    Parameters
    ----------
    chart : altair chart
    description : str
        Becomes the picture's alternative text in an exported page.
    """
    from IPython.display import display

    display({"image/svg+xml": svg(chart), "text/plain": label(description, 400)}, raw=True)


def cosine_walk(
    cosines: np.ndarray,
    lambdas: Sequence[float],
    references: Mapping[str, np.ndarray | float] | None = None,
) -> Any:
    """Draw how near each decoded text came to the point it was decoded from, along λ.

    Parameters
    ----------
    cosines : ndarray of shape (p, s)
        One row per pair; the mean over the pairs is drawn thick.
    lambdas : sequence of length s
    references : mapping of name -> number or ndarray of shape (s,), optional
        What to compare with, drawn dashed and named.

    Returns
    -------
    altair.LayerChart
    """
    cosines = np.asarray(cosines, dtype=np.float64)
    steps = [fraction(weight) for weight in lambdas]
    walks = {str(number): walk for number, walk in enumerate(cosines, start=1)}
    given = {
        label(name, 60): np.broadcast_to(v, len(steps)) for name, v in (references or {}).items()
    }
    rows = {
        "walk": _along(walks, steps),
        "mean": _along({"mean": cosines.mean(axis=0)}, steps),
        "reference": _along(given, steps),
    }
    low = min([0.0, *(row["cosine"] for part in rows.values() for row in part)])
    place = {
        "x": alt.X("step:O", sort=steps, title="λ", axis=alt.Axis(labelAngle=0)),
        "y": alt.Y("cosine:Q", title="cosine to target", scale=alt.Scale(domain=[low, 1])),
    }
    each, mean, reference = (alt.Chart(alt.Data(values=r)).encode(**place) for r in rows.values())
    named = alt.Chart(alt.Data(values=[r for r in rows["reference"] if r["step"] == steps[-1]]))
    bold = {"color": PALETTE[0], "fontWeight": "bold", "fontSize": 13}
    chart = alt.layer(
        each.mark_line(color=MUTED, strokeWidth=1).encode(detail="name:N"),
        each.mark_circle(color=MUTED, size=30, opacity=1),
        reference.mark_line(color=SOFT, strokeDash=[5, 4], strokeWidth=1.5).encode(detail="name:N"),
        named.mark_text(align="left", dx=10, color=SOFT, fontSize=12).encode(
            **place, text="name:N"
        ),
        mean.mark_line(color=PALETTE[0], strokeWidth=3),
        mean.mark_circle(color=PALETTE[0], size=70, opacity=1),
        mean.mark_text(dy=-14, stroke="white", strokeWidth=4, **bold).encode(text="shown:N"),
        mean.mark_text(dy=-14, **bold).encode(text="shown:N"),
    )
    return styled(chart.properties(width=380, height=250))


def _along(walks: Mapping[str, np.ndarray], steps: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"name": name, "step": step, "cosine": float(value), "shown": f"{value:.2f}"}
        for name, walk in walks.items()
        for step, value in zip(steps, walk, strict=True)
    ]


def word_walk(
    words: Sequence[Sequence[tuple[str, float]]],
    lambdas: Sequence[float],
    *,
    most: int = 12,
    title: str = "",
) -> Any:
    """Draw which words a latent point stands for as it moves from one text to the other.

    Parameters
    ----------
    words : sequence of length s of (word, weight) lists
        As `XRAGDecoder.explain` gives them, one list per point of the walk.
    lambdas : sequence of length s
    most : int, default=12
        How many words are shown: those with the greatest total weight, ordered by where
        on the walk they stand.
    title : str, optional
        What stands above the chart.

    Returns
    -------
    altair.Chart
    """
    weights: dict[str, np.ndarray] = {}
    for step, listed in enumerate(words):
        for word, weight in listed:
            weights.setdefault(label(word, 18), np.zeros(len(words)))[step] += weight
    chosen = sorted(weights, key=lambda word: -weights[word].sum())[:most]
    places = np.asarray(lambdas, dtype=np.float64)
    chosen.sort(key=lambda word: float(weights[word] @ places / weights[word].sum()))
    steps = [fraction(weight) for weight in lambdas]
    rows = [
        {"word": word, "step": step, "weight": weight}
        for word in chosen
        for step, weight in zip(steps, weights[word], strict=True)
    ]
    chart = (
        alt.Chart(alt.Data(values=plain_rows(rows)))
        .mark_rect(stroke="white", strokeWidth=2, cornerRadius=3)
        .encode(
            x=alt.X("step:O", sort=steps, title="λ", axis=alt.Axis(labelAngle=0, orient="top")),
            y=alt.Y("word:N", sort=chosen, title=None),
            color=alt.Color(
                "weight:Q",
                title="weight",
                scale=alt.Scale(range=["#f1f4f8", PALETTE[0]], domain=[0, 1]),
                legend=None,
            ),
            tooltip=["word:N", "step:N", alt.Tooltip("weight:Q", format=".2f")],
        )
        .properties(width=34 * len(steps), height=alt.Step(20))
    )
    return styled(chart.properties(title=label(title, 60)) if title else chart)


def class_counts(counts: Mapping[str, Mapping[object, int]]) -> Any:
    """Draw how many texts of each kind every class has, as bars with their numbers.

    Parameters
    ----------
    counts : mapping of kind -> mapping of class -> number
        For example ``{"accepted": {"tech": 8}, "rejected": {"tech": 2}}``.

    Returns
    -------
    altair.Chart
    """
    kinds = [label(kind) for kind in counts]
    rows = [
        {"kind": label(kind), "class": label(name), "texts": number}
        for kind, numbers in counts.items()
        for name, number in numbers.items()
    ]
    base = alt.Chart(alt.Data(values=plain_rows(rows))).encode(
        y=alt.Y("class:N", title=None, axis=alt.Axis(domain=False, ticks=False)),
        yOffset=alt.YOffset("kind:N", sort=kinds),
        x=alt.X("texts:Q", title=None, axis=None),
    )
    colours = [PALETTE[0], PALETTE[5], MUTED, *PALETTE[1:5]]
    colour = alt.Color("kind:N", title=None, scale=alt.Scale(domain=kinds, range=colours))
    bars = base.mark_bar(cornerRadiusEnd=2).encode(color=colour)
    numbers = base.mark_text(align="left", dx=5, color=SOFT, fontSize=11).encode(text="texts:Q")
    return styled(alt.layer(bars, numbers).properties(width=420, height=alt.Step(18)))


def plain_rows(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows whose NumPy scalars are plain numbers: JSON has no others."""
    return [{k: v.item() if hasattr(v, "item") else v for k, v in row.items()} for row in rows]
