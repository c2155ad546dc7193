"""What every report is put together from: its look, its clock, its table of run times."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from smotext_lab.guards.screen import NOT_SHOWN
from smotext_lab.markup import INERT_CLASS, inert

if TYPE_CHECKING:
    from IPython.display import HTML

__all__ = ["Clock", "html_page", "peak_memory", "shown_text", "times_table"]

_STYLE = """<style>
.smx{--rule:rgba(120,130,145,.3);--tint:rgba(0,114,178,.07);--soft:var(--jp-content-font-color2,#5b6675);--mark:#0072b2}
.smx{line-height:1.5;max-width:58rem}
.smx .big{font-size:1.15em;max-width:44rem;margin:.4em 0 1em}
.smx .tiles{display:grid;grid-template-columns:repeat(4,1fr);gap:.8rem}
.smx .tile{border-top:3px solid var(--mark);padding:.5rem 0}
.smx .tile b{display:block;font-size:1.7em;line-height:1.2;font-variant-numeric:tabular-nums}
.smx .soft,.smx .tile span,.smx th{color:var(--soft);font-size:.88em}
.smx .trio{display:grid;grid-template-columns:1fr 1.1fr 1fr;border-top:1px solid var(--rule)}
.smx .trio>div{padding:.7rem .9rem;overflow-wrap:anywhere}
.smx .trio .made{background:var(--tint)}
.smx .trio small{display:block;color:var(--soft);font-size:.8em;margin-bottom:.2rem}
.smx .made small,.smx tr.made td:first-child{color:var(--mark);font-weight:600}
.smx h4{font-size:1em;margin:1.6em 0 .3em}
.smx table{border-collapse:collapse;width:100%;margin:.3em 0 1em;font-size:1em}
.smx td,.smx th{border:0;border-bottom:1px solid var(--rule);padding:.45em .8em .45em 0}
.smx td,.smx th{text-align:left;vertical-align:top;overflow-wrap:anywhere;white-space:normal}
.smx th,.smx td.w{overflow-wrap:break-word}
.smx td.v{white-space:nowrap;font-variant-numeric:tabular-nums}
.smx td.n,.smx th.n{text-align:right;font-variant-numeric:tabular-nums;padding-right:0}
.smx td.n,.smx td.tag{white-space:nowrap}
.smx tr.real td{background:rgba(120,130,145,.09)}
.smx td.tag{width:3.6rem;padding-left:.6em}
.smx td.n{width:4.5rem;padding-right:.5em}
.smx .bar{height:4px;border-radius:2px;margin-top:.3em;min-width:3rem}
.smx .why{color:#a1440d;font-size:.88em}
.smx td.name{min-width:8.5em;overflow-wrap:break-word}
.smx summary{cursor:pointer}
.smx .smotext-control{color:var(--soft);border:1px solid;border-radius:3px;font-size:80%}
@media (max-width:560px){
.smx .tiles{grid-template-columns:1fr 1fr}.smx .trio{grid-template-columns:1fr}
.smx .trio>div{padding:.5rem .6rem}
.smx td.tag{width:2.4rem}.smx td.name{min-width:5em;max-width:6.5em}
.smx td,.smx th{padding-right:.5em}
}
</style>"""


class Clock:
    """Times the steps of a report.

    Attributes
    ----------
    seconds : dict of str -> float
        In the order in which the steps were begun.

    Examples
    --------
    >>> clock = Clock()
    >>> with clock("nothing"):
    ...     pass
    >>> clock.seconds["nothing"] < 1
    True
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Add the time that passes inside to `step`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - start


def peak_memory() -> float:
    """Return the most memory this process has held so far, in MB (NaN where not known)."""
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1 if sys.platform == "darwin" else 1024) / 1e6  # Linux counts in KiB


def times_table(seconds: Mapping[str, float]) -> HTML:
    """Return the seconds of each step, their sum, and the most memory held."""
    rows = {**seconds, "all steps": sum(seconds.values())}
    body = "".join(
        f"<tr><td>{inert(step)}</td><td class='n'>{value:.1f} s</td></tr>"
        for step, value in rows.items()
    )
    most = peak_memory()
    memory = "" if np.isnan(most) else f"<tr><td>peak memory</td><td class='n'>{most:,.0f} MB</td>"
    return html_page(f"<table style='max-width:24rem'>{body}{memory}</tr></table>")


def shown_text(text: str, reason: str | None) -> str:
    """Return the text, or what stands for one that the guard of blocked words refused."""
    return NOT_SHOWN if str(reason).startswith("unsafe:") else text


def html_page(body: str) -> HTML:
    """Return a piece of page in the reports' look; `body` is inert already."""
    from IPython.display import HTML

    return HTML(f"{_STYLE}<div class='smx {INERT_CLASS}'>{body}</div>")
