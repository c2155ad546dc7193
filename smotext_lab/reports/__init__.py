"""Reports: run a template through papermill, read its figures, export a page.

A template is a notebook with a cell tagged ``parameters``. `run_report` checks the
parameters, runs the notebook in a kernel of the running interpreter, and leaves three
files: the executed notebook, one HTML page that needs no network, and ``metrics.json``; a
table that the notebook leaves (`leave_table`) becomes a Parquet file beside them. A file gets
its name only when it is whole.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import math
import os
import shlex
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from smotext_lab._version import __version__
from smotext_lab.errors import ParameterError, ReportError
from smotext_lab.reports.parameters import (
    Parameter,
    checked_parameters,
    parse_parameters,
    template_parameters,
    template_path,
    templates,
)
from smotext_lab.reports.tables import leave_table, taken

__all__ = [
    "METRICS_MIME",
    "Parameter",
    "Report",
    "headline",
    "leave_table",
    "parse_parameters",
    "read_metrics",
    "record",
    "run_report",
    "shell_value",
    "template_parameters",
    "template_path",
    "templates",
]

METRICS_MIME = "application/vnd.smotext-lab.metrics+json"


@dataclass(frozen=True)
class Report:
    """What a finished report left behind.

    Attributes
    ----------
    notebook, html, metrics_path : Path
        The executed notebook, the page, and the figures as a flat JSON object.
    metrics : dict
        The figures, the headline first.
    tables : tuple of Path
        What the notebook left with `leave_table`.
    """

    notebook: Path
    html: Path
    metrics: dict[str, Any]
    metrics_path: Path
    tables: tuple[Path, ...] = ()

    def _repr_html_(self) -> str:
        from smotext_lab.reports.page import links

        return links(self)


def run_report(
    template: str | Path = "qualitative",
    parameters: Mapping[str, Any] | None = None,
    out: str | Path = "out",
    *,
    kernel_name: str | None = None,
    progress: bool = True,
) -> Report:
    """Run a report template and keep the notebook, a page that opens offline, and its figures.

    Parameters
    ----------
    template : str or Path, default="qualitative"
        A name from `templates`, or the path of a notebook of your own.
    parameters : mapping, optional
        Values for the template's parameters (see `template_parameters`); the others keep
        the defaults written in the template.
    out : str or Path, default="out"
        The folder to write to; it is made where it is missing.
    kernel_name : str, optional
        An installed Jupyter kernel to run in. By default the interpreter that calls this
        function, whatever kernels are installed.
    progress : bool, default=True
        Whether to show a progress bar, one step per cell.

    Returns
    -------
    Report

    Raises
    ------
    ParameterError
        If a parameter is unknown or has a value of the wrong type.
    ReportError
        If the template is not found, a cell fails, or `out` cannot be written. Where a cell
        failed, the notebook up to there is kept as ``<template>.failed.ipynb`` in `out`.

    Examples
    --------
    >>> from smotext_lab import run_report
    >>> report = run_report("qualitative", {"n": 2}, out="out")  # doctest: +SKIP
    >>> next(iter(report.metrics))  # doctest: +SKIP
    'mean_cosine_halfway'
    """
    import nbformat

    from smotext_lab.reports.page import page

    path = template_path(template)
    given = checked_parameters(template, parameters)
    folder = _output_folder(Path(out), path)
    notebook = _execute(path, given, folder, kernel_name, progress=progress)
    notebook.cells.append(
        nbformat.v4.new_markdown_cell(
            _colophon(str(template), given, str(out)), metadata={"tags": ["colophon"]}
        )
    )
    metrics = _metrics(notebook)
    tables = taken(notebook)  # files of their own, not a part of the notebook
    files: dict[Path, str | bytes] = {
        folder / f"{path.stem}.ipynb": nbformat.writes(notebook),
        folder / f"{path.stem}.html": page(notebook, path.stem),
        folder / "metrics.json": json.dumps(metrics, indent=2, ensure_ascii=False) + "\n",
        **{folder / name: content for name, content in tables.items()},
    }
    _write_all(files)
    (folder / f"{path.stem}.failed.ipynb").unlink(missing_ok=True)
    made, html, metrics_path, *left = files
    return Report(made, html, metrics, metrics_path, tuple(left))


def record(**values: Any) -> None:
    """Record figures in a running notebook: `run_report` gathers them in ``metrics.json``.

    Parameters
    ----------
    **values : bool, int, float, str or None
        Figures by name; NumPy scalars are taken, a number that is not finite becomes null.
        A name recorded again replaces the earlier value.

    Raises
    ------
    ParameterError
        If a value is not a single figure.

    Examples
    --------
    >>> from smotext_lab.reports import record
    >>> record(pairs=4, seconds=1.5)  # doctest: +SKIP
    """
    _display_metrics(values, first=False)


def headline(**values: Any) -> None:
    """Record figures as `record` does, and put them first in ``metrics.json``.

    Parameters
    ----------
    **values : bool, int, float, str or None
        Figures by name.

    Raises
    ------
    ParameterError
        If a value is not a single figure.
    """
    _display_metrics(values, first=True)


def read_metrics(notebook: str | Path) -> dict[str, Any]:
    """Return the figures that an executed notebook recorded, the headline first.

    Parameters
    ----------
    notebook : str or Path
        An executed notebook.

    Returns
    -------
    dict
        Empty where nothing was recorded.

    Raises
    ------
    ReportError
        If the file cannot be read as a notebook.
    """
    import nbformat

    try:
        return _metrics(nbformat.read(notebook, as_version=4))
    except Exception as error:
        msg = f"{notebook} cannot be read as a notebook ({type(error).__name__}: {error})."
        raise ReportError(msg) from error


def _display_metrics(values: Mapping[str, Any], *, first: bool) -> None:
    from IPython.display import display

    figures = {name: _figure(name, value) for name, value in values.items()}
    listed = ", ".join(f"{name} = {value}" for name, value in figures.items())
    # pairs, not an object: a notebook file sorts the keys of objects
    recorded = {"headline": first, "values": [list(pair) for pair in figures.items()]}
    bundle = {METRICS_MIME: recorded, "text/plain": listed}
    display(bundle, raw=True)


def _figure(name: str, value: Any) -> bool | int | float | str | None:
    """Return `value` as one JSON scalar."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    msg = f"The figure {name!r} must be a number, a string or None; got {type(value).__name__}."
    raise ParameterError(msg)


