"""Personal data of structured kinds: found by their form, put out of sight before encoding.

Regular expressions find what has a form: e-mail, web and IP addresses, IBANs, card and phone
numbers, numbers of three or more digits, dates in digits. They find no postal addresses, and no
names in running text; a list of those can be given. Masking lowers what can get out and guarantees
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import pandas as pd

from smotext_lab.errors import ParameterError, did_you_mean

__all__ = ["KINDS", "find_personal", "mask"]

KINDS: dict[str, re.Pattern[str]] = {
    "email": re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    "url": re.compile(r"(?:https?://|www\.)[^\s<>\"]+", re.IGNORECASE),
    "iban": re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"),
    "ip": re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b|\b(?:[0-9a-fA-F]{1,4}:){4,7}[0-9a-fA-F]{1,4}\b"),
    "card": re.compile(r"\b\d{4}(?:[ -]?\d{4}){2}[ -]?\d{1,7}\b"),
    "date": re.compile(r"\b\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d{2})\b|\b\d{4}-\d{2}-\d{2}\b"),
    "phone": re.compile(
        r"(?<![\w.])(?:\+\d{7,15}|\+?\(?\d{2,5}\)?(?:[ /.-]\(?\d{2,5}\)?){2,5})(?!\w)"
    ),
    "number": re.compile(r"(?<!\w)\d{3,}(?!\w)"),
}
"""What is looked for, in this order: what one kind takes the next does not see."""


def mask(
    texts: Sequence[str], kinds: Iterable[str] | None = None, names: Iterable[str] = ()
) -> list[str]:
    """Return the texts with personal data put as ``[kind]``.

    Parameters
    ----------
    texts : sequence of str
    kinds : iterable of str, optional
        Of `KINDS`; by default all.
    names : iterable of str, optional
        Names and other words of yours, found as whole words whatever their case.

    Raises
    ------
    ParameterError
        If a kind is unknown.

    Examples
    --------
    >>> mask(["Write to ann@example.org or call +44 20 7946 0958, Ann."], names=["Ann"])
    ['Write to [email] or call [phone], [name].']
    """
    patterns = _patterns(kinds, names)
    masked = []
    for text in texts:
        for kind, pattern in patterns.items():
            text = pattern.sub(f"[{kind}]", text)  # noqa: PLW2901 - each kind sees what is left
        masked.append(text)
    return masked


def find_personal(
    texts: Sequence[str], kinds: Iterable[str] | None = None, names: Iterable[str] = ()
) -> pd.DataFrame:
    """Return what `mask` would put out of sight: a check of texts before they are passed on.

    Parameters
    ----------
    texts, kinds, names
        As for `mask`.

    Returns
    -------
    DataFrame
        Columns ``row``, ``kind`` and ``found``.

    Examples
    --------
    >>> find_personal(["Ring 0800 555 1234"])["kind"].tolist()
    ['phone']
    """
    patterns = _patterns(kinds, names)
    rows = []
    for row, text in enumerate(texts):
        rest = text
        for kind, pattern in patterns.items():
            rows += [(row, kind, match.group()) for match in pattern.finditer(rest)]
            rest = pattern.sub(" \n ", rest)
    return pd.DataFrame(rows, columns=["row", "kind", "found"])


def _patterns(kinds: Iterable[str] | None, names: Iterable[str]) -> dict[str, re.Pattern[str]]:
    for what, given in {"kinds": kinds, "names": names}.items():
        if isinstance(given, str):
            msg = f"{what}={given!r} is one string, not a list of them: give [{given!r}]."
            raise ParameterError(msg)
    wanted = list(KINDS) if kinds is None else list(kinds)
    for kind in wanted:
        if kind not in KINDS:
            msg = f"Unknown kind {kind!r}{did_you_mean(kind, KINDS)}; known: {', '.join(KINDS)}."
            raise ParameterError(msg)
    chosen = {kind: pattern for kind, pattern in KINDS.items() if kind in wanted}
    listed = sorted({name for name in names if name.strip()}, key=len, reverse=True)
    if listed:
        either = "|".join(map(re.escape, listed))
        chosen["name"] = re.compile(rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE)
    return chosen
