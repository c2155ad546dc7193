"""The examples in the docstrings run, and say what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import smotext_lab

# Their examples use the default models or BBC News.
REAL = {
    "smotext_lab.bridges.files",
    "smotext_lab.datasets",
    "smotext_lab.decoders",
    "smotext_lab.encoders",
    "smotext_lab.evaluation.perplexity",
    "smotext_lab.models",
    "smotext_lab.paths",
    "smotext_lab.reports",
    "smotext_lab.sampler",
}
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(smotext_lab.__path__, "smotext_lab.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize(
    "name", [pytest.param(m, marks=pytest.mark.real) if m in REAL else m for m in MODULES]
)
def test_the_examples_run(name: str) -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for test in finder.find(module, name):
        runner.run(test)
    assert runner.failures == 0
