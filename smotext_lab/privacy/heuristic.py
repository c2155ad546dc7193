"""`HeuristicNoise`: noise on vectors before decoding, its true price, and no promise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from smotext_lab.errors import ParameterError
from smotext_lab.privacy.accounting import epsilon_of
from smotext_lab.privacy.guarantee import Guarantee

__all__ = ["HeuristicNoise"]


class HeuristicNoise:
    """A decoder that adds a little noise to each vector first. It guarantees nothing.

    For teaching: this is what is often meant by "we add noise". One text is a parent of many
    vectors, so changing it moves all of them, and noise that hides that leaves no text to read.
    `price` says what ε it would have.

    Parameters
    ----------
    sigma : float
        Standard deviation of the noise of each coordinate; unit vectors of 384 coordinates have
        coordinates of about 0.05.
    decoder : XRAGDecoder, optional
        Default `shared_decoder`.
    random_state : int, optional

    Examples
    --------
    >>> noise = HeuristicNoise(0.05)
    >>> print(noise.guarantee())
    No privacy guarantee.
    >>> round(noise.price(n_texts=100, delta=1e-5))
    81705
    """

    def __init__(
        self, sigma: float, decoder: Any = None, *, random_state: int | None = None
    ) -> None:
        if not 0 <= sigma < math.inf:
            msg = f"sigma must be 0 or more, got {sigma!r}."
            raise ParameterError(msg)
        if decoder is None:
            from smotext_lab.equipment import shared_decoder

            decoder = shared_decoder()
        self.sigma = sigma
        self.decoder = decoder
        self.encoder = decoder.encoder
        self.random_state = random_state

    def __repr__(self) -> str:
        return f"HeuristicNoise({self.sigma}, {self.decoder!r})"

    def decode_rows(self, vectors: np.ndarray, *, seeds: Any = None, **settings: Any) -> Any:
        """Decode noisy vectors; everything else is as `XRAGDecoder.decode_rows` has it."""
        vectors = np.asarray(vectors, np.float32)
        noise = np.random.default_rng(self.random_state).normal(size=vectors.shape) * self.sigma
        noisy = vectors + noise
        noisy /= np.maximum(np.linalg.norm(noisy, axis=1, keepdims=True), 1e-12)
        return self.decoder.decode_rows(noisy.astype(np.float32), seeds=seeds, **settings)

    def guarantee(self) -> Guarantee:
        """Return that there is none."""
        return Guarantee(math.inf, 0.0, mechanism=repr(self))

    def price(self, n_texts: int, delta: float) -> float:
        """Return the ε that would have to be stated for so many texts, if parents were public.

        One record may be a parent of all of them: then all vectors move, each by up to 2, and all
        together by ``2 √n``. (That SMOTE's choice of neighbours moves too is not counted.)

        Parameters
        ----------
        n_texts : int
        delta : float
        """
        if self.sigma == 0:
            return math.inf
        return epsilon_of(2 * math.sqrt(n_texts) / self.sigma, delta)
