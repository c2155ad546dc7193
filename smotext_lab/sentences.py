"""Warnings of ours as sentences, where people read them: a shell, a notebook's cell."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["warnings_as_sentences"]

_PACKAGE = Path(__file__).parent


@contextlib.contextmanager
def warnings_as_sentences(say: Callable[[str], object]) -> Iterator[None]:
    """Show this package's own warnings without file and line; others as ever.

    Parameters
    ----------
    say : callable
        Is given the sentence.

    Examples
    --------
    >>> with warnings_as_sentences(print):
    ...     warnings.warn_explicit("2 rows without a text", UserWarning, __file__, lineno=1)
    Warning: 2 rows without a text
    """
    with warnings.catch_warnings():
        as_ever = warnings.showwarning

        def show(message: Any, category: Any, filename: str, *rest: Any, **more: Any) -> None:
            if issubclass(category, UserWarning) and _PACKAGE in Path(filename).parents:
                say(f"Warning: {message}")
            else:
                as_ever(message, category, filename, *rest, **more)

        warnings.showwarning = show
        yield
