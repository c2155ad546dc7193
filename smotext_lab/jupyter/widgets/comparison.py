"""`DecoderComparison`: the same points written by several decoders, side by side."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import ipywidgets as w
import numpy as np
import pandas as pd

from smotext_lab.errors import DataError, ParameterError
from smotext_lab.guards import Guards
from smotext_lab.guards.screen import Screen, parents_at
from smotext_lab.interpolators.blends import path, path_weights
from smotext_lab.jupyter.widgets.panel import Panel, row, told
from smotext_lab.markup import INERT_CLASS, inert, shortened, texts_table
from smotext_lab.surrogates import encodable

__all__ = ["DecoderComparison", "usual_decoders"]


def usual_decoders(decoder: Any) -> dict[str, Any]:
    """Return ways of decoding worth comparing, from quick to thorough, with a decoder's models."""
    return {
        "greedy": decoder.varied(temperature=0, n_candidates=1, corrections=0),
        "best of 4": decoder.varied(n_candidates=4, corrections=0),
        "best of 8": decoder.varied(n_candidates=8, corrections=0),
        "best of 4, corrected twice": decoder.varied(n_candidates=4, corrections=2),
    }


class DecoderComparison(Panel):
    """Walk between texts with several decoders and read what each writes.

    Parameters
    ----------
    texts : sequence of str
        Two or more: the way goes from each to the next.
    decoders : mapping of name -> XRAGDecoder, optional
        Default `usual_decoders` of `shared_decoder`. They must have one encoder.
    steps : int, default=3
        Points from one text to the next, both ends included.
    guards : Guards or bool, default=True
        As `text_path` takes them.
    random_state : int, default=0

    Attributes
    ----------
    frame : DataFrame
        A row for each point and decoder that is done: ``start``, ``end``, ``lambda``,
        ``decoder``, ``text``, ``cosine_to_target``, ``seconds``.

    Examples
    --------
    >>> from smotext_lab import DecoderComparison, shared_decoder
    >>> quick = shared_decoder().varied(n_candidates=1)
    >>> compared = DecoderComparison(["It rains.", "Shares fell."], {"quick": quick}, steps=2)
    >>> compared.wait()
    >>> compared.frame[["lambda", "decoder"]].values.tolist()
    [[0.0, 'quick'], [1.0, 'quick']]
    """

    def __init__(
        self,
        texts: Sequence[str],
        decoders: Mapping[str, Any] | None = None,
        *,
        steps: int = 3,
        guards: Guards | bool = True,
        random_state: int = 0,
    ) -> None:
        super().__init__()
        self.texts = [str(text) for text in texts]
        if len(self.texts) < 2 or not all(text.strip() for text in self.texts):
            msg = (
                "A comparison walks from one text to another: give two or more, none of them blank."
            )
            raise DataError(msg)
        if decoders is not None and not decoders:
            msg = "Nothing to compare: give at least one decoder."
            raise ParameterError(msg)
        self._decoders = decoders
        self._screen = Screen.of(guards)
        self.random_state = random_state
        self._rows: list[dict[str, Any]] = []
        lambdas = path_weights(steps)[:, 1].tolist()
        self.places = [(0, lam) for lam in lambdas]
        self.places += [(leg, lam) for leg in range(1, len(self.texts) - 1) for lam in lambdas[1:]]
        self._steps = steps
        self._table = w.HTML()
        self._stop = w.Button(description="Stop", icon="stop", layout=w.Layout(width="auto"))
        self._stop.on_click(lambda _: self.stop())
        self._lay_out(self._table, row(self._stop, grow="0 0 auto"))
        self._begin()

    @told
    def _begin(self) -> None:
        self._show()
        self._work.submit(self._write)

    def stop(self) -> None:
        """Stop between two texts; `frame` keeps what is done."""
        self._work.cancel()

    @property
    def frame(self) -> pd.DataFrame:
        """What is done so far."""
        names = ["start", "end", "lambda", "decoder", "text", "cosine_to_target", "seconds"]
        return pd.DataFrame(self._rows, columns=names)

    def _write(self, cancelled: threading.Event) -> None:
        if self._decoders is None:
            from smotext_lab.equipment import shared_decoder

            self._decoders = usual_decoders(shared_decoder())
        encoders = {getattr(d.encoder, "fingerprint", "") for d in self._decoders.values()}
        if len(encoders) > 1:
            msg = f"The decoders have different encoders ({', '.join(sorted(encoders))})."
            raise ParameterError(msg)
        encoder = next(iter(self._decoders.values())).encoder
        vectors = encoder.encode([encodable(text) for text in self.texts])
        legs = [path(a, b, self._steps) for a, b in pairwise(vectors)]
        points = np.concatenate([legs[0], *(leg[1:] for leg in legs[1:])])
        seeds = np.random.SeedSequence(self.random_state).generate_state(len(points), np.uint64)
        for (leg, lam), point, seed in zip(self.places, points, seeds, strict=True):
            parents = parents_at(self.texts[leg], self.texts[leg + 1], lam)
            for name, decoder in self._decoders.items():
                if cancelled.is_set():
                    return
                began = time.perf_counter()
                decoded = next(iter(decoder.decode_rows(point[None], seeds=np.array([seed]))))
                seconds = time.perf_counter() - began
                decoded = self._screen.best(decoded, parents, encoder)
                made = {"start": leg, "end": leg + 1, "lambda": lam, "decoder": name}
                made |= {"text": decoded.text, "cosine_to_target": float(decoded.cosine)}
                self._rows.append(made | {"seconds": seconds})
                self._show()
        self._stop.disabled = True

    def _show(self) -> None:
        self._table.value = self._html()

    def _html(self) -> str:
        names = list(self._decoders or {})
        done = {(r["start"], r["lambda"], r["decoder"]): r for r in self._rows}
        head = "".join(f"<th>{inert(name)}</th>" for name in ["λ", *names])
        lines = []
        for number, text in enumerate(self.texts):
            span = f"colspan={len(names) + 1}"
            lines.append(f"<tr class=smotext-given><td {span}>{shortened(text)}</td></tr>")
            for leg, lam in self.places:
                if leg == number:
                    cells = "".join(_cell(done.get((leg, lam, name))) for name in names)
                    lines.append(f"<tr><td class=smotext-short>{lam:.2f}</td>{cells}</tr>")
        body = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
        # the style of tables comes with an empty one
        return f'{texts_table(pd.DataFrame())}<div class="smotext {INERT_CLASS}">{body}</div>'

    def _summary(self) -> str:
        return f"{len(self._rows)} of {len(self.places) * len(self._decoders or {})} texts"

    def _static_html(self) -> str:
        return self._html()


def _cell(made: dict[str, Any] | None) -> str:
    if made is None:
        return "<td>…</td>"
    facts = f"{made['cosine_to_target']:.2f} · {made['seconds']:.1f} s"
    return f'<td>{shortened(made["text"])}<div class="smotext-note">{facts}</div></td>'
