"""Numbers that a training is given, and where each of them may lie."""

from __future__ import annotations

import math
from collections.abc import Mapping

from smotext_lab.errors import ParameterError

__all__ = ["check_bounds", "check_run"]

_MOST_SEED = 2**32 - 1


def check_bounds(
    values: Mapping[str, float | None], bounds: Mapping[str, tuple[float, float | None]]
) -> None:
    """Raise `ParameterError` for the first value that is below or above its bounds.

    Examples
    --------
    >>> check_bounds({"noise": 0.5, "minutes": None}, {"noise": (0, 1), "minutes": (0, None)})
    """
    for name, (least, most) in bounds.items():
        value = values[name]
        if value is None:
            continue
        if not (math.isfinite(value) and least <= value <= (math.inf if most is None else most)):
            bound = f"{least} or more" if most is None else f"{least} to {most}"
            msg = f"{name} must be {bound}, not {value}"
            raise ParameterError(msg)


def check_run(minutes: float | None, checkpoint_minutes: float, random_state: int) -> None:
    """Raise `ParameterError` if a training cannot be run with these."""
    values = {"minutes": minutes, "checkpoint_minutes": checkpoint_minutes}
    bounds = {"minutes": (0, None), "checkpoint_minutes": (0, None)}
    check_bounds(
        values | {"random_state": random_state}, bounds | {"random_state": (0, _MOST_SEED)}
    )
