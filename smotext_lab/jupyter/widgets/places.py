"""A place between two texts, as a user has set it, and the text that is found there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from smotext_lab.errors import DataError
from smotext_lab.guards import Guards
from smotext_lab.guards.screen import NOT_SHOWN, Screen, parents_at
from smotext_lab.interpolators.blends import Blending, Blends
from smotext_lab.steering import Steering
from smotext_lab.surrogates import encodable

__all__ = ["Finder", "Found", "Place", "nearest"]

_KEPT = 500  # texts that are not decoded again when somebody drags back


@dataclass(frozen=True)
class Place:
    """What is to be written, and how.

    Attributes
    ----------
    start, end : str
    lam : float
        How far from `start` (0) to `end` (1).
    blending : {"lerp", "slerp"}
    third : str
        A text whose vector is added; empty for none.
    third_weight : float
        Negative: it is subtracted.
    steering : Steering
    length : int
        About how many words; 0 as the vector says.
    temperature : float
    random_state : int
    """

    start: str
    end: str
    lam: float = 0.5
    blending: Blending = "lerp"
    third: str = ""
    third_weight: float = 0.0
    steering: Steering = field(default_factory=Steering)
    length: int = 0
    temperature: float = 0.7
    random_state: int = 0

    @property
    def parents(self) -> list[str]:
        """The texts that the point is made from, and the words that are wished for."""
        third = [self.third] if self.third_weight else []
        return [*parents_at(self.start, self.end, self.lam), *third, *self.steering.pinned]

    def check(self) -> None:
        """Raise `DataError` where an end is blank."""
        for name, text in (("first", self.start), ("second", self.end)):
            if not text.strip():
                msg = f"The {name} text is blank: type one, or take one of yours by its row."
                raise DataError(msg)


@dataclass(frozen=True, eq=False)
class Found:
    """A text and how near it came.

    Attributes
    ----------
    text : str
        ``[not shown]`` where all that were tried had blocked words.
    cosine : float
        Of the re-encoded text to the place's vector.
    vector : ndarray of float32, shape (d,)
        The re-encoded text.
    words : list of (word, probability)
        What the place stands for.
    final : bool
        Whether the search is over, or this is a first draft.
    """

    text: str
    cosine: float
    vector: np.ndarray
    words: list[tuple[str, float]]
    final: bool


class Finder:
    """Finds the text of a place: a draft first, then the best of several.

    Parameters
    ----------
    decoder : XRAGDecoder
    guards : Guards or bool, default=True
        Of guards only `Guards.blocked_words` counts.
    """

    def __init__(self, decoder: Any, guards: Guards | bool = True) -> None:
        self.decoder = decoder
        self._screen = Screen.of(guards)
        self._vectors: dict[str, np.ndarray] = {}
        self._found: dict[Place, Found] = {}

    def vector(self, text: str) -> np.ndarray:
        """Return a text's vector, encoded once."""
        if text not in self._vectors:
            self._vectors[text] = self.decoder.encoder.encode([encodable(text)])[0]
        return self._vectors[text]

    def point(self, place: Place) -> np.ndarray:
        """Return the place's vector, float32 of shape (d,), at length 1."""
        ends = np.stack([self.vector(place.start), self.vector(place.end)])
        blend = Blends(
            parents=np.array([[0, 1]]),
            weights=np.array([[1 - place.lam, place.lam]]),
            label=np.zeros(1, np.int64),
            seed=np.zeros(1, np.uint64),
        )
        point = blend.points(ends, blending=place.blending)[0]
        if place.third.strip() and place.third_weight:
            point = point + place.third_weight * self.vector(place.third)
            point = point / max(1e-12, float(np.linalg.norm(point)))
        return point.astype(np.float32)

    def words(self, place: Place, top: int = 8) -> list[tuple[str, float]]:
        """Return the words that the place stands for; none where the decoder cannot tell."""
        explain = getattr(self.decoder, "explain", None)
        found = explain(self.point(place)[None], top)[0] if explain else []
        return [(word, p) for word, p in found if not self._screen.hides(word, place.parents)]

    def find(
        self,
        place: Place,
        cancelled: threading.Event,
        written: Callable[[str], None],
    ) -> Iterator[Found]:
        """Yield a draft and then, unless `cancelled`, the best text.

        Parameters
        ----------
        place : Place
        cancelled : threading.Event
        written : callable
            Told the draft while it is written.
        """
        place.check()
        if place in self._found and self._found[place].final:
            yield self._found[place]
            return
        words = self.words(place)
        kept: Any = None
        for decoder, final in self._decoders(place):
            watch = self._watched(place, written) if kept is None else None
            decoded = self._decode(decoder, place, cancelled, watch)
            if decoded is None or cancelled.is_set():
                return
            decoded = self._screen.best(decoded, place.parents, self.decoder.encoder)
            if kept is None or _better(decoded, kept, place.steering):
                kept = decoded
            self._found[place] = Found(kept.text, kept.cosine, kept.vector, words, final)
            yield self._found[place]
        while len(self._found) > _KEPT:
            self._found.pop(next(iter(self._found)))

    def _watched(self, place: Place, written: Callable[[str], None]) -> Callable[[int, str], None]:
        return lambda _, text: written(self._screen.draft(text, place.parents))

    def _decoders(self, place: Place) -> Iterator[tuple[Any, bool]]:
        """Yield a quick decoder, and whether it is the last, then a thorough one."""
        if not hasattr(self.decoder, "varied"):
            yield self.decoder, True
            return
        set_so = self.decoder.varied(temperature=place.temperature)
        if set_so.n_candidates * (1 + set_so.corrections) > 1:
            yield set_so.varied(n_candidates=1, corrections=0), False
        yield set_so, True

    def _decode(
        self,
        decoder: Any,
        place: Place,
        cancelled: threading.Event,
        watch: Callable[[int, str], None] | None,
    ) -> Any:
        asked: dict[str, Any] = {"seeds": np.array([place.random_state], np.uint64)}
        if hasattr(decoder, "varied"):
            asked |= {"cancelled": cancelled, "written": watch, "steering": place.steering}
            asked["lengths"] = [place.length or None]
        return next(iter(decoder.decode_rows(self.point(place)[None], **asked)), None)


def _better(later: Any, kept: Any, steering: Steering) -> bool:
    if NOT_SHOWN in (later.text, kept.text):
        return bool(later.text != NOT_SHOWN)
    # words that are wished for may cost cosine: then the later choice stands
    return bool(steering or later.cosine > kept.cosine)


def nearest(vector: np.ndarray, vectors: np.ndarray) -> tuple[int, float]:
    """Return the row of `vectors` (unit rows) nearest to `vector`, and the cosine."""
    cosines = vectors @ vector
    best = int(cosines.argmax())
    return best, float(cosines[best])
