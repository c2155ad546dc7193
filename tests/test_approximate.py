"""Neighbours of very many rows: nearly those of an exact search, and told how nearly."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from smotext_lab.errors import DataError
from smotext_lab.interpolators import IVFNeighbors, SMOTEInterpolator, approximate, neighborhoods

faiss = pytest.importorskip("faiss", reason="pip install 'smotext-lab[faiss]'")


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, 32))
    found = centres[rng.integers(0, 40, 4000)] + 0.4 * rng.normal(size=(4000, 32))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def test_the_index_finds_nearly_what_an_exact_search_finds_and_says_so(rows: np.ndarray) -> None:
    search = IVFNeighbors(n_neighbors=6).fit(rows)
    distances, found = search.kneighbors(rows)
    exact = NearestNeighbors(n_neighbors=6).fit(rows)
    far, true = exact.kneighbors(rows)
    recall = np.mean([len(np.intersect1d(a, b)) for a, b in zip(found, true, strict=True)]) / 6
    assert recall > 0.97
    assert search.recall_ == pytest.approx(recall, abs=0.02)
    assert (found[:, 0] == np.arange(len(rows))).mean() > 0.99
    np.testing.assert_allclose(distances[:, 1].mean(), far[:, 1].mean(), rtol=0.02)
    assert search.kneighbors_graph(rows[:3]).sum() == 18


def test_many_rows_are_planned_with_the_index_and_few_without(
    rows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.zeros(len(rows), int)
    plan = SMOTEInterpolator(5, random_state=0).plan(rows, labels, {0: 200})
    monkeypatch.setattr(approximate, "EXACT_ROWS", 1000)
    with pytest.warns(UserWarning, match=r"4,000 rows .* searched approximately: recall@6 0\.9"):
        quick = SMOTEInterpolator(5, random_state=0).plan(rows, labels, {0: 200})
    assert (plan.parents[:, 0] == quick.parents[:, 0]).all()
    assert (plan.parents[:, 1] == quick.parents[:, 1]).mean() > 0.9


def test_two_searches_give_the_same(rows: np.ndarray) -> None:
    first, second = (
        IVFNeighbors(n_neighbors=4).fit(rows).kneighbors(rows, return_distance=False)
        for _ in range(2)
    )
    assert (first == second).all()


def test_without_faiss_the_search_is_exact_and_says_what_to_install(
    rows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approximate, "EXACT_ROWS", 1000)
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.warns(UserWarning, match=r"4,000 rows .* pip install 'smotext-lab\[faiss\]'"):
        found = neighborhoods.nearest(5, rows, rows[:20])
    assert (
        found == NearestNeighbors(n_neighbors=6).fit(rows).kneighbors(rows[:20])[1][:, 1:]
    ).all()


def test_cells_that_hold_too_few_rows_are_named(rows: np.ndarray) -> None:
    search = IVFNeighbors(n_neighbors=200, n_probe=1).fit(rows)
    with pytest.raises(DataError, match="hold fewer than 200 rows: raise n_probe"):
        search.kneighbors(rows)