def _metrics(notebook: Any) -> dict[str, Any]:
    first: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            recorded = output.get("data", {}).get(METRICS_MIME)
            if recorded:
                (first if recorded["headline"] else rest).update(recorded["values"])
    return {**first, **{name: value for name, value in rest.items() if name not in first}}


def _output_folder(folder: Path, template: Path) -> Path:
    """Make the folder to write to; never the one in which the template itself would be lost."""
    if (folder / f"{template.stem}.ipynb").resolve() == template.resolve():
        msg = f"The report would overwrite its own template {template}; choose another folder."
        raise ReportError(msg)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        msg = f"The folder {folder} cannot be written to ({error.strerror}); choose another."
        raise ReportError(msg) from error


def _execute(
    template: Path,
    parameters: Mapping[str, Any],
    folder: Path,
    kernel_name: str | None,
    *,
    progress: bool,
) -> Any:
    """Run the template's cells and return the executed notebook."""
    import nbformat
    from papermill import PapermillExecutionError, execute_notebook
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    notebook = load_notebook_node(str(template.resolve()))
    options = _kernel(notebook, kernel_name)
    if parameters:
        notebook = parameterize_notebook(notebook, dict(parameters), **options["named"])
    with tempfile.TemporaryDirectory(prefix="smotext-lab-") as scratch:
        # papermill formats the paths it is given: our own path holds no braces
        running = Path(scratch) / "notebook.ipynb"
        try:
            execute_notebook(
                notebook,
                str(running),
                progress_bar={"desc": template.stem} if progress else False,
                **options["named"],
                **options["client"],
            )
        except PapermillExecutionError as error:
            reason = f"cell {error.exec_count} raised {error.ename}: {_sentence(error.evalue)}"
            raise _failed(reason, running, folder, template) from error
        except (RuntimeError, OSError) as error:
            reason = f"its kernel failed, {type(error).__name__}: {_sentence(str(error))}"
            raise _failed(reason, running, folder, template) from error
        except KeyboardInterrupt:
            _kept(running, folder, template)
            raise
        executed = nbformat.read(running, as_version=4)
    executed.metadata.papermill["input_path"] = template.name
    executed.metadata.papermill["output_path"] = f"{template.stem}.ipynb"
    return executed


