"""Texts as inert HTML: what a user or a model wrote is shown, never run, typeset or obeyed."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

__all__ = ["INERT_CLASS", "inert", "shortened", "spelt_out", "texts_table"]

INERT_CLASS = "tex2jax_ignore mathjax_ignore"
"""Classes that keep MathJax 2 and 3 from typesetting ``$x$`` inside an element."""

_SHORT = 20  # characters that may ask for a column's width

# JupyterLab sets tables of results to the right, in a rule that outweighs a class
_STYLE = """<style>
.smotext{color:var(--jp-content-font-color1,inherit);font-size:13px;overflow-x:auto}
.smotext table{border-collapse:collapse;margin:.5em 0}
.smotext table th,.smotext table td{border-bottom:1px solid
var(--jp-border-color2,rgba(128,128,128,.4));
padding:.3em .6em;text-align:left!important;vertical-align:top}
.smotext table td{min-width:14em;max-width:46em;white-space:pre-wrap;overflow-wrap:anywhere}
.smotext table .smotext-short{min-width:0;white-space:nowrap}
.smotext summary{cursor:pointer}
.smotext table .smotext-given td{background:var(--jp-layout-color2,rgba(128,128,128,.12))}
.smotext-note,.smotext-control{color:var(--jp-content-font-color2,gray)}
.smotext-control{border:1px solid currentColor;border-radius:3px;font-size:80%;padding:0 .2em}
</style>"""

# Characters that change how the text around them reads while showing nothing of themselves:
# C0 and C1 controls but tab and line ends, bidirectional marks and overrides, the byte order
# mark, lone surrogates. Joiners (U+200C, U+200D) stay: scripts and emoji are written with them.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def _visible(match: re.Match[str]) -> str:
    return f'<span class="smotext-control">U+{ord(match.group()):04X}</span>'


def spelt_out(text: object) -> str:
    r"""Return `text` with invisible control characters spelt out, for where it stays text.

    Examples
    --------
    >>> spelt_out("\u202eabc <b>")
    '[U+202E]abc <b>'
    """
    return _HIDDEN.sub(lambda found: f"[U+{ord(found.group()):04X}]", str(text))


def inert(text: object) -> str:
    """Return `text` as HTML that shows it to the letter.

    Markup is escaped (braces too, for pages that pass through a template engine), invisible
    control characters are spelt out, and ``<bdi>`` keeps right-to-left text from reordering
    its surroundings. Put it inside an element of class `INERT_CLASS`.

    Examples
    --------
    >>> inert("<b>{{x}}")
    '<bdi>&lt;b&gt;&#123;&#123;x&#125;&#125;</bdi>'
    >>> inert("\u202eabc")
    '<bdi><span class="smotext-control">U+202E</span>abc</bdi>'
    """
    escaped = html.escape(str(text)).replace("{", "&#123;").replace("}", "&#125;")
    return f"<bdi>{_HIDDEN.sub(_visible, escaped)}</bdi>"


def shortened(text: object, limit: int = 240, most: int = 4000) -> str:
    """Return `text` as inert HTML whose part beyond `limit` characters is folded away.

    Each character is in the page at most once. Beyond `most` characters only the number of
    those left out is given.

    Examples
    --------
    >>> shortened("abcdef", limit=3, most=4)
    '<details><summary><bdi>abc</bdi>…</summary><bdi>d</bdi>… (2 more characters)</details>'
    """
    whole = str(text)
    if len(whole) <= limit:
        return inert(whole)
    rest = inert(whole[limit:most])
    if len(whole) > most:
        rest += f"… ({len(whole) - most:,} more characters)"
    return f"<details><summary>{inert(whole[:limit])}…</summary>{rest}</details>"


def texts_table(
    frame: pd.DataFrame,
    *,
    title: str = "",
    notes: Sequence[str] = (),
    given: Sequence[bool] | None = None,
) -> str:
    """Return `frame` as an HTML table in JupyterLab's colours, light or dark; no script in it.

    Parameters
    ----------
    frame : DataFrame
        Strings are shown to the letter and long ones folded, numbers with two decimals,
        missing values as nothing. The index is not shown.
    title, notes : str and sequence of str
        Lines above and below the table.
    given : sequence of bool, optional
        Which rows to set off: texts of the user's among those written.
    """
    head = "".join(f"<th>{inert(name)}</th>" for name in frame.columns)
    rows = frame.itertuples(index=False, name=None)
    body = "".join(
        f"<tr{' class=smotext-given' * set_off}>{''.join(map(_cell, row))}</tr>"
        for row, set_off in zip(rows, given or [False] * len(frame), strict=True)
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if body else ""
    above = f"<strong>{inert(title)}</strong>" if title else ""
    below = "".join(f'<div class="smotext-note">{inert(note)}</div>' for note in notes)
    return f'{_STYLE}<div class="smotext {INERT_CLASS}">{above}{table}{below}</div>'


def _cell(value: Any) -> str:
    """Return a value as a cell of the table; a short one is not broken."""
    if isinstance(value, str):
        shown, length = shortened(value), len(value)
    else:
        parts = value if isinstance(value, list) else [] if pd.isna(value) else [value]
        text = ", ".join(map(_number, parts))
        shown, length = inert(text) if parts else "", len(text)
    return f"<td{' class=smotext-short' * (length <= _SHORT)}>{shown}</td>"


def _number(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
