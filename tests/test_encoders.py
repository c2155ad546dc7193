"""Encoders: unit rows, batches that do not matter, long texts by policy."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from smotext_lab.encoders import BertEncoder, SFREncoder
from smotext_lab.errors import DataError, ModelError, ParameterError

WORDS = [
    "bank",
    "rate",
    "share",
    "goal",
    "match",
    "team",
    "rain",
    "snow",
    "wind",
    "storm",
    "cloud",
    "sun",
    "frost",
    "fog",
]


WORDS = ["bank", "rate", "goal", "match", "rain", "snow", "wind", "cloud", "frost", "fog"]


def sentence(n: int, seed: int = 0) -> str:
    return " ".join(np.random.default_rng(seed).choice(WORDS, n))


@pytest.fixture
def encoder(tiny_encoder: Path) -> BertEncoder:
    return BertEncoder(str(tiny_encoder), dtype="float32", max_length=32, max_words=10)


@pytest.fixture(scope="module")
def tiny_sfr(tmp_path_factory: pytest.TempPathFactory, tiny_llm: Path) -> Path:
    from transformers import AutoTokenizer, MistralConfig, MistralModel

    folder = tmp_path_factory.mktemp("models") / "sfr"
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(tiny_llm)
    shape = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = MistralConfig(
        vocab_size=len(tokenizer), intermediate_size=32, num_key_value_heads=2, head_dim=12, **shape
    )
    MistralModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_rows_are_float32_and_of_unit_length(encoder: BertEncoder) -> None:
    rows = encoder.encode([sentence(n) for n in (1, 5, 20)])
    assert rows.shape == (3, encoder.dim)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-6)


def test_no_texts_give_no_rows(encoder: BertEncoder) -> None:
    assert encoder.encode([]).shape == (0, encoder.dim)


@pytest.mark.parametrize("batch_tokens", [1, 40, 4096])
def test_a_text_has_the_same_vector_whatever_batch_it_was_in(
    tiny_encoder: Path, batch_tokens: int
) -> None:
    encoder = BertEncoder(str(tiny_encoder), dtype="float32", batch_tokens=batch_tokens)
    texts = [sentence(n, seed) for seed, n in enumerate((3, 1, 12, 7, 3, 25))]
    together = encoder.encode(texts)
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_mean_pooling_leaves_padding_out(encoder: BertEncoder) -> None:
    model, tokenizer = encoder._models()
    batch = tokenizer(["rain snow"], return_tensors="pt")
    with torch.inference_mode():
        states = model(**batch).last_hidden_state[0]
    expected = torch.nn.functional.normalize(states.mean(0), dim=0).numpy()
    padded = encoder.encode(["rain snow", sentence(20)])[0]
    np.testing.assert_allclose(padded, expected, atol=1e-6)


def test_cls_pooling_takes_the_first_state(tiny_encoder: Path) -> None:
    encoder = BertEncoder(str(tiny_encoder), pooling="cls", dtype="float32")
    model, tokenizer = encoder._models()
    with torch.inference_mode():
        state = model(**tokenizer(["goal"], return_tensors="pt")).last_hidden_state[0, 0]
    expected = torch.nn.functional.normalize(state, dim=0).numpy()
    np.testing.assert_allclose(encoder.encode(["goal"])[0], expected, atol=1e-6)


def test_truncation_is_counted_and_said(encoder: BertEncoder) -> None:
    with pytest.warns(UserWarning, match="1 of 2 texts are longer than the 32 tokens"):
        encoder.encode([sentence(50), sentence(5)])
    assert encoder.lengths_.n_long == 1
    assert encoder.lengths_.mean_words == pytest.approx(27.5)


def test_sentences_policy_reads_the_end_of_a_long_text(tiny_encoder: Path) -> None:
    encoder = BertEncoder(
        str(tiny_encoder), long_texts="sentences", max_length=32, max_words=10, dtype="float32"
    )
    start = ". ".join(sentence(8, seed) for seed in range(4)) + ". "
    one, two = encoder.encode([start + sentence(8, 50), start + sentence(8, 51)])
    assert encoder.lengths_.n_long == 2
    assert np.abs(one - two).max() > 1e-3
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-6)


def test_sentences_policy_leaves_short_texts_as_they_are(tiny_encoder: Path) -> None:
    plain = BertEncoder(str(tiny_encoder), dtype="float32")
    split = BertEncoder(str(tiny_encoder), dtype="float32", long_texts="sentences")
    texts = [sentence(5), sentence(9, 1)]
    np.testing.assert_allclose(split.encode(texts), plain.encode(texts), atol=1e-6)


def test_error_policy_names_the_first_long_text(tiny_encoder: Path) -> None:
    encoder = BertEncoder(str(tiny_encoder), long_texts="error", max_words=10)
    with pytest.raises(DataError, match="text 1 with 12"):
        encoder.encode([sentence(3), sentence(12)])


def test_a_text_that_is_no_string_is_named(encoder: BertEncoder) -> None:
    with pytest.raises(DataError, match="text 1 is a float, not a string"):
        encoder.encode(["rain", float("nan")])  # type: ignore[list-item]


def tokenized_by(folder: Path, encoder: Path, **ends: str) -> BertEncoder:
    """Return the encoder with a tokenizer that puts nothing around a text."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertModel, PreTrainedTokenizerFast

    known = {word: number for number, word in enumerate(["<unk>", "<pad>", "rain", "snow"])}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token=ends.get("unk_token")))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **ends).save_pretrained(folder)
    BertModel.from_pretrained(encoder).save_pretrained(folder)
    return BertEncoder(str(folder), dtype="float32")


