"""Neighbours of very many rows: nearly those of an exact search, and told how nearly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import NearestNeighbors

from smotext_lab import BertEncoder, SMOTExT, XRAGDecoder
from smotext_lab.errors import DataError
from smotext_lab.interpolators import IVFNeighbors, SMOTEInterpolator, approximate, neighborhoods
from smotext_lab.interpolators.approximate import Rows
from smotext_lab.scale import Job

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


AS_LOADED = """
import json, os
from smotext_lab.interpolators.approximate import _OLDER, _faiss
from threadpoolctl import ThreadpoolController
before = ThreadpoolController().select(internal_api="openblas").info()
_faiss()
after = ThreadpoolController().select(internal_api="openblas").info()
its = [x["architecture"] for x in after if "faiss" in x["filepath"]]
known = [_OLDER.get(x["architecture"], x["architecture"]) for x in before]
print(json.dumps([its, known, os.environ.get("OPENBLAS_CORETYPE")]))
"""


@pytest.mark.parametrize("wish", [None, "Nehalem"])
def test_faiss_is_told_the_processor_that_numpy_found(wish: str | None) -> None:
    rest = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    given = rest | ({"OPENBLAS_CORETYPE": wish} if wish else {})
    told = subprocess.run(
        [sys.executable, "-c", AS_LOADED], env=given, capture_output=True, text=True, check=True
    )
    its, known, left = json.loads(told.stdout)
    assert left == wish
    if not (its and known):
        pytest.skip("numpy or faiss multiplies without OpenBLAS")
    assert its == [wish or known[0]]


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


def test_rows_of_a_memory_map_are_never_copied_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(20_000, 64)).astype("f4"))
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    monkeypatch.setattr(approximate, "_BLOCK", 100)
    monkeypatch.setattr(approximate, "_MOST_TRAINING", 2000)
    IVFNeighbors().fit(mapped[:500]).kneighbors(mapped[:10])  # what is imported is no copy
    tracemalloc.start()
    try:
        search = IVFNeighbors(6).fit(Rows(mapped, np.arange(1, 20_000)))
        search.kneighbors(Rows(mapped, np.arange(1, 400)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < mapped.nbytes / 4
    assert faiss.serialize_index(search._index).nbytes < mapped.nbytes / 4


def test_neighbours_are_the_same_in_blocks_of_any_size_and_in_part_of_an_array(
    rows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = np.arange(0, 4000, 2)
    far, near = IVFNeighbors(6).fit(rows[part]).kneighbors(rows[part])
    monkeypatch.setattr(approximate, "_BLOCK", 300)
    search = IVFNeighbors(6)
    for array in (rows, rows.astype(np.float64), np.asfortranarray(rows)):
        again = search.fit(Rows(array, part)).kneighbors(Rows(array, part))
        np.testing.assert_array_equal(again[1], near)
        np.testing.assert_allclose(again[0], far, atol=1e-6)
    true = NearestNeighbors(n_neighbors=6).fit(rows[part]).kneighbors(rows[part])[1]
    found = [len(np.intersect1d(a, b)) for a, b in zip(near, true, strict=True)]
    assert search.recall_ == pytest.approx(np.mean(found) / 6, abs=0.02)


def test_of_equal_rows_the_first_come_first(rows: np.ndarray) -> None:
    twice = np.concatenate([rows[:1000], rows[:1000]])
    near = IVFNeighbors(2).fit(twice).kneighbors(twice, return_distance=False)
    both = (near % 1000 == (np.arange(2000) % 1000)[:, None]).all(axis=1)
    assert both.mean() > 0.95
    assert (near[both, 0] < near[both, 1]).all()


def test_plans_of_one_memory_map_search_once_and_the_recall_is_kept(
    rows: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approximate, "EXACT_ROWS", 1000)
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    labels = np.repeat([0, 1, 2], [1500, 1800, 700])  # of the third all are compared
    smote = SMOTEInterpolator(5, random_state=0)
    with neighborhoods.remembered() as searches, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        plans = [smote.plan(mapped, labels, {0: 50, 1: 50, 2: 50}) for _ in range(2)]
    assert (plans[0].parents == plans[1].parents).all()
    assert [(each.rows, each.among, each.neighbors) for each in searches] == [
        (1500, 1500, 6),
        (1800, 1800, 6),
    ]
    assert all(0.9 < each.recall <= 1 for each in searches)


def test_a_job_keeps_how_much_an_approximate_search_found(
    tiny_encoder, tiny_llm, tiny_bridge, topics, tmp_path, monkeypatch
):
    texts, labels = topics(money=60, sport=12)
    pd.DataFrame({"text": texts, "label": labels}).to_csv(tmp_path / "texts.csv")
    monkeypatch.setattr(approximate, "EXACT_ROWS", 50)
    encoder = BertEncoder(str(tiny_encoder), dtype="float32")
    decoder = XRAGDecoder(str(tiny_llm), tiny_bridge, encoder=encoder, dtype="float32")
    sampler = SMOTExT(decoder=decoder, random_state=0, progress=False)
    with pytest.warns(UserWarning, match="60 rows among 60 were searched approximately"):
        Job.create(tmp_path / "job", tmp_path / "texts.csv", 10, sampler=sampler, progress=False)
    (kept,) = json.loads((tmp_path / "job/job.json").read_text())["facts"]["approximate_neighbors"]
    assert kept.pop("recall") > 0.5
    assert kept == {"rows": 60, "among": 60, "neighbors": 6}
