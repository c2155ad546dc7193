"""Public anchors: places in the encoder's space that are known without any private text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from smotext_lab.errors import DataError, ParameterError
from smotext_lab.privacy.noise import one_by_one

__all__ = ["Anchors"]

_SHIPPED = Path(__file__).with_name("anchors.safetensors")


@dataclass(frozen=True, eq=False)
class Anchors:
    """Public places to which private texts are assigned, and public directions to tell them by.

    Parameters
    ----------
    vectors : ndarray of shape (k, d)
        Unit rows. The fewer, the more texts at each and the less the noise weighs.
    components : ndarray of shape (r, d)
        Orthonormal rows, those that tell most first: of a class with few texts only the first are
        used. What lies outside of them is not released. The fewer, the less noise.
    encoder : str, default=""
        Fingerprint of the encoder that the vectors are of; empty: not checked.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(200, 12))
    >>> Anchors.of(rows, n_anchors=4, dimensions=6, random_state=0)
    Anchors(4 anchors, 6 of 12 dimensions)
    """

    vectors: np.ndarray
    components: np.ndarray
    encoder: str = ""

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or self.vectors.shape[1:] != self.components.shape[1:]:
            msg = (
                "Anchors need vectors (k, d) and components (r, d) of one d, got shapes "
                f"{self.vectors.shape} and {self.components.shape}."
            )
            raise ParameterError(msg)
        product = self.components @ self.components.T
        if not np.allclose(product, np.eye(len(product)), atol=1e-3):
            msg = "The rows of components must be orthonormal: else clipping bounds nothing."
            raise ParameterError(msg)

    @classmethod
    def of(
        cls,
        vectors: np.ndarray,
        *,
        n_anchors: int = 8,
        dimensions: int = 128,
        encoder: str = "",
        random_state: int | None = None,
    ) -> Anchors:
        """Make anchors of public vectors: centres of k-means, and principal directions.

        Parameters
        ----------
        vectors : ndarray of shape (n, d)
            Of **public** texts: what is computed here is not protected.
        n_anchors, dimensions : int
        encoder : str
        random_state : int, optional

        Raises
        ------
        DataError
            If there are fewer vectors than anchors or dimensions asked for.
        """
        from sklearn.cluster import KMeans

        vectors = np.asarray(vectors, np.float64)
        if vectors.ndim != 2 or min(vectors.shape) < dimensions or len(vectors) < n_anchors:
            msg = (
                f"{n_anchors} anchors in {dimensions} dimensions cannot be made of vectors of "
                f"shape {vectors.shape}: give more public texts, or ask for fewer."
            )
            raise DataError(msg)
        centres = KMeans(n_anchors, n_init=1, random_state=random_state).fit(vectors)
        _, _, directions = np.linalg.svd(vectors, full_matrices=False)
        return cls(_unit(centres.cluster_centers_), directions[:dimensions], encoder)

    @classmethod
    def of_texts(cls, texts: Sequence[str], encoder: Any, **settings: Any) -> Anchors:
        """Make anchors of **public** texts; `settings` are those of `of`."""
        name = getattr(encoder, "fingerprint", "")
        return cls.of(encoder.encode(list(texts)), encoder=name, **settings)

    @classmethod
    def for_encoder(
        cls, encoder: Any, texts: Sequence[str] | None = None, dimensions: int = 128
    ) -> Anchors:
        """Return anchors that fit an encoder: those that ship, or new ones for another encoder.

        Parameters
        ----------
        encoder : Encoder
        texts : sequence of str, optional
            **Public** texts to make new ones of, the more like the private ones the better. By
            default 2,000 made-up ones of 12 words each, drawn from the words of the bridge that
            ships: they have no grammar, so what they tell apart is what texts are about.
        dimensions : int, default=128

        Returns
        -------
        Anchors
            8, in so many dimensions or as many as there can be.

        Raises
        ------
        DataError
            If there are fewer than 8 texts.
        """
        _, known = _read()
        name = getattr(encoder, "fingerprint", "")
        if name == known:
            return cls.shipped(dimensions=dimensions)
        texts = _made_up() if texts is None else list(texts)
        most = min(dimensions, encoder.dim, len(texts))
        return cls.of_texts(texts, encoder, dimensions=most, random_state=0)

    @classmethod
    def shipped(cls, n_anchors: int = 8, dimensions: int = 128) -> Anchors:
        """Return the anchors that come along, for the default encoder.

        They were made of sentences of the corpus that the default bridge was trained on; no text
        of it is in them.

        Parameters
        ----------
        n_anchors : {4, 8, 16, 32, 64}
        dimensions : int
            1 to 256.

        Raises
        ------
        ParameterError
            If there are none of that number.
        """
        tensors, encoder = _read()
        numbers = sorted(int(name) for name in tensors if name.isdigit())
        if n_anchors not in numbers or not 1 <= dimensions <= len(tensors["components"]):
            msg = (
                f"Anchors come in the numbers {numbers} and in 1 to "
                f"{len(tensors['components'])} dimensions, got {n_anchors!r} and {dimensions!r}."
            )
            raise ParameterError(msg)
        directions, _ = np.linalg.qr(tensors["components"][:dimensions].astype(np.float64).T)
        return cls(_unit(tensors[str(n_anchors)].astype(np.float64)), directions.T, encoder)

    def assign(self, vectors: np.ndarray) -> np.ndarray:
        """Return the nearest anchor of each vector, judged by itself; shape (n,)."""
        near = one_by_one(np.asarray(vectors), self.vectors)
        return np.array([cosines.argmax() for cosines in near], np.int64)

    def check(self, encoder: Any) -> None:
        """Refuse an encoder that these anchors are not of."""
        name = getattr(encoder, "fingerprint", "")
        if self.encoder and name and self.encoder != name:
            msg = (
                f"The anchors are of {self.encoder} and the encoder is {name}: make some with "
                "Anchors.for_encoder(encoder, public_texts)."
            )
            raise ParameterError(msg)
        if self.components.shape[1] != encoder.dim:
            msg = (
                f"The anchors are of length {self.components.shape[1]} and the encoder's of length "
                f"{encoder.dim}: make some with Anchors.for_encoder(encoder, public_texts)."
            )
            raise ParameterError(msg)

    def __repr__(self) -> str:
        r, d = self.components.shape
        return f"Anchors({len(self.vectors)} anchors, {r} of {d} dimensions)"


@lru_cache
def _read() -> tuple[dict[str, np.ndarray], str]:
    from safetensors import safe_open

    with safe_open(_SHIPPED, "np") as file:
        facts = json.loads(file.metadata()["facts"])
        return {name: file.get_tensor(name) for name in file.keys()}, facts["encoder"]  # noqa: SIM118


def _made_up(n: int = 2000, words: int = 12) -> list[str]:
    """Return public texts that nobody wrote: words in a row, common ones as rare as others."""
    from smotext_lab.bridges.files import DEFAULT_BRIDGE

    known = (DEFAULT_BRIDGE / "words.txt").read_text("utf-8").splitlines()
    drawn = np.random.default_rng(0).integers(len(known), size=(n, words))
    return [" ".join(known[word] for word in row) for row in drawn.tolist()]


def _unit(rows: np.ndarray) -> np.ndarray:
    unit: np.ndarray = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return unit
