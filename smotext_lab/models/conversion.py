"""From GGUF, which transformers takes 20 seconds to read, to safetensors."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["REVISION", "from_gguf", "quiet"]

REVISION = 1
"""Part of a converted folder's name: raise it when what `from_gguf` writes changes."""


def from_gguf(file: str, source: Path, target: Path) -> None:
    """Write the GGUF `file` in `source` as a folder that transformers reads in a second.

    Parameters
    ----------
    file : str
        Name of the GGUF file.
    source, target : Path
        Folder it lies in; empty folder to fill with config, tokenizer and bf16 safetensors.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with quiet():
        local = {"gguf_file": file, "local_files_only": True}
        packed = AutoModelForCausalLM.from_pretrained(source, dtype=torch.bfloat16, **local)
        tokenizer = AutoTokenizer.from_pretrained(source, **local)
        _split_digits(tokenizer, source / file)
        tokenizer.save_pretrained(target)
        model = _plain(packed)
        model.save_pretrained(target)


def _plain(packed: Any) -> Any:
    """Return the same model without its memory of GGUF, which refuses to be saved."""
    import torch
    from transformers import AutoModelForCausalLM

    facts = packed.config.to_dict()
    facts.pop("quantization_config", None)
    config = type(packed.config)(**facts)
    with torch.device("meta"):  # a shape to hang the weights on, no memory of its own
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.load_state_dict(packed.state_dict(), assign=True)
    model.tie_weights()
    model.generation_config = packed.generation_config
    return model


def _split_digits(tokenizer: Any, file: Path) -> None:
    """Give a SmolLM tokenizer back what transformers does not read from GGUF.

    SmolLM was trained with every digit split off before byte-level BPE. Without that step
    white space in front of a number is tokenized as the model has never seen it.
    """
    from gguf import GGUFReader
    from tokenizers import pre_tokenizers

    field = GGUFReader(file).get_field("tokenizer.ggml.pre")
    if field is not None and field.contents() == "smollm":
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' progress bars and advice to developers off the screen.

    Its GGUF reader has a bar that knows no switch: that one stays where it can be seen as
    a bar, in a terminal, and does not litter a log.
    """
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    screen = sys.stderr if sys.stderr.isatty() else io.StringIO()
    try:
        with contextlib.redirect_stderr(screen):
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
