"""sacreBLEU, where it is installed."""

from __future__ import annotations

import importlib
from typing import Any

from smotext_lab.errors import ModelError

__all__ = ["bleu_of_sentences"]


def bleu_of_sentences() -> Any:
    """Return sacreBLEU's scorer of single sentences.

    Raises
    ------
    ModelError
        If sacrebleu is not installed.
    """
    try:
        return importlib.import_module("sacrebleu.metrics").BLEU(effective_order=True)
    except ImportError as error:
        msg = "BLEU needs the package sacrebleu: pip install 'smotext-lab[evaluation]'"
        raise ModelError(msg) from error
