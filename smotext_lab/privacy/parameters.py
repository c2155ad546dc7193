"""What the parameters of mechanisms must be: refused before anything is paid for."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from smotext_lab.errors import ParameterError

__all__ = ["check_asked", "check_whole"]


def check_whole(least: int = 1, **given: Any) -> None:
    """Refuse what is no whole number of at least `least`.

    Raises
    ------
    ParameterError

    Examples
    --------
    >>> check_whole(epochs=2)
    """
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
            msg = f"{name} must be a whole number of at least {least}, got {value!r}."
            raise ParameterError(msg)


def check_asked(
    *,
    classes: Sequence[Any] | None,
    texts_per_user: int | None,
    k_neighbors: int,
    like: object,
    words: int | None,
    random_state: int | None,
) -> None:
    """Refuse what mechanisms that write texts could not work with once they have paid.

    Raises
    ------
    ParameterError
    """
    optional = {"texts_per_user": texts_per_user, "words": words}
    counts = {name: value for name, value in optional.items() if value is not None}
    check_whole(k_neighbors=k_neighbors, **counts)
    if random_state is not None:
        check_whole(0, random_state=random_state)
    if like is not None and not isinstance(like, str):
        msg = f"like must be a text of the form wanted, got {like!r}."
        raise ParameterError(msg)
    if isinstance(classes, str):  # its letters would be taken for classes, and no text be read
        msg = f"classes={classes!r} is one string, not a list of them: give [{classes!r}]."
        raise ParameterError(msg)
