"""`SynthesisReview`: read synthetic texts beside their parents, and decide about each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as w
import numpy as np
import pandas as pd
from traitlets import Bool, Int, List, Unicode

from smotext_lab.errors import DataError, ParameterError, did_you_mean
from smotext_lab.jupyter.widgets.decisions import Decision, Decisions, name_of
from smotext_lab.jupyter.widgets.panel import Panel, row, told
from smotext_lab.markup import INERT_CLASS, spelt_out, texts_table
from smotext_lab.privacy.guarantee import stated_in
from smotext_lab.synthesis import Synthesis

__all__ = ["SynthesisReview"]

_HERE = Path(__file__).parent / "static"
_PAGE = 20
_LONGEST = 4000  # characters shown of one text
_WORD = re.compile(r"\w+(?:['’]\w+)*|\s+|[^\w\s]")
_VERDICTS = ("accepted", "rejected", "undecided")


class _Table(anywidget.AnyWidget):
    """One page of rows; it tells by messages what is done to them."""

    _esm = _HERE / "review.js"
    _css = _HERE / "review.css"
    rows = List().tag(sync=True)
    labels = List(Unicode()).tag(sync=True)
    cursor = Int(0).tag(sync=True)
    stays = Bool(True).tag(sync=True)  # whether a decided row fits the filters as before


class SynthesisReview(Panel):
    """Accept, reject, edit or relabel synthetic texts, with their parents beside them.

    Words that none of the parents has are marked, as are words of the parents that the text
    has not. Each decision is written to a file at once: after a restart of the kernel the
    same texts come with the same decisions.

    Parameters
    ----------
    synthesis : Synthesis
    path : path, optional
        Where decisions are kept; default ``smotext-review-….jsonl`` in the current folder,
        named after the texts. None of it is sent anywhere.
    by : str, optional
        Who decides; default the user's login name.
    rejected : bool, default=False
        Show what the guards rejected too, with the reason.

    Attributes
    ----------
    decisions : Decisions
    page : int
        From 0.

    Examples
    --------
    >>> import tempfile
    >>> from smotext_lab import Synthesis, SynthesisReview
    >>> made = Synthesis.from_rows(
    ...     [{"text": t, "label": "weather", "status": "accepted"} for t in ("Rain.", "Rian.")]
    ... )
    >>> review = SynthesisReview(made, path=tempfile.mkdtemp() + "/review.jsonl", by="Ada")
    >>> review.accept(0)
    >>> review.reject(1)
    >>> review.to_pandas()[["text", "decision", "decided_by"]].values.tolist()
    [['Rain.', 'accepted', 'Ada'], ['Rian.', 'rejected', 'Ada']]
    >>> len(review.synthesis())
    1
    """

    page = Int(0, min=0)

    def __init__(
        self,
        synthesis: Synthesis,
        *,
        path: str | Path | None = None,
        by: str | None = None,
        rejected: bool = False,
    ) -> None:
        super().__init__()
        self._source = synthesis
        frame = synthesis.frame if rejected else synthesis.accepted
        if frame.empty:
            msg = "There are no texts to review."
            raise DataError(msg)
        self.frame = frame
        self.decisions = Decisions(name_of(frame) if path is None else path, by)
        originals = synthesis.originals
        real = [] if originals is None else [originals[synthesis.label_column]]
        found = pd.concat([frame["label"], *real]).dropna().unique().tolist()
        self._labels = {str(label): label for label in sorted(found, key=str)}
        self._build()
        self.refresh()

    # -- deciding --------------------------------------------------------------------------

    @told
    def accept(self, at: int) -> None:
        """Accept the text of a row (its index in `Synthesis.frame`)."""
        self._decide(at, verdict="accepted")

    @told
    def reject(self, at: int) -> None:
        """Reject the text of a row."""
        self._decide(at, verdict="rejected")

    @told
    def edit(self, at: int, text: str) -> None:
        """Put another text in a row's place, and accept it."""
        if not text.strip():
            msg = "An edited text cannot be blank: reject the row instead."
            raise DataError(msg)
        own = text != self.frame.loc[self._known(at), "text"]
        self._decide(at, verdict="accepted", text=text if own else None)

    @told
    def relabel(self, at: int, label: Any) -> None:
        """Give a row another label, one of those among the texts."""
        name = str(label)
        if name not in self._labels:
            msg = f"There is no class {name!r}{did_you_mean(name, self._labels)} among the texts."
            raise ParameterError(msg)
        own = name != str(self.frame.loc[self._known(at), "label"])
        self._decide(at, label=name if own else None)

    @told
    def undo(self) -> None:
        """Take back the last decision."""
        at = self.decisions.undo()
        if at is not None:
            self.refresh()

    def _decide(self, at: int, **changes: Any) -> None:
        self.decisions.make(self._known(at), **changes)
        self.refresh()

    def _known(self, at: int) -> int:
        if at not in self.frame.index:
            msg = f"There is no row {at} in this review."
            raise DataError(msg)
        return int(at)

    # -- results ---------------------------------------------------------------------------

    def to_pandas(self) -> pd.DataFrame:
        """Return all rows with what was decided about them.

        Returns
        -------
        DataFrame
            The columns of `Synthesis`, with ``text`` and ``label`` as they stand now;
            ``decision``, ``decided_by``, ``decided_at``; and ``text_as_made`` and
            ``label_as_made``.
        """
        frame = self.frame.copy()
        stands = [self.decisions[at] for at in frame.index]
        frame["text_as_made"], frame["label_as_made"] = frame["text"], frame["label"]
        frame["text"] = [self._text(at) for at in frame.index]
        frame["label"] = [self._label(at) for at in frame.index]
        frame["decision"] = [d.verdict for d in stands]
        frame["decided_by"] = [d.by for d in stands]
        frame["decided_at"] = [d.at for d in stands]
        return frame

    def synthesis(self, *, undecided: bool = False) -> Synthesis:
        """Return the accepted texts as a result of their own.

        What a mechanism guaranteed does not hold for texts that somebody chose or edited: it is
        then in ``info["guarantee_before_review"]`` only, and nothing is stated.

        Parameters
        ----------
        undecided : bool, default=False
            Those that nobody decided about, too.
        """
        frame = self.to_pandas()
        kept = frame["decision"].eq("accepted") | (frame["decision"].eq("undecided") & undecided)
        rows = frame.loc[kept, list(self.frame.columns)].assign(status="accepted", reason=None)
        return Synthesis(
            rows,
            originals=self._source.originals,
            info={**self._provenance(), "reviewed": self.counts()},
            text_column=self._source.text_column,
            label_column=self._source.label_column,
        )

    def _provenance(self) -> dict[str, Any]:
        """Return the source's, without its guarantee once somebody has decided anything.

        Whoever decides may know the real texts, and what they choose or write no mechanism bounds.
        """
        info = dict(self._source.info)
        if not len(self.decisions) or not stated_in(info):
            return info
        stating = ("guarantee", "privacy", "parts")
        before = {name: info.pop(name) for name in stating if name in info}
        return info | {"guarantee_before_review": before}

    def counts(self) -> dict[str, int]:
        """Return how many texts are accepted, rejected and undecided."""
        stands: list[str] = [self.decisions[at].verdict for at in self.frame.index]
        return {verdict: stands.count(verdict) for verdict in _VERDICTS}

    def _text(self, at: int) -> str:
        edited = self.decisions[at].text
        return str(self.frame.loc[at, "text"]) if edited is None else edited

    def _label(self, at: int) -> Any:
        named = self.decisions[at].label
        return self.frame.loc[at, "label"] if named is None else self._labels[named]

    # -- what it shows ---------------------------------------------------------------------

    def _build(self) -> None:
        every = ("all", None)
        self._by_class = w.Dropdown(
            options=[every, *((spelt_out(name), name) for name in self._labels)],
            description="class",
        )
        self._by_verdict = w.Dropdown(
            options=[every, *((v, v) for v in _VERDICTS)], description="decision"
        )
        known = self.frame["cosine_to_target"].dropna()
        low = float(np.floor(known.min() * 20) / 20) if len(known) else 0.0
        self._by_cosine = w.FloatRangeSlider(
            value=(low, 1), min=low, max=1, step=0.05, description="cosine", disabled=known.empty
        )
        for control in (self._by_class, self._by_verdict, self._by_cosine):
            control.layout.width = "auto"
            control.observe(self._filtered, "value")
        self._table = _Table(labels=[spelt_out(name) for name in self._labels])
        self._table.on_msg(self._heard)
        self._told = w.HTML()
        pages = [w.Button(description=name, layout=w.Layout(width="auto")) for name in ("‹", "›")]
        for button, step in zip(pages, (-1, 1), strict=True):
            button.on_click(lambda _, step=step: self._turn(step))
        undo = w.Button(description="Undo", icon="undo", layout=w.Layout(width="auto"))
        undo.on_click(lambda _: self.undo())
        self._lay_out(
            row(self._by_class, self._by_verdict, self._by_cosine),
            self._table,
            row(*pages, undo, self._told, grow="0 0 auto"),
        )

    def _filtered(self, _: Any) -> None:
        self.page = 0
        self._table.cursor = 0
        self.refresh()

    def _turn(self, step: int) -> None:
        last = max(0, -(-len(self._chosen()) // _PAGE) - 1)
        self.page = min(last, max(0, self.page + step))
        self._table.cursor = 0
        self.refresh()

    def _chosen(self) -> list[int]:
        """Return the index of the rows that the filters let through."""
        low, high = self._by_cosine.value
        cosine = self.frame["cosine_to_target"]
        fits = cosine.isna() | cosine.between(low - 1e-9, high + 1e-9)
        return [
            at
            for at in self.frame.index[fits]
            if self._by_class.value in (None, str(self._label(at)))
            and self._by_verdict.value in (None, self.decisions[at].verdict)
        ]

    def refresh(self) -> None:
        """Show what stands now."""
        chosen = self._chosen()
        self.page = min(self.page, max(0, -(-len(chosen) // _PAGE) - 1))
        shown = chosen[self.page * _PAGE : (self.page + 1) * _PAGE]
        self._table.stays = self._by_verdict.value is None
        names = list(self._labels)
        self._table.rows = [self._row(at, names) for at in shown]
        counts = ", ".join(f"{n:,} {verdict}" for verdict, n in self.counts().items() if n)
        first = self.page * _PAGE + 1 if shown else 0
        where = f"{first:,} to {first + len(shown) - 1:,} of {len(chosen):,}" if shown else "none"
        self._told.value = f'<span class="smotext-soft {INERT_CLASS}">{where} · {counts}</span>'

    def _row(self, at: int, names: Sequence[str]) -> dict[str, Any]:
        made = self.frame.iloc[self.frame.index.get_loc(at)]
        decision, text = self.decisions[at], self._text(at)
        parents = self._parents(made)
        theirs = {word.lower() for parent in parents for word in _WORD.findall(parent["text"])}
        own = {word.lower() for word in _WORD.findall(text)}
        return {
            "id": int(at),
            "text": text,
            "segments": _segments(text, theirs if parents else None),
            "label": names.index(str(self._label(at))),
            "decision": decision.verdict,
            "facts": _facts(made, decision),
            "parents": [
                {"facts": p["facts"], "segments": _segments(p["text"], own)} for p in parents
            ],
        }

    def _parents(self, made: Any) -> list[dict[str, str]]:
        originals = self._source.originals
        if originals is None or made["parents"] is None:
            return []
        found = []
        for parent, weight in zip(made["parents"], made["weights"], strict=True):
            real = originals.iloc[parent]
            label = spelt_out(real[self._source.label_column])
            text = str(real[self._source.text_column])
            found.append({"text": text, "facts": f"{weight:.2f} {label}:"})
        return found

    @told
    def _act(self, message: Mapping[str, Any]) -> None:
        action, at = message.get("action"), message.get("id")
        if action == "undo":
            self.undo()
        elif action in ("forward", "back"):
            self._turn(1 if action == "forward" else -1)
        elif at is not None:
            self._act_on(str(action), int(at), message)

    def _act_on(self, action: str, at: int, message: Mapping[str, Any]) -> None:
        if action == "edit":
            self.edit(at, str(message["text"]))
        elif action == "relabel":
            self.relabel(at, list(self._labels)[int(message["label"])])
        elif action in ("accept", "reject"):
            getattr(self, action)(at)

    def _heard(self, _: Any, message: Mapping[str, Any], __: Any) -> None:
        self._act(message)

    def _summary(self) -> str:
        return ", ".join(f"{n:,} {verdict}" for verdict, n in self.counts().items())

    def _static_html(self) -> str:
        rows = self.to_pandas()[["text", "label", "decision"]].head(_PAGE)
        return texts_table(rows, title=f"SynthesisReview: {self._summary()}")


def _segments(text: str, known: set[str] | None) -> list[list[Any]]:
    """Return `text` in parts, with whether they are words that `known` lacks."""
    shown, more = text[:_LONGEST], len(text) - _LONGEST
    parts: list[list[Any]] = []
    for word in _WORD.findall(shown):
        marked = known is not None and word[0].isalnum() and word.lower() not in known
        if parts and (parts[-1][1] == marked or not word.strip()):
            parts[-1][0] += spelt_out(word)
        else:
            parts.append([spelt_out(word), marked])
    if more > 0:
        parts.append([f"… ({more:,} more characters)", False])
    return parts


def _facts(made: Any, decision: Decision) -> str:
    facts = []
    for name, column in (("cosine", "cosine_to_target"), ("p(label)", "label_probability")):
        if pd.notna(made[column]):
            facts.append(f"{name} {made[column]:.2f}")
    if made["reason"]:
        facts.append(f"guards: {spelt_out(made['reason'])}")
    changed = [n for n in ("text", "label") if getattr(decision, n) is not None]
    facts += [f"{' and '.join(changed)} changed"] if changed else []
    facts += [f"by {spelt_out(decision.by)}"] if decision.by else []
    return " · ".join(facts)
