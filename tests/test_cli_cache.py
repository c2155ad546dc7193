"""`smotext-lab cache`: what is kept is told and removed, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from smotext_lab import cache, cli


def run(*words: str) -> typer.testing.Result:
    return CliRunner().invoke(cli.app, ["cache", *words])


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SMOTEXT_LAB_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


def keep(number: int) -> None:
    cache.kept(cache.content_key(number), lambda: pd.DataFrame({"text": ["rain"]}))


def test_what_is_kept_is_counted_and_cleared(results: Path) -> None:
    assert run("info").stdout == f"0 entries, 0.0 MB in {results}\n"
    keep(1)
    assert run("info").stdout.startswith("1 entry, ")
    keep(2)
    assert run("info").stdout.startswith("2 entries, ")
    cleared = run("clear")
    assert cleared.exit_code == 0
    assert cleared.stdout.startswith("Removed: 2 entries, ")
    assert not results.exists()
    assert run("clear").stdout.startswith("Removed: 0 entries, ")


def test_files_that_are_not_the_cache_s_are_left(results: Path) -> None:
    keep(1)
    mine = ["film.mp4.part", "notes.txt", "sales.parquet"]
    for name in mine:
        (results / name).write_text("mine")
    assert run("info").stdout.startswith("1 entry, ")
    assert run("clear").exit_code == 0
    assert sorted(path.name for path in results.iterdir()) == mine


def test_what_a_stopped_write_has_left_is_cleared(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    with pytest.raises(KeyboardInterrupt):
        keep(1)
    monkeypatch.undo()
    monkeypatch.setenv("SMOTEXT_LAB_RESULTS", str(results))
    assert len(list(results.iterdir())) == 1
    run("clear")
    assert not results.exists()


def test_where_keeping_is_switched_off_both_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMOTEXT_LAB_RESULTS", "off")
    told = "nothing: keeping is switched off (SMOTEXT_LAB_RESULTS=off)"
    assert run("info").stdout == f"{told}\n"
    assert run("clear").stdout == f"Removed: {told}\n"
