"""Run the tutorials and write them, with what they show, as Markdown into ``docs/tutorials/``.

    python docs/render_tutorials.py [NOTEBOOK ...]

Texts and tables are those of this run: they change with the models and the bridge.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

HERE = Path(__file__).parent
NOTEBOOKS = HERE.parent / "notebooks"
OUT = HERE / "tutorials"

_STYLE = re.compile(r"<style.*?</style>", re.DOTALL)
_WHERE = re.compile(r"^.*(?:ipykernel_\d+|smotext_lab/).*?: (?=\w*Warning: )", re.MULTILINE)
_FOLDER = re.compile(re.escape(tempfile.gettempdir()) + r"/\w+")  # another each time


def render(path: Path) -> Path:
    """Run one notebook in an empty folder and write ``tutorials/<name>.md`` and its pictures."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=1200, kernel_name="python3", resources=resources).execute()
    for cell in notebook.cells:
        cell["outputs"] = [kept(output) for output in cell.get("outputs", []) if worth(output)]
    names = {"unique_key": path.stem, "output_files_dir": "pictures"}
    text, resources = MarkdownExporter().from_notebook_node(notebook, names)
    text = _FOLDER.sub("…", text)
    OUT.mkdir(exist_ok=True)
    for old in OUT.glob(f"pictures/{path.stem}_*"):
        old.unlink()
    for name, picture in resources["outputs"].items():
        (OUT / name).parent.mkdir(parents=True, exist_ok=True)
        (OUT / name).write_bytes(picture)
    note = f"<!-- made from notebooks/{path.name} by docs/render_tutorials.py -->\n\n"
    page = OUT / f"{path.stem}.md"
    page.write_text(note + text.strip() + "\n", encoding="utf-8")
    return page


def worth(output: nbformat.NotebookNode) -> bool:
    """Tell whether a page needs an output: progress bars and logs go by, warnings stay."""
    if output.output_type == "stream" and output.name == "stderr":
        return "Warning: " in output.text
    data = output.get("data", {})
    return "application/vnd.jupyter.widget-view+json" not in data or "text/html" in data


def kept(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return an output as a page can show it: no style sheets, no line that ends a table early."""
    if output.output_type == "stream" and output.name == "stderr":
        # a warning comes with its place in the kernel and a line of code
        said = [line for line in _WHERE.sub("", output.text).splitlines() if "Warning: " in line]
        output["text"] = "\n".join(said) + "\n"
    data = output.get("data", {})
    for kind in [kind for kind in data if kind.startswith("application/")]:
        del data[kind]
    if "text/html" in data:
        data["text/html"] = " ".join(_STYLE.sub("", data["text/html"]).split())
    return output


if __name__ == "__main__":
    for notebook in map(Path, sys.argv[1:]) if sys.argv[1:] else sorted(NOTEBOOKS.glob("*.ipynb")):
        print(render(notebook))
