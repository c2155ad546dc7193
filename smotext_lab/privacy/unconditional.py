"""Texts that nobody's texts were read for: what `PrivateEvolution` can begin with."""

from __future__ import annotations

from typing import Any

import numpy as np

from smotext_lab.guards import Guards
from smotext_lab.privacy.anchors import Anchors
from smotext_lab.privacy.writing import Points, Told, write_between

__all__ = ["unconditional_texts"]

_MOST = 64  # of the anchors that ship: the more, the more there is to write about


def unconditional_texts(
    decoder: Any,
    n: int,
    *,
    anchors: Anchors | None = None,
    like: str | None = None,
    words: int | None = None,
    random_state: int = 0,
    progress: bool = True,
) -> list[str]:
    """Return texts written between public anchors, and from nothing else.

    What one begins with where there are no public texts like the private ones; the worse start of
    the two. In the place of what Aug-PE calls unconditional generation by an API.

    Parameters
    ----------
    decoder : XRAGDecoder
    n : int
        How many; what the guards refuse is left out.
    anchors : Anchors, optional
        Default 64 of those that ship, or, for another encoder, `Anchors.for_encoder`.
    like, words
        As for `DPAnchors`.
    random_state : int, default=0
    progress : bool, default=True

    Returns
    -------
    list of str
        At most `n`.

    References
    ----------
    Xie et al., "Differentially private synthetic data via foundation model APIs 2: text"
    (Aug-PE), arXiv 2403.01749, section 4 (``RANDOM_API``).

    Examples
    --------
    >>> from smotext_lab import XRAGDecoder
    >>> start = unconditional_texts(XRAGDecoder(n_candidates=1), 4, progress=False)
    >>> 0 < len(start) <= 4
    True
    """
    if anchors is None:
        shipped = Anchors.shipped(n_anchors=_MOST)
        ours = shipped.encoder == getattr(decoder.encoder, "fingerprint", "")
        anchors = shipped if ours else Anchors.for_encoder(decoder.encoder)
    made = write_between(
        Points(anchors.vectors.astype(np.float32), np.zeros(len(anchors.vectors), int)),
        {0: n},
        decoder,
        guards=Guards(),
        random_state=random_state,
        told=Told(like, words),
        progress=progress,
    )
    return [record["text"] for record in made]
