"""What stands below ``%%smotext``: taken to the letter, nothing in it is expanded."""

from __future__ import annotations

import re

from smotext_lab.errors import DataError

__all__ = ["labelled_lines", "texts_between", "without_empty_body"]

_FIRST_LINE = re.compile(r"%%smotext(?:[ \t]+(?P<rest>.*))?")


def without_empty_body(lines: list[str]) -> list[str]:
    r"""Turn a cell that is ``%%smotext …`` alone into a call of the line magic.

    IPython refuses a cell magic whose body is empty before calling it.

    Examples
    --------
    >>> without_empty_body(["%%smotext tickets --n 4\n", "\n"])
    ["get_ipython().run_line_magic('smotext', 'tickets --n 4')\n"]
    """
    first = _FIRST_LINE.fullmatch(lines[0].rstrip()) if lines else None
    if first is None or "".join(lines[1:]).strip():
        return lines
    return [f"get_ipython().run_line_magic('smotext', {(first['rest'] or '').strip()!r})\n"]


def texts_between(body: str) -> list[str]:
    r"""Return the texts that lines of ``---`` part; blank lines around a text are not of it.

    Examples
    --------
    >>> texts_between("Rain.\n---\n\n  Sun,\nand wind.\n")
    ['Rain.', '  Sun,\nand wind.']
    """
    texts: list[list[str]] = [[]]
    for line in body.split("\n"):
        if line.rstrip() == "---":
            texts.append([])
        else:
            texts[-1].append(line)
    return [_without_blank_ends(lines) for lines in texts]


def _without_blank_ends(lines: list[str]) -> str:
    full = [number for number, line in enumerate(lines) if line.strip()]
    return "\n".join(lines[full[0] : full[-1] + 1]) if full else ""


def labelled_lines(body: str) -> tuple[list[str], list[str]]:
    r"""Return the texts and the labels of lines ``label: text``; blank lines are passed over.

    Raises
    ------
    DataError
        If a line has no label or no text.

    Examples
    --------
    >>> labelled_lines("weather: Rain is due.\nmoney: Rates fell: 2%.\n")
    (['Rain is due.', 'Rates fell: 2%.'], ['weather', 'money'])
    """
    texts, labels = [], []
    for number, line in enumerate(body.split("\n"), start=1):
        if not line.strip():
            continue
        label, _, text = (part.strip() for part in line.partition(":"))
        if not label or not text:
            shown = line if len(line) <= 60 else line[:60] + "…"
            msg = f"Line {number} of the body is not 'label: text': {shown!r}."
            raise DataError(msg)
        texts.append(text)
        labels.append(label)
    return texts, labels
