"""What training is given: a corpus, the models a bridge lies between, and one to start from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from smotext_lab.bridges import Bridge, BridgeFacts, load_bridge
from smotext_lab.encoders import BertEncoder, Encoder
from smotext_lab.errors import ModelError, ParameterError
from smotext_lab.models import fingerprint, load_llm
from smotext_lab.training.corpus import read_by
from smotext_lab.training.trainer import BridgeRecipe
from smotext_lab.writer import end_tokens, positions

__all__ = ["Ends", "Texts", "start_bridge"]

_PROBED = 8  # embeddings that an LLM is looked at with
_MOST_SHIFT = 0.01  # of the largest logit: rounding to 16 bits moves it less


@dataclass(frozen=True)
class Texts:
    """The corpus as training sees it; the unseen rows are never trained on."""

    texts: list[str]
    train: np.ndarray
    unseen: np.ndarray

    @classmethod
    def divided(cls, texts: list[str], seed: int) -> Texts:
        """Hold a 20th of the texts back, at most 2,000; of few texts 16 or an eighth."""
        order = np.random.default_rng([seed, 1]).permutation(len(texts))
        held = min(2000, max(3, len(texts) // 20, min(16, len(texts) // 8)))
        return cls(texts, order[held:], order[:held])

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
    def load(cls, encoder: str | os.PathLike[str] | Encoder, llm: str | os.PathLike[str]) -> Ends:
        """Load both.

        Raises
        ------
        ParameterError
            If `encoder` is neither a name nor a folder nor an encoder.
        ModelError
            If the LLM changes its embeddings or its logits, which training does not, or ends no
            text.
        """
        if isinstance(encoder, str | os.PathLike):
            encoder = BertEncoder(os.fspath(encoder))
        elif not hasattr(encoder, "encode"):
            msg = (
                f"encoder must be a registered name, a folder, a hub id or an encoder, not "
                f"{encoder!r}: give what has a method encode"
            )
            raise ParameterError(msg)
        llm = os.fspath(llm)
        model, tokenizer = load_llm(llm, "auto", "cpu")  # where we train
        model.set_attn_implementation("eager")  # faster for short texts on a CPU
        _check_plain(llm, model)
        end_tokens(llm, model, tokenizer)  # told before hours of encoding
        return cls(encoder, llm, model, tokenizer)

    @property
    def end(self) -> int:
        """The token that ends a text."""
        return end_tokens(self.llm, self.model, self.tokenizer)[0]

    def check_tokens(self, ids: Iterable[Sequence[int]]) -> None:
        """Raise `ModelError` if texts, or the end of each, have a token without an embedding."""
        most = max(self.end, max((max(row, default=0) for row in ids), default=0))
        known = self.model.get_input_embeddings().num_embeddings
        if most >= known:
            msg = (
                f"{self.llm} has no embedding of token {most}, which its tokenizer writes: it has "
                f"{known:,}; give it the tokenizer that it was trained with"
            )
            raise ModelError(msg)

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
    if not _is_plain(model):
        msg = (
            f"{llm} ({type(model).__name__}) scales its embeddings or logits, as Gemma, Granite "
            f"and Cohere do, or has layers before its head, as BERT has, and training does not: "
            f"choose an LLM of Llama's, Qwen2's, GPT-NeoX's, OPT's or GPT-2's kind"
        )
        raise ModelError(msg)


@torch.no_grad()
def _is_plain(model: Any) -> bool:
    """Tell whether an LLM is its body between a table and a linear head, with nothing more."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    count = min(_PROBED, positions(model))
    ids = torch.linspace(0, embedding.num_embeddings - 1, count).long()[None]
    read = embedding.weight[ids]
    if not torch.equal(embedding(ids), read):
        return False
    states = model.base_model(inputs_embeds=read, use_cache=False).last_hidden_state
    logits = model(inputs_embeds=read, use_cache=False).logits.float()
    shift = (head(states).float() - logits).abs().max() / logits.abs().max()
    return not bool(shift > _MOST_SHIFT)  # a shift that is no number is told in training


def start_bridge(
    start_from: str | Path, out: str | Path, split: Callable[[str], list[str]]
) -> Bridge:
    """Load the bridge to start from.

    Raises
    ------
    ParameterError
        If the new one would be written over it.
    """
    bridge = load_bridge(start_from, split=split)
    if bridge.folder is not None and bridge.folder.resolve() == Path(out).resolve():
        msg = f"out={str(out)!r} is the bridge to start from: give a folder of its own"
        raise ParameterError(msg)
    return bridge
