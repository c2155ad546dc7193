"""`LatentMap`: all texts in a plane, to look at, to brush, and to walk between."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any, Literal

import ipywidgets as w
import numpy as np
import pandas as pd
from traitlets import Int, List, observe

from smotext_lab.charts import MUTED, PALETTE
from smotext_lab.charts.maps import class_names, project, vector_map
from smotext_lab.errors import DataError, ParameterError
from smotext_lab.guards import Guards
from smotext_lab.jupyter.widgets.explorer import InterpolationExplorer
from smotext_lab.jupyter.widgets.panel import Panel, row, told
from smotext_lab.markup import INERT_CLASS, inert, shortened, spelt_out, texts_table
from smotext_lab.surrogates import encodable
from smotext_lab.synthesis import Synthesis

__all__ = ["LatentMap"]

_MOST_LINES = 500  # beyond them lines hide the map
_IN_PICTURE = 1500
_SHOWN = 10


class LatentMap(Panel):
    """Real texts in a plane, classes in colour, synthetic ones joined to their parents.

    Hover over a point to read it; draw around points (hold shift, or the lasso button) to
    select them; click on one real text and then on another to explore what lies between. Without a
    mouse: find a text by a word of it, go on to the next that has it, and take two of them.

    Parameters
    ----------
    texts : sequence of str
    labels : sequence, as long
    synthesis : Synthesis, optional
        New texts made from these, in this order; their larger points are joined to their
        parents'.
    encoder : Encoder, optional
        Default that of `shared_decoder`.
    decoder : XRAGDecoder, optional
        For the explorer; default `shared_decoder`.
    vectors : ndarray of float32, shape (n, d), optional
        The texts' vectors, if they are known.
    projection : {"pca", "umap"}, default="pca"
        ``"umap"`` needs the extra ``umap``.
    guards : Guards or bool, default=True
        The explorer's.

    Attributes
    ----------
    frame : DataFrame
        All points: text, label, kind ("real" or "synthetic"), x, y.
    selected : list of int
        Rows of `frame` that are selected; may be set.
    selection : DataFrame
        Those rows.
    explorer : InterpolationExplorer or None
        The one that two clicks opened.

    Examples
    --------
    >>> from smotext_lab import LatentMap
    >>> texts = ["Rain is due.", "Snow fell.", "Rates fell.", "Shares rose."]
    >>> latent = LatentMap(texts, ["weather", "weather", "money", "money"])
    >>> latent.selected = [0, 3]
    >>> latent.selection["text"].tolist()
    ['Rain is due.', 'Shares rose.']
    """

    selected = List(Int())

    def __init__(
        self,
        texts: Sequence[str],
        labels: Sequence[Any],
        synthesis: Synthesis | None = None,
        *,
        encoder: Any = None,
        decoder: Any = None,
        vectors: np.ndarray | None = None,
        projection: Literal["pca", "umap"] = "pca",
        guards: Guards | bool = True,
    ) -> None:
        super().__init__()
        texts, labels = [str(text) for text in texts], list(labels)
        if len(texts) != len(labels):
            msg = f"There are {len(labels)} labels for {len(texts)} texts."
            raise DataError(msg)
        if len(texts) < 3:
            msg = f"A map needs at least three texts, not {len(texts)}."
            raise DataError(msg)
        self._decoder, self._guards = decoder, guards
        self._encode = lambda rows: _encoded(rows, encoder, decoder)
        self.vectors = self._encode(texts) if vectors is None else np.asarray(vectors, np.float32)
        self.explorer: InterpolationExplorer | None = None
        self._from: int | None = None
        self.frame, self._lines = self._points(texts, labels, synthesis, projection)
        self._build()

    def _points(
        self,
        texts: list[str],
        labels: list[Any],
        synthesis: Synthesis | None,
        projection: str,
    ) -> tuple[pd.DataFrame, list[tuple[int, int]]]:
        """Return all points, and which of them are joined: (synthetic, parent)."""
        made = None if synthesis is None else synthesis.accepted
        new = [] if made is None else made["text"].tolist()
        new_vectors = self._encode(new) if new else self.vectors[:0]
        plane = _plane(projection)(self.vectors, new_vectors)
        kinds = ["real"] * len(texts) + ["synthetic"] * len(new)
        every = labels + ([] if made is None else made["label"].tolist())
        frame = pd.DataFrame({"text": texts + new, "label": every, "kind": kinds})
        frame[["x", "y"]] = np.concatenate(plane)
        lines = [] if made is None else _lines_of(made, len(texts))
        return frame, lines

    # -- what it shows ---------------------------------------------------------------------

    def _build(self) -> None:
        self._scatter = self._drawn()
        self._plot = self._scatter.widget
        self._plot.observe(self._plot_selected, "selection")
        self._plot.observe(self._hovered, "hovering")
        self._told = w.HTML(self._told_of(None))
        self._table = w.HTML()
        self._below = w.VBox()
        names = list(dict.fromkeys(map(str, self.frame["label"])))
        choice = w.Dropdown(options=[("select a class …", ""), *((spelt_out(n), n) for n in names)])
        choice.observe(lambda change: self._select_class(change["new"]), "value")
        clear = w.Button(description="Clear", tooltip="Select nothing")
        clear.on_click(lambda _: setattr(self, "selected", []))
        between = w.Button(description="Explore", tooltip="Between the first two selected texts")
        between.on_click(lambda _: self._explore_selected())
        self._word = w.Text(placeholder="find a text …", continuous_update=False)
        self._word.observe(lambda change: self.find(change["new"]), "value")
        further = w.Button(description="Next", tooltip="The next text with that word")
        further.on_click(lambda _: self.find(self._word.value))
        take = w.Button(description="Take", tooltip="The second text taken opens the explorer")
        take.on_click(lambda _: self._take())
        buttons = row(choice, clear, between, self._word, further, take, grow="0 0 auto")
        plot = self._scatter.show()
        plot.add_class("smotext-map")
        self._lay_out(plot, self._told, buttons, self._table, self._below)

    def _drawn(self) -> Any:
        import jscatter

        frame = self.frame
        shown = pd.DataFrame(
            {
                "x": frame["x"],
                "y": frame["y"],
                "class": pd.Categorical(class_names(frame["label"].tolist())),
                "kind": pd.Categorical(frame["kind"], categories=["real", "synthetic"]),
                "text": [spelt_out(text[:600]) for text in frame["text"]],
            }
        )
        names = shown["class"].cat.categories
        colours = {n: PALETTE[i] if i < len(PALETTE) else MUTED for i, n in enumerate(names)}
        base = 4 if len(frame) > 5000 else 7
        scatter = jscatter.Scatter(data=shown, x="x", y="y", height=420)
        scatter.color(by="class", map=colours)
        scatter.size(by="kind", map={"real": base, "synthetic": base + 5})
        scatter.opacity(unselected=0.2)
        scatter.axes(False)
        scatter.legend(True)
        scatter.tooltip(
            True,
            properties=["class", "kind"],
            preview="text",
            preview_type="text",
            histograms=False,
        )
        places = frame[["x", "y"]].to_numpy()
        scatter.annotations(
            [
                jscatter.Line([tuple(places[a]), tuple(places[b])], line_color=MUTED)
                for a, b in self._lines[:_MOST_LINES]
            ]
        )
        return scatter

    def _told_of(self, at: int | None) -> str:
        if at is None:
            n, new = len(self.frame), int((self.frame["kind"] == "synthetic").sum())
            told = f"{n - new:,} real texts" + (f", {new:,} synthetic" if new else "")
            told += "; click on two of them to explore between"
        else:
            told = f"<b>{inert(self.frame['label'][at])}</b> {shortened(self.frame['text'][at])}"
        return f'<div class="smotext-soft {INERT_CLASS}" style="min-height:3em">{told}</div>'

    # -- what it does ----------------------------------------------------------------------

    @property
    def selection(self) -> pd.DataFrame:
        """The selected rows of `frame`."""
        return self.frame.iloc[self.selected]

    @observe("selected")  # type: ignore[untyped-decorator]
    @told
    def _select(self, change: dict[str, Any]) -> None:
        wrong = [at for at in change["new"] if not 0 <= at < len(self.frame)]
        if wrong:
            msg = f"There is no row {wrong[0]} among the {len(self.frame):,} points."
            raise ParameterError(msg)
        self._scatter.selection(list(change["new"]))
        rows = self.selection[["text", "label", "kind"]]
        more = len(rows) - _SHOWN
        self._table.value = texts_table(
            rows.head(_SHOWN).astype({"label": str}),
            title=f"{len(rows):,} selected" if len(rows) else "",
            notes=[f"and {more:,} more in .selection"] if more > 0 else [],
        )

    @told
    def _plot_selected(self, change: dict[str, Any]) -> None:
        rows = (
            [] if change["new"] is None else [int(at) for at in np.asarray(change["new"]).ravel()]
        )
        if rows == self.selected:
            return
        self.selected = rows
        if len(rows) == 1:
            self._clicked(rows[0])

    def _hovered(self, change: dict[str, Any]) -> None:
        self._told.value = self._told_of(change["new"])

    def _select_class(self, name: str) -> None:
        if name:
            self.selected = np.flatnonzero(self.frame["label"].astype(str) == name).tolist()

    @told
    def find(self, words: str) -> int | None:
        """Select the next text that holds `words`, whatever their case.

        Parameters
        ----------
        words : str

        Returns
        -------
        int or None
            Its row of `frame`; None for no words.

        Raises
        ------
        DataError
            If no text holds them.
        """
        if not words:
            return None
        holds = self.frame["text"].str.contains(words, case=False, regex=False)
        rows = np.flatnonzero(holds)
        if not len(rows):
            msg = f"No text holds {words!r}."
            raise DataError(msg)
        last = self.selected[0] if len(self.selected) == 1 else -1
        at = int(rows[rows > last][0] if (rows > last).any() else rows[0])
        self.selected = [at]
        return at

    @told
    def _take(self) -> None:
        if len(self.selected) != 1:
            msg = "Find a text first: one is taken at a time."
            raise DataError(msg)
        self._clicked(self.selected[0])

    def _clicked(self, at: int) -> None:
        """Note a click; the second one on a text opens the explorer between the two."""
        before, self._from = self._from, at
        if before is not None and before != at:
            self.explore(before, at)

    @told
    def _explore_selected(self) -> None:
        if len(self.selected) < 2:
            msg = "Select two texts first: the explorer walks from one to the other."
            raise DataError(msg)
        self.explore(*self.selected[:2])

    @told
    def explore(self, start: int, end: int) -> InterpolationExplorer:
        """Open an explorer between two rows of `frame`, below the map.

        Parameters
        ----------
        start, end : int

        Returns
        -------
        InterpolationExplorer
            Also kept as `explorer`.
        """
        texts = self.frame["text"]
        if self.explorer is None:
            real = self.frame[self.frame["kind"] == "real"]
            self.explorer = InterpolationExplorer(
                real["text"].tolist(),
                real["label"].tolist(),
                decoder=self._decoder,
                vectors=self.vectors,
                start=texts[start],
                end=texts[end],
                guards=self._guards,
            )
            self._below.children = [self.explorer]
        else:
            with self.explorer.hold_trait_notifications():
                self.explorer.start, self.explorer.end = texts[start], texts[end]
        return self.explorer

    # -- how it is told --------------------------------------------------------------------

    def _summary(self) -> str:
        return f"{len(self.frame):,} points, {len(self.selected):,} selected"

    def _static_html(self) -> str:
        """Return the map as a picture, thinned where there are very many texts."""
        real = (self.frame["kind"] == "real").to_numpy()
        step = -(-int(real.sum()) // _IN_PICTURE)
        chart = vector_map(self.vectors[::step], self.frame["label"][real].tolist()[::step])
        picture = io.BytesIO()
        chart.save(picture, format="png")
        data = base64.b64encode(picture.getvalue()).decode()
        described = f"A map of {int(real.sum()):,} texts by class"
        return f'<img alt="{described}" src="data:image/png;base64,{data}">'


def _encoded(texts: Sequence[str], encoder: Any, decoder: Any) -> np.ndarray:
    from smotext_lab.equipment import equip

    reads, _ = (encoder, None) if encoder is not None else equip(None, decoder)
    clean = [encodable(text) for text in texts]
    return np.asarray(reads.encode(clean, progress=len(clean) > 1000), np.float32)


def _plane(projection: str) -> Any:
    """Return a function from vectors, and others, to their places in a plane."""
    if projection == "pca":
        return project
    if projection != "umap":
        msg = f"projection must be 'pca' or 'umap', not {projection!r}."
        raise ParameterError(msg)
    try:
        import umap
    except ImportError as error:
        msg = "projection='umap' needs umap-learn: pip install 'smotext-lab[umap]'."
        raise ParameterError(msg) from error

    def laid_out(vectors: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, ...]:
        learnt = umap.UMAP(metric="cosine", random_state=0).fit(vectors)
        placed = learnt.transform(others) if len(others) else np.zeros((0, 2))
        return np.asarray(learnt.embedding_), np.asarray(placed)

    return laid_out


def _lines_of(made: pd.DataFrame, first: int) -> list[tuple[int, int]]:
    """Return (synthetic point, parent) for every parent that weighs something."""
    return [
        (first + place, parent)
        for place, (parents, weights) in enumerate(
            zip(made["parents"], made["weights"], strict=True)
        )
        if parents is not None
        for parent, weight in zip(parents, weights, strict=True)
        if abs(weight) > 1e-9
    ]
