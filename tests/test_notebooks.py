"""The tutorials run from top to bottom, and are committed without outputs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


def test_there_are_tutorials() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_no_outputs_are_committed(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_docs_show_this_tutorial(path: Path) -> None:
    page = path.parent.parent / "docs" / "tutorials" / f"{path.stem}.md"
    shown = page.read_text(encoding="utf-8")
    at = 0
    for cell in nbformat.read(path, as_version=4).cells:
        at = shown.find(cell.source.strip(), at)
        assert at >= 0, f"{page.name} lacks {cell.source[:60]!r}: run make docs"
    for picture in re.findall(r"!\[[^]]*\]\((pictures/[^)]+)\)", shown):
        assert (page.parent / picture).is_file()


@pytest.fixture(scope="module")
def kernel() -> Iterator[KernelManager]:
    """Start one kernel for all: loading the models anew for each would take most of the time."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env={**os.environ, "SMOTEXT_LAB_QUICK": "1"})
    yield manager
    manager.shutdown_kernel(now=True)


@pytest.mark.real
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_it_runs_from_top_to_bottom(path: Path, tmp_path: Path, kernel: KernelManager) -> None:
    notebook = nbformat.read(path, as_version=4)
    first = nbformat.v4.new_code_cell(f"%reset -f\n%cd -q {tmp_path}")
    notebook.cells.insert(0, first)  # nothing of the one before is there
    NotebookClient(notebook, timeout=600, km=kernel).execute()
    ran = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in ran)
