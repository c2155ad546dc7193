"""`DPGaussian`: a noisy mean of each class and one noisy covariance, and SMOTE among points."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from smotext_lab.equipment import equip
from smotext_lab.privacy.anchors import Anchors
from smotext_lab.privacy.as_read import write_as_read
from smotext_lab.privacy.habits import marks
from smotext_lab.privacy.moments import (
    Moments,
    moments_grid,
    moments_sensitivity,
    release_moments,
)
from smotext_lab.privacy.one_release import OneRelease
from smotext_lab.privacy.reading import Private
from smotext_lab.privacy.writing import Points
from smotext_lab.sampler.generation import word_counts

__all__ = ["DPGaussian"]


class DPGaussian(OneRelease):
    """New texts from noisy means and a covariance, with a differential privacy guarantee.

    As `DPAnchors`, but what is released is the sum and the number of each class's vectors, how
    many of its texts have each form and length, and the second moment of all classes together.
    SMOTE goes between points drawn about the classes' means with the covariance within classes
    that these give, and the text of each is written in a form and a length drawn by the counts of
    its class: new texts differ as the real ones of a class do, and a classifier learns from them
    what is not the class. `like` and `words` go before the counts. A text gets the class that it
    reads as, by the linear discriminant of those means and that covariance, whatever class it was
    asked for; with ``Guards(label_classifier=False)`` that which it was asked for. Where more than
    100 texts of a class are wanted, the first ones tell where the others are to be asked for
    (`smotext_lab.privacy.aim`). The vote of the nearest is off, as points drawn in so many
    directions lie at random places.

    Parameters
    ----------
    epsilon, delta : float
        As for `DPAnchors`.
    guidance_scale : float, default=1.0
        As for `DPAnchors`.
    **settings
        As for `DPAnchors`; of `anchors` only the components are used.

    Attributes
    ----------
    released_ : Moments
        All that the private texts were asked for, noise included.
    synthesis_ : Synthesis
        What the last `generate` made, also where it was interrupted.

    Notes
    -----
    Counts, sums and moments are one Gaussian mechanism: see
    `smotext_lab.privacy.moments.moments_sensitivity`.

    References
    ----------
    Noise on the second moment: Dwork et al., "Analyze Gauss", STOC 2014, algorithm 1. The noise:
    Balle & Wang, ICML 2018.

    Examples
    --------
    >>> DPGaussian(2.0, 1e-4).guarantee().epsilon
    2.0
    """

    _dimensions = 256
    _remedies = "or a larger epsilon"
    released_: Moments

    def __init__(
        self, epsilon: float, delta: float, *, guidance_scale: float = 1.0, **settings: Any
    ) -> None:
        super().__init__(epsilon, delta, guidance_scale=guidance_scale, **settings)
        self.guards = replace(self.guards, label_neighbors=None)

    def _sensitivity(self) -> float:
        return moments_sensitivity(self.clip, self.neighbouring, self.texts_per_user or 1)

    def _check_noise(self, sigma: float) -> None:
        moments_grid(self.clip, sigma)

    def _release(
        self,
        given: Private,
        vectors: np.ndarray,
        classes: list[Any],
        anchors: Anchors,
        sigma: float,
    ) -> Moments:
        _, decoder = equip(self.encoder, self.decoder)
        marked = marks(given.texts, word_counts(given.texts, decoder))
        labels = given.labels.tolist()
        noise = {"clip": self.clip, "sigma": sigma}
        return release_moments(vectors, labels, marked, classes, anchors, **noise)

    def _points(self, random_state: int) -> Points:
        return self.released_.points(random_state)

    def _written(self, *asked: Any, **settings: Any) -> list[dict[str, Any]]:
        encoder, _ = equip(self.encoder, self.decoder)
        discriminant = self.released_.discriminant()
        return write_as_read(*asked, encoder=encoder, discriminant=discriminant, **settings)
