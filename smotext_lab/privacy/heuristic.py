"""`HeuristicNoise`: noise on vectors before decoding, what it would cost at least, no promise."""

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
    `price` says what ε would have to be stated at least.

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
    >>> print(noise.guarantee(n_texts=100, delta=1e-5))
    No privacy guarantee: one would take an ε of at least 81,705 (δ = 1e-05).
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

    def guarantee(self, n_texts: int = 1, delta: float = 1e-5) -> Guarantee:
        """Return that there is none, and what one would cost at least; parameters as of `price`."""
        return Guarantee(math.inf, delta, mechanism=repr(self), mu=self._mu(n_texts))

    def price(self, n_texts: int, delta: float) -> float:
        """Return an ε below which no guarantee for so many texts could be stated.

        One record may be a parent of all of them: then all vectors move, each by up to 2, and all
        together by ``2 √n``. At least, since that SMOTE's choice of neighbours moves too is not
        counted: it is what one would have to state if who the parents are were known anyway.

        Parameters
        ----------
        n_texts : int
        delta : float
        """
        return epsilon_of(self._mu(n_texts), delta)

    def _mu(self, n_texts: int) -> float:
        return 2 * math.sqrt(n_texts) / self.sigma if self.sigma else math.inf
