"""The decoder: streams every row once, keeps the nearest candidate, refuses what cannot fit."""

from __future__ import annotations

import copy
import pickle
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForCausalLM

from smotext_lab import search
from smotext_lab.bridges import BridgeFacts, LexicalBridge, load_bridge
from smotext_lab.candidates import guided
from smotext_lab.decoders import XRAGDecoder
from smotext_lab.encoders import BertEncoder
from smotext_lab.engines.base import Sampling
from smotext_lab.errors import BridgeError, DataError, ParameterError
from smotext_lab.forms import TextForm
from smotext_lab.models import fingerprint

TEXTS = ["rain snow wind", "bank share profit", "goal match team season", "rain goal"]


@pytest.fixture(scope="module")
def make(tiny_encoder: Path, tiny_llm: Path, tiny_bridge: Path) -> Any:
    encoder = BertEncoder(str(tiny_encoder), dtype="float32")

    def build(**changes: Any) -> XRAGDecoder:
        settings: dict[str, Any] = {"max_new_tokens": 6, "random_state": 0, "dtype": "float32"}
        settings |= {"temperature": 1.0, "encoder": encoder} | changes
        return XRAGDecoder(str(tiny_llm), tiny_bridge, **settings)

    return build


def test_an_encoder_is_named_as_training_takes_it(
    tiny_encoder: Path, tiny_llm: Path, tiny_bridge: Path
) -> None:
    for given in (tiny_encoder, str(tiny_encoder)):
        decoder = XRAGDecoder(str(tiny_llm), tiny_bridge, encoder=given, max_new_tokens=4)
        assert isinstance(decoder.encoder, BertEncoder)
        assert len(decoder.decode(decoder.encoder.encode(TEXTS[:1]))) == 1
    with pytest.raises(ParameterError, match="encoder must be an Encoder, or the name or folder"):
        XRAGDecoder(str(tiny_llm), tiny_bridge, encoder=7)  # type: ignore[arg-type]


def test_every_vector_gets_one_text_in_its_place(make: Any) -> None:
    decoder = make()
    vectors = decoder.encoder.encode(TEXTS * 40)  # more than one block
    rows = list(decoder.decode_rows(vectors))
    assert [d.row for d in rows] == list(range(160))
    assert decoder.decode(vectors) == [d.text for d in rows]


def test_the_best_candidate_is_kept_and_the_trace_tells_all(make: Any) -> None:
    decoder = make(n_candidates=5)
    vectors = decoder.encoder.encode(TEXTS)
    for decoded in decoder.decode_rows(vectors):
        assert decoded.attempts == len(decoded.trace) == 5
        assert decoded.trace[0][:2] == (decoded.text, decoded.cosine)
        scores = [tried.score for tried in decoded.trace]
        assert scores == sorted(scores, reverse=True)
        again = decoder.encoder.encode([decoded.text])[0]
        np.testing.assert_allclose(decoded.vector, again, atol=1e-5)
        assert decoded.cosine == pytest.approx(float(again @ vectors[decoded.row]), abs=1e-5)


