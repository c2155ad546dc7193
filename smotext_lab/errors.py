"""Errors that say what is wrong, where, and what to do.

In IPython each of them shows as its one sentence: a user who mistypes a column name
is not helped by a traceback through our code.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BridgeError",
    "BudgetError",
    "DataError",
    "ModelError",
    "ParameterError",
    "ReportError",
    "SmotextError",
    "did_you_mean",
]


class SmotextError(Exception):
    """Base of all errors that this package raises on purpose."""

    def _render_traceback_(self) -> list[str]:
        """Return the lines IPython prints in place of a traceback."""
        return [f"\x1b[31m{type(self).__name__}:\x1b[0m {self}"]


class ParameterError(SmotextError, ValueError):
    """A parameter has a value that cannot be used."""


class DataError(SmotextError, ValueError):
    """The texts or labels cannot be used as they are."""


class ModelError(SmotextError, RuntimeError):
    """A model cannot be provided, verified or loaded."""


class BridgeError(SmotextError, ValueError):
    """A bridge cannot be read, or does not fit the encoder or the LLM."""


class BudgetError(SmotextError, RuntimeError):
    """A privacy budget does not cover what is asked, or cannot be read."""


class ReportError(SmotextError, RuntimeError):
    """A report template cannot be run."""


def did_you_mean(word: object, options: Iterable[object]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the option nearest to `word`, or ``""``.

    Examples
    --------
    >>> did_you_mean("lable", ["label", "text"])
    " (did you mean 'label'?)"
    """
    near = difflib.get_close_matches(str(word), [str(o) for o in options], n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""
