"""Personal data of structured kinds: found by their form, put out of sight before encoding.

Regular expressions find what has a form: e-mail and IP addresses, web addresses with ``http`` or
``www``, IBANs, card and phone numbers, numbers of three or more digits, dates in digits; letters
beside them make no difference. They find no postal addresses, and no names in running text; a list
of those can be given. Masking lowers what can get out and guarantees nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import pandas as pd

from smotext_lab.errors import ParameterError, did_you_mean
from smotext_lab.privacy.reading import plain_texts

__all__ = ["KINDS", "find_personal", "mask"]

# Chinese, Japanese, Thai, Lao, Burmese, Khmer, and Korean, where particles are joined to names
_JOINED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7a3\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_LETTER = rf"[^\W{_JOINED}]"  # of the other scripts, where a space or a mark ends a word
_QUAD = "[0-9a-f]{1,4}"

KINDS: dict[str, re.Pattern[str]] = {
    "email": re.compile(
        # from where its part before the @ begins: tried from each letter, long words take minutes
        rf"(?:(?<!{_LETTER})(?<![.+-])(?:{_LETTER}|[.+-])+|(?<![{_JOINED}])[{_JOINED}]+)@"
        rf"(?:(?:{_LETTER}|-)+(?:\.(?:{_LETTER}|-)+)+|[{_JOINED}]+\.\w+)"
    ),
    "url": re.compile(r"(?:https?://|www\.)[^\s<>\"]+", re.IGNORECASE),
    "iban": re.compile(
        r"(?<![A-Za-z0-9])(?:[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?"
        # in small letters words look like it: without spaces, or with groups of digits
        r"|(?i:[a-z]{2}\d{2}(?:[a-z0-9]{11,30}| [a-z0-9]{4}(?: \d{4}){1,6} \d{1,4})))"
        r"(?![A-Za-z0-9])"
    ),
    "ip": re.compile(
        r"(?<!\d)(?:\d{1,3}\.){3}\d{1,3}(?!\d)"
        rf"|(?<![0-9a-z:])(?:(?:{_QUAD}:){{4,7}}{_QUAD}"
        # shortened: addresses begin with three or four digits, the "::" of code does not
        rf"|(?=[a-f:]*\d)[0-9a-f]{{3,4}}(?::{_QUAD}){{0,6}}::(?:{_QUAD}(?::{_QUAD}){{0,6}})?)"
        r"(?![0-9a-z])",
        re.IGNORECASE,
    ),
    "card": re.compile(r"(?<!\d)\d{4}(?:[ -]?\d{4}){2}[ -]?\d{1,7}(?!\d)"),
    "date": re.compile(
        r"(?<!\d)(?:\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d{2})|\d{4}-\d{2}-\d{2})(?!\d)"
        r"|\d{4} ?[年년] ?\d{1,2} ?[月월] ?\d{1,2} ?[日일]"
    ),
    "phone": re.compile(
        r"(?<!\d)(?<!\d\.)(?:\+\d{7,15}|\+?\(?\d{2,5}\)?(?:[ /.-]\(?\d{2,5}\)?){2,5})(?!\d)"
    ),
    "number": re.compile(r"\d{3,}"),
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
        Names and other words of yours, found as whole words whatever their case; in scripts
        without spaces, and in Korean, wherever they stand.

    Raises
    ------
    DataError
        If it is one text or a frame, or one of the texts is missing.
    ParameterError
        If a kind is unknown.

    Examples
    --------
    >>> mask(["Write to ann@example.org or call +44 20 7946 0958, Ann."], names=["Ann"])
    ['Write to [email] or call [phone], [name].']
    """
    patterns = _patterns(kinds, names)
    masked = []
    for text in plain_texts(texts, "texts"):
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
    for row, text in enumerate(plain_texts(texts, "texts")):
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
        chosen["name"] = re.compile("|".join(map(_alone, listed)), re.IGNORECASE)
    return chosen


def _alone(name: str) -> str:
    """Return a pattern of a name that is no part of a word, where its script parts words."""
    left, right = (
        "" if re.match(f"[{_JOINED}]", end) else f"(?{look}{_LETTER})"
        for end, look in ((name[0], "<!"), (name[-1], "!"))
    )
    return f"{left}{re.escape(name)}{right}"
