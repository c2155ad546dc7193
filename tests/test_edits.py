"""Corrections change words one by one: what is tried, what the LLM says of it, what is kept."""

from __future__ import annotations

import difflib
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from smotext_lab import XRAGDecoder, edits
from smotext_lab.bridges import BridgeFacts, LexicalBridge, split_words
from smotext_lab.candidates import Candidate
from smotext_lab.drafts import Draft
from smotext_lab.encoders import BertEncoder
from smotext_lab.engines.base import Sampling
from smotext_lab.models import fingerprint
from smotext_lab.search import Search
from smotext_lab.steering import Steering
from smotext_lab.wanted import Wanted

TEXTS = ["rain snow wind", "bank share profit", "goal match team season", "rain goal"]


@pytest.fixture(scope="module")
def decoder(tiny_encoder: Path, tiny_llm: Path) -> XRAGDecoder:
    names = fingerprint(tiny_encoder), fingerprint(tiny_llm)
    torch.manual_seed(3)
    facts = BridgeFacts("lexical", *names, dim=16, hidden=16, n_tokens=4, n_words=2)
    words = sorted(set(" ".join(TEXTS).split()))
    bridge = LexicalBridge(facts, words, [[i + 3] for i in range(len(words))]).eval()
    settings: dict[str, Any] = {"n_candidates": 2, "max_new_tokens": 6, "dtype": "float32"}
    encoder = BertEncoder(str(tiny_encoder), dtype="float32")
    return XRAGDecoder(str(tiny_llm), bridge, encoder=encoder, random_state=0, **settings)


def test_each_word_is_left_out_and_each_new_word_comes_last() -> None:
    draft = Draft.of("Rain, then snow.", ["hail", "SNOW", "?"], split_words)
    assert draft.words == ("hail",)  # the text has snow already; a mark is no word
    assert draft.first() == [", then snow.", "Rain, snow.", "Rain, then.", "Rain, then snow hail."]


def test_the_best_new_words_stand_in_place_of_others_and_between_them() -> None:
    draft = Draft.of("Rain fell.", ["hail", "now"], split_words)
    second = draft.second(np.array([0.1, 0.9, 0.2, 0.8]))
    assert second[:4] == ["Rain now.", "Rain hail.", "Now fell.", "Hail fell."]
    assert second[4:] == ["Now Rain fell.", "Rain now fell.", "Hail Rain fell.", "Rain hail fell."]


def test_where_no_spaces_are_written_none_come_in() -> None:
    draft = Draft.of("東京で雪を見た", ["雨"], split_words)
    assert draft.first()[-1] == "東京で雪を見た雨"
    assert "東京で雪雨を見た" in draft.second(np.arange(7.0))


def test_of_many_places_other_ones_are_tried_each_turn() -> None:
    draft = Draft.of(" ".join(f"w{i}" for i in range(40)), ["new"], split_words)
    worth = np.zeros(41)
    added = [
        {text for text in draft.second(worth, turn) if len(text.split()) == 41} for turn in (0, 1)
    ]
    assert all(len(each) <= 16 for each in added)
    assert not added[0] & added[1]


def test_a_text_without_words_can_be_given_one() -> None:
    draft = Draft.of("...", ["rain"], split_words)
    assert draft.first() == ["rain ..."]
    assert draft.second(np.zeros(1)) == []


def test_the_llm_finds_a_text_as_likely_when_it_reads_it_as_when_it_wrote_it(
    decoder: XRAGDecoder,
) -> None:
    writer = decoder._writer()
    soft = writer.soft_tokens(torch.from_numpy(decoder.encoder.encode(TEXTS)))
    seeds = np.arange(4, dtype=np.uint64)
    sampling = Sampling(temperature=1, max_new_tokens=60)
    written = sorted(writer.generate(soft, sampling, seeds), key=lambda each: each.row)
    texts = [writer.text(each.ids) for each in written]
    pairs = zip(writer.read(soft, texts), written, strict=True)
    whole = [(read, each) for read, each in pairs if each.ended and 0 not in each.ids]  # no <unk>
    assert whole
    for read, each in whole:
        assert read.ids.tolist() == each.ids.tolist()
        assert read.log_likelihood == pytest.approx(each.log_likelihood, abs=1e-4)


def test_a_text_is_read_no_further_than_the_llm_has_positions(decoder: XRAGDecoder) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    writer = decoder._writer()
    torch.manual_seed(0)
    shape = {"n_positions": 8, "n_embd": 16, "n_layer": 1, "n_head": 2, "vocab_size": 60}
    shape |= {"bos_token_id": 1, "eos_token_id": 1}
    short = replace(writer, model=GPT2LMHeadModel(GPT2Config(**shape)).eval())
    texts = ["rain snow wind goal match", "rain snow wind goal", "rain snow wind goal bank share"]
    soft = torch.randn(1, 4, 16).expand(3, -1, -1)  # which leaves places for four words
    longer, whole, other = short.read(soft, texts)
    assert [short.text(each.ids) for each in (longer, whole, other)] == texts
    assert longer.log_likelihood == pytest.approx(_mean(short, soft, texts[0], 5), abs=1e-5)
    assert whole.log_likelihood == pytest.approx(_mean(short, soft, texts[1], 5), abs=1e-5)
    assert longer.log_likelihood != pytest.approx(other.log_likelihood, abs=1e-3)