@pytest.mark.parametrize("ends", [{"pad_token": "<pad>"}, {"unk_token": "<unk>"}])
def test_a_text_without_a_token_has_a_vector_too(
    tiny_encoder: Path, tmp_path: Path, ends: dict[str, str]
) -> None:
    encoder = tokenized_by(tmp_path / "it", tiny_encoder, **ends)
    rows = encoder.encode(["rain snow", "", "rain"])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(encoder.encode([""])[0], rows[1], atol=1e-6)


def test_a_tokenizer_that_cannot_pad_is_named(tiny_encoder: Path, tmp_path: Path) -> None:
    encoder = tokenized_by(tmp_path / "it", tiny_encoder)
    with pytest.raises(ModelError, match="it names no token to pad with: set pad_token"):
        encoder.encode(["rain snow", "rain"])


def test_a_text_of_a_million_characters_is_read(encoder: BertEncoder) -> None:
    with pytest.warns(UserWarning, match="were cut there"):
        row = encoder.encode(["rain " * 200_000])[0]
    assert np.isfinite(row).all()


@pytest.mark.parametrize("wrong", [{"pooling": "max"}, {"long_texts": "drop"}])
def test_unknown_settings_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        BertEncoder(**wrong)  # type: ignore[arg-type]


def test_pickles_hold_no_weights(encoder: BertEncoder) -> None:
    before = encoder.encode(["rain"])
    packed = pickle.dumps(encoder)
    assert len(packed) < 2_000
    np.testing.assert_array_equal(pickle.loads(packed).encode(["rain"]), before)


def test_sfr_takes_the_last_token_and_keeps_its_length(tiny_sfr: Path) -> None:
    encoder = SFREncoder(str(tiny_sfr), dtype="float32")
    model, tokenizer = encoder._models()
    texts = ["rain snow wind", "goal"]
    rows = encoder.encode(texts)
    for row, text in zip(rows, texts, strict=True):
        with torch.inference_mode():
            states = model(**tokenizer([text], return_tensors="pt")).last_hidden_state
        np.testing.assert_allclose(row, states[0, -1].numpy(), atol=1e-5)
    noted = encoder.lengths_
    usual = np.linalg.norm(rows, axis=1).mean()
    assert encoder.usual_length == pytest.approx(usual, rel=0.2)
    assert encoder.usual_length > 2
    assert encoder.lengths_ is noted


@pytest.mark.real
def test_bfloat16_keeps_the_meaning() -> None:
    texts = ["The battery dies after an hour.", "Shares fell in London.", "What is a quark?"]
    full = BertEncoder(dtype="float32").encode(texts)
    half = BertEncoder(dtype="bfloat16").encode(texts)
    assert (full * half).sum(1).min() > 0.999


def test_auto_takes_bfloat16_only_where_it_keeps_the_vectors(
    tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from smotext_lab import encoders

    monkeypatch.setattr(encoders, "torch_dtype", lambda *_: torch.bfloat16)
    monkeypatch.setattr(encoders, "_LEAST_COSINE", 0.9)
    assert BertEncoder(str(tiny_encoder))._models()[0].dtype is torch.bfloat16
    monkeypatch.setattr(encoders, "_LEAST_COSINE", 1.1)
    assert BertEncoder(str(tiny_encoder))._models()[0].dtype is torch.float32
