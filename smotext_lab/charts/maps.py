"""A map of texts: the plane of their vectors, and walks drawn over it (Altair)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np

from smotext_lab.charts import INK, MUTED, PALETTE, SOFT, fraction, label, plain_rows, styled
from smotext_lab.errors import ParameterError

__all__ = ["class_names", "project", "vector_map"]

_MOST_POINTS = 4000
_OTHER = "other classes"


def project(vectors: np.ndarray, *others: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the first two principal components of `vectors`, and `others` on the same axes.

    Parameters
    ----------
    vectors : ndarray of shape (n, d)
        The components are those of these rows.
    *others : ndarray of shape (..., d)
        Further vectors to place on the same plane.

    Returns
    -------
    tuple of float64 ndarray, shapes (n, 2) and (..., 2)
        The sign of each axis is fixed, so that the same vectors give the same picture.

    Raises
    ------
    ParameterError
        If there are fewer than two vectors or dimensions.

    Examples
    --------
    >>> plane, other = project(np.eye(3), np.ones((4, 5, 3)))
    >>> plane.shape, other.shape
    ((3, 2), (4, 5, 2))
    """
    data = np.asarray(vectors, dtype=np.float64)
    if data.ndim != 2 or min(data.shape) < 2:
        msg = f"A map needs at least two vectors of two dimensions; got shape {data.shape}."
        raise ParameterError(msg)
    mean = data.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov(data - mean, rowvar=False))
    plane = axes[:, ::-1][:, :2]
    plane = plane * np.sign(plane[np.abs(plane).argmax(axis=0), [0, 1]])
    return tuple((np.asarray(v, dtype=np.float64) - mean) @ plane for v in (data, *others))


def vector_map(
    vectors: np.ndarray,
    labels: Sequence[object],
    pairs: np.ndarray | None = None,
    decoded: np.ndarray | None = None,
    lambdas: Sequence[float] = (),
) -> Any:
    """Draw real texts by class, and over them each pair's line and its decoded points.

    Parameters
    ----------
    vectors : ndarray of shape (n, d)
        Real texts. Beyond 4,000 every k-th is drawn, class by class.
    labels : sequence of length n
    pairs : int ndarray of shape (p, 2), optional
        Rows of `vectors` that are joined by a line and numbered 1 to p.
    decoded : ndarray of shape (p, s, d), optional
        Vectors of the texts that were decoded along each line.
    lambdas : sequence of length s
        Where on the line each was aimed at.

    Returns
    -------
    altair.LayerChart

    References
    ----------
    SMOTExT, arXiv 2505.13434, section 3: a new text lies between two neighbours of a class.
    """
    pairs = np.zeros((0, 2), dtype=np.int64) if pairs is None else np.asarray(pairs)
    decoded = np.zeros((len(pairs), 0, np.shape(vectors)[1])) if decoded is None else decoded
    real, made = project(vectors, decoded)
    names = class_names(labels)
    colour = _colours(names)
    scale = alt.Scale(zero=False, nice=False, padding=18)
    place = {"x": alt.X("x:Q", axis=None, scale=scale), "y": alt.Y("y:Q", axis=None, scale=scale)}
    rows = _thinned(names)
    dots = [{"x": real[i, 0], "y": real[i, 1], "class": names[i]} for i in rows]
    layers = [
        alt.Chart(alt.Data(values=plain_rows(dots)))
        .mark_circle(size=26, opacity=0.45)
        .encode(**place, color=colour, tooltip="class:N")
    ]
    if len(pairs):
        layers += _walk_layers(real[pairs], made, lambdas, place)
    return styled(alt.layer(*layers).properties(width=540, height=400))


def _walk_layers(
    ends: np.ndarray, made: np.ndarray, lambdas: Sequence[float], place: Mapping[str, Any]
) -> list[Any]:
    """Return the lines between real texts, the decoded points and their names.

    `ends` are (p, 2, 2) places of the real texts A and B, `made` (p, s, 2) of decoded ones.
    """
    real_rows, made_rows = [], []
    for number, (pair, walk) in enumerate(zip(ends, made, strict=True), start=1):
        for end, (px, py) in zip("AB", pair, strict=True):
            real_rows.append({"pair": number, "x": px, "y": py, "name": f"{end}{number}"})
        for weight, (px, py) in zip(lambdas, walk, strict=True):
            name = fraction(weight) if abs(weight - 0.5) < 1e-6 else ""
            made_rows.append({"pair": number, "lambda": weight, "x": px, "y": py, "name": name})
    real = alt.Chart(alt.Data(values=plain_rows(real_rows))).encode(**place)
    walked = alt.Chart(alt.Data(values=plain_rows(made_rows))).encode(**place)
    # a white line around each letter keeps it legible on top of the dots
    halo = {"fontSize": 13, "dy": -11, "stroke": "white", "strokeWidth": 3, "strokeJoin": "round"}
    ink = {"fontSize": 13, "dy": -11, "color": INK}
    dotted = walked.mark_line(color=SOFT, strokeDash=[2, 3], strokeWidth=1.2)
    diamond = walked.mark_point(shape="diamond", filled=True, size=80, color="white", opacity=1)
    return [
        real.mark_line(color=INK, strokeWidth=1.5).encode(detail="pair:N"),
        dotted.encode(detail="pair:N", order="lambda:Q"),
        real.mark_point(shape="circle", filled=True, size=70, color=INK, opacity=1),
        diamond.encode(stroke=alt.value(INK)),
        *(walked.mark_text(**style).encode(text="name:N") for style in (halo, ink)),
        *(
            real.mark_text(**style, fontWeight="bold").encode(text="name:N")
            for style in (halo, ink)
        ),
    ]


def class_names(labels: Sequence[object]) -> list[str]:
    """Return printable class names; beyond the palette the rarest share one name."""
    names = [label(name) for name in labels]
    found, counts = np.unique(names, return_counts=True) if names else (np.array([]), np.array([]))
    if len(found) <= len(PALETTE):
        return names
    kept = set(found[np.argsort(-counts, kind="stable")][: len(PALETTE) - 1])
    return [name if name in kept else _OTHER for name in names]


def _colours(names: Sequence[str]) -> Any:
    domain = sorted(set(names), key=lambda name: (name == _OTHER, name))
    colours = [MUTED if name == _OTHER else PALETTE[i] for i, name in enumerate(domain)]
    return alt.Color("class:N", title=None, scale=alt.Scale(domain=domain, range=colours))


def _thinned(names: Sequence[str]) -> np.ndarray:
    """Return the rows to draw: all, or every k-th of each class where there are very many."""
    rows = np.argsort(np.asarray(names), kind="stable")
    return np.sort(rows[:: -(-len(names) // _MOST_POINTS) or 1])
