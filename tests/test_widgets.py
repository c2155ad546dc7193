"""`ClassBalance`, `SynthesisReview` and `LatentMap`, without a browser."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from smotext_lab import ClassBalance, Guards, LatentMap, SMOTExT, Synthesis, SynthesisReview
from smotext_lab.errors import DataError, ParameterError
from smotext_lab.hub import data_card
from smotext_lab.jupyter.widgets.decisions import Decisions
from smotext_lab.privacy.guarantee import Guarantee, stated_in

HOSTILE = "<img src=x onerror=alert(1)> $$x$$ \u202eabc"


@pytest.fixture
def sampler(word_decoder: Any) -> SMOTExT:
    guards = Guards.off()
    return SMOTExT(decoder=word_decoder(), random_state=0, guards=guards, k_neighbors=2)


@pytest.fixture
def balance(topics: Callable[..., Any], sampler: SMOTExT) -> ClassBalance:
    return ClassBalance(*topics(money=30, sport=4, weather=10), sampler=sampler)


# -- ClassBalance ------------------------------------------------------------------------------


def test_targets_begin_where_the_strategy_has_them(balance: ClassBalance) -> None:
    assert balance.targets == {"money": 30, "sport": 30, "weather": 30}
    balance.set_strategy("minority")
    assert balance.targets == {"money": 30, "sport": 30, "weather": 10}
    balance.set_strategy({"weather": 12})
    assert balance.targets["weather"] == 12


def test_sliders_and_targets_are_the_same(balance: ClassBalance) -> None:
    balance._sliders["sport"].value = 9
    assert balance.targets["sport"] == 9
    balance.targets = {**balance.targets, "sport": 500}
    assert balance._sliders["sport"].value == 500


def test_running_writes_what_is_missing(balance: ClassBalance) -> None:
    balance.targets = {"money": 30, "sport": 9, "weather": 12}
    balance.run()
    balance.wait(60)
    assert balance.result.counts().to_dict() == {"sport": 5, "weather": 2}
    assert balance.state == "idle"
    rows = balance.progress.set_index("label")
    assert rows["accepted"].to_dict() == {"money": 0, "sport": 5, "weather": 2}


def test_a_run_equals_that_of_the_sampler(
    balance: ClassBalance, sampler: SMOTExT, topics: Callable[..., Any]
) -> None:
    balance.run()
    balance.wait(60)
    again = sampler.generate(*topics(money=30, sport=4, weather=10), {"sport": 26, "weather": 20})
    assert balance.result.frame.equals(again.frame)


def test_pausing_holds_and_stopping_keeps_what_is_finished(balance: ClassBalance) -> None:
    decode, held = balance._sampler.decoder.decode_rows, threading.Event()

    def slowly(vectors: np.ndarray, **how: Any) -> Any:
        for decoded in decode(vectors, **how):
            if decoded.row == 20:
                balance.pause()
                held.set()
            yield decoded

    balance._sampler.decoder.decode_rows = slowly
    balance.run()
    assert held.wait(60)
    assert balance.state == "paused"
    balance.run()
    balance.stop()
    balance.wait(60)
    assert balance.state == "idle"
    assert 16 <= len(balance.result) < 46
    assert balance.result.info["interrupted"]


def test_refusals_are_counted_by_reason(topics: Callable[..., Any], word_decoder: Any) -> None:
    decoder = word_decoder(write=lambda text, rng: "")
    sampler = SMOTExT(decoder=decoder, random_state=0, max_attempts=1, max_blends=1)
    balance = ClassBalance(*topics(money=12, sport=6), sampler=sampler)
    balance.run()
    with pytest.warns(UserWarning, match="made 0 of 6"):
        balance.wait(60)
    assert balance.progress["rejected"].sum() == 6
    assert sum(balance._reasons.values()) == 6
    assert "refused" in balance._told.value


def test_estimating_tells_how_long_it_will_take(balance: ClassBalance) -> None:
    balance.estimate()
    balance.wait(60)
    assert "to go" in balance._told.value
    assert balance.result is None


@pytest.mark.parametrize(
    ("targets", "sentence"),
    [({"sport": 1}, "has 4 texts"), ({"sprot": 9}, "no class 'sprot'")],
)
def test_targets_that_cannot_be_are_refused(
    balance: ClassBalance, targets: dict[str, int], sentence: str
) -> None:
    with pytest.raises(ParameterError, match=sentence):
        balance.targets = targets
    assert sentence in balance.error


def test_a_failing_decoder_shows_and_raises(balance: ClassBalance) -> None:
    balance._sampler.decoder.stop_after, balance._sampler.decoder.error = 3, RuntimeError
    balance.run()
    with pytest.raises(RuntimeError):
        balance.wait(60)
    assert "RuntimeError" in balance.error
    assert balance.state == "idle"


# -- SynthesisReview ---------------------------------------------------------------------------


@pytest.fixture
def made(topics: Callable[..., Any], sampler: SMOTExT) -> Synthesis:
    return sampler.generate(*topics(money=20, sport=8), {"money": 30, "sport": 15})


@pytest.fixture
def review(made: Synthesis, tmp_path: Path) -> SynthesisReview:
    return SynthesisReview(made, path=tmp_path / "r.jsonl", by="Ada")


def test_decisions_become_columns(review: SynthesisReview) -> None:
    review.accept(0)
    review.reject(1)
    review.edit(2, "another text")
    review.relabel(2, "sport")
    frame = review.to_pandas()
    assert frame["decision"].tolist()[:4] == ["accepted", "rejected", "accepted", "undecided"]
    assert frame.loc[2, ["text", "label", "label_as_made"]].tolist() == [
        "another text",
        "sport",
        "money",
    ]
    assert frame["decided_by"].tolist()[:4] == ["Ada", "Ada", "Ada", ""]
    assert frame.loc[2, "text_as_made"] != "another text"


def test_the_accepted_are_a_synthesis_again(review: SynthesisReview, made: Synthesis) -> None:
    review.accept(0)
    review.edit(2, "another text")
    kept = review.synthesis()
    assert kept.accepted["text"].tolist() == [made.frame["text"][0], "another text"]
    assert len(review.synthesis(undecided=True)) == 45
    assert kept.info["reviewed"] == {"accepted": 2, "rejected": 0, "undecided": 43}


@pytest.mark.parametrize("parts", [False, True])
def test_texts_that_somebody_chose_state_no_guarantee(
    made: Synthesis, tmp_path: Path, parts: bool
) -> None:
    stated = {"privacy": "ε = 2.", "guarantee": Guarantee(2.0, 1e-5, mu=0.5).described()}
    made.info.update({"parts": [stated]} if parts else stated)
    before = stated_in(made.info)["epsilon"]
    review = SynthesisReview(made, path=tmp_path / "dp.jsonl", by="Ada")
    assert stated_in(review.synthesis(undecided=True).info)["epsilon"] == before
    review.reject(1)
    info = review.synthesis(undecided=True).info
    assert not stated_in(info)
    assert "privacy" not in info
    assert stated_in(info["guarantee_before_review"])["epsilon"] == before
    assert stated_in(made.info)["epsilon"] == before, "the source is as it was"
    card = data_card(review.synthesis(undecided=True), name="x")
    assert "**None.**" in card
    assert "were released by a privacy mechanism" in card


def test_decisions_outlive_the_kernel(review: SynthesisReview, made: Synthesis) -> None:
    review.reject(3)
    review.edit(4, HOSTILE)
    again = SynthesisReview(made, path=review.decisions.path, by="Bob")
    assert again.to_pandas().equals(review.to_pandas())
    again.undo()
    assert again.decisions[4].verdict == "undecided"
    assert SynthesisReview(made, path=review.decisions.path).decisions[3].verdict == "rejected"


def test_the_same_texts_find_their_file(
    made: Synthesis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    SynthesisReview(made).accept(0)
    assert SynthesisReview(made).decisions[0].verdict == "accepted"
    [file] = tmp_path.iterdir()
    assert file.stat().st_mode & 0o077 == 0


def test_undo_goes_back_one_by_one(review: SynthesisReview) -> None:
    review.accept(0)
    review.reject(0)
    review.undo()
    assert review.decisions[0].verdict == "accepted"
    review.undo()
    review.undo()
    assert review.counts() == {"accepted": 0, "rejected": 0, "undecided": 45}


def test_a_line_that_was_cut_short_is_passed_over_and_others_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    Decisions(path, "Ada").make(1, verdict="accepted")
    whole = path.read_text()
    path.write_text(whole + '{"row": 2, "verd')
    assert len(Decisions(path)) == 1
    path.write_text("nonsense\n" + whole + whole)
    with pytest.raises(DataError, match="line 1, is no decision"):
        Decisions(path)


def test_keys_pressed_in_the_table_decide(review: SynthesisReview) -> None:
    for message in (
        {"action": "accept", "id": 0},
        {"action": "edit", "id": 1, "text": "edited"},
        {"action": "relabel", "id": 1, "label": 1},
        {"action": "reject", "id": 2},
        {"action": "undo", "id": None},
        {"action": "forward", "id": None},
    ):
        review._table._handle_custom_msg(message, [])
    assert review.counts() == {"accepted": 2, "rejected": 0, "undecided": 43}
    assert (review._text(1), review._label(1), review.page) == ("edited", "sport", 1)
    assert [row["id"] for row in review._table.rows] == list(range(20, 40))


def test_filters_choose_rows(review: SynthesisReview) -> None:
    review._by_class.value = "sport"
    assert "1 to 15 of 15" in review._told.value
    review.reject(30)
    review._by_verdict.value = "rejected"
    assert [row["id"] for row in review._table.rows] == [30]
    assert not review._table.stays
    review._by_verdict.value = None
    high = review._by_cosine.value[1]
    review._by_cosine.value = (high, high)
    assert all(review.frame.loc[r["id"], "cosine_to_target"] >= high for r in review._table.rows)


def test_words_that_no_parent_has_are_marked() -> None:
    originals = pd.DataFrame({"text": ["rain today", "snow at night"], "label": ["w", "w"]})
    row = {"text": "Rain at dusk", "label": "w", "status": "accepted"}
    row |= {"parents": [0, 1], "weights": [0.4, 0.6]}
    made = Synthesis.from_rows([row], originals=originals)
    shown = SynthesisReview(made, path="unused.jsonl")._table.rows[0]
    assert shown["segments"] == [["Rain at ", False], ["dusk", True]]
    first, second = shown["parents"]
    assert first["segments"] == [["rain ", False], ["today", True]]
    assert second["facts"] == "0.60 w:"


def test_hostile_texts_go_to_the_browser_as_text_alone(tmp_path: Path) -> None:
    rows = [{"text": HOSTILE + "x" * 50_000, "label": HOSTILE, "status": "accepted"}]
    review = SynthesisReview(Synthesis.from_rows(rows), path=tmp_path / "r.jsonl")
    sent = json.dumps(review._table.rows) + json.dumps(review._table.labels)
    assert "[U+202E]" in sent
    assert sum(len(part) for part, _ in review._table.rows[0]["segments"]) < 5000
    assert "<img" not in review._repr_mimebundle_()["text/html"]


def test_wrong_rows_and_labels_are_said(review: SynthesisReview) -> None:
    with pytest.raises(DataError, match="no row 99"):
        review.accept(99)
    with pytest.raises(ParameterError, match=r"no class 'sprot' \(did you mean 'sport'"):
        review.relabel(0, "sprot")
    with pytest.raises(DataError, match="cannot be blank"):
        review.edit(0, " ")
    assert "cannot be blank" in review.error


# -- LatentMap ---------------------------------------------------------------------------------


@pytest.fixture
def latent(topics: Callable[..., Any], made: Synthesis, word_decoder: Any) -> LatentMap:
    return LatentMap(*topics(money=20, sport=8), made, decoder=word_decoder())


def test_the_map_holds_real_and_synthetic_texts(latent: LatentMap, made: Synthesis) -> None:
    assert latent.frame["kind"].value_counts().to_dict() == {"synthetic": 45, "real": 28}
    synthetic, parent = latent._lines[0]
    assert synthetic == 28
    assert parent in made.accepted["parents"].iloc[0]


def test_selecting_works_both_ways(latent: LatentMap) -> None:
    latent.selected = [0, 30]
    assert latent.selection["kind"].tolist() == ["real", "synthetic"]
    assert latent._plot.selection.tolist() == [0, 30]
    latent._plot.selection = np.array([1, 2, 3], np.uint32)
    assert latent.selected == [1, 2, 3]
    latent._select_class("sport")
    assert set(latent.selection["label"]) == {"sport"}


def test_a_click_on_two_points_opens_the_explorer_between_them(latent: LatentMap) -> None:
    latent._plot.selection = np.array([3], np.uint32)
    assert latent.explorer is None
    latent._plot.selection = np.array([7], np.uint32)
    texts = latent.frame["text"]
    assert (latent.explorer.start, latent.explorer.end) == (texts[3], texts[7])
    latent.explorer.wait(60)
    first = latent.explorer
    latent._plot.selection = np.array([9], np.uint32)
    assert latent.explorer is first
    assert (first.start, first.end) == (texts[7], texts[9])
    first.wait(60)


def test_exploring_needs_two_texts(latent: LatentMap) -> None:
    latent.selected = [2]
    with pytest.raises(DataError, match="Select two texts first"):
        latent._explore_selected()


def test_hovering_shows_the_whole_text(latent: LatentMap) -> None:
    latent._plot.hovering = 4
    assert latent.frame["text"][4].rstrip(".") in latent._told.value


def test_two_texts_are_found_by_a_word_and_taken_without_a_mouse(latent: LatentMap) -> None:
    word = latent.frame["text"][5].split()[0]
    holding = [at for at, text in enumerate(latent.frame["text"]) if word in text.lower()]
    assert len(holding) > 1
    latent._word.value = word.upper()
    assert latent.selected == holding[:1]
    found = [latent.find(word) for _ in holding]
    assert found == [*holding[1:], holding[0]], "after the last comes the first"
    latent._take()
    assert latent.explorer is None
    latent.find(word)
    latent._take()
    assert latent.explorer is not None
    ends = latent.frame["text"][holding[:2]].tolist()
    assert [latent.explorer.start, latent.explorer.end] == ends
    with pytest.raises(DataError, match="No text holds"):
        latent.find("zebra")
    assert "No text holds 'zebra'" in latent.error


def test_where_no_kernel_is_a_picture_of_the_map_stands(latent: LatentMap) -> None:
    assert 'src="data:image/png;base64,' in latent._repr_mimebundle_()["text/html"]


def test_wrong_maps_are_refused(topics: Callable[..., Any], word_decoder: Any) -> None:
    texts, labels = topics(money=5)
    with pytest.raises(ParameterError, match="'pca' or 'umap'"):
        LatentMap(texts, labels, decoder=word_decoder(), projection="tsne")
    with pytest.raises(DataError, match="4 labels for 5 texts"):
        LatentMap(texts, labels[1:], decoder=word_decoder())
    with pytest.raises(ParameterError, match="no row 9"):
        LatentMap(texts, labels, decoder=word_decoder()).selected = [9]
