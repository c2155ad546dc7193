"""How many new texts each class gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from imblearn.utils import check_sampling_strategy

from smotext_lab.errors import DataError, ParameterError, did_you_mean

__all__ = ["by_strategy", "check_counts", "per_class", "plain", "shares"]


def by_strategy(sampling_strategy: Any, labels: np.ndarray) -> dict[Any, int]:
    """Return the new texts per class that an over-sampler's strategy asks for.

    Parameters
    ----------
    sampling_strategy : float, str, dict or callable
        As in imbalanced-learn, which works it out.
    labels : ndarray of shape (n,)

    Returns
    -------
    dict of label -> int

    Raises
    ------
    DataError
        If there is only one class.
    ParameterError
        If the strategy does not fit the labels.

    Examples
    --------
    >>> int(by_strategy({"b": 3}, np.array(["a", "a", "b"]))["b"])
    2
    """
    classes = np.unique(labels).tolist()
    if len(classes) < 2:
        msg = (
            f"All labels are {classes[0]!r} and balancing needs more than one class: use "
            "generate(texts, y, n=…) for new texts of one class."
        )
        raise DataError(msg)
    if isinstance(sampling_strategy, Mapping):
        _check_classes(sampling_strategy, classes, "sampling_strategy")
    try:
        strategy: dict[Any, int] = check_sampling_strategy(
            sampling_strategy, labels, "over-sampling"
        )
    except ValueError as error:
        raise ParameterError(str(error)) from error
    return strategy


def per_class(n: int | Mapping[Any, int], labels: np.ndarray) -> dict[Any, int]:
    """Return new texts per class: a dict as it is, a total in proportion to the classes.

    Parameters
    ----------
    n : int or dict of label -> int
    labels : ndarray of shape (n,)

    Returns
    -------
    dict of label -> int

    Raises
    ------
    ParameterError
        If a number is not whole, is negative, or is for a class that no label has.

    Examples
    --------
    >>> per_class(3, np.array(["a", "a", "b"]))
    {'a': 2, 'b': 1}
    """
    if isinstance(n, Mapping):
        _check_classes(n, np.unique(labels).tolist(), "n")
    check_counts(n)
    return plain(n) if isinstance(n, Mapping) else shares(int(n), labels)


def check_counts(n: int | Mapping[Any, int]) -> None:
    """Refuse a number of new texts that is none, of all together or of a class.

    Raises
    ------
    ParameterError
    """
    if not isinstance(n, Mapping):
        if not _is_count(n) or n < 1:
            msg = f"n must be a whole number of at least 1, or a dict per class, got {n!r}."
            raise ParameterError(msg)
        return
    for label, count in n.items():
        if not _is_count(count):
            msg = f"n[{label!r}] must be a whole number of new texts, 0 or more, got {count!r}."
            raise ParameterError(msg)


def shares(total: int, labels: Any) -> dict[Any, int]:
    """Share a total among classes in proportion to their sizes, by largest remainder.

    Parameters
    ----------
    total : int
    labels : array-like of shape (n,)

    Returns
    -------
    dict of label -> int
        In class order; the numbers add up to `total`. Equal remainders go to the class that
        comes first.

    Examples
    --------
    >>> shares(4, ["a", "a", "a", "b", "b", "c"])
    {'a': 2, 'b': 1, 'c': 1}
    """
    classes, sizes = np.unique(np.asarray(labels), return_counts=True)
    # whole numbers throughout: a float quota can fall on the wrong side of a remainder
    quotas, remainders = np.divmod(total * sizes, sizes.sum())
    spare = total - int(quotas.sum())
    quotas[np.argsort(-remainders, kind="stable")[:spare]] += 1
    return dict(zip(classes.tolist(), quotas.tolist(), strict=True))


def plain(n: Mapping[Any, int]) -> dict[Any, int]:
    """Return `n` with Python's own types for numpy's.

    Examples
    --------
    >>> plain({np.str_("a"): np.int64(2)})
    {'a': 2}
    """
    return {
        label.item() if isinstance(label, np.generic) else label: int(count)
        for label, count in n.items()
    }


def _is_count(value: Any) -> bool:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return bool(whole and value >= 0)


def _check_classes(named: Mapping[Any, int], classes: list[Any], where: str) -> None:
    for label in named:
        if label not in classes:
            near = did_you_mean(label, classes)
            known = ", ".join(repr(name) for name in classes[:10])
            msg = f"{where} names class {label!r}, which no label has{near}; there are: {known}."
            raise ParameterError(msg)
