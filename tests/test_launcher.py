"""The launcher's cards and starter notebooks are those of the templates and tutorials."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from smotext_lab import __version__
from smotext_lab.jupyter import launcher
from smotext_lab.reports import templates
from smotext_lab.reports.parameters import template_path

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


def test_what_is_committed_is_what_the_templates_and_tutorials_give(tmp_path: Path) -> None:
    launcher.write(NOTEBOOKS, tmp_path)
    for made in tmp_path.rglob("*.*"):
        kept = launcher.STATIC / made.relative_to(tmp_path)
        same = made.read_text(encoding="utf-8") == kept.read_text(encoding="utf-8")
        assert same, f"{kept.name}: run python -m smotext_lab.jupyter.launcher"


def test_every_template_and_tutorial_has_a_card() -> None:
    cards = json.loads((launcher.STATIC / "cards.json").read_text(encoding="utf-8"))["cards"]
    files = [card["file"] for card in cards]
    assert files[: len(files) - len(templates())] == [
        f"notebooks/{p.name}" for p in sorted(NOTEBOOKS.glob("*.ipynb"))
    ]
    assert {f"starters/{name}.ipynb" for name in templates()} < set(files)
    assert all(card["title"] and card["caption"] for card in cards)


@pytest.mark.parametrize("name", templates())
def test_a_starter_has_the_templates_parameters_and_a_form(name: str) -> None:
    made = launcher.starter(name)
    nbformat.validate(made)
    source = nbformat.read(template_path(name), as_version=4)
    [tagged] = [c for c in made.cells if "parameters" in c.metadata.get("tags", [])]
    assert tagged.source in [c.source for c in source.cells]
    assert f'ReportForm("{name}", globals()' in made.cells[3].source


def test_the_extension_has_the_packages_version() -> None:
    package = json.loads((launcher.STATIC.parent / "package.json").read_text())
    assert package["version"] == __version__
    assert (launcher.STATIC.parent / package["jupyterlab"]["_build"]["load"]).is_file()


def test_the_wheel_brings_the_launchers_section_where_there_is_no_node(tmp_path: Path) -> None:
    without_node = {**os.environ, "PATH": str(tmp_path)}

    def run(*command: str, **extra: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *command],
            check=False,
            cwd=Path(__file__).parent.parent,
            env=without_node | extra,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    run("hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    [wheel] = tmp_path.glob("*.whl")
    place = tmp_path / "place"
    flags = ["--no-deps", "--no-index", "--ignore-installed", "--no-compile", "--quiet"]
    run("pip", "install", *flags, "--prefix", str(place), str(wheel))
    config = {"JUPYTER_CONFIG_DIR": str(tmp_path / "config")}
    listed = run("jupyter", "labextension", "list", JUPYTER_PATH=f"{place}/share/jupyter", **config)
    [line] = [line for line in listed.splitlines() if "smotext-lab" in line]
    assert f"v{__version__}" in line
    assert "enabled" in line
    assert "OK" in line
    shipped = place / "share/jupyter/labextensions/smotext-lab/static"
    cards = json.loads((shipped / "cards.json").read_text(encoding="utf-8"))["cards"]
    assert all((shipped / card["file"]).is_file() for card in cards)
