"""New texts as a data set of the hub: a folder that reads back, and a card that is true."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import yaml

from smotext_lab import BertEncoder, SMOTExT, Synthesis, XRAGDecoder, load_dataset
from smotext_lab.datasets import DataWarning
from smotext_lab.errors import DataError
from smotext_lab.hub import data_card, write_repository
from smotext_lab.identity import decoding_of
from smotext_lab.making import new_texts
from smotext_lab.privacy.guarantee import FIGURES_NOT_COVERED

HOSTILE = "a|b <script>alert(1)</script> `c` [d](javascript:e) $$x$$"


@pytest.fixture
def made() -> Synthesis:
    rows = [
        {"text": "Rain is due.", "label": "weather", "status": "accepted"},
        {"text": "Rates fell.\nTwice.", "label": HOSTILE, "status": "accepted"},
        {"text": "Rain rain", "label": "weather", "status": "rejected", "reason": "degenerate: x"},
    ]
    rows[0] |= {"cosine_to_target": 0.8, "parents": [0, 1], "weights": [0.4, 0.6]}
    rows[0] |= {"label_weights": {"weather": 0.9, "money": 0.1}}
    secret = pd.DataFrame({"text": ["a secret text", "another"], "label": ["weather", HOSTILE]})
    info = {"encoder": "enc@1", "decoder": "XRAGDecoder('llm')", "random_state": 7}
    return Synthesis.from_rows(rows, originals=secret, info=info)


def test_the_folder_reads_back_and_holds_no_real_text(made: Synthesis, tmp_path: Path) -> None:
    folder = write_repository(made, tmp_path / "set", metrics={"retention": 0.93})
    [file] = folder.glob("data/*.parquet")
    frame = pd.read_parquet(file)
    assert frame["text"].tolist() == ["Rain is due.", "Rates fell.\nTwice."]
    assert frame["parents"].iloc[0].tolist() == [0, 1]
    for path in folder.rglob("*.*"):
        assert b"a secret text" not in path.read_bytes()
    card = (folder / "README.md").read_text(encoding="utf-8")
    told = yaml.safe_load(card.split("---")[1])
    assert "synthetic" in told["tags"]
    assert told["configs"][0]["data_files"] == str(file.relative_to(folder))
    assert "| retention | 0.93 |" in card
    assert "| random\\_state | 7 |" in card
    assert "| rejected as degenerate | 1 |" in card


def test_the_card_says_that_there_is_no_guarantee_unless_there_is_one(made: Synthesis) -> None:
    assert "**None.**" in data_card(made, name="x")
    made.info["guarantee"] = {"epsilon": 4.0, "delta": 1e-5}
    card = data_card(made, name="x")
    assert "**None.**" not in card
    assert "| epsilon | 4.0 |" in card
    assert FIGURES_NOT_COVERED not in card


def test_figures_beside_a_guarantee_are_said_not_to_be_covered(made: Synthesis) -> None:
    assert FIGURES_NOT_COVERED not in data_card(made, name="x", metrics={"retention": 0.9})
    made.info["guarantee"] = {"epsilon": 4.0, "delta": 1e-5}
    assert FIGURES_NOT_COVERED in data_card(made, name="x", metrics={"retention": 0.9})


def test_the_card_of_a_mechanism_tells_of_its_release_and_of_no_real_texts() -> None:
    rows = [{"text": "Rain is due.", "label": "weather", "status": "accepted"}]
    one, two = ({"guarantee": {"epsilon": e, "delta": 1e-5, "release": str(e)}} for e in (4.0, 2.0))
    card = data_card(Synthesis.from_rows(rows, info=one), name="x")
    assert "between points that are public or were released by a privacy mechanism" in card
    assert "real texts and letting" not in card
    assert "| rejected | withheld |" in card
    both = data_card(Synthesis.from_rows(rows, info={"parts": [one, two, one]}), name="x")
    assert "**None.**" not in both
    assert "of 2 releases" in both
    assert both.count("| epsilon |") == 2
    part = data_card(Synthesis.from_rows(rows, info={"parts": [one, {}]}), name="x")
    assert "**None.**" in part


def test_names_in_the_card_mark_nothing_up(made: Synthesis) -> None:
    card = data_card(made, name=HOSTILE)
    assert yaml.safe_load(card.split("---")[1])["pretty_name"] == HOSTILE
    body = card.split("---", 2)[2]
    assert "<script" not in body
    assert not re.search(r"(?<!\\)\[d\]", body)
    [row] = [line for line in body.splitlines() if "a\\|b" in line and line.startswith("|")]
    assert len(re.findall(r"(?<!\\)\|", row)) == 3


def test_nothing_is_written_over_and_nothing_empty(made: Synthesis, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(DataError, match=r"holds other files \(mine.txt\)"):
        write_repository(made, tmp_path)
    with pytest.raises(DataError, match="no accepted text"):
        write_repository(Synthesis.from_rows([]), tmp_path / "new")


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Return what a hub is asked for; data sets named "public" are public there already."""
    import huggingface_hub

    called: list[tuple[str, Any]] = []

    class Api:
        endpoint = "https://hub"

        def __init__(self, token: str | None) -> None:
            called.append(("token", token))

        def create_repo(self, repo_id: str, **how: Any) -> None:
            called.append((repo_id, how))

        def repo_info(self, repo_id: str, *, repo_type: str) -> Any:
            assert repo_type == "dataset"
            return SimpleNamespace(private=repo_id != "me/public")

        def upload_folder(self, *, repo_id: str, repo_type: str, folder_path: str) -> None:
            called.append(("files", sorted(p.name for p in Path(folder_path).rglob("*.*"))))

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    return called


