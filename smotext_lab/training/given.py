"""What training is given: a corpus with its vectors, and the models a bridge lies between."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from smotext_lab.bridges import BridgeFacts
from smotext_lab.encoders import BertEncoder, Encoder
from smotext_lab.errors import ModelError
from smotext_lab.models import fingerprint, load_llm
from smotext_lab.training.corpus import encode_corpus, read_by
from smotext_lab.training.trainer import BridgeRecipe
from smotext_lab.writer import end_tokens

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
        digest.update(f"{read_by(ends.encoder)} {fingerprint(ends.llm)}".encode())
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
        """Load both.

        Raises
        ------
        ModelError
            If the LLM scales its embeddings or its logits, which training does not, or ends no
            text.
        """
        encoder = BertEncoder(encoder) if isinstance(encoder, str) else encoder
        model, tokenizer = load_llm(llm, "auto", "cpu")  # where we train
        model.set_attn_implementation("eager")  # faster for short texts on a CPU
        _check_plain(llm, model)
        end_tokens(llm, model, tokenizer)  # told before hours of encoding
        return cls(encoder, llm, model, tokenizer)

    @property
    def end(self) -> int:
        """The token that ends a text."""
        return end_tokens(self.llm, self.model, self.tokenizer)[0]

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


def _check_plain(llm: str, model: Any) -> None:
    scaled = [
        name
        for name in ("logits_scaling", "final_logit_softcapping", "logit_scale")
        if getattr(model.config, name, None) not in (None, 1, 1.0)
    ]
    if type(model.get_input_embeddings()) is not nn.Embedding:
        scaled.append(type(model.get_input_embeddings()).__name__)
    if scaled:
        msg = (
            f"{llm} ({type(model).__name__}) scales its embeddings or logits "
            f"({', '.join(scaled)}), as Gemma, Granite and Cohere do, and training does not: "
            f"choose an LLM of Llama's, Qwen2's, GPT-NeoX's, OPT's or GPT-2's kind"
        )
        raise ModelError(msg)
