"""Noise that cannot be foretold, in whole numbers so that no bits of floats leak.

A float sum plus float noise betrays the sum by its last bits (Mironov, CCS 2012). So what is
private is put on a grid first, summed in whole numbers, and gets noise in whole numbers: a
Gaussian rounded to the grid. Rounding an exact Gaussian mechanism on whole numbers is the same as
rounding its noise, so the accounting of the exact one holds for it.

The noise comes from the operating system's entropy (`os.urandom`) for each number anew. There is
no seed to be found out, set or stored. What remains is that the Gaussian itself is computed in
double precision, from 128 random bits: the chances of grid values are near those of the exact one
and not equal to them. How near over all numbers of a release is not proved here, and the
accounting does not count it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator

import numpy as np

__all__ = ["GRID", "add_noise", "finite", "on_grid", "one_by_one", "rounded_gaussian"]

GRID = 2**14
"""Grid steps in one standard deviation of the noise."""

_LARGEST = 1e100  # of a number: its square, and its share of a step, are still numbers
_BLOCK = 2**20  # numbers drawn at a time


def one_by_one(rows: np.ndarray, matrix: np.ndarray) -> Iterator[np.ndarray]:
    """Yield `matrix @ row` of each row, computed from that row alone.

    In one product of all rows the last bits of each may depend on how many there are: one text
    more, and another text's near tie would fall differently.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
    matrix : ndarray of shape (m, d)

    Yields
    ------
    ndarray of float64, shape (m,)
    """
    matrix = np.ascontiguousarray(matrix, np.float64)
    place = np.empty(matrix.shape[1])  # the same for all, so that alignment tells nothing either
    for row in rows:
        place[:] = row
        yield matrix @ place


def finite(rows: np.ndarray) -> np.ndarray:
    """Return rows of which those are zero whose numbers or length cannot be counted with.

    Examples
    --------
    >>> finite(np.array([[1.0, 2.0], [np.inf, 0.0], [1e200, 0.0]])).tolist()
    [[1.0, 2.0], [0.0, 0.0], [0.0, 0.0]]
    """
    usable = (np.abs(rows) < _LARGEST).all(axis=1, keepdims=True)  # nan is not less than anything
    return np.where(usable, rows, 0.0)


def on_grid(rows: np.ndarray, step: float, norm: float) -> np.ndarray:
    """Return `rows`, clipped and rounded to whole multiples of `step`.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        A row with a number that is not finite, or too large to be squared, becomes zero.
    step : float
    norm : float
        No row is longer than this afterwards, rounding included.

    Returns
    -------
    ndarray of int64, shape (n, d)
        In steps.

    Examples
    --------
    >>> on_grid(np.array([[3.0, 4.0], [0.5, 0.0]]), step=0.25, norm=1.25).tolist()
    [[3, 3], [2, 0]]
    """
    rows = finite(np.asarray(rows, np.float64)) / step
    room = max(0.0, norm / step - math.sqrt(rows.shape[1]) / 2)  # rounding adds at most half
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    shrunk = rows * (room / np.maximum(lengths, max(room, 1e-300)))
    return np.rint(shrunk).astype(np.int64)


def rounded_gaussian(size: int, sigma: float) -> np.ndarray:
    """Return whole numbers: independent Gaussians of standard deviation `sigma`, rounded.

    There is no seed: two calls never give the same on purpose.

    Parameters
    ----------
    size : int
    sigma : float
        In steps of the grid.

    Returns
    -------
    ndarray of int64, shape (size,)
    """
    from scipy.special import ndtri

    drawn = np.empty(size, np.int64)
    for start in range(0, size, _BLOCK):
        n = min(_BLOCK, size - start)
        words = np.frombuffer(os.urandom(n * 16), np.uint64).reshape(2, n).astype(np.float64)
        # 128 bits for the tail below the median, so that far tails are as fine as the middle
        tail = (words[0] + (words[1] + 0.5) * 2.0**-64) * 2.0**-65
        signs = np.frombuffer(os.urandom(n), np.uint8) & 1
        drawn[start : start + n] = np.rint(ndtri(tail) * sigma).astype(np.int64) * (
            2 * signs.astype(np.int64) - 1
        )
    return drawn


def add_noise(steps: np.ndarray, step: float, sigma: float) -> np.ndarray:
    """Return whole numbers of steps with noise added, as floats in the unit of `sigma`.

    Parameters
    ----------
    steps : ndarray of int64
    step : float
        What one step is.
    sigma : float
        Standard deviation of the noise, 0 for none.

    Returns
    -------
    ndarray of float64, of the same shape
    """
    if sigma:
        steps = steps + rounded_gaussian(steps.size, sigma / step).reshape(steps.shape)
    return steps * step
