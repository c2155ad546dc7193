"""`ReportForm`: a report template's parameters as a form, its run, and what it found."""

from __future__ import annotations

import codecs
import io
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ipywidgets as w
import pandas as pd
from traitlets import Dict, Enum, Unicode, observe

from smotext_lab.errors import ReportError
from smotext_lab.jupyter.widgets.panel import Panel, row, told
from smotext_lab.markup import INERT_CLASS, inert, texts_table
from smotext_lab.reports import Report, shell_value
from smotext_lab.reports.parameters import (
    Parameter,
    checked_parameters,
    parse_parameters,
    template_parameters,
    template_path,
)

__all__ = ["ReportForm"]

_PATIENCE = 5  # seconds
_DONE = re.compile(r"(\d+)/(\d+) \[")  # of papermill's bar


class ReportForm(Panel):
    """Fill in a report template's parameters, run it, and read the page.

    The report runs in a process of its own: the kernel stays free, and it can be stopped.

    Parameters
    ----------
    template : str
        A name from `smotext_lab.reports.templates`, or the path of a notebook.
    parameters : mapping, optional
        Values to begin with; names that are no parameters are passed over, so that the
        notebook's own names (``globals()``) may be given.
    out : str, default="out"
        The folder to write to.

    Attributes
    ----------
    parameters : dict
        All parameters with their values; may be set.
    out : str
    state : {"idle", "running", "done", "failed"}
        Read-only.
    report : Report or None
    metrics : DataFrame
        The figures of ``metrics.json``.

    Examples
    --------
    >>> from smotext_lab import ReportForm
    >>> form = ReportForm("qualitative", {"n": 3})
    >>> form.parameters["n"], form.state
    (3, 'idle')
    >>> form.run().wait()  # doctest: +SKIP
    """

    parameters = Dict()
    out = Unicode("out")
    state = Enum(["idle", "running", "done", "failed"], default_value="idle", read_only=True)

    def __init__(
        self,
        template: str = "qualitative",
        parameters: Mapping[str, Any] | None = None,
        out: str = "out",
    ) -> None:
        super().__init__()
        self.template = template
        self.path = template_path(template)
        self._known = {p.name: p for p in template_parameters(template)}
        self.report: Report | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._build(out)
        given = {n: v for n, v in (parameters or {}).items() if n in self._known}
        self.parameters = {n: p.default for n, p in self._known.items()} | given
        self.out = out

    # -- what it shows ---------------------------------------------------------------------

    def _build(self, out: str) -> None:
        self._fields = {name: _field(parameter) for name, parameter in self._known.items()}
        for name, field in self._fields.items():
            field.observe(lambda change, name=name: self._typed(name, change["new"]), "value")
        lines = [row(self._named(p), self._fields[p.name]) for p in self._known.values()]
        folder = w.Text(out, continuous_update=False, layout=w.Layout(width="auto"))
        folder.observe(lambda change: setattr(self, "out", change["new"]), "value")
        self._folder = folder
        words = '<code>out</code> <span class="smotext-soft">folder for the page</span>'
        self._run_button = w.Button(description="Run", icon="play", layout=w.Layout(width="auto"))
        self._run_button.on_click(lambda _: self.run())
        self._stop_button = w.Button(description="Stop", icon="stop", disabled=True)
        self._stop_button.on_click(lambda _: self.stop())
        self._stop_button.layout.width = "auto"
        self._bar = w.IntProgress(min=0, max=1, layout=w.Layout(visibility="hidden"))
        self._said = w.HTML()
        self._link, self._page, self._figures = w.Output(), w.HTML(), w.HTML()
        self._lay_out(
            w.VBox([*lines, row(w.HTML(words), folder)]),
            row(self._run_button, self._stop_button, self._bar, self._said, grow="0 0 auto"),
            self._link,
            self._figures,
            self._page,
        )

    def _named(self, parameter: Parameter) -> w.HTML:
        about = f"{inert(parameter.help)} · {inert(parameter.type)}" if parameter.help else ""
        return w.HTML(
            f'<div class="{INERT_CLASS}"><code>{inert(parameter.name)}</code> '
            f'<span class="smotext-soft">{about or inert(parameter.type)}</span></div>'
        )

    # -- parameters ------------------------------------------------------------------------

    @told
    def _typed(self, name: str, value: Any) -> None:
        """Take what was typed into a field."""
        if isinstance(value, str):
            value = parse_parameters(self.template, [f"{name}={value}"])[name]
        if self.parameters[name] != value:
            self.parameters = {**self.parameters, name: value}

    @observe("parameters")  # type: ignore[untyped-decorator]
    @told
    def _set(self, change: Mapping[str, Any]) -> None:
        checked_parameters(self.template, change["new"])
        for name, value in change["new"].items():
            field = self._fields[name]
            shown = value if isinstance(field, w.Checkbox) else shell_value(value)
            if field.value != shown:
                field.value = shown

    @observe("out")  # type: ignore[untyped-decorator]
    def _moved(self, change: Mapping[str, Any]) -> None:
        self._folder.value = change["new"]

    def _changed(self) -> dict[str, Any]:
        """Return the parameters that are not the template's own."""
        own = {name: p.default for name, p in self._known.items()}
        return {n: v for n, v in self.parameters.items() if v != own.get(n)}

    # -- running ---------------------------------------------------------------------------

    @told
    def run(self) -> ReportForm:
        """Begin to run the report; `wait` waits for it.

        Returns
        -------
        ReportForm
            Itself.

        Raises
        ------
        ReportError
            If it is running already.
        """
        if self.state == "running":
            msg = "The report is running: stop it first."
            raise ReportError(msg)
        changed = checked_parameters(self.template, self._changed())
        self.report = None
        self._told_state("running", "starting …")
        self._work.submit(lambda _: self._execute(changed))
        return self

    def stop(self) -> None:
        """Stop the report; what had run is kept as ``.failed.ipynb`` in `out`."""
        process = self._process
        if process is not None:
            process.send_signal(signal.SIGINT)
            # where interrupts are ignored (a server started with nohup), it is ended
            threading.Timer(_PATIENCE, process.terminate).start()

    def close(self) -> None:
        """Stop the report, and take the widget off the page."""
        self.stop()
        super().close()

    def _execute(self, changed: Mapping[str, Any]) -> None:
        command = [sys.executable, "-m", "smotext_lab", "report", str(self.template)]
        for name, value in changed.items():
            command += ["-p", f"{name}={shell_value(value)}"]
        command += ["--out", self.out, "--progress"]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(  # noqa: S603 - our own program, no shell
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
        )
        said = self._listen(self._process)
        code, self._process = self._process.wait(), None
        if code:
            self._told_state("failed", "failed")
            raise ReportError(said or f"The report ended with code {code}.")
        self._show(Path(self.out))

    def _listen(self, process: subprocess.Popen[bytes]) -> str:
        """Follow the report's bar; return the last sentence that was no part of it."""
        assert isinstance(process.stderr, io.BufferedReader)  # noqa: S101 - it is a pipe
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        said = rest = ""
        while chunk := process.stderr.read1():
            *ended, rest = re.split(r"[\r\n]", rest + decode(chunk))
            said = self._sentence_among(ended) or said
            # a bar begins its lines with a carriage return: its newest state has no end yet
            self._sentence_among([rest])
        return self._sentence_among([rest]) or said

    def _sentence_among(self, lines: list[str]) -> str:
        """Show the bar's state where a line tells it; return the last of the other lines."""
        said = ""
        for line in lines:
            if found := _DONE.search(line):
                done, cells = map(int, found.groups())
                self._bar.max, self._bar.value = cells, done
                self._said.value = f'<span class="smotext-soft">cell {done} of {cells}</span>'
            else:
                said = line.strip().removeprefix("Error: ") or said
        return said

    def _show(self, out: Path) -> None:
        import json

        files = [out / f"{self.path.stem}.{end}" for end in ("ipynb", "html")]
        figures = out / "metrics.json"
        metrics = json.loads(figures.read_text(encoding="utf-8"))
        self.report = Report(files[0], files[1], metrics, figures)
        self._link.outputs = ()
        self._link.append_display_data(self.report)
        self._figures.value = texts_table(self.metrics, title="metrics.json")
        page = files[1].read_text(encoding="utf-8")
        escaped = page.replace("&", "&amp;").replace('"', "&quot;")
        # the page is drawn already: no script of it need run, and none can
        self._page.value = (
            f'<iframe sandbox="" title="the report" srcdoc="{escaped}" '
            'style="width:100%;height:720px;border:1px solid var(--jp-border-color2,gray);'
            'background:white"></iframe>'
        )
        self._told_state("done", "done")

    def _told_state(self, state: str, words: str) -> None:
        self.set_trait("state", state)
        self._run_button.disabled = state == "running"
        self._stop_button.disabled = state != "running"
        self._bar.layout.visibility = "visible" if state == "running" else "hidden"
        self._bar.value = 0
        self._said.value = f'<span class="smotext-soft">{words}</span>'

    @property
    def metrics(self) -> pd.DataFrame:
        """The report's figures, one a row; empty before it has run."""
        figures = {} if self.report is None else self.report.metrics
        return pd.DataFrame(figures.items(), columns=["metric", "value"])

    def _summary(self) -> str:
        return f"{self.template!r}, {self.state}"

    def _static_html(self) -> str:
        rows = [
            (p.name, shell_value(self.parameters[p.name]), p.help) for p in self._known.values()
        ]
        frame = pd.DataFrame(rows, columns=["parameter", "value", "about"])
        return texts_table(frame, title=f"Report: {self.template}")


def _field(parameter: Parameter) -> w.Widget:
    wide = w.Layout(width="auto")
    if parameter.type == "bool":
        return w.Checkbox(value=bool(parameter.default), indent=False, layout=wide)
    return w.Text(shell_value(parameter.default), continuous_update=False, layout=wide)
