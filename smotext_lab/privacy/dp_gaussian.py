"""`DPGaussian`: a noisy mean of each class and one noisy covariance, and SMOTE among points."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from smotext_lab.privacy.anchors import Anchors
from smotext_lab.privacy.moments import (
    Moments,
    moments_grid,
    moments_sensitivity,
    release_moments,
)
from smotext_lab.privacy.one_release import OneRelease

__all__ = ["DPGaussian"]


class DPGaussian(OneRelease):
    """New texts from noisy means and a covariance, with a differential privacy guarantee.

    As `DPAnchors`, but what is released is the sum and the number of each class's vectors, and
    the second moment of all classes together. SMOTE goes between points drawn about the classes'
    means with the covariance within classes that these give: new texts differ as the real ones of
    a class do, and a classifier learns from them what is not the class. Labels are judged by
    logistic regression on all points; the vote of the nearest is off, as points drawn in so many
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
        vectors: np.ndarray,
        labels: list[Any],
        classes: list[Any],
        anchors: Anchors,
        sigma: float,
    ) -> Moments:
        return release_moments(vectors, labels, classes, anchors, clip=self.clip, sigma=sigma)

    def _points(self, random_state: int) -> tuple[np.ndarray, np.ndarray]:
        return self.released_.points(random_state)