def test_a_candidate_that_the_encoder_makes_nothing_of_comes_last(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = make(n_candidates=3)
    vectors = decoder.encoder.encode(TEXTS[:1])
    tried = decoder.decode(vectors, candidates_trace=True)["text"].tolist()
    encode = decoder.encoder.encode
    for lost in tried:

        def without(texts: list[str], lost: str = lost) -> np.ndarray:
            gone = np.array([text == lost for text in texts])[:, None]
            return np.where(gone, np.nan, encode(texts))

        monkeypatch.setattr(decoder.encoder, "encode", without)
        found = decoder.decode(vectors, candidates_trace=True)["text"].tolist()
        assert found == [text for text in tried if text != lost] + [lost]


def test_same_vector_and_seed_give_the_same_text_in_any_company(make: Any) -> None:
    decoder = make()
    vectors = decoder.encoder.encode(TEXTS)
    seeds = [5, 6, 7, 2**64 - 1]
    together = decoder.decode(vectors, seeds=seeds)
    assert decoder.decode(vectors[2:], seeds=seeds[2:]) == together[2:]
    assert decoder.decode(vectors, seeds=[8, 9, 10, 11]) != together


def test_random_state_makes_runs_equal_and_none_makes_them_differ(make: Any) -> None:
    vectors = make().encoder.encode(TEXTS)
    assert make(random_state=3).decode(vectors) == make(random_state=3).decode(vectors)
    free = make(random_state=None)
    assert free.decode(vectors) != free.decode(vectors)


def test_more_candidates_never_do_worse(make: Any) -> None:
    vectors = make().encoder.encode(TEXTS)
    one = [d.trace[0].score for d in make(n_candidates=1).decode_rows(vectors)]
    many = [d.trace[0].score for d in make(n_candidates=6).decode_rows(vectors)]
    assert all(m >= o - 1e-6 for m, o in zip(many, one, strict=True))
    assert sum(many) > sum(one)


@pytest.mark.parametrize("words_changed", [0, 2])
def test_corrections_never_lose_and_gain_where_one_try_is_far_off(
    make: Any, monkeypatch: pytest.MonkeyPatch, words_changed: int
) -> None:
    monkeypatch.setattr(search, "_EDITS", words_changed)
    vectors = make().encoder.encode(TEXTS * 3)
    plain = list(make(n_candidates=2).decode_rows(vectors))
    corrected = list(make(n_candidates=2, corrections=4).decode_rows(vectors))
    pairs = list(zip(plain, corrected, strict=True))
    assert all(after.trace[0].score >= before.trace[0].score for before, after in pairs)
    assert any(after.cosine > before.cosine + 0.01 for before, after in pairs)
    for before, after in pairs:
        written = {2 * (1 + turns): turns for turns in (1, 2, 3, 4)}
        assert any(
            number <= after.attempts <= number + words_changed * turns
            for number, turns in written.items()
        )
        assert set(before.trace) <= set(after.trace)


def test_agreement_with_the_label_decides_between_candidates(make: Any) -> None:
    decoder = make(n_candidates=6, batch_size=3)  # two rows a block
    vectors = decoder.encoder.encode(TEXTS)
    asked: list[int] = []

    def against_the_nearest(rows: np.ndarray, found: np.ndarray) -> np.ndarray:
        asked.extend(rows.tolist())
        return 20 * (1 - (found * vectors[rows]).sum(axis=1))

    plain = list(decoder.decode_rows(vectors))
    turned = list(decoder.decode_rows(vectors, agreement=against_the_nearest))
    assert sorted(asked) == sorted(list(range(4)) * 6)
    for before, after in zip(plain, turned, strict=True):
        assert after.cosine == pytest.approx(min(t.cosine for t in before.trace if t.score > -1))


def test_guidance_moves_what_is_read_and_not_what_texts_are_ranked_by(make: Any) -> None:
    decoder = make(n_candidates=3, batch_size=2)
    vectors = decoder.encoder.encode(TEXTS)
    moves = vectors[::-1] - vectors  # all the way to the text as far from the other end
    moved = list(decoder.decode_rows(vectors, guidance=moves))
    there = list(decoder.decode_rows(vectors[::-1]))
    tried = [{t.text for t in decoded.trace} for decoded in moved]
    assert tried == [{t.text for t in decoded.trace} for decoded in there]
    assert tried != [{t.text for t in decoded.trace} for decoded in decoder.decode_rows(vectors)]
    for decoded in moved:
        assert decoded.cosine == pytest.approx(decoded.vector @ vectors[decoded.row], abs=1e-5)
    nowhere = list(decoder.decode_rows(vectors, guidance=np.zeros_like(vectors)))
    assert [d.text for d in nowhere] == decoder.decode(vectors)


@pytest.mark.parametrize(
    ("guidance", "told"), [(np.zeros((4, 3)), "shape"), (np.full((4, 16), np.inf), "infinity")]
)
def test_guidance_that_cannot_be_used_is_refused(make: Any, guidance: Any, told: str) -> None:
    decoder = make()
    with pytest.raises(ParameterError, match=told):
        list(decoder.decode_rows(decoder.encoder.encode(TEXTS), guidance=guidance))


def test_guidance_is_of_a_vectors_length_and_makes_none_longer() -> None:
    vectors = np.array([[0.0, 0.5], [0.0, 2.0]], np.float32)
    moved = guided(vectors, np.array([[1.0, 0.0]] * 2, np.float32))
    np.testing.assert_allclose(moved, [[0.5**0.5 / 2] * 2, [2**0.5] * 2], rtol=1e-6)


def test_a_decode_that_is_cancelled_stops_and_yields_what_it_has(make: Any) -> None:
    decoder = make(n_candidates=1, batch_size=2)
    vectors = decoder.encoder.encode(TEXTS * 3)
    cancelled = threading.Event()
    rows = []
    for decoded in decoder.decode_rows(vectors, cancelled=cancelled):
        rows.append(decoded.row)
        cancelled.set()
    assert rows == list(range(decoder.rows_together)) == list(range(8))  # what had been written
    assert list(decoder.decode_rows(vectors, cancelled=cancelled)) == []


def test_rows_come_in_order_while_those_behind_them_are_still_written(make: Any) -> None:
    decoder = make(n_candidates=2, batch_size=32)  # 64 rows are taken up together
    vectors = decoder.encoder.encode(TEXTS * 16)
    seeds = np.arange(64, dtype=np.uint64)
    told: list[int] = []
    rows = decoder.decode_rows(vectors, seeds=seeds, written=lambda row, _: told.append(row))
    first = next(rows)
    by_then = len(told)
    found = [first, *rows]
    assert max(told[by_then:]) > 16
    assert [decoded.row for decoded in found] == list(range(64))
    alone = make(n_candidates=2, batch_size=1).decode(vectors, seeds=seeds)
    assert [decoded.text for decoded in found] == alone


def test_an_interrupt_comes_after_the_rows_whose_candidates_were_finished(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = make(n_candidates=2)
    vectors = decoder.encoder.encode(TEXTS * 2)
    seeds = np.arange(8, dtype=np.uint64)
    whole = decoder.decode(vectors, seeds=seeds)
    engine = decoder._writer().engine
    written = engine.generate

    def stopped(*asked: Any, **more: Any) -> Any:
        done = {generated.row: generated for generated in written(*asked, **more)}
        yield from (done[place] for place in (6, 7, 4, 5, 9, 2))  # rows 3 and 2; one of 4 and 1
        raise KeyboardInterrupt

    found = []
    with monkeypatch.context() as patched:
        patched.setattr(engine, "generate", stopped)
        with pytest.raises(KeyboardInterrupt):
            found.extend(decoder.decode_rows(vectors, seeds=seeds))
    assert [(decoded.row, decoded.text) for decoded in found] == [(2, whole[2]), (3, whole[3])]
    assert decoder.decode(vectors, seeds=seeds) == whole


def test_batch_size_is_the_decoders_own_where_the_models_are_shared(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make(n_candidates=2, batch_size=4)
    vectors = first.encoder.encode(TEXTS * 2)
    engine = first._writer().engine
    asked: list[int | None] = []
    written = engine.generate

    def noted(*given: Any, **how: Any) -> Any:
        asked.append(how["batch_size"])
        return written(*given, **how)

    monkeypatch.setattr(engine, "generate", noted)
    for decoder in (first, first.varied(batch_size=64), first.varied(batch_size=None)):
        decoder.decode(vectors)
    assert asked == [4, 64, None]


def test_by_default_as_many_are_decoded_together_as_the_memory_holds(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make()._writer().engine
    for free, rows in ((10**12, 128), (0, 1)):
        monkeypatch.setattr("smotext_lab.engines.transformers.free_memory", lambda _, f=free: f)
        assert engine.rows_at_once(2, Sampling(max_new_tokens=6)) == rows


def test_a_batch_of_none_is_refused() -> None:
    with pytest.raises(ParameterError, match="batch_size must be 1 or more"):
        XRAGDecoder(batch_size=0)


def taught(tiny_encoder: Path, tiny_llm: Path) -> LexicalBridge:
    """Return a lexical bridge for the tiny models whose hints do something."""
    names = fingerprint(tiny_encoder), fingerprint(tiny_llm)
    torch.manual_seed(3)
    facts = BridgeFacts("lexical", *names, dim=16, hidden=16, n_tokens=4, n_words=2)
    words = sorted(set(" ".join(TEXTS).split()))
    bridge = LexicalBridge(facts, words, [[i + 3] for i in range(len(words))])
    torch.nn.init.normal_(bridge.hints)
    return bridge.eval()


def test_lengths_and_forms_reach_the_llm_where_the_bridge_has_learnt_them(
    make: Any, tiny_encoder: Path, tiny_llm: Path
) -> None:
    decoder = make(n_candidates=1, temperature=0)
    decoder.bridge = taught(tiny_encoder, tiny_llm)
    vectors = decoder.encoder.encode(TEXTS)
    plain, short, long = (decoder.decode(vectors, lengths=[words] * 4) for words in (None, 3, 30))
    assert plain == decoder.decode(vectors)
    assert len({tuple(plain), tuple(short), tuple(long)}) == 3
    asked = decoder.decode(vectors, forms=[TextForm("question", "none")] * 4)
    assert asked != plain
    with pytest.raises(ParameterError, match="1 lengths for 4 vectors"):
        decoder.decode(vectors, lengths=[3])


def test_directions_are_read_as_long_as_the_vectors_that_the_bridge_was_trained_on(
    make: Any, tiny_encoder: Path, tiny_llm: Path
) -> None:
    decoder = make(n_candidates=1, temperature=0)
    decoder.bridge = taught(tiny_encoder, tiny_llm)
    vectors = decoder.encoder.encode(TEXTS)
    expected, plain = decoder.explain(7 * vectors), decoder.explain(vectors)
    assert expected != plain
    training = {"vector_length": 7.0}
    decoder.bridge.facts = replace(decoder.bridge.facts, training=training)
    assert decoder.explain(vectors) == decoder.explain(7 * vectors) == expected


def test_corrections_work_with_predicted_words_too(
    make: Any, tiny_encoder: Path, tiny_llm: Path
) -> None:
    decoder = make(n_candidates=2, corrections=4)
    decoder.bridge = taught(tiny_encoder, tiny_llm)
    vectors = decoder.encoder.encode(TEXTS)
    corrected = list(decoder.decode_rows(vectors))
    decoder.corrections = 0
    plain = list(decoder.decode_rows(vectors))
    assert all(c.trace[0].score >= p.trace[0].score for c, p in zip(corrected, plain, strict=True))
    assert any(c.text != p.text for c, p in zip(corrected, plain, strict=True))


def test_a_row_that_no_longer_gains_is_left_alone(make: Any) -> None:
    vectors = make().encoder.encode(TEXTS * 3)
    most = 2 * (1 + 8)
    attempts = [d.attempts for d in make(n_candidates=2, corrections=8).decode_rows(vectors)]
    assert min(attempts) < most


def test_a_corrected_text_does_not_depend_on_its_company(make: Any) -> None:
    decoder = make(n_candidates=2, corrections=3)
    vectors = decoder.encoder.encode(TEXTS)
    together = decoder.decode(vectors, seeds=[5, 6, 7, 8])
    assert decoder.decode(vectors[1:2], seeds=[6]) == together[1:2]


def test_a_form_that_is_given_sets_the_case(make: Any) -> None:
    decoder = make()
    vectors = decoder.encoder.encode(TEXTS)
    forms = [TextForm.of("RAIN IS DUE."), None, TextForm.of("rain is due."), None]
    loud, free, small, _ = decoder.decode(vectors, forms=forms)
    assert loud == loud.upper() != loud.lower()
    assert small == small.lower()
    assert free == decoder.decode(vectors)[1]
    with pytest.raises(ParameterError, match="2 forms for 4 vectors"):
        decoder.decode(vectors, forms=[None, None])


def test_all_candidates_come_as_a_frame_best_first(make: Any) -> None:
    decoder = make(n_candidates=3)
    vectors = decoder.encoder.encode(TEXTS)
    frame = decoder.decode(vectors, candidates_trace=True)
    assert list(frame.columns) == ["row", "rank", "text", "cosine", "likelihood", "score"]
    assert frame["row"].tolist() == np.repeat(range(4), 3).tolist()
    assert frame.loc[frame["rank"] == 0, "text"].tolist() == decoder.decode(vectors)


def test_a_number_of_corrections_below_zero_is_refused() -> None:
    with pytest.raises(ParameterError, match="corrections must be 0 or more"):
        XRAGDecoder(corrections=-1)


def test_prompt_stands_around_the_soft_tokens(make: Any, tiny_llm: Path) -> None:
    decoder = make(prompt="rain {xrag} goal", temperature=0, n_candidates=1)
    vectors = decoder.encoder.encode(TEXTS[:1])
    parts = decoder._writer()
    soft = parts.soft_tokens(torch.from_numpy(vectors))
    table = parts.model.get_input_embeddings().weight
    rain, goal = (parts.tokenizer.convert_tokens_to_ids(w) for w in ("rain", "goal"))
    assert soft.shape[1] == 3
    torch.testing.assert_close(soft[0, 0], table[rain])
    torch.testing.assert_close(soft[0, 2], table[goal])
    assert decoder.decode(vectors) != make(temperature=0, n_candidates=1).decode(vectors)


@pytest.mark.parametrize("prompt", ["no place", "{xrag} and {xrag}"])
def test_a_prompt_needs_one_place(prompt: str) -> None:
    with pytest.raises(ParameterError, match="exactly once"):
        XRAGDecoder(prompt=prompt)


def test_braces_and_templates_in_a_prompt_are_text(make: Any) -> None:
    decoder = make(prompt="{0} {{rain}} {xrag} %s $x", n_candidates=1)
    assert len(decoder.decode(decoder.encoder.encode(TEXTS[:1]))) == 1


def test_the_llm_is_left_as_it_was(make: Any, tiny_llm: Path) -> None:
    from smotext_lab.lora import Lora

    decoder = make(n_candidates=1, temperature=0)
    bridge = load_bridge(decoder.bridge)
    name = "model.layers.0.self_attn.q_proj"
    bridge.lora = Lora({f"{name}.A": torch.ones(1, 16), f"{name}.B": torch.ones(16, 1)}, 1.0)
    changed = make(n_candidates=1, temperature=0)
    changed.bridge = bridge
    vectors = decoder.encoder.encode(TEXTS)
    before = changed._writer().model.get_submodule(name).weight.clone()
    assert changed.decode(vectors) != decoder.decode(vectors)
    assert torch.equal(changed._writer().model.get_submodule(name).weight, before)


def test_a_bridge_for_other_models_is_refused(
    make: Any, tiny_llm: Path, tmp_path: Path, tiny_bridge: Path
) -> None:
    other = tmp_path / "other-llm"
    shutil.copytree(tiny_llm, other)
    llm = AutoModelForCausalLM.from_pretrained(other)
    torch.nn.init.zeros_(llm.model.norm.weight)
    llm.save_pretrained(other)
    decoder = make()
    decoder.llm = str(other)
    with pytest.raises(BridgeError, match="not for other-llm"):
        decoder.decode(decoder.encoder.encode(TEXTS))


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.zeros((2, 5), np.float32), r"shape \(2, 5\); expected \(n, 16\)"),
        (np.zeros(16, np.float32), r"shape \(16,\)"),
        (np.full((1, 16), np.nan, np.float32), "vector 0 holds NaN"),
        (["a text"], "numbers in rows of 16"),
        ([[1.0] * 16, [1.0] * 15], "numbers in rows of 16"),
    ],
)
def test_vectors_that_cannot_be_decoded_are_named(make: Any, vectors: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make().decode(vectors)
    with pytest.raises(DataError, match=message):
        make().explain(vectors)


def test_vectors_may_come_as_tensors_or_row_by_row(make: Any) -> None:
    decoder = make()
    vectors = decoder.encoder.encode(TEXTS)
    texts = decoder.decode(vectors)
    tensor = torch.from_numpy(vectors)
    for same in (
        tensor.clone().requires_grad_(),
        tensor.double(),
        list(tensor),
        vectors.tolist(),
        pd.DataFrame({"vector": list(vectors)})["vector"],
    ):
        assert decoder.decode(same) == texts
    assert len(decoder.decode(tensor.bfloat16())) == 4


def test_seeds_must_be_one_a_vector(make: Any) -> None:
    decoder = make()
    with pytest.raises(ParameterError, match=r"shape \(1,\); expected \(4,\)"):
        decoder.decode(decoder.encoder.encode(TEXTS), seeds=[1])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"seeds": [-1]}, "seeds must be whole numbers from 0 to 2.* not -1"),
        ({"seeds": np.array([-1])}, "not -1"),
        ({"seeds": [2**64]}, "not 18446744073709551616"),
        ({"seeds": [0.5]}, "not 0.5"),
        ({"forms": ["question"]}, "forms must be .*TextForm.* not 'question'"),
        ({"forms": "question"}, "forms must be .*TextForm.* not 'question'"),
        ({"lengths": ["twelve"]}, "lengths must be .* not 'twelve'"),
        ({"lengths": [np.nan]}, "lengths must be .* not nan"),
    ],
)
def test_what_is_asked_of_a_text_and_cannot_be_understood_is_named(
    make: Any, asked: dict[str, Any], message: str
) -> None:
    decoder = make()
    with pytest.raises(ParameterError, match=message):
        decoder.decode(decoder.encoder.encode(TEXTS[:1]), **asked)


