"""`ClassBalance`: how many new texts each class is to get, and their making."""

from __future__ import annotations

import copy
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets as w
import pandas as pd
from traitlets import Dict, Enum, observe

from smotext_lab.errors import DataError, ParameterError
from smotext_lab.jupyter.widgets.panel import Panel, row, told
from smotext_lab.markup import INERT_CLASS, inert, texts_table
from smotext_lab.synthesis import Synthesis

__all__ = ["ClassBalance"]

_STRATEGIES = ("auto", "minority", "not minority", "not majority", "all")
_TRIED = 8  # texts that an estimate of the time is made from


class ClassBalance(Panel):
    """Set how many texts each class is to have, and let the missing ones be written.

    Parameters
    ----------
    texts : sequence of str
    labels : sequence, as long
    sampler : SMOTExT, optional
        Who writes; default ``SMOTExT()``. Its own strategy and bars are not used.
    sampling_strategy : str, dict or float, default="auto"
        As in imbalanced-learn: where `targets` begin.

    Attributes
    ----------
    targets : dict of label -> int
        How many texts each class is to have in the end.
    state : {"idle", "running", "paused"}
        Read-only.
    result : Synthesis or None
        The new texts of the last run, or of as much of it as was not stopped.
    progress : DataFrame
        For each class: real, target, accepted, rejected.

    Examples
    --------
    >>> from smotext_lab import ClassBalance, SMOTExT
    >>> texts = ["Rain is due.", "Snow fell.", "The wind drops.", "Rates fell.", "Shares rose."]
    >>> sampler = SMOTExT(k_neighbors=1, random_state=0, guards=False)
    >>> balance = ClassBalance(texts, ["weather"] * 3 + ["money"] * 2, sampler=sampler)
    >>> balance.targets
    {'weather': 3, 'money': 3}
    >>> balance.run()
    >>> balance.wait()
    >>> len(balance.result)
    1
    """

    targets = Dict()
    state = Enum(["idle", "running", "paused"], default_value="idle", read_only=True)

    def __init__(
        self,
        texts: Sequence[str],
        labels: Sequence[Any],
        *,
        sampler: Any = None,
        sampling_strategy: Any = "auto",
    ) -> None:
        super().__init__()
        self.frame = pd.DataFrame({"text": list(texts), "label": list(labels)})
        if self.frame.empty:
            msg = "There are no texts to balance."
            raise DataError(msg)
        self.counts: dict[Any, int] = self.frame["label"].value_counts().to_dict()
        self._sampler = sampler
        self.result: Synthesis | None = None
        self._made: Counter[tuple[Any, str]] = Counter()
        self._reasons: Counter[str] = Counter()
        self._go, self._stop = threading.Event(), threading.Event()
        self._rate: float | None = None  # seconds a decoded text
        self._build()
        self.targets = self._targets_of(sampling_strategy)
        self._show()

    # -- what it shows ---------------------------------------------------------------------

    def _build(self) -> None:
        most = max(self.counts.values())
        self._sliders: dict[Any, w.IntSlider] = {}
        self._bars: dict[Any, w.HTML] = {}
        lines = []
        for label, count in self.counts.items():
            slider = w.IntSlider(min=count, max=max(2 * most, count + 10), value=count)
            slider.layout.width = "auto"
            slider.observe(lambda change, label=label: self._turned(label, change["new"]), "value")
            self._sliders[label], self._bars[label] = slider, w.HTML()
            lines.append(row(self._bars[label], slider, grow="1 1 240px"))
        self._choice = w.Dropdown(options=_STRATEGIES, description="strategy")
        self._choice.observe(lambda change: self.set_strategy(change["new"]), "value")
        self._buttons = {
            name: w.Button(description=name.capitalize(), icon=icon, layout=w.Layout(width="auto"))
            for name, icon in (("run", "play"), ("pause", "pause"), ("stop", "stop"))
        }
        for name, button in self._buttons.items():
            button.on_click(lambda _, name=name: getattr(self, name)())
        estimate = w.Button(description="Estimate", tooltip=f"Write {_TRIED} texts and see")
        estimate.on_click(lambda _: self.estimate())
        self._told = w.HTML()
        self._table = w.HTML()
        classes = w.VBox(lines, layout=w.Layout(max_height="420px", overflow="hidden auto"))
        self._lay_out(
            self._choice,
            classes,
            row(*self._buttons.values(), estimate, grow="0 0 auto"),
            self._told,
            self._table,
        )

    def _show(self) -> None:
        most = max(1, *self.counts.values(), *self.targets.values())
        for label, bar in self._bars.items():
            bar.value = self._bar(label, most)
        idle = self.state == "idle"
        self._buttons["run"].disabled = self.state == "running" or (idle and not self._missing())
        self._buttons["pause"].disabled = self.state != "running"
        self._buttons["stop"].disabled = idle
        self._told.value = f'<div class="smotext-soft {INERT_CLASS}">{self._status()}</div>'

    def _bar(self, label: Any, most: int) -> str:
        count, target = self.counts[label], self.targets.get(label, self.counts[label])
        made, refused = self._made[label, "accepted"], self._made[label, "rejected"]
        parts = [(count, 1.0), (min(made, target - count), 0.6), (target - count - made, 0.2)]
        bars = "".join(
            f'<i style="display:inline-block;height:10px;opacity:{opacity};'
            f"width:{100 * max(0, part) / most:.2f}%;"
            'background:var(--jp-brand-color1,#1976d2)"></i>'
            for part, opacity in parts
        )
        numbers = f"{count:,}" + (f" + {target - count:,}" if target > count else "")
        done = f" · {made:,} written" + (f", {refused:,} refused" if refused else "")
        numbers += done if made or refused else ""
        return (
            f'<div class="{INERT_CLASS}">{inert(label)} <span class="smotext-soft">{numbers}</span>'
            f'<div style="white-space:nowrap;line-height:0;font-size:0">{bars}</div></div>'
        )

    def _status(self) -> str:
        missing = self._missing()
        done = sum(n for (_, status), n in self._made.items() if status == "accepted")
        parts = [f"{missing:,} new texts are wanted"]
        if self.state != "idle":
            parts = [f"{self.state}: {done:,} of {missing:,} written"]
        elif self.result is not None:
            parts = [f"{len(self.result):,} new texts are in .result"]
        if self._rate is not None and missing > done:
            parts.append(f"about {_duration(self._rate * (missing - done))} to go")
        refused = ", ".join(f"{inert(kind)} {n:,}" for kind, n in self._reasons.most_common(5))
        return "; ".join(parts) + (f"<br>refused: {refused}" if refused else "")

    # -- what it does ----------------------------------------------------------------------

    @told
    def set_strategy(self, sampling_strategy: Any) -> None:
        """Set `targets` as a sampling strategy of imbalanced-learn has it."""
        self.targets = self._targets_of(sampling_strategy)

    def _targets_of(self, sampling_strategy: Any) -> dict[Any, int]:
        from smotext_lab.sampler.counts import by_strategy

        if len(self.counts) == 1 and sampling_strategy == "auto":
            return dict(self.counts)
        more = by_strategy(sampling_strategy, self.frame["label"].to_numpy())
        return {label: int(n + more.get(label, 0)) for label, n in self.counts.items()}

    def _turned(self, label: Any, target: int) -> None:
        if self.targets.get(label) != target:
            self.targets = {**self.targets, label: target}

    @observe("targets")  # type: ignore[untyped-decorator]
    @told
    def _retargeted(self, change: Mapping[str, Any]) -> None:
        for label, target in change["new"].items():
            if label not in self.counts:
                msg = f"There is no class {label!r} among the labels."
                raise ParameterError(msg)
            if target < self.counts[label]:
                msg = f"{label!r} has {self.counts[label]:,} texts: a target of {target:,} is less."
                raise ParameterError(msg)
            slider = self._sliders[label]
            slider.max = max(slider.max, target)
            slider.value = target
        self._show()

    def _missing(self) -> int:
        return sum(self.targets.values()) - sum(self.counts[label] for label in self.targets)

    @told
    def run(self) -> None:
        """Begin to write what is missing, or go on after `pause`."""
        if self.state == "paused":
            self.set_trait("state", "running")
            self._go.set()
            self._show()
            return
        if self.state == "running":
            return
        wanted = {label: n - self.counts[label] for label, n in self.targets.items()}
        if not any(wanted.values()):
            msg = "No class lacks a text: set a target above what it has."
            raise DataError(msg)
        self._made.clear()
        self._reasons.clear()
        self._stop.clear()
        self._go.set()
        self.set_trait("state", "running")
        self._show()
        self._work.submit(lambda _: self._write(wanted))

    def pause(self) -> None:
        """Hold after the texts that are being written; `run` goes on."""
        if self.state == "running":
            self._go.clear()
            self.set_trait("state", "paused")
            self._show()

    def stop(self) -> None:
        """End after the texts that are being written; what is finished is in `result`."""
        self._stop.set()
        self._go.set()

    def close(self) -> None:
        """Stop, and take the widget off the page."""
        self.stop()
        super().close()

    def _write(self, wanted: dict[Any, int]) -> None:
        sampler = self._own_sampler()
        began, decoded = time.monotonic(), 0

        def watch(records: list[dict[str, Any]]) -> None:
            nonlocal decoded, began
            decoded += len(records)
            for record in records:
                self._made[record["label"], record["status"]] += 1
                if record["reason"]:
                    self._reasons[record["reason"].partition(":")[0]] += 1
            accepted = sum(n for (_, status), n in self._made.items() if status == "accepted")
            self._rate = (time.monotonic() - began) / max(1, accepted)
            self._show()
            if not self._go.is_set():
                held = time.monotonic()
                self._go.wait()
                began += time.monotonic() - held
            if self._stop.is_set():
                raise KeyboardInterrupt

        try:
            self.result = sampler.generate(
                self.frame["text"], self.frame["label"], wanted, watch=watch
            )
        except KeyboardInterrupt:
            self.result = sampler.synthesis_  # stopped before one was accepted
        finally:
            self.set_trait("state", "idle")
            self._show()
        self._table.value = self.result._repr_html_()

    def _own_sampler(self) -> Any:
        from smotext_lab.sampler import SMOTExT

        sampler = copy.copy(self._sampler or SMOTExT())
        sampler.progress = False
        if sampler.decoder is None and sampler.encoder is None:
            from smotext_lab.equipment import shared_decoder

            # few at a time: pause and stop are heard between two batches
            sampler.decoder = shared_decoder(batch_size=32)
        return sampler

    @told
    def estimate(self) -> None:
        """Write a few texts, to see how long what is missing will take."""
        wanted = {label: n - self.counts[label] for label, n in self.targets.items()}
        wanted = {label: n for label, n in wanted.items() if n}
        if self.state == "idle" and wanted:
            self._work.submit(lambda _: self._try(wanted))

    def _try(self, wanted: dict[Any, int]) -> None:
        sampler = self._own_sampler()
        few = dict.fromkeys(wanted, max(1, _TRIED // len(wanted)))
        few = dict(list(few.items())[:_TRIED])
        sampler.generate(self.frame["text"], self.frame["label"], dict.fromkeys(list(few)[:1], 1))
        began = time.monotonic()  # by now the models are loaded
        sampler.max_attempts = sampler.max_blends = 1
        made = sampler.generate(self.frame["text"], self.frame["label"], few)
        self._rate = (time.monotonic() - began) / max(1, len(made))
        self._show()

    # -- how it is told --------------------------------------------------------------------

    @property
    def progress(self) -> pd.DataFrame:
        """For each class: real texts, target, and what was accepted and rejected."""
        rows = [
            {
                "label": label,
                "real": count,
                "target": self.targets.get(label, count),
                "accepted": self._made[label, "accepted"],
                "rejected": self._made[label, "rejected"],
            }
            for label, count in self.counts.items()
        ]
        return pd.DataFrame(rows)

    def _summary(self) -> str:
        return f"{len(self.counts)} classes, {self._missing():,} new texts wanted, {self.state}"

    def _static_html(self) -> str:
        made = "" if self.result is None else self.result._repr_html_()
        return texts_table(self.progress.astype({"label": str}), title="ClassBalance") + made


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} seconds"
    if seconds < 5400:
        return f"{round(seconds / 60)} minutes"
    return f"{seconds / 3600:.1f} hours"
