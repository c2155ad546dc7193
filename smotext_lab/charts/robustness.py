"""A chart of what noise in the test texts costs, by its kind and strength."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt

from smotext_lab.charts import LINE, MUTED, PALETTE, SOFT, label, plain_rows, styled

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["drop_chart"]

_STEP = 12  # pixels from one way of training to the next


def drop_chart(drops: pd.DataFrame) -> Any:
    """Draw the share of accuracy that each noise costs each way of training, with its interval.

    Parameters
    ----------
    drops : DataFrame
        Columns ``group`` (drawn one below the other), ``noise`` (side by side), ``strength``,
        ``trained on``, ``drop``, ``low`` and ``high``.

    Returns
    -------
    altair.VConcatChart
    """
    rows = drops.rename(columns={"trained on": "way"})
    ways, kinds = (list(dict.fromkeys(rows[name])) for name in ("way", "noise"))
    line = alt.condition("datum.value === 0", alt.value(MUTED), alt.value(LINE))
    lost = alt.Axis(format="%", gridColor=line)
    base = alt.Chart().encode(
        x=alt.X("strength:O", title="share of words hit", axis=alt.Axis(labelAngle=0)),
        xOffset=alt.XOffset("way:N", sort=ways),
        color=alt.Color(
            "way:N",
            title=None,
            scale=alt.Scale(domain=ways, range=[SOFT, *PALETTE]),
            legend=alt.Legend(columns=3),
        ),
    )
    bars = base.mark_rule(strokeWidth=2).encode(
        y=alt.Y("low:Q", title="share of accuracy lost", axis=lost), y2="high:Q"
    )
    dots = base.mark_circle(size=40, opacity=1).encode(y="drop:Q")
    width = max(120, _STEP * len(ways) * rows["strength"].nunique())
    parts = [
        alt.layer(bars, dots, data=alt.Data(values=plain_rows(_records(part))))
        .properties(width=width, height=180)
        .facet(column=alt.Column("noise:N", sort=kinds, title=None))
        .properties(title=label(group, 60))
        for group, part in rows.groupby("group", sort=False)
    ]
    return styled(alt.vconcat(*parts))


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]
