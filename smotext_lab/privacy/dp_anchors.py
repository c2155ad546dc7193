"""`DPAnchors`: noisy sums at public anchors, and SMOTE among the centroids they give."""

from __future__ import annotations

from typing import Any

import numpy as np

from smotext_lab.privacy.anchors import Anchors
from smotext_lab.privacy.one_release import OneRelease
from smotext_lab.privacy.reading import Private
from smotext_lab.privacy.release import Released, grid_of, release, sensitivity
from smotext_lab.privacy.writing import Points

__all__ = ["DPAnchors"]


class DPAnchors(OneRelease):
    """New texts from noisy sums of the real ones' vectors, with a differential privacy guarantee.

    Each private text becomes a vector, which is shortened to a public subspace and to length
    `clip`, and added to the sum of its class at the nearest public anchor. Released are these
    sums and the number of texts in each, with Gaussian noise. Everything after that works on what
    was released: centroids, SMOTE among them, decoding, any number of texts (post-processing).

    Parameters
    ----------
    epsilon, delta : float
        The guarantee. δ about ``1 / (n ln n)`` for about n texts.
    anchors : Anchors, optional
        Public. Default `Anchors.shipped()`, for the default encoder.
    classes : sequence, optional
        The names of the classes, as something public; default those of the labels, whose names
        then are public. Texts of other classes are not read.
    neighbouring : {"add_or_remove", "replace"}, default="add_or_remove"
    texts_per_user : int, optional
        Protect a user with all texts instead of one text: the first so many texts of each user
        are read, and `fit` is told whose each is.
    clip : float, default=1.0
    budget : PrivacyBudget, optional
        Where the spending is recorded, over all mechanisms and restarts. Without one the
        guarantee is of this object alone, and it fits once.
    encoder, decoder : optional
        As in `SMOTExT`.
    guards : Guards, optional
        Those that compare with real texts are switched off: they would need budget.
    k_neighbors : int, default=5
        Of SMOTE among the centroids.
    like, words : str and int, optional
        A made-up text of the form wanted, and how many words; both public, never taken from the
        private texts.
    guidance_scale : float, default=0.5
        As in `SMOTExT`; the classes' means are those of the released centroids, so that it costs
        no budget.
    max_attempts, max_blends : int
        As in `SMOTExT`.
    random_state : int, optional
        Of SMOTE and decoding. The noise has no seed.
    progress : bool, default=True

    Attributes
    ----------
    released_ : Released
        All that the private texts were asked for, noise included.
    synthesis_ : Synthesis
        What the last `generate` made, also where it was interrupted.

    Notes
    -----
    The sums and the counts are one Gaussian mechanism: a text moves one sum by at most `clip` and
    one count by 1, released in units of `clip`, so all of it by ``√2 · clip``. Each text is encoded
    alone: in a batch its vector's last bits would depend on the other texts.

    References
    ----------
    Gaussian noise: Balle & Wang, ICML 2018. Why nothing less: SMOTE is not private, ReconSMOTE,
    arXiv 2510.15083.

    Examples
    --------
    >>> import numpy as np
    >>> anchors = Anchors.of(np.random.default_rng(0).normal(size=(99, 8)), n_anchors=2,
    ...                      dimensions=4, random_state=0)
    >>> mechanism = DPAnchors(2.0, 1e-4, anchors=anchors)
    >>> mechanism.guarantee().epsilon
    2.0
    """

    _dimensions = 128
    _remedies = "a larger epsilon, or fewer anchors"
    released_: Released

    def _sensitivity(self) -> float:
        return sensitivity(self.clip, self.neighbouring, self.texts_per_user or 1)

    def _check_noise(self, sigma: float) -> None:
        grid_of(self.clip, sigma)

    def _release(
        self,
        given: Private,
        vectors: np.ndarray,
        classes: list[Any],
        anchors: Anchors,
        sigma: float,
    ) -> Released:
        labels = given.labels.tolist()
        return release(vectors, labels, classes, anchors, clip=self.clip, sigma=sigma)

    def _points(self, random_state: int) -> Points:  # noqa: ARG002
        return Points(*self.released_.centroids())
