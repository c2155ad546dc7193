"""Asking a language model for one more text like two: with a tiny one, and with given answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from smotext_lab import BertEncoder, XRAGDecoder
from smotext_lab.bridges import load_bridge
from smotext_lab.evaluation import prompting
from smotext_lab.evaluation.prompting import prompted
from smotext_lab.evaluation.recalling import read_lines
from smotext_lab.lora import Lora

LAYER = "model.layers.0.self_attn.q_proj"
WANTED = {"money": 5, "sport": 0, "weather": 3}


@pytest.fixture
def decoder(tiny_encoder: Path, tiny_llm: Path, tiny_bridge: Path) -> XRAGDecoder:
    """Return a decoder whose LLM can be asked, with a bridge whose LoRA changes what it writes."""
    bridge = load_bridge(tiny_bridge)
    torch.manual_seed(0)
    bridge.lora = Lora({f"{LAYER}.A": torch.randn(2, 16), f"{LAYER}.B": torch.randn(16, 2)}, 5.0)
    encoder = BertEncoder(str(tiny_encoder))
    decoder = XRAGDecoder(str(tiny_llm), bridge, encoder=encoder, max_new_tokens=8)
    with decoder.bare_llm() as (_, tokenizer):
        tokenizer.chat_template = "{% for each in messages %}{{ each.content }}{% endfor %}"
    return decoder


@pytest.fixture
def real(topics: Callable[..., Any]) -> tuple[list[str], np.ndarray]:
    texts, labels = topics(money=6, sport=4, weather=1)
    return texts, np.array(labels)


def test_as_many_texts_as_asked_or_fewer_each_with_its_class(
    decoder: XRAGDecoder, real: tuple[list[str], np.ndarray]
) -> None:
    made = prompted(*real, WANTED, decoder)
    assert list(made.columns) == ["text", "label"]
    assert made["text"].str.strip().ne("").all()
    counts = made["label"].value_counts()
    assert set(counts.index) == {"money", "weather"}
    assert all(0 < counts[label] <= WANTED[label] for label in counts.index)


def test_one_random_state_gives_one_set_of_texts(
    decoder: XRAGDecoder, real: tuple[list[str], np.ndarray]
) -> None:
    first = prompted(*real, WANTED, decoder, 3)
    torch.manual_seed(9)
    stream = torch.get_rng_state()
    pd.testing.assert_frame_equal(prompted(*real, WANTED, decoder, 3), first)
    assert torch.equal(torch.get_rng_state(), stream)
    assert not prompted(*real, WANTED, decoder, 4).equals(first)


def test_answers_are_kept_batch_by_batch(
    decoder: XRAGDecoder,
    real: tuple[list[str], np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prompting, "_BATCH", 3)
    whole = prompted(*real, WANTED, decoder)
    part = tmp_path / "part"
    pd.testing.assert_frame_equal(prompted(*real, WANTED, decoder, unfinished=part), whole)
    lines = [line for line in part.read_text().splitlines() if line]
    assert len(lines) == 3
    part.write_text("\n".join(lines[:1]) + "\n" + lines[1][:20])  # killed while it wrote
    pd.testing.assert_frame_equal(prompted(*real, WANTED, decoder, unfinished=part), whole)
    assert [told["start"] for told in read_lines(part)] == [0, 3, 6]


def test_the_model_answers_without_what_the_bridge_taught_it(
    decoder: XRAGDecoder, real: tuple[list[str], np.ndarray]
) -> None:
    lora = decoder.bridge.lora
    decoder.decode(decoder.encoder.encode(real[0][:2]))  # puts the LoRA on, and off again
    made = prompted(*real, WANTED, decoder)
    with decoder.bare_llm() as (model, _):
        pass
    with lora.applied(model):
        assert not prompted(*real, WANTED, decoder).equals(made), "else no test sees the LoRA"
    decoder.bridge.lora = None
    pd.testing.assert_frame_equal(prompted(*real, WANTED, decoder), made)


def test_two_texts_of_the_class_are_shown(
    decoder: XRAGDecoder, real: tuple[list[str], np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(prompting, "_answered", lambda _d, asks, *_: asked.extend(asks) or asks)
    prompted(*real, WANTED, decoder)
    texts, labels = real
    shown = [
        [label for text, label in zip(texts, labels, strict=True) if text in ask] for ask in asked
    ]
    assert shown[:5] == [["money", "money"]] * 5  # two that differ
    assert shown[5:] == [["weather"]] * 3  # the only one there is, twice


def test_of_an_answer_the_first_line_that_says_something_is_kept(
    decoder: XRAGDecoder, real: tuple[list[str], np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [
        "1. Rates fell.",
        'Here is one more:\n\n- "Shares rose."\nThe bank said so.',
        "3) 2. “Debt grew.”",
        "\n \n",
        "It is 2.5 percent.",
    ]
    monkeypatch.setattr(prompting, "_answered", lambda *_: answers)
    made = prompted(*real, {"money": 5}, decoder)
    assert made["text"].tolist() == [
        "Rates fell.",
        "Shares rose.",
        "Debt grew.",
        "It is 2.5 percent.",
    ]
    assert made["label"].tolist() == ["money"] * 4
