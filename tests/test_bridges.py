"""Bridges: soft tokens of the right kind, files that are checked, models that must fit."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from smotext_lab.bridges import (
    Bridge,
    BridgeFacts,
    LexicalBridge,
    ProjectorBridge,
    bridge_identity,
    load_bridge,
    split_words,
)
from smotext_lab.bridges.files import DEFAULT_BRIDGE
from smotext_lab.bridges.hints import hint_ids
from smotext_lab.errors import BridgeError, ParameterError
from smotext_lab.forms import TextForm
from smotext_lab.lora import Lora
from smotext_lab.steering import Steering

WORDS = ["the", "rain", "goal", "?", "bank", "Snow"]
PIECES = [[1], [2, 3], [4], [5], [6, 7, 8], [9]]


def lexical(**changes: Any) -> LexicalBridge:
    torch.manual_seed(0)
    facts = BridgeFacts("lexical", "enc@1", "llm@1", dim=6, hidden=4, n_tokens=5, n_words=2)
    bridge = LexicalBridge(facts, WORDS, PIECES, **changes)
    with torch.no_grad():
        bridge.head.words.copy_(torch.eye(6))
        bridge.head.prior.copy_(torch.tensor([0.9, 0.1, 0.1, 0.1, 0.1, 0.1]).log())
        bridge.head.bias.copy_(bridge.head.prior)
        bridge.head.bias[0] = 3.0
    return bridge.eval()


def projector() -> ProjectorBridge:
    torch.manual_seed(0)
    return ProjectorBridge(BridgeFacts("mlp2x_gelu", "enc@1", "llm@1", 6, 4, n_tokens=1)).eval()


@pytest.fixture
def embedding() -> torch.Tensor:
    torch.manual_seed(2)
    return torch.randn(10, 4)


def points(*words: str) -> torch.Tensor:
    rows = torch.zeros(1, 6)
    for word in words:
        rows[0, WORDS.index(word)] = 1.0
    return rows / rows.norm()


def test_projector_is_linear_gelu_linear(embedding: torch.Tensor) -> None:
    bridge, vectors = projector(), torch.randn(3, 6)
    first, _, second = bridge.projector["projector"]
    expected = second(torch.nn.functional.gelu(first(vectors)))
    torch.testing.assert_close(bridge.soft_tokens(vectors, embedding)[:, 0], expected)
    assert set(bridge.state_dict()) == {
        f"projector.projector.{i}.{kind}" for i in (0, 2) for kind in ("weight", "bias")
    }


def test_word_tokens_are_the_means_of_the_llms_own_embeddings(embedding: torch.Tensor) -> None:
    soft = lexical().soft_tokens(points("bank"), embedding)
    assert soft.shape == (1, 5, 4)
    torch.testing.assert_close(soft[0, 0], embedding[[6, 7, 8]].mean(0))


def test_a_word_that_is_nearly_always_there_tells_least() -> None:
    bridge = lexical()
    words = [word for word, _ in bridge.explain(points("rain"), top=6)[0]]
    shares = dict(bridge.explain(points("rain"), top=6)[0])
    assert words[0] == "rain"
    assert shares["the"] > 0.9
    assert words.index("the") > 0


def test_dropped_words_give_way_to_the_next_best() -> None:
    bridge = lexical()
    vectors = points("rain", "goal", "bank")
    first, _ = bridge.predicted(vectors)
    none = torch.zeros(1, bridge.pool, dtype=torch.bool)
    drop_best = none.clone()
    drop_best[0, 0] = True
    assert torch.equal(bridge.predicted(vectors, none)[0], first)
    later, _ = bridge.predicted(vectors, drop_best)
    assert first[0, 0] not in later[0]
    assert later[0, 0] == first[0, 1]
    every, _ = bridge.predicted(vectors, ~none)
    assert every.shape == first.shape, "with all dropped there are still words to hand on"


def test_a_correction_puts_the_words_that_are_lacking_first() -> None:
    bridge, vector = lexical(), points("rain", "Snow")
    own = bridge.head.information(vector)
    scores = bridge.lacking(vector, vector, ["Rain came."])
    rain, snow = WORDS.index("rain"), WORDS.index("Snow")
    assert scores[0, rain] == own[0, rain]
    assert scores[0, snow] == 2 * own[0, snow]
    assert bridge.predicted(vector, scores=scores)[0][0, 0] == snow
    moved = bridge.lacking(vector, points("goal"), ["Rain came."])
    assert moved[0, WORDS.index("goal")] > scores[0, WORDS.index("goal")]


def test_hints_change_the_last_token_alone_and_nothing_where_none_is_asked(
    embedding: torch.Tensor,
) -> None:
    bridge, vectors = lexical(), points("rain")
    torch.nn.init.normal_(bridge.hints)
    plain = bridge.soft_tokens(vectors, embedding)
    none, asked = (
        bridge.soft_tokens(vectors, embedding, hints=hint_ids([length], [form]))
        for length, form in ((None, None), (9, TextForm.of("Who came?")))
    )
    assert torch.equal(plain, none)
    assert torch.equal(plain[:, :-1], asked[:, :-1])
    rows = bridge.hints[hint_ids([9], [TextForm.of("Who came?")])[0]]
    moved = rows.sum(0, keepdim=True) * bridge.facts.hidden**0.5
    torch.testing.assert_close(asked[:, -1] - plain[:, -1], moved)


def test_confidence_enters_the_word_tokens(embedding: torch.Tensor) -> None:
    bridge, vectors = lexical(), points("rain")
    plain = bridge.soft_tokens(vectors, embedding)
    with torch.no_grad():
        bridge.confidence.fill_(1.0)
    _, share = bridge.predicted(vectors)
    torch.testing.assert_close(
        bridge.soft_tokens(vectors, embedding)[:, :2] - plain[:, :2],
        share[..., None].expand(-1, -1, 4),
    )


@pytest.mark.parametrize("make", [lexical, projector])
def test_saved_and_loaded_bridges_give_the_same_tokens(
    make: Any, tmp_path: Path, embedding: torch.Tensor
) -> None:
    bridge: Bridge = make()
    bridge.lora = Lora({"x.A": torch.ones(1, 3), "x.B": torch.ones(2, 1)}, 2.0)
    bridge.save(tmp_path)
    again = load_bridge(tmp_path)
    vectors = torch.randn(4, 6)
    torch.testing.assert_close(
        again.soft_tokens(vectors, embedding),
        bridge.soft_tokens(vectors, embedding),
        atol=2e-3,  # float16 on disk
        rtol=2e-3,
    )
    assert again.lora is not None
    assert again.lora.modules == ["x"]
    assert again.facts == bridge.facts
    assert again.folder == tmp_path


def test_the_way_of_splitting_words_can_be_replaced(tmp_path: Path) -> None:
    lexical().save(tmp_path)
    bridge = load_bridge(tmp_path, split=list)
    assert isinstance(bridge, LexicalBridge)
    assert bridge.split("雨と雪") == ["雨", "と", "雪"]


@pytest.mark.parametrize("damage", ["truncate", "alter", "remove"])
def test_damaged_weights_are_refused(tmp_path: Path, damage: str) -> None:
    lexical().save(tmp_path)
    weights = tmp_path / "bridge.safetensors"
    data = weights.read_bytes()
    if damage == "remove":
        weights.unlink()
    else:
        weights.write_bytes(data[:-9] if damage == "truncate" else data[:-1] + b"!")
    for read in (load_bridge, bridge_identity):
        with pytest.raises(BridgeError, match=r"bridge\.safetensors is missing or not the file"):
            read(tmp_path)


def test_what_a_bridge_is_known_by_is_told_without_loading_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lexical().save(tmp_path)
    known_by = load_bridge(tmp_path).facts.sha256
    monkeypatch.delattr("smotext_lab.bridges.files._read_tensors")
    assert bridge_identity(tmp_path) == known_by


@pytest.mark.parametrize("content", [None, "rain\ngoal\n"])
def test_a_word_list_that_is_not_the_weights_is_refused(
    tmp_path: Path, content: str | None
) -> None:
    lexical().save(tmp_path)
    (tmp_path / "words.txt").unlink()
    if content is not None:
        (tmp_path / "words.txt").write_text(content)
    with pytest.raises(BridgeError, match=r"words\.txt has \d words where the weights have 6"):
        load_bridge(tmp_path)


def test_a_save_that_is_cut_short_leaves_no_bridge_that_looks_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lexical().save(tmp_path)

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LexicalBridge, "_save_extra", stop)
    with pytest.raises(KeyboardInterrupt):
        lexical().save(tmp_path)
    with pytest.raises(BridgeError, match="no bridge in"):
        load_bridge(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"kind": "lexical"}'])
def test_unreadable_facts_are_refused(tmp_path: Path, text: str) -> None:
    lexical().save(tmp_path)
    (tmp_path / "bridge.json").write_text(text)
    with pytest.raises(BridgeError, match=r"bridge\.json cannot be read"):
        load_bridge(tmp_path)


def test_an_unknown_kind_is_named(tmp_path: Path) -> None:
    lexical().save(tmp_path)
    facts = json.loads((tmp_path / "bridge.json").read_text()) | {"kind": "resampler"}
    (tmp_path / "bridge.json").write_text(json.dumps(facts))
    with pytest.raises(BridgeError, match="unknown kind 'resampler'"):
        load_bridge(tmp_path)


def test_a_folder_without_a_bridge_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match=r"no bridge in .*expected bridge\.json"):
        load_bridge(tmp_path)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (("enc@1", 7, "llm@1", 4), "vectors of length 6"),
        (("enc@1", 6, "llm@1", 8), "embeddings of width 4"),
        (("enc@2", 6, "llm@1", 4), "trained for the encoder enc@1, not for enc@2"),
        (("enc@1", 6, "llm@2", 4), "trained for the LLM llm@1, not for llm@2"),
    ],
)
def test_models_that_do_not_fit_are_refused_with_the_reason(given: Any, reason: str) -> None:
    bridge = projector()
    bridge.check("enc@1", 6, "llm@1", 4)
    with pytest.raises(BridgeError, match=reason):
        bridge.check(*given)


def test_a_model_is_known_by_its_weights_whatever_its_folder_is_called() -> None:
    facts = BridgeFacts("mlp2x_gelu", "mine@0123456789ab", "org/it@ba9876543210", 6, 4, n_tokens=1)
    bridge = ProjectorBridge(facts)
    bridge.check("yours@0123456789ab", 6, "copy@ba9876543210", 4)
    with pytest.raises(BridgeError, match="mine@0123456789ab, not for mine@0123456789ac"):
        bridge.check("mine@0123456789ac", 6, "org/it@ba9876543210", 4)
    with pytest.raises(BridgeError, match="enc@1, not for other@1"):  # no digest: a name
        projector().check("other@1", 6, "llm@1", 4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("हिन्दी में क्या है?", ["हिन्दी", "में", "क्या", "है", "?"]),
        ("தமிழ் மொழி", ["தமிழ்", "மொழி"]),
        ("বাংলা ভাষা", ["বাংলা", "ভাষা"]),
        ("ශ්\u200dරී ලංකා", ["ශ්\u200dරී", "ලංකා"]),
        ("שָׁלוֹם עֲלֵיכֶם", ["שָׁלוֹם", "עֲלֵיכֶם"]),
        ("السَّلَامُ عَلَيْكُمْ", ["السَّلَامُ", "عَلَيْكُمْ"]),
        ("re\u0301sume\u0301 d'e\u0301te\u0301", ["re\u0301sume\u0301", "d'e\u0301te\u0301"]),
        ("カ\u3099ラスを見た", ["カ\u3099ラス", "を", "見", "た"]),
    ],
)
def test_a_word_goes_on_over_its_accents_and_vowel_signs(text: str, words: list[str]) -> None:
    assert split_words(text) == words


def test_the_words_of_the_shipped_bridge_are_split_as_they_were() -> None:
    before = re.compile(
        r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+(?:[.,]\d+)*|[?!]"  # of what English is written in
    )
    words = (DEFAULT_BRIDGE / "words.txt").read_text("utf-8").splitlines()
    assert [split_words(word) for word in words] == [before.findall(word) for word in words]


def test_splitting_keeps_words_numbers_and_what_makes_a_question() -> None:
    assert split_words("Isn't it 3.5% of Müller's? Yes!") == [
        "Isn't", "it", "3.5", "of", "Müller's", "?", "Yes", "!",
    ]  # fmt: skip


@pytest.mark.real
def test_the_shipped_bridge_says_which_words_a_text_holds() -> None:
    from smotext_lab.encoders import BertEncoder

    bridge = load_bridge("default")
    vectors = BertEncoder().encode(["Heavy snow closed the airport in Denver."])
    words = [w.lower() for w, _ in bridge.explain(torch.from_numpy(np.array(vectors)), top=8)[0]]
    assert {"snow", "airport", "denver"} <= set(words)
    assert bridge.facts.training["unseen_loss"] < 3.2


def test_a_pinned_word_comes_first_and_is_told_as_certain(embedding: torch.Tensor) -> None:
    bridge, vector = lexical(), points("Snow")
    scores = bridge.steered(vector, None, Steering(pinned=("Goal",)))
    ids, share = bridge.predicted(vector, scores=scores)
    assert bridge.words[int(ids[0, 0])] == "goal"
    assert share[0, 0].item() == 1.0
    everything = torch.ones((1, bridge.pool), dtype=torch.bool)
    kept, _ = bridge.predicted(vector, everything, scores)
    assert bridge.words[int(kept[0, 0])] == "goal"


def test_a_banned_word_is_not_handed_on() -> None:
    bridge, vector = lexical(), points("Snow")
    first = bridge.words[int(bridge.predicted(vector)[0][0, 0])]
    scores = bridge.steered(vector, None, Steering(banned=(first,)))
    named = [bridge.words[i] for i in bridge.predicted(vector, scores=scores)[0][0].tolist()]
    assert first not in named


def test_an_unknown_word_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ParameterError, match=r"'gaol' is not among .* \(did you mean 'goal'"):
        lexical().steered(points("Snow"), None, Steering(pinned=("gaol",)))
