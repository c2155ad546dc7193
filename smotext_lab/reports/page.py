"""An executed notebook as one HTML page: readable by a newcomer, offline, with no script.

nbconvert's own page templates load require.js, MathJax, mermaid and the widgets' manager
from content networks, and inline the user's own Jupyter style sheet; so the page is laid
out by a template of ours (``report.html.j2``) and nbconvert gives only its filters.
"""

from __future__ import annotations

import copy
import html
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from smotext_lab._version import __version__

if TYPE_CHECKING:
    from smotext_lab.reports import Report

__all__ = ["links", "page"]

_SHOWN = (
    "text/html",
    "text/markdown",
    "image/svg+xml",
    "image/png",
    "image/jpeg",
    "text/latex",
    "text/plain",
)
# what could act, navigate or fetch if the policy in the page's head were ever ignored
_ACTIVE = ("script", "iframe", "frame", "object", "embed", "base", "form", "link", "meta")


def page(notebook: Any, title: str) -> str:
    """Return the HTML page of an executed notebook.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        It is not changed.
    title : str
        The page's title where the notebook has no heading of its own.

    Returns
    -------
    str
        A whole page: code folded, pictures inlined, no script, no address to load from.
    """
    from nbconvert import HTMLExporter

    shown = _presentable(notebook)
    exporter = HTMLExporter(
        template_file=str(Path(__file__).with_name("report.html.j2")),
        extra_template_basedirs=[],  # else a folder called "lab" where one works would count
        exclude_anchor_links=True,
        filters={"alternative": _alternative, "sections": _sections},
    )
    exporter.display_data_priority = list(_SHOWN)
    resources = {
        "title": _title(notebook) or title,
        "version": __version__,
    }
    html, _ = exporter.from_notebook_node(shown, resources=resources)
    return str(html)


def _presentable(notebook: Any) -> Any:
    """Return a copy that holds only what a page can show, with nothing active in it."""
    shown = copy.deepcopy(notebook)
    shown.metadata.pop("widgets", None)
    for cell in shown.cells:
        if cell.cell_type != "code":
            continue
        cell.outputs = [output for output in cell.get("outputs", []) if _showable(output)]
        for output in cell.outputs:
            if "text/html" in output.get("data", {}):
                output.data["text/html"] = _passive(output.data["text/html"])
    return shown


def _sections(notebook: Any) -> list[tuple[str, list[Any]]]:
    """Return what stands on the page: ``prose``, or a ``step``: code, the last cell's output.

    Cells that show nothing are folded away with the next one that does, so that a reader
    meets one fold, not six.
    """
    sections: list[tuple[str, list[Any]]] = []
    waiting: list[Any] = []
    for cell in notebook.cells:
        if cell.cell_type == "raw" or not cell.source.strip():
            continue
        if cell.cell_type == "code":
            waiting.append(cell)
            if any(output.get("name") != "stderr" for output in cell.outputs):
                sections.append(("step", waiting))
                waiting = []
            continue
        sections += [("step", waiting)] if waiting else []
        waiting = []
        sections.append(("prose", [cell]))
    return [*sections, ("step", waiting)] if waiting else sections


def _showable(output: Mapping[str, Any]) -> bool:
    from smotext_lab.reports import METRICS_MIME

    data = output.get("data")
    return data is None or (METRICS_MIME not in data and any(kind in data for kind in _SHOWN))


def _passive(html: str) -> str:
    """Return an output's HTML without elements and attributes that act or fetch."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(html, "html.parser")
    for element in soup.find_all(_ACTIVE):
        element.decompose()
    for element in soup.find_all(True):
        for name, value in list(element.attrs.items()):
            address = "".join(str(value).split()).lower()
            acts = name.startswith("on") or name == "srcdoc"
            fetches = name in {"src", "srcset", "background", "poster"}
            if acts or "javascript:" in address or (fetches and not address.startswith("data:")):
                del element.attrs[name]
    return str(soup)


def _alternative(data: Mapping[str, Any]) -> str:
    """Return what a picture is described by: its text form, unless that is a mere repr."""
    text = str(data.get("text/plain", "")).strip()
    return "Figure" if not text or text.startswith(("<", "alt.")) else text


def _title(notebook: Any) -> str:
    """Return the notebook's first heading, as plain text."""
    for cell in notebook.cells:
        found = re.search(r"^#\s+(.+)$", cell.source, re.MULTILINE)
        if cell.cell_type == "markdown" and found:
            return re.sub(r"[*_`]", "", found.group(1)).strip()
    return ""


def links(report: Report) -> str:
    """Return HTML that links a report's files and shows its figures, for a notebook's cell.

    The links are relative to the working folder, which is the notebook's own where Jupyter
    started the kernel.
    """
    import pandas as pd

    from smotext_lab.markup import texts_table

    files = {"page": report.html, "notebook": report.notebook, "figures": report.metrics_path}
    files |= {path.stem: path for path in report.tables}
    linked = " · ".join(
        f'<a href="{quote(os.path.relpath(path))}" target="_blank">{name}</a> '
        f"<small>{html.escape(str(path))}</small>"
        for name, path in files.items()
    )
    figures = pd.DataFrame(list(report.metrics.items()), columns=["figure", "value"], dtype=object)
    return f"<div>{linked}</div>{texts_table(figures)}"
