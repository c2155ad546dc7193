"""What a training brought, judged on texts by which nothing was chosen."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["changes", "is_told"]


def changes(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> dict[str, float]:
    """Return means before and after, and the standard error of their paired difference.

    Parameters
    ----------
    before, after : dict of str to ndarray, shape (2, n)
        Of each figure what the texts have of it, and by how much each text counts (its tokens).

    Returns
    -------
    dict of str to float
        Of the figure ``loss``: ``start_loss``, ``unseen_loss`` and ``loss_change_error``, that of a
        ratio of sums.

    Examples
    --------
    >>> counts = [2.0, 2.0, 4.0]
    >>> found = changes(
    ...     {"loss": np.array([[6.0, 6.0, 12.0], counts])},
    ...     {"loss": np.array([[4.0, 5.0, 11.0], counts])},
    ... )
    >>> found["start_loss"], found["unseen_loss"], round(found["loss_change_error"], 3)
    (3.0, 2.5, 0.217)
    """
    found: dict[str, float] = {}
    for name, (values, counts) in after.items():
        n, total = len(values), counts.sum()
        start = before[name][0]
        change = values - start
        left = change - counts * change.sum() / total
        found[f"start_{name}"] = float(start.sum() / total)
        found[f"unseen_{name}"] = float(values.sum() / total)
        found[f"{name}_change_error"] = float((n / (n - 1) * (left**2).sum()) ** 0.5 / total)
    return found


def is_told(training: dict[str, Any], name: str) -> bool:
    """Say whether a figure of ``facts.training`` changed by more than two standard errors."""
    change = abs(training[f"unseen_{name}"] - training[f"start_{name}"])
    return bool(change > 2 * training[f"{name}_change_error"])
