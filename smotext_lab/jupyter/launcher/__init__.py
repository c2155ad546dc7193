"""The "SMOTExT" section of JupyterLab's launcher: its cards, and the notebooks they open.

``package.json`` and ``static/`` are a prebuilt JupyterLab extension, written by hand: a wheel puts
them into ``share/jupyter/labextensions/smotext-lab``, with the tutorials beside them.
``python -m smotext_lab.jupyter.launcher`` makes the cards and the starter notebooks anew from the
templates and tutorials.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nbformat

from smotext_lab.reports.parameters import template_path, templates

__all__ = ["STATIC", "cards", "starter", "write"]

STATIC = Path(__file__).parent / "static"


def starter(template: str) -> Any:
    """Return the starter notebook of a report template: its parameters, its form, its figures.

    Parameters
    ----------
    template : str
        A name from `smotext_lab.reports.templates`.

    Returns
    -------
    NotebookNode

    Examples
    --------
    >>> [cell.cell_type for cell in starter("qualitative").cells]
    ['markdown', 'code', 'markdown', 'code', 'markdown', 'code']
    """
    source = nbformat.read(template_path(template), as_version=4)
    first = source.cells[0].source.split("\n\n")[:2]
    given = next(c for c in source.cells if "parameters" in c.metadata.get("tags", []))
    v4 = nbformat.v4
    cells = [
        v4.new_markdown_cell(
            "\n\n".join([*first, "These are the values that the form begins with."])
        ),
        v4.new_code_cell(given.source, metadata={"tags": ["parameters"]}),
        v4.new_markdown_cell("Fill in the form and press **Run**; the page appears below it."),
        v4.new_code_cell(
            f"from smotext_lab import ReportForm\n\n"
            f'form = ReportForm("{template}", globals(), out="{template}")\nform'
        ),
        v4.new_markdown_cell("When it has run, its figures are a frame:"),
        v4.new_code_cell("form.metrics"),
    ]
    for number, cell in enumerate(cells):
        cell["id"] = f"{template.replace('_', '-')}-{number}"  # the same each time it is made
    return v4.new_notebook(cells=cells, metadata=source.metadata)


def cards(notebooks: Path) -> list[dict[str, str]]:
    """Return the launcher's cards: tutorials first, then report templates.

    Parameters
    ----------
    notebooks : path
        Folder of the tutorials.
    """
    made = []
    for path in sorted(notebooks.glob("*.ipynb")):
        title, caption = _headed(nbformat.read(path, as_version=4))
        made.append({"title": title, "caption": caption, "file": f"notebooks/{path.name}"})
    for name in templates():
        _, caption = _headed(nbformat.read(template_path(name), as_version=4))
        title = "Report: " + name.replace("_", " ")
        made.append({"title": title, "caption": caption, "file": f"starters/{name}.ipynb"})
    return made


def write(notebooks: Path, static: Path = STATIC) -> None:
    """Write the cards and the starter notebooks into `static`."""
    (static / "starters").mkdir(parents=True, exist_ok=True)
    for name in templates():
        nbformat.write(starter(name), static / "starters" / f"{name}.ipynb")
    shown = json.dumps({"cards": cards(notebooks)}, indent=2, ensure_ascii=False)
    (static / "cards.json").write_text(shown + "\n", encoding="utf-8")


def _headed(notebook: Any) -> tuple[str, str]:
    """Return the first heading of a notebook, and the first sentence below it."""
    heading, _, rest = notebook.cells[0].source.partition("\n")
    words = re.sub(r"[*`]", "", " ".join(rest.split()))
    first = re.split(r"(?<=[.?!])\s", words)[0]
    return heading.lstrip("# ").strip(), first
