"""Importing the package is quick and loads nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import smotext_lab


def loaded_by(statement: str) -> set[str]:
    code = f"import json, sys; {statement}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("statement", ["import smotext_lab", "import smotext_lab.cli"])
def test_import_loads_neither_torch_nor_transformers(statement: str) -> None:
    heavy = {"torch", "transformers", "sklearn", "pandas", "altair", "papermill", "IPython"}
    assert not heavy & loaded_by(statement)


@pytest.mark.parametrize("name", sorted(set(smotext_lab.__all__)))
def test_every_public_name_can_be_had(name: str) -> None:
    assert getattr(smotext_lab, name) is not None
    assert name in dir(smotext_lab)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'SMOTEXT'"):
        _ = smotext_lab.SMOTEXT
