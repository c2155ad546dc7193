"""What a decoder is given, however it is kept, as it works with it: a row, a key, … a vector."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch

from smotext_lab.errors import DataError, ParameterError
from smotext_lab.forms import TextForm

__all__ = ["Rows", "forms_of", "guidance_of", "keys_of", "lengths_of", "vectors_of"]

Rows = np.ndarray | Collection[Any]
"""Vectors: an array, a tensor wherever it is, a frame, or a sequence or Series of rows."""

_KEYS = 2**64


def vectors_of(given: Rows, dim: int) -> np.ndarray:
    """Return vectors as finite float32 rows, shape (n, dim).

    Raises
    ------
    DataError
        If they are none.

    Examples
    --------
    >>> vectors_of([torch.ones(2), [0, 1]], 2)
    array([[1., 1.],
           [0., 1.]], dtype=float32)
    """
    try:
        vectors = _array(given)
    except (TypeError, ValueError) as error:
        msg = f"vectors must be numbers in rows of {dim}, as encoder.encode(texts) returns them"
        raise DataError(msg) from error
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        msg = f"vectors have shape {vectors.shape}; expected (n, {dim})"
        raise DataError(msg)
    bad = ~np.isfinite(vectors).all(axis=1)
    if bad.any():
        msg = f"vector {int(bad.argmax())} holds NaN or infinity"
        raise DataError(msg)
    return vectors


def guidance_of(given: Rows, n: int, dim: int) -> np.ndarray:
    """Return what each vector is moved by as finite float32 rows, shape (n, dim)."""
    try:
        moves = _array(given)
    except (TypeError, ValueError) as error:
        msg = f"guidance must be numbers in rows of {dim}, one a vector"
        raise ParameterError(msg) from error
    if moves.shape != (n, dim):
        msg = f"guidance has shape {moves.shape}; expected ({n}, {dim})"
        raise ParameterError(msg)
    if not np.isfinite(moves).all():
        msg = "guidance holds NaN or infinity: guidance_scale must be a finite number"
        raise ParameterError(msg)
    return moves


def keys_of(seeds: Any, n: int) -> np.ndarray:
    """Return seeds as an array of uint64, shape (n,).

    Examples
    --------
    >>> keys_of([1, 2**64 - 1], 2)
    array([                   1, 18446744073709551615], dtype=uint64)
    """
    given = np.asarray(seeds, object)  # numpy makes floats of some whole numbers, and wraps others
    if given.shape != (n,):
        msg = f"seeds have shape {given.shape}; expected ({n},), one a vector"
        raise ParameterError(msg)
    for seed in given:
        if not isinstance(seed, Integral) or not 0 <= int(seed) < _KEYS:
            msg = f"seeds must be whole numbers from 0 to 2**64 - 1, not {seed!r}"
            raise ParameterError(msg)
    return given.astype(np.uint64)


def forms_of(given: Any, n: int) -> list[TextForm | None]:
    """Return the form that each text should have; one is that of all."""
    forms = _one_each("forms", given, n)
    for form in forms:
        if form is not None and not isinstance(form, TextForm):
            msg = f"forms must be None or such as TextForm.of('Who paid?'), not {form!r}"
            raise ParameterError(msg)
    return forms


def lengths_of(given: Any, n: int) -> list[int | None]:
    """Return how many words each text should have; one number is that of all."""
    lengths = _one_each("lengths", given, n)
    for length in lengths:
        if length is not None and not (isinstance(length, Real) and float(length) >= 0):
            msg = f"lengths must be None or numbers of words, 0 or more, not {length!r}"
            raise ParameterError(msg)
    return lengths


def _array(given: Any) -> np.ndarray:
    if isinstance(given, list | tuple) or getattr(given, "dtype", None) == np.dtype(object):
        given = [_plain(row) for row in given]
    return np.ascontiguousarray(_plain(given), np.float32)


def _plain(given: Any) -> Any:
    return given.detach().float().cpu().numpy() if isinstance(given, torch.Tensor) else given


def _one_each(name: str, given: Any, n: int) -> list[Any]:
    several = isinstance(given, Iterable) and not isinstance(given, str)
    asked = list(given) if several else [given] * n
    if len(asked) != n:
        msg = f"there are {len(asked)} {name} for {n} vectors: give one each"
        raise ParameterError(msg)
    return asked
