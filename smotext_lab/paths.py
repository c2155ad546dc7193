"""From one text to another: points on the way between their vectors, written out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from smotext_lab.errors import DataError
from smotext_lab.guards import Guards
from smotext_lab.guards.screen import Screen, parents_at
from smotext_lab.interpolators.blends import Blending, path, path_weights
from smotext_lab.markup import texts_table
from smotext_lab.surrogates import encodable

__all__ = ["COLUMNS", "TextPath", "text_path"]

COLUMNS = (
    "step",
    "start",
    "end",
    "lambda",
    "text",
    "cosine_to_target",
    "cosine_to_start",
    "cosine_to_end",
    "seed",
)


@dataclass(frozen=True, eq=False, repr=False)
class TextPath:
    """The texts on the way from one text to the next.

    Attributes
    ----------
    texts : list of str
        The given ones.
    frame : DataFrame
        One row for each text written, in order:

        ================  ====================================================
        step              int, from 0
        start, end        int, which of `texts` the way goes from and to
        lambda            float64, how far it has gone: 0 at `start`, 1 at `end`
        text              str; ``[not shown]`` where all that were tried had blocked words
        cosine_to_target  float64, of the text, encoded again, to its point
        cosine_to_start   float64, of the same to the text at `start`
        cosine_to_end     float64
        seed              uint64, of this decoding
        ================  ====================================================
    info : dict
        ``random_state`` and what else the path was made with; ``interrupted`` if it is not whole.

    Examples
    --------
    >>> row = [0, 0, 1, 0.5, "Rain, then sun.", 0.8, 0.7, 0.6, 1]
    >>> path = TextPath(["Rain.", "Sun."], pd.DataFrame([row], columns=list(COLUMNS)))
    >>> path
    TextPath: 1 text between 2 given ones
      given     Rain.
      λ = 0.50  Rain, then sun.  (0.80)
      given     Sun.
    """

    texts: list[str]
    frame: pd.DataFrame
    info: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.frame)

    def to_pandas(self) -> pd.DataFrame:
        """Return a copy of `frame`."""
        return self.frame.copy()

    def __repr__(self) -> str:
        lines = [f"TextPath: {self._summary()}"]
        for name, text, cosine in self._rows():
            line = " ".join(text.split())
            line = line if len(line) <= 200 else line[:200] + "…"
            lines.append(f"  {name:<8}  {line}" + ("" if cosine is None else f"  ({cosine:.2f})"))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        columns = ["", "text", "cosine to its point"]
        rows = [(name, text, cosine) for name, text, cosine in self._rows()]
        given = [cosine is None for _, _, cosine in rows]
        return texts_table(
            pd.DataFrame(rows, columns=columns), title=f"Path: {self._summary()}", given=given
        )

    def _summary(self) -> str:
        made = f"{len(self):,} text{'' if len(self) == 1 else 's'}"
        return f"{made} between {len(self.texts)} given ones"

    def _rows(self) -> list[tuple[str, str, float | None]]:
        """Return name, text and cosine of the written texts and, where they belong, the given."""
        rows: list[tuple[str, str, float | None]] = []
        for start, text in enumerate(self.texts):
            rows.append(("given", text, None))
            leg = self.frame[self.frame["start"] == start]
            rows += [
                (f"λ = {lam:.2f}", written, cosine)
                for lam, written, cosine in zip(
                    leg["lambda"], leg["text"], leg["cosine_to_target"], strict=True
                )
            ]
        return rows


def text_path(
    texts: Sequence[str],
    decoder: Any,
    *,
    encoder: Any = None,
    steps: int = 5,
    blending: Blending = "lerp",
    guards: Guards | bool = True,
    random_state: int | None = None,
    progress: bool = False,
) -> TextPath:
    """Walk from each text to the next and write what each point stands for.

    Parameters
    ----------
    texts : sequence of str
        At least two.
    decoder : XRAGDecoder
    encoder : Encoder, optional
        Default the decoder's.
    steps : int, default=5
        Points from one text to the next, both ends included.
    blending : {"lerp", "slerp"}, default="lerp"
        See `Blends.points`.
    guards : Guards or bool, default=True
        Of guards only `Guards.blocked_words` counts: in place of a text with one of them, where
        neither text that it lies between has any, stands the next best that was tried, or
        ``[not shown]``. False: every text is shown.
    random_state : int, optional
        The same int gives the same texts; None draws one, which `TextPath.info` tells.
    progress : bool, default=False
        Show a bar.

    Returns
    -------
    TextPath
        If interrupted, with the texts that were finished by then.

    Raises
    ------
    DataError
        If there are fewer than two texts, or one is blank.
    ParameterError
        If `steps`, `blending` or `guards` cannot be used.
    KeyboardInterrupt
        If interrupted before the first text was finished.

    References
    ----------
    SMOTExT, arXiv 2505.13434, section 3 and its figure of interpolated texts.

    Examples
    --------
    >>> from smotext_lab import shared_decoder, text_path
    >>> path = text_path(["It rains in the north.", "The sun is out."], shared_decoder(), steps=3)
    >>> path.to_pandas()["lambda"].tolist()
    [0.0, 0.5, 1.0]
    """
    given = [encodable(text) for text in texts]
    _check_texts(given)
    screen = Screen.of(guards)
    lambdas = path_weights(steps)[:, 1]
    seed = random_state
    if seed is None:
        seed = int(np.random.SeedSequence().generate_state(1)[0])
    encoder = decoder.encoder if encoder is None else encoder
    vectors = encoder.encode(given)
    legs = [path(a, b, steps, blending=blending) for a, b in pairwise(vectors)]
    # where one leg ends the next begins: that point is written once
    points = np.concatenate([legs[0], *(leg[1:] for leg in legs[1:])])
    places = [(0, float(lam)) for lam in lambdas]
    places += [(leg, float(lam)) for leg in range(1, len(legs)) for lam in lambdas[1:]]
    info = {"random_state": seed, "steps": steps, "blending": blending, "decoder": repr(decoder)}
    info |= {"asked": len(points)}
    rows: list[Any] = []
    try:
        _write(decoder, points, seed, rows, progress=progress)
    except KeyboardInterrupt:
        if not rows:
            raise
        info["interrupted"] = True
    found = []
    for row in sorted(rows, key=lambda row: int(row.row)):
        start, lam = places[row.row]
        shown = screen.best(row, parents_at(given[start], given[start + 1], lam), encoder)
        found.append(_record(shown, start, lam, vectors=vectors))
    return TextPath(given, pd.DataFrame(found, columns=list(COLUMNS)), info)


def _check_texts(texts: Sequence[str]) -> None:
    if len(texts) < 2:
        msg = f"A path goes from one text to another: give at least two, not {len(texts)}."
        raise DataError(msg)
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            msg = f"Text {number} of {len(texts)} is blank: a path needs words at each end."
            raise DataError(msg)


def _write(decoder: Any, points: np.ndarray, seed: int, rows: list[Any], *, progress: bool) -> None:
    """Decode the points into `rows`, which holds what is finished if this breaks off."""
    from tqdm.auto import tqdm

    seeds = np.random.SeedSequence(seed).generate_state(len(points), np.uint64)
    with tqdm(
        total=len(points), desc="decode", unit="text", disable=not progress, leave=False
    ) as bar:
        for decoded in decoder.decode_rows(points, seeds=seeds):
            rows.append(decoded)
            bar.update()


def _record(decoded: Any, start: int, lam: float, *, vectors: np.ndarray) -> dict[str, Any]:
    return {
        "step": int(decoded.row),
        "start": start,
        "end": start + 1,
        "lambda": lam,
        "text": decoded.text,
        "cosine_to_target": float(decoded.cosine),
        "cosine_to_start": _cosine(decoded.vector, vectors[start]),
        "cosine_to_end": _cosine(decoded.vector, vectors[start + 1]),
        "seed": int(decoded.seed),
    }


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / max(1e-12, float(np.linalg.norm(a) * np.linalg.norm(b))))
