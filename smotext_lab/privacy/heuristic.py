"""`HeuristicNoise`: noise on vectors before decoding, what it would cost, and no promise."""

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
    `price` says what ε it comes to if one text is the parent of all.

    Parameters
    ----------
    sigma : float
        Standard deviation of the noise of each coordinate; unit vectors of 384 coordinates have
        coordinates of about 0.05.
    decoder : XRAGDecoder, optional
        Default `shared_decoder`.
    random_state : int, optional
        Of the noise. Each call of `decode_rows` draws other noise: what two calls shared would
        cancel in their difference.

    Examples
    --------
    >>> noise = HeuristicNoise(0.05)
    >>> print(noise.guarantee(n_texts=100, delta=1e-5))
    No privacy guarantee: if one text were the parent of 100 new texts, ε = 81,705 (δ = 1e-05),
    for putting another text in its place.
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
        self._seeds = np.random.SeedSequence(random_state)

    def __repr__(self) -> str:
        return f"HeuristicNoise({self.sigma}, {self.decoder!r})"

    def decode_rows(self, vectors: np.ndarray, *, seeds: Any = None, **settings: Any) -> Any:
        """Decode noisy vectors; everything else is as `XRAGDecoder.decode_rows` has it."""
        vectors = np.asarray(vectors, np.float32)
        (seed,) = self._seeds.spawn(1)  # counts: no two calls share their noise
        noise = np.random.default_rng(seed).normal(size=vectors.shape) * self.sigma
        noisy = vectors + noise
        noisy /= np.maximum(np.linalg.norm(noisy, axis=1, keepdims=True), 1e-12)
        return self.decoder.decode_rows(noisy.astype(np.float32), seeds=seeds, **settings)

    def guarantee(self, n_texts: int = 1, delta: float = 1e-5) -> Guarantee:
        """Return that there is none, and what the noise comes to; parameters as of `price`.

        More new texts cost more: say how many there are.
        """
        mu = self._mu(n_texts)
        return Guarantee(math.inf, delta, mechanism=repr(self), mu=mu, new_texts=n_texts)

    def price(self, n_texts: int, delta: float) -> float:
        """Return the ε for putting another text in the place of one that is the parent of all.

        Then all vectors move, each by up to 2, and all together by up to ``2 √n``: what noise on
        these vectors costs, drawn once. What `SMOTExT` makes with it costs more, up to anything:
        its choice of neighbours, the labels' guards, guidance, and the form and length that a
        text is asked for follow the real texts without noise, and a row that is tried again has
        its vector noised again.

        Parameters
        ----------
        n_texts : int
        delta : float
        """
        return epsilon_of(self._mu(n_texts), delta)

    def _mu(self, n_texts: int) -> float:
        return 2 * math.sqrt(n_texts) / self.sigma if self.sigma else math.inf