def _kernel(notebook: Any, kernel_name: str | None) -> dict[str, dict[str, Any]]:
    """Return what papermill is told about the kernel: its name, and who starts it."""
    if kernel_name is None:
        language = {"name": "python", "version": sys.version.split()[0]}
        notebook.metadata["kernelspec"] = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
        notebook.metadata.setdefault("language_info", language)
        named = {"kernel_name": "python3", "language": "python"}
        return {"named": named, "client": {"kernel_manager_class": _this_interpreter()}}
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        language_name = KernelSpecManager().get_kernel_spec(kernel_name).language
    except NoSuchKernel as error:
        installed = ", ".join(sorted(KernelSpecManager().find_kernel_specs())) or "none"
        msg = f"There is no Jupyter kernel {kernel_name!r}; installed are: {installed}."
        raise ReportError(msg) from error
    return {"named": {"kernel_name": kernel_name, "language": language_name}, "client": {}}


def _this_interpreter() -> type:
    """Return a kernel manager that starts the running interpreter.

    A kernel called python3 may be missing, or be another environment's in which this
    package is not installed; so no installed kernel is looked up at all.
    """
    import zmq
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    class ThisInterpreter(AsyncKernelManager):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            # texts may be private, and local ports can be listened to; sockets in a folder
            # that only its owner may enter cannot, and need no network device, not even lo
            if zmq.has("ipc"):
                self._sockets = tempfile.TemporaryDirectory(prefix="smotext-")
                self.transport, self.ip = "ipc", f"{self._sockets.name}/k"
            elif zmq.has("curve"):
                self.transport_encryption = "auto"

        @property
        def kernel_spec(self) -> KernelSpec:
            return KernelSpec(
                argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
                display_name="Python 3",
                language="python",
                metadata={"supported_encryption": ["curve"]},
            )

    return ThisInterpreter


def _failed(reason: str, running: Path, folder: Path, template: Path) -> ReportError:
    """Keep the notebook up to the failing cell, and say where."""
    kept = _kept(running, folder, template)
    where = f"the notebook up to there is {kept}" if kept else "nothing of it could be kept"
    return ReportError(f"The report {template.stem!r} stopped: {reason.rstrip('.')}; {where}.")


def _kept(running: Path, folder: Path, template: Path) -> Path | None:
    """Copy the unfinished notebook to where it can be found, if that can be done."""
    kept = folder / f"{template.stem}.failed.ipynb"
    with contextlib.suppress(OSError, ReportError):
        _write_all({kept: running.read_text(encoding="utf-8")})
        return kept
    return None


def _sentence(message: str) -> str:
    """Return an error's message on one line, shortened."""
    line = " ".join(message.split()) or "no message"
    return line if len(line) <= 400 else line[:400] + "…"


def _write_all(files: Mapping[Path, str | bytes]) -> None:
    """Write every file whole beside its name, then give them their names."""
    waiting = {path: path.with_name(f".{path.name}.{os.getpid()}.part") for path in files}
    try:
        for path, part in waiting.items():
            content = files[path]
            part.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        for path, part in waiting.items():
            part.replace(path)
    except OSError as error:
        msg = f"The report cannot be written to {path} ({error.strerror})."
        raise ReportError(msg) from error
    finally:
        for part in waiting.values():
            part.unlink(missing_ok=True)


def _colophon(template: str, parameters: Mapping[str, Any], out: str) -> str:
    """Return the closing cell: the command that makes the same report, and with what."""
    words = ["smotext-lab", "report", template]
    for name, value in parameters.items():
        words += ["-p", f"{name}={shell_value(value)}"]
    command = escape(shlex.join([*words, "-o", out]))
    day = dt.datetime.now(tz=dt.UTC).date().isoformat()
    python = ".".join(map(str, sys.version_info[:3]))
    return (
        "## To make this report again\n\n"
        f'<pre class="command"><code>{command}</code></pre>\n\n'
        f"smotext-lab {__version__}, Python {python}, {day}."
    )


def shell_value(value: Any) -> str:
    """Return a parameter's value as `parse_parameters` reads it back.

    Examples
    --------
    >>> shell_value(None), shell_value([1, 2])
    ('none', '[1, 2]')
    """
    if isinstance(value, str):
        return value
    if value is None:
        return "none"
    return json.dumps(value, ensure_ascii=False)
