"""Tokenizers saved as ``tokenizer.model`` alone, as xRAG's: read as they were trained with.

transformers 5 reads such a file only with further packages, and then tokenizes otherwise than the
slow tokenizer of transformers 4 that saved it: at the beginning of a text, and after a token that
was added, that one puts a blank before what follows (what it calls ``legacy``). Mistral's
``[INST]`` and the text after ``<xRAG>`` are then other tokens than those of the training.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from smotext_lab.errors import ModelError

__all__ = ["load_tokenizer"]

_BLANK = "▁"
_BPE = 2
_NORMAL, _UNKNOWN, _BYTE = 1, 2, 6  # kinds of pieces


def load_tokenizer(folder: Path) -> Any:
    """Return the tokenizer of a model folder.

    Raises
    ------
    ModelError
        When ``tokenizer.model`` is damaged, or the tokens that were added have no place.
    """
    from transformers import AutoTokenizer

    config = folder / "tokenizer_config.json"
    told = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    file = folder / "tokenizer.model"
    if (
        file.is_file()
        and not (folder / "tokenizer.json").is_file()
        and told.get("tokenizer_class") == "LlamaTokenizer"
        and (pieces := _pieces(file))
    ):
        return _tokenizer(file, pieces, told)
    return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def _tokenizer(file: Path, pieces: list[tuple[str, int]], told: dict[str, Any]) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {piece: number for number, (piece, _) in enumerate(pieces)}
    unknown = next((piece for piece, kind in pieces if kind == _UNKNOWN), None)
    inside = Tokenizer(
        models.BPE(
            vocabulary,
            _merges(pieces, vocabulary),
            unk_token=unknown,
            fuse_unk=True,
            byte_fallback=any(kind == _BYTE for _, kind in pieces),
        )
    )
    if told.get("legacy") in (None, True):
        inside.normalizer = normalizers.Sequence(
            [normalizers.Prepend(_BLANK), normalizers.Replace(" ", _BLANK)]
        )
    else:
        inside.pre_tokenizer = pre_tokenizers.Metaspace(_BLANK, "first", split=False)
    inside.decoder = decoders.Sequence(
        [
            decoders.Replace(_BLANK, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", left=1),
        ]
    )
    added = sorted((int(n), token) for n, token in told.get("added_tokens_decoder", {}).items())
    for number, token in added:
        # not normalised, or the blank before every part of a text would be part of the token too
        kept = {name: bool(token.get(name)) for name in ("lstrip", "rstrip", "single_word")}
        how = AddedToken(token["content"], normalized=False, special=token["special"], **kept)
        (inside.add_special_tokens if token["special"] else inside.add_tokens)([how])
        if inside.token_to_id(token["content"]) != number:
            msg = f"{file} has no place {number} for the added token {token['content']!r}."
            raise ModelError(msg)
    names = {
        name: content["content"] if isinstance(content, dict) else content
        for name in ("unk_token", "bos_token", "eos_token", "pad_token")
        if (content := told.get(name))
    }
    _frame(inside, names, told)
    more = {name: told[name] for name in ("chat_template", "padding_side") if told.get(name)}
    return PreTrainedTokenizerFast(tokenizer_object=inside, **names, **more)


def _frame(inside: Any, names: dict[str, str], told: dict[str, Any]) -> None:
    """Put the tokens that begin and end a text around it, as the tokenizer was set to."""
    from tokenizers import processors

    frame = ["$A"]
    for end, where, default in (("bos", 0, True), ("eos", 2, False)):
        if told.get(f"add_{end}_token", default) and f"{end}_token" in names:
            frame.insert(where, names[f"{end}_token"])
    special = [(name, inside.token_to_id(name)) for name in frame if name != "$A"]
    inside.post_processor = processors.TemplateProcessing(single=frame, special_tokens=special)


def _merges(pieces: list[tuple[str, int]], vocabulary: dict[str, int]) -> list[tuple[str, str]]:
    """Return every pair of pieces that is a piece, the likeliest (first in the list) first."""
    return [
        (piece[:cut], piece[cut:])
        for piece, kind in pieces
        if kind == _NORMAL
        for cut in range(1, len(piece))
        if piece[:cut] in vocabulary and piece[cut:] in vocabulary
    ]


def _pieces(file: Path) -> list[tuple[str, int]]:
    """Return the pieces of a BPE model and their kinds; none of another model.

    The file is a message of protocol buffers: its fields 1 are the pieces (1: text, 3: kind), its
    field 2 how it was trained (3: the kind of model).
    """
    try:
        fields = list(_fields(file.read_bytes()))
        trained = dict(_fields(next((value for number, value in fields if number == 2), b"")))
        read = [dict(_fields(value)) for number, value in fields if number == 1]
        pieces = [(piece[1].decode("utf-8"), piece.get(3, _NORMAL)) for piece in read]
    except (IndexError, KeyError, ValueError, AttributeError, TypeError) as error:
        msg = f"{file} is damaged, or no model of sentencepiece; copy it again."
        raise ModelError(msg) from error
    return pieces if trained.get(3) == _BPE else []


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the fields of a message of protocol buffers: their number, and what is in them."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        value: Any
        if key & 7 == 0:
            value, at = _varint(data, at)
        else:
            size = {1: 8, 5: 4}.get(key & 7, 0)
            if key & 7 == 2:
                size, at = _varint(data, at)
            if not size <= len(data) - at or key & 7 not in (1, 2, 5):
                raise ValueError
            value, at = data[at : at + size], at + size
        yield key >> 3, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
