"""``tokenizer.model`` without ``tokenizer.json``, as slow tokenizers of transformers 4 saved it.

What is expected was compared with such a tokenizer (transformers 4.44.2, sentencepiece): all of
xRAG's instructions and 371 mixtures of their parts, blanks and special tokens gave the same tokens.
"""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import pytest

from smotext_lab import models
from smotext_lab.errors import ModelError
from smotext_lab.models.sentencepieces import load_tokenizer

PIECES = [
    *(("<unk>", 2), ("<s>", 3), ("</s>", 3), ("<0xC3>", 6), ("<0xA9>", 6)),
    *((piece, 1) for piece in ("▁▁", "▁m", "me", "▁me", "▁[", *"▁aemINST[]/")),
]


def field(number: int, value: int | bytes | float) -> bytes:
    if isinstance(value, int):
        return bytes([number << 3, value])
    if isinstance(value, float):
        return bytes([number << 3 | 5]) + struct.pack("<f", value)
    return bytes([number << 3 | 2, len(value)]) + value


@pytest.fixture
def make(tmp_path: Path):
    """Return a maker of a folder with such a tokenizer."""

    def made(model_type: int = 2, **told: object) -> Path:
        pieces = [
            field(1, field(1, piece.encode()) + field(2, -float(rank)) + field(3, kind))
            for rank, (piece, kind) in enumerate(PIECES)
        ]
        (tmp_path / "tokenizer.model").write_bytes(
            b"".join(pieces) + field(2, field(3, model_type))
        )
        added = {
            str(number): {"content": content, "special": number != len(PIECES) + 1}
            for number, content in (
                *enumerate(("<unk>", "<s>", "</s>")),
                (len(PIECES), "<pad>"),
                (len(PIECES) + 1, "<xRAG>"),
            )
        }
        config = {
            "tokenizer_class": "LlamaTokenizer",
            "legacy": True,
            "added_tokens_decoder": added,
            "unk_token": "<unk>",
            "bos_token": {"content": "<s>"},
            "eos_token": "</s>",
            "pad_token": "<pad>",
        }
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | told))
        return tmp_path

    return made


def test_every_part_of_a_text_begins_with_a_blank_as_in_training(make):
    tokenizer = load_tokenizer(make())
    ids = tokenizer("[INST] a <xRAG> me [/INST]")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == [
        *("<s>", "▁[", *"INST]", "▁", "a", "▁", "<xRAG>"),
        *("▁▁", "me", "▁[", *"/INST]"),
    ]
    assert ids[ids.index(len(PIECES) + 1)] == tokenizer.convert_tokens_to_ids("<xRAG>")
    assert tokenizer.decode(ids[:9], skip_special_tokens=True) == "[INST] a"


def test_a_tokenizer_that_is_not_legacy_begins_only_the_text_with_a_blank(make):
    tokenizer = load_tokenizer(make(legacy=False))
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("a<xRAG> me<xRAG>me")["input_ids"])
    assert tokens == ["<s>", "▁", "a", "<xRAG>", "▁me", "<xRAG>", "me"]


def test_the_end_is_put_where_it_was_set_and_unknown_letters_are_bytes(make):
    tokenizer = load_tokenizer(make(add_bos_token=False, add_eos_token=True))
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("aé日")["input_ids"])
    assert tokens == ["▁", "a", "<0xC3>", "<0xA9>", "<unk>", "</s>"]
    assert tokenizer.decode(tokenizer("aé")["input_ids"], skip_special_tokens=True) == "aé"


def test_a_model_is_loaded_with_it(make, tiny_llm, tmp_path):
    folder = shutil.copytree(tiny_llm, tmp_path / "llm")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    for path in make().glob("tokenizer*"):
        shutil.copy(path, folder)
    _, tokenizer = models.load_llm(folder, "float32")
    assert tokenizer.pad_token == "<pad>"
    assert tokenizer.tokenize("me") == ["▁me"]


def test_a_damaged_file_and_tokens_without_a_place_are_one_sentence(make):
    folder = make(added_tokens_decoder={"99": {"content": "<xRAG>", "special": False}})
    with pytest.raises(ModelError, match="has no place 99 for the added token '<xRAG>'"):
        load_tokenizer(folder)
    (folder / "tokenizer.model").write_bytes((folder / "tokenizer.model").read_bytes()[:50])
    with pytest.raises(ModelError, match="is damaged"):
        load_tokenizer(folder)


def test_what_is_no_bpe_is_left_to_transformers(make):
    with pytest.raises((ValueError, OSError, ImportError)):
        load_tokenizer(make(model_type=1))  # for which it needs sentencepiece
