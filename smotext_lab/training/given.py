"""What training is given: a corpus with its vectors, and the models a bridge lies between."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smotext_lab.bridges import BridgeFacts
from smotext_lab.encoders import BertEncoder, Encoder
from smotext_lab.models import fingerprint, load_llm
from smotext_lab.training.corpus import encode_corpus
from smotext_lab.training.trainer import BridgeRecipe

__all__ = ["Data", "Ends"]


@dataclass(frozen=True)
class Data:
    """The corpus as training sees it; the last rows are never trained on."""

    texts: list[str]
    vectors: np.ndarray
    train: np.ndarray
    unseen: np.ndarray

    @classmethod
    def prepare(cls, texts: list[str], encoder: Encoder, work: Path, seed: int) -> Data:
        """Encode the texts, and hold a 20th of them back, at most 2,000."""
        order = np.random.default_rng([seed, 1]).permutation(len(texts))
        held = min(2000, max(1, len(texts) // 20))
        return cls(texts, encode_corpus(texts, encoder, work), order[held:], order[:held])

    def key(self, ends: Ends) -> str:
        """Return what stands for the texts, which are held back, and the models."""
        digest = hashlib.sha256("\n".join(self.texts).encode("utf-8", "surrogatepass"))
        digest.update(self.unseen.tobytes())
        digest.update(f"{ends.encoder.fingerprint} {fingerprint(ends.llm)}".encode())
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Ends:
    """What the bridge lies between."""

    encoder: Encoder
    llm: str
    model: Any
    tokenizer: Any

    @classmethod
    def load(cls, encoder: str | Encoder, llm: str) -> Ends:
        """Load both."""
        encoder = BertEncoder(encoder) if isinstance(encoder, str) else encoder
        model, tokenizer = load_llm(llm, "auto", "cpu")  # where we train
        model.set_attn_implementation("eager")  # faster for short texts on a CPU
        return cls(encoder, llm, model, tokenizer)

    def facts(self, kind: str, recipe: BridgeRecipe) -> BridgeFacts:
        """Return what is to be known of a bridge between the two."""
        return BridgeFacts(
            kind=kind,
            encoder=self.encoder.fingerprint,
            llm=fingerprint(self.llm),
            dim=self.encoder.dim,
            hidden=self.model.get_input_embeddings().weight.shape[1],
            n_tokens=recipe.n_words + recipe.n_learnt,
            n_words=recipe.n_words,
            lora_scale=recipe.lora_scale if recipe.rank else 0.0,
        )
