"""`InterpolationExplorer`: drag from one text to another and read what lies between."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import ipywidgets as w
import numpy as np
import pandas as pd
from traitlets import Enum, Float, Int, List, Unicode, observe

from smotext_lab.errors import DataError
from smotext_lab.guards import Guards
from smotext_lab.jupyter.widgets.panel import Panel, both_ways, row, told
from smotext_lab.jupyter.widgets.places import Finder, Found, Place, nearest
from smotext_lab.markup import INERT_CLASS, inert, shortened, texts_table
from smotext_lab.steering import Steering
from smotext_lab.surrogates import encodable

__all__ = ["InterpolationExplorer"]

_AT_ONCE = 64

_ASKED = (
    "start",
    "end",
    "lam",
    "blending",
    "third",
    "third_weight",
    "pinned",
    "banned",
    "length",
    "temperature",
    "random_state",
)
KEPT = (
    "text",
    "lambda",
    "cosine_to_target",
    "cosine_to_nearest_real",
    "nearest_real",
    *(name for name in _ASKED if name != "lam"),
)


class InterpolationExplorer(Panel):
    """Drag λ from one text to another; the text at each point is written as you look.

    Parameters
    ----------
    texts : sequence of str, optional
        Real texts, to start from and to compare with.
    labels : sequence, optional
        Their classes, shown beside them.
    decoder : XRAGDecoder, optional
        Default `shared_decoder`.
    vectors : ndarray of float32, shape (n, d), optional
        The texts' vectors; by default they are encoded beside, when the first text is written.
    start, end : str, optional
        The two texts; by default the first two of `texts`.
    guards : Guards or bool, default=True
        Of guards only `Guards.blocked_words` counts: a text with one of them is not shown, not
        even as a draft, unless a text that it is made from has one too. False: all are shown.
    **traits
        Any of the attributes below.

    Attributes
    ----------
    start, end : str
    lam : float
        λ: 0 at `start`, 1 at `end`.
    blending : {"lerp", "slerp"}
    third : str
        A third text; `third_weight` (-1 to 1) of its vector is added, or subtracted.
    pinned, banned : list of str
        Words that the text should, or should not, have; see `Steering`.
    length : int
        About how many words; 0: as the vector says.
    temperature : float
    random_state : int
    text : str
        What is written at λ; read-only.
    error : str
        What went wrong last; read-only.

    Examples
    --------
    >>> from smotext_lab import InterpolationExplorer
    >>> explorer = InterpolationExplorer(start="It rains.", end="Shares fell.", lam=0.5)
    >>> explorer.wait()
    >>> kept = explorer.keep()
    >>> len(explorer.kept), kept["lambda"]
    (1, 0.5)

    References
    ----------
    SMOTExT, arXiv 2505.13434, section 3: texts between the vectors of two texts.
    """

    start = Unicode("")
    end = Unicode("")
    lam = Float(0.5, min=0.0, max=1.0)
    blending = Enum(["lerp", "slerp"], default_value="lerp")
    third = Unicode("")
    third_weight = Float(0.0, min=-1.0, max=1.0)
    pinned = List(Unicode())
    banned = List(Unicode())
    length = Int(0, min=0)
    temperature = Float(0.7, min=0.0)
    random_state = Int(0, min=0)
    text = Unicode("", read_only=True)

    def __init__(
        self,
        texts: Sequence[str] | None = None,
        labels: Sequence[Any] | None = None,
        *,
        decoder: Any = None,
        vectors: np.ndarray | None = None,
        start: str | None = None,
        end: str | None = None,
        guards: Guards | bool = True,
        **traits: Any,
    ) -> None:
        super().__init__()
        self.texts = [str(text) for text in ([] if texts is None else texts)]
        self.labels = None if labels is None else list(labels)
        if self.labels is not None and len(self.labels) != len(self.texts):
            msg = f"There are {len(self.labels)} labels for {len(self.texts)} texts."
            raise DataError(msg)
        self._decoder, self._guards = decoder, guards
        self._vectors = np.zeros((0, 0), np.float32) if vectors is None else vectors
        self._finder: Finder | None = None
        self._ready = False
        self.found: Found | None = None
        self._kept: list[dict[str, Any]] = []
        firsts = [text for text in self.texts[:50] if text.strip()]
        given = {"start": start or (firsts[:1] or [""])[0], "end": end or (firsts[1:2] or [""])[0]}
        for name, value in {**given, **traits}.items():
            setattr(self, name, value)
        self._build()
        self._ready = True
        if self.start.strip() and self.end.strip():
            self._ask()

    # -- what it shows ---------------------------------------------------------------------

    def _build(self) -> None:
        slider = w.FloatSlider(
            description="λ", min=0, max=1, step=0.05, layout=w.Layout(width="100%")
        )
        both_ways(self, "lam", slider)
        self._written, self._facts, self._bars = w.HTML(), w.HTML(), w.HTML()
        self._strip = w.Select(options=[], rows=1, layout=w.Layout(width="100%", display="none"))
        self._strip.observe(self._jump, "value")
        keep = w.Button(description="Keep", icon="plus", tooltip="Add this text to kept")
        keep.on_click(lambda _: self.keep())
        steps = w.Button(description="Steps", tooltip="Write the whole way in steps")
        steps.on_click(lambda _: self.steps())
        self._kept_table = w.HTML()
        self._lay_out(
            row(self._end_box("start", "A"), self._end_box("end", "B")),
            slider,
            self._written,
            self._facts,
            row(keep, steps, grow="0 0 auto"),
            self._strip,
            row(self._bars, self._steering_box(), grow="1 1 260px"),
            self._kept_table,
        )

    def _end_box(self, name: str, sign: str) -> w.Widget:
        area = w.Textarea(rows=3, layout=w.Layout(width="auto"), continuous_update=False)
        area.placeholder = f"text {sign}"
        both_ways(self, name, area)
        parts: list[w.Widget] = [w.HTML(f"<b>{sign}</b>"), area]
        if self.texts:
            picker = w.BoundedIntText(
                description="take row",
                min=0,
                max=len(self.texts) - 1,
                layout=w.Layout(width="auto"),
            )
            if getattr(self, name) in self.texts[:50]:
                picker.value = self.texts.index(getattr(self, name))
            picker.observe(lambda change: self._pick(name, change["new"]), "value")
            parts.append(picker)
        return w.VBox(parts)

    def _steering_box(self) -> w.Widget:
        wide = w.Layout(width="auto")
        controls = {
            "pinned": w.TagsInput(placeholder="pin a word", allow_duplicates=False),
            "banned": w.TagsInput(placeholder="ban a word", allow_duplicates=False),
            "length": w.BoundedIntText(description="words", min=0, max=120, layout=wide),
            "third": w.Textarea(rows=2, placeholder="a third text", continuous_update=False),
            "third_weight": w.FloatSlider(description="× weight", min=-1, max=1, step=0.1),
            "blending": w.ToggleButtons(options=["lerp", "slerp"]),
            "temperature": w.FloatSlider(description="temp.", min=0, max=2, step=0.1),
            "random_state": w.BoundedIntText(description="seed", min=0, max=2**31 - 1),
        }
        for name, control in controls.items():
            control.layout.width = "auto"
            both_ways(self, name, control)
        box = w.Accordion([w.VBox(list(controls.values()))], titles=["Steer"])
        box.selected_index = None
        return box

    # -- what it does ----------------------------------------------------------------------

    @observe(*_ASKED)  # type: ignore[untyped-decorator]
    def _changed(self, _: Any) -> None:
        if self._ready:
            self._ask()

    @told
    def _ask(self) -> None:
        """Write the text of this place; what was being written is dropped."""
        place = self._place()
        self._work.submit(lambda cancelled: self._find(place, cancelled))

    def _place(self) -> Place:
        names = set(_ASKED) - {"pinned", "banned"}
        steering = Steering(tuple(self.pinned), tuple(self.banned))
        return Place(**{name: getattr(self, name) for name in names}, steering=steering)

    def _find(self, place: Place, cancelled: threading.Event) -> None:
        place.check()
        if self._finder is None:
            self._written.value = _written("The models are being loaded …", draft=True)
            self._finder = Finder(self._decoder or _shared(), self._guards)
        self._bars.value = _bars(self._finder.words(place))

        def show(text: str) -> None:
            if not cancelled.is_set():
                self._written.value = _written(text, draft=True)

        for found in self._finder.find(place, cancelled, show):
            if cancelled.is_set():
                return
            self.found = found
            self._written.value = _written(found.text, draft=not found.final)
            self._facts.value = self._told(found)
            self.set_trait("text", found.text)
        self._read_reals(cancelled)
        if self.found is not None and not cancelled.is_set():
            self._facts.value = self._told(self.found)

    def _read_reals(self, cancelled: threading.Event) -> None:
        """Encode the real texts a few at a time: many take minutes, and a dragged λ goes first."""
        finder = self._finder
        while finder and len(self._vectors) < len(self.texts) and not cancelled.is_set():
            few = self.texts[len(self._vectors) : len(self._vectors) + _AT_ONCE]
            made = finder.decoder.encoder.encode([encodable(text) for text in few])
            self._vectors = np.concatenate([self._vectors.reshape(-1, made.shape[1]), made])

    def _nearest(self, found: Found) -> tuple[int, float] | None:
        if not self.texts or len(self._vectors) < len(self.texts):
            return None
        return nearest(found.vector, self._vectors)

    @told
    def _pick(self, name: str, number: int) -> None:
        setattr(self, name, self.texts[number])

    def pick(self, start: int, end: int) -> None:
        """Take two of the real texts by their row numbers, as a click on the map does."""
        self.start, self.end = self.texts[start], self.texts[end]

    @told
    def keep(self) -> dict[str, Any]:
        """Add the text that is shown to `kept`; return its row.

        Raises
        ------
        DataError
            If nothing is written yet.
        """
        if self.found is None:
            msg = "Nothing is written yet: give two texts and wait for the one between."
            raise DataError(msg)
        place, near = self._place(), self._nearest(self.found)
        kept = {name: getattr(self, name) for name in KEPT if hasattr(self, name)} | {
            "text": self.found.text,
            "lambda": place.lam,
            "cosine_to_target": self.found.cosine,
            "cosine_to_nearest_real": near[1] if near else None,
            "nearest_real": near[0] if near else None,
        }
        self._kept.append({name: kept[name] for name in KEPT})
        shown = self.kept[["text", "lambda", "cosine_to_target"]].tail(10)
        self._kept_table.value = texts_table(shown, title=f"Kept: {len(self._kept)}")
        return self._kept[-1]

    @property
    def kept(self) -> pd.DataFrame:
        """The texts that were kept, with all that they were made with."""
        return pd.DataFrame(self._kept, columns=list(KEPT))

    @told
    def steps(self, n: int = 5) -> None:
        """Write `n` texts from `start` to `end`, to be chosen from below the text.

        Parameters
        ----------
        n : int, default=5
            At least 2; both ends are among them.
        """
        place = self._place()
        lambdas = [round(float(x), 4) for x in np.linspace(0, 1, n)]
        self._work.submit(lambda cancelled: self._walk(place, lambdas, cancelled))

    def _walk(self, place: Place, lambdas: list[float], cancelled: threading.Event) -> None:
        from dataclasses import replace

        self._finder = self._finder or Finder(self._decoder or _shared(), self._guards)
        self._strip.options = []
        self._strip.layout.display = "block"
        for lam in lambdas:
            found = list(self._finder.find(replace(place, lam=lam), cancelled, lambda _: None))
            if not found or cancelled.is_set():
                return
            with self._strip.hold_trait_notifications():
                line = f"λ = {lam:.2f}   {' '.join(found[-1].text.split())}"
                self._strip.options = [*self._strip.options, (line, lam)]
                self._strip.rows = len(self._strip.options)
        self._strip.value = min(lambdas, key=lambda lam: abs(lam - place.lam))

    def _jump(self, change: dict[str, Any]) -> None:
        if change["new"] is not None and not self._work.busy:
            self.lam = change["new"]

    # -- how it is told --------------------------------------------------------------------

    def _told(self, found: Found) -> str:
        near = self._nearest(found) if found.final else None
        parts = [f"cosine to target <b>{found.cosine:.2f}</b>"]
        if near is not None:
            name = "" if self.labels is None else f" ({inert(self.labels[near[0]])})"
            real = shortened(self.texts[near[0]], 120)
            parts.append(f"nearest real text <b>{near[1]:.2f}</b>{name}: {real}")
        elif found.final and self.texts:
            parts.append(f"{len(self._vectors):,} of {len(self.texts):,} real texts are read …")
        if not found.final:
            parts.append("looking for a nearer one …")
        return f'<div class="smotext-soft {INERT_CLASS}">{"<br>".join(parts)}</div>'

    def _summary(self) -> str:
        return f"λ={self.lam:.2f}, {len(self.texts):,} texts, {len(self._kept)} kept"

    def _static_html(self) -> str:
        now = [("A", self.start), (f"λ = {self.lam:.2f}", self.text), ("B", self.end)]
        frame = pd.DataFrame(now, columns=["", "text"])
        kept = texts_table(self.kept.iloc[:, :4], title="Kept") if self._kept else ""
        return texts_table(frame, title="InterpolationExplorer", given=[True, False, True]) + kept


def _shared() -> Any:
    from smotext_lab.equipment import shared_decoder

    return shared_decoder()


def _written(text: str, *, draft: bool) -> str:
    kind = " smotext-draft" if draft else ""
    return (
        f'<div class="smotext-written{kind} {INERT_CLASS}" aria-live="polite">{inert(text)}</div>'
    )


def _bars(words: Sequence[tuple[str, float]]) -> str:
    """Return words with a bar each, as long as the word is probable."""
    rows = "".join(
        f'<span>{inert(word)}</span><i style="width:{100 * share:.0f}%"></i>'
        f'<span class="smotext-soft">{share:.2f}</span>'
        for word, share in words
    )
    return f'<div class="smotext-bars {INERT_CLASS}">{rows}</div>'
