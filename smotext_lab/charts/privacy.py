"""Charts of privacy: what attacks find at few false alarms, and what ε costs in usefulness."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt

from smotext_lab.charts import MUTED, PALETTE, plain_rows, styled

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["epsilon_chart", "roc_chart"]


def roc_chart(curves: pd.DataFrame, *, least: float = 1e-3) -> Any:
    """Draw ROC curves on logarithmic axes, where the few texts at risk can be seen.

    Parameters
    ----------
    curves : DataFrame
        ``attack``, ``false_positives`` and ``true_positives``, as `Audit.roc` gives them.
    least : float, default=1e-3
        Where both axes begin.

    Returns
    -------
    altair.LayerChart
    """
    scale = alt.Scale(type="log", domain=[least, 1], clamp=True)
    place = {
        "x": alt.X("false_positives:Q", title="false alarms", scale=scale),
        "y": alt.Y("true_positives:Q", title="training texts found", scale=scale),
    }
    rates = ["false_positives", "true_positives"]
    rows = curves.assign(**{name: curves[name].clip(lower=least) for name in rates})
    ends = [{"false_positives": end, "true_positives": end} for end in (least, 1)]
    guess = alt.Chart(alt.Data(values=ends)).mark_line(color=MUTED, strokeDash=[5, 4])
    records = ({str(k): v for k, v in row.items()} for row in rows.to_dict("records"))
    values = plain_rows(records)
    lines = alt.Chart(alt.Data(values=values)).mark_line(strokeWidth=2, interpolate="step-after")
    below = alt.Legend(direction="vertical", orient="bottom", labelLimit=320)
    colour = alt.Color(
        "attack:N", title=None, legend=below, scale=alt.Scale(range=list(PALETTE[:4]))
    )
    chart = alt.layer(
        guess.encode(**place), lines.encode(**place, color=colour, order="false_positives:Q")
    )
    return styled(chart.properties(width=340, height=300))


def epsilon_chart(
    rows: Sequence[dict[str, Any]], *, value: str, title: str, limit: bool = False
) -> Any:
    """Draw figures of several methods against ε; those of no finite ε as dashed lines.

    Parameters
    ----------
    rows : sequence of dict
        With ``method``, ``epsilon`` and `value`; ``{value}_low`` and ``{value}_high`` are drawn
        as bars where they are there.
    value : str
        What is drawn upwards.
    title : str
        Its name.
    limit : bool, default=False
        Draw the stated ε itself, which `value` must not exceed.

    Returns
    -------
    altair.LayerChart
    """
    rows = [row for row in rows if math.isfinite(row[value])]  # JSON has no NaN
    finite = [row for row in rows if math.isfinite(row["epsilon"])]
    others = [row for row in rows if not math.isfinite(row["epsilon"])]
    methods = list(dict.fromkeys(row["method"] for row in rows))
    colour = alt.Color(
        "method:N", title=None, scale=alt.Scale(domain=methods, range=list(PALETTE[: len(methods)]))
    )
    up = alt.Y(f"{value}:Q", title=title)
    along = alt.X("at:Q", title="stated ε", scale=alt.Scale(type="log"))
    without = [{k: v for k, v in row.items() if k != "epsilon"} for row in others]
    stated = sorted({row["epsilon"] for row in finite}) if limit else []
    ends = [{"at": epsilon, value: epsilon} for epsilon in stated]
    mechanisms = list(dict.fromkeys(row["method"] for row in finite))
    middle = (len(mechanisms) - 1) / 2
    # a little beside each other, or the bars of two mechanisms at one ε would be one
    finite = [
        row | {"at": row["epsilon"] * 1.03 ** (mechanisms.index(row["method"]) - middle)}
        for row in finite
    ]
    bars = [row for row in finite if f"{value}_low" in row]
    chart = alt.layer(
        alt.Chart(alt.Data(values=plain_rows(bars)))
        .mark_rule(opacity=0.5)
        .encode(
            x=along,
            y=alt.Y(f"{value}_low:Q", title=title),
            y2=alt.Y2(f"{value}_high:Q"),
            color=colour,
        ),
        alt.Chart(alt.Data(values=ends))
        .mark_line(color=MUTED, strokeDash=[2, 3], point={"color": MUTED})
        .encode(x=along, y=up),
        alt.Chart(alt.Data(values=plain_rows(without)))
        .mark_rule(strokeDash=[5, 4], strokeWidth=2)
        .encode(y=up, color=colour),
        alt.Chart(alt.Data(values=plain_rows(finite)))
        .mark_line(point=True, strokeWidth=2)
        .encode(x=along, y=up, color=colour),
    )
    return styled(chart.properties(width=400, height=260))
