"""Halves of surrogate pairs, which are in some users' texts and no tokenizer takes."""

from __future__ import annotations

__all__ = ["encodable"]


def encodable(text: str) -> str:
    r"""Return `text` with halves of surrogate pairs replaced by a question mark.

    Examples
    --------
    >>> encodable("rain \ud83d")
    'rain ?'
    """
    return text.encode("utf-8", "replace").decode("utf-8")