def test_pushing_makes_a_private_set_and_uploads_the_folder(
    made: Synthesis, called: list[tuple[str, Any]]
) -> None:
    assert made.push_to_hub("me/set", token="t") == "https://hub/datasets/me/set"
    assert called == [
        ("token", "t"),
        ("me/set", {"repo_type": "dataset", "private": True, "exist_ok": True}),
        ("files", ["README.md", "train-00000-of-00001.parquet"]),
    ]


def test_nothing_is_uploaded_into_a_set_that_is_public_unless_it_may_be(
    made: Synthesis, called: list[tuple[str, Any]]
) -> None:
    with pytest.raises(DataError, match=r"'me/public' is public .* or say private=False"):
        made.push_to_hub("me/public")
    assert "files" not in dict(called)
    made.push_to_hub("me/public", private=False)
    assert "files" in dict(called)


def test_a_dataset_has_the_rows_and_the_card(made: Synthesis) -> None:
    pytest.importorskip("datasets", reason="datasets is not installed (extra hub)")
    dataset = made.to_dataset()
    assert dataset["text"][:] == ["Rain is due.", "Rates fell.\nTwice."]
    assert "synthetic" in dataset.info.description


def test_the_folder_is_a_data_set_that_loads(made: Synthesis, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed (extra hub)")
    folder = write_repository(made, tmp_path / "set")
    loaded = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    pd.testing.assert_frame_equal(
        loaded.to_pandas()[["text", "label", "cosine_to_target"]],
        made.to_pandas()[["text", "label", "cosine_to_target"]],
        check_dtype=False,
    )


def test_the_card_of_generate_says_what_the_texts_were_made_from_and_how(
    topics: Any, tmp_path: Path, tiny_encoder: Path, tiny_llm: Path, tiny_bridge: Path
) -> None:
    texts, labels = topics(money=8)
    pd.DataFrame({"body": texts, "queue": labels}).to_csv(tmp_path / "news.csv", index=False)
    encoder = BertEncoder(str(tiny_encoder), dtype="float32")
    how = {"temperature": 0.375, "n_candidates": 2, "max_new_tokens": 8, "dtype": "float32"}
    decoder = XRAGDecoder(str(tiny_llm), tiny_bridge, encoder=encoder, **how)
    sampler = SMOTExT(decoder=decoder, random_state=0, guards=False, progress=False)
    with pytest.warns(DataWarning):
        rows = load_dataset(tmp_path / "news.csv")
    made = new_texts(sampler, rows, {"money": 2})
    bridge = json.loads((tiny_bridge / "bridge.json").read_text())["sha256"]
    assert made.info["models"]["bridge"] == bridge
    assert made.info["decoding"] == decoding_of(decoder)
    card = data_card(made, name="x")
    for told in ("| source | news.csv |", bridge, "0.375", made.info["data_sha256"]):
        assert told in card
    other = rows.assign(text=rows["text"].str.upper())
    assert new_texts(sampler, other, {"money": 2}).info["data_sha256"] != made.info["data_sha256"]


def test_without_the_package_the_sentence_says_what_to_install(
    made: Synthesis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install 'smotext-lab\[hub\]'"):
        made.to_dataset()