def _mean(writer: Any, soft: torch.Tensor, text: str, first: int) -> float:
    """Return the mean log-probability of the first tokens of a text and its end."""
    ids = [*writer.tokenizer(text, add_special_tokens=False)["input_ids"], writer.end][:first]
    read = writer.model.get_input_embeddings().weight[ids[:-1]]
    with torch.inference_mode():
        logits = writer.model(inputs_embeds=torch.cat([soft[0], read])[None]).logits[0]
    steps = logits[soft.shape[1] - 1 :].log_softmax(-1)
    return float(steps[range(len(ids)), ids].mean())


def edited(
    decoder: XRAGDecoder, texts: list[str], *, cut: bool = False, **asked: Any
) -> list[Candidate]:
    """Return what editing makes of `texts`, written for the vectors of `TEXTS`."""
    vectors = decoder.encoder.encode(TEXTS)
    own, writer = decoder.encoder.encode(texts), decoder._writer()
    n = len(texts)
    wanted = Wanted(vectors[:n], np.arange(n, dtype=np.uint64), [None] * n, [None] * n, **asked)
    search = Search(writer, decoder.encoder, decoder.sampling, 1, 1, None)
    read = writer.read(writer.soft_tokens(torch.from_numpy(vectors[:n])), texts)
    cosines = (own * vectors[:n]).sum(axis=1).tolist()
    tried = [
        [Candidate(i, texts[i], cosines[i], cosines[i], read[i], own[i])] for i in range(len(texts))
    ]
    if cut:
        tried = [[replace(c, generated=replace(c.generated, ended=False))] for [c] in tried]
    editor = edits.Editor(writer, decoder.encoder, search._judged)
    return editor.edit(wanted, range(n), tried, 0)


def test_a_wrong_word_is_put_right(decoder: XRAGDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edits, "_NAT", 0.0)  # random weights find nothing likely
    found = edited(decoder, ["rain snow goal", "bank share profit"])
    assert [each.row for each in found] == [0]  # the other one is what was asked for
    assert found[0].text in ("rain snow wind", "rain wind snow")
    assert found[0].cosine > 0.9


def test_a_text_that_was_cut_off_is_still_known_as_such(
    decoder: XRAGDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edits, "_NAT", 0.0)
    ends = [
        edited(decoder, ["rain snow goal"], cut=cut)[0].generated.ended for cut in (False, True)
    ]
    assert ends == [True, False]


def test_what_makes_a_text_less_likely_must_bring_it_nearer_by_so_much(
    decoder: XRAGDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["rain snow goal", "share bank goal", "goal rain"]
    before = [_total(decoder, i, text) for i, text in enumerate(texts)]
    monkeypatch.setattr(edits, "_NAT", 0.0)
    free = edited(decoder, texts)
    assert any(_total(decoder, each.row, each.text) < before[each.row] for each in free)
    monkeypatch.setattr(edits, "_NAT", 1e9)
    for each in edited(decoder, texts):
        assert _total(decoder, each.row, each.text) >= before[each.row] - 1e-6


def _total(decoder: XRAGDecoder, row: int, text: str) -> float:
    writer = decoder._writer()
    soft = writer.soft_tokens(torch.from_numpy(decoder.encoder.encode(TEXTS[row : row + 1])))
    (read,) = writer.read(soft, [text])
    return read.log_likelihood * (len(read.ids) + 1)


def test_words_that_are_wished_for_come_in_and_banned_ones_do_not(
    decoder: XRAGDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edits, "_NAT", 0.0)
    assert "wind" in edited(decoder, ["rain snow"])[0].text.split()
    pinned = edited(decoder, ["rain snow"], steering=Steering(pinned=("goal",)))
    assert "goal" in pinned[0].text.split()
    banned = edited(decoder, ["rain snow"], steering=Steering(banned=("wind",)))
    assert not any("wind" in each.text for each in banned)


def test_corrected_texts_hold_ones_that_are_a_word_from_another(decoder: XRAGDecoder) -> None:
    vectors = decoder.encoder.encode(TEXTS * 2)
    rows = list(decoder.varied(corrections=2).decode_rows(vectors))
    many = [decoded for decoded in rows if decoded.attempts % 2]
    assert many  # two are written each time: an odd number has an edited one
    for decoded in many:
        texts = [tried.text.split() for tried in decoded.trace]
        assert any(a_word_apart(a, b) for a, b in itertools.combinations(texts, 2))


def a_word_apart(a: list[str], b: list[str]) -> bool:
    changes = difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
    changes = [change for change in changes if change[0] != "equal"]
    return len(changes) == 1 and max(*np.diff(changes[0][1:3]), *np.diff(changes[0][3:5])) == 1