def test_a_random_state_that_is_none_is_refused_before_anything_is_decoded(make: Any) -> None:
    for wrong in (-1, 0.5, "seed"):
        with pytest.raises(ParameterError, match="random_state must be None or a whole number"):
            make(random_state=wrong)


@pytest.mark.parametrize("top", [-1, 2.5])
def test_a_number_of_words_that_is_none_is_refused(make: Any, top: Any) -> None:
    decoder = make()
    with pytest.raises(ParameterError, match=f"top must be a whole number.* not {top}"):
        decoder.explain(decoder.encoder.encode(TEXTS), top)


def test_one_form_or_length_is_asked_of_all(make: Any, tiny_encoder: Path, tiny_llm: Path) -> None:
    decoder = make()
    decoder.bridge = taught(tiny_encoder, tiny_llm)
    vectors, asked = decoder.encoder.encode(TEXTS), TextForm("question", "upper")
    each = decoder.decode(vectors, lengths=[30] * 4, forms=[asked] * 4)
    assert decoder.decode(vectors, lengths=30, forms=asked) == each != decoder.decode(vectors)


def test_no_vectors_give_no_texts(make: Any) -> None:
    assert make().decode(np.zeros((0, 16), np.float32)) == []


def test_a_bridge_without_words_explains_nothing(make: Any) -> None:
    decoder = make()
    assert decoder.explain(decoder.encoder.encode(TEXTS[:2])) == [[], []]


def test_pickles_hold_no_weights_and_copies_share_them(make: Any, tiny_bridge: Path) -> None:
    decoder = make()
    decoder.bridge = load_bridge(tiny_bridge)
    vectors = decoder.encoder.encode(TEXTS)
    before = decoder.decode(vectors)
    packed = pickle.dumps(decoder)
    assert len(packed) < 3_000
    assert pickle.loads(packed).decode(vectors) == before
    assert copy.deepcopy(decoder)._writer() is decoder._writer()


@pytest.mark.real
def test_real_texts_come_back_in_other_words() -> None:
    decoder = XRAGDecoder(n_candidates=4, random_state=0)
    texts = [
        "The battery dies after an hour.",
        "Shares in the bank fell after it warned on profits.",
        "What is the capital of Australia?",
    ]
    rows = list(decoder.decode_rows(decoder.encoder.encode(texts)))
    assert np.mean([d.cosine for d in rows]) > 0.6
    assert all(d.ended for d in rows)
