"""Vectors back to texts: soft tokens into a language model, and the best of a few tries."""

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from smotext_lab.bridges import Bridge, load_bridge
from smotext_lab.encoders import BertEncoder, Encoder
from smotext_lab.engines.base import Engine, Generated, Sampling, uniforms
from smotext_lab.engines.transformers import TransformersEngine
from smotext_lab.errors import DataError, ParameterError
from smotext_lab.loading import LazyWeights
from smotext_lab.models import DEFAULT_LLM, fingerprint, load_llm

__all__ = ["Decoded", "XRAGDecoder"]

PLACEHOLDER = "{xrag}"
XRAG_TOKEN = "<xRAG>"  # noqa: S105 - a token of text, not a secret

_WORD_DROPOUT = 0.15
"""Share of the predicted words that a candidate after the first passes over."""


@dataclass(frozen=True)
class Decoded:
    """One vector's text.

    Attributes
    ----------
    row : int
        Of the vector.
    text : str
    cosine : float
        Of the re-encoded text to the vector.
    likelihood : float
        Mean natural log of the probability that the LLM gave the tokens.
    tokens : int
        Tokens written.
    ended : bool
        Whether the LLM ended the text itself; else it was cut at `max_new_tokens`.
    seed : int
    attempts : int
        Candidates that were decoded.
    vector : ndarray of float32, shape (d,)
        The re-encoded text.
    trace : tuple of (str, float, float)
        Every candidate with its cosine and likelihood, best first.
    """

    row: int
    text: str
    cosine: float
    likelihood: float
    tokens: int
    ended: bool
    seed: int
    attempts: int
    vector: np.ndarray
    trace: tuple[tuple[str, float, float], ...]


class XRAGDecoder(LazyWeights):
    """Write the text that a vector stands for.

    A bridge turns the vector into soft tokens, which the LLM reads as ``inputs_embeds``
    (xRAG, arXiv 2405.13792, section 3; SMOTExT, arXiv 2505.13434, section 3). Of
    `n_candidates` texts a vector the one is kept that the encoder puts nearest to it.

    Parameters
    ----------
    llm : str, default="SmolLM2-135M-Instruct"
        A registered name, a local folder, or a hub id.
    bridge : str, Path or Bridge, default="default"
        See `load_bridge`.
    encoder : Encoder, optional
        The one the bridge was trained for; default `BertEncoder`.
    prompt : str, optional
        A template with one ``{xrag}``, such as ``"Background: {xrag} means the same as"``.
        The bridge that ships was trained without one.
    temperature, top_p, top_k, max_new_tokens, repetition_penalty
        See `Sampling`.
    n_candidates : int, default=4
        Texts decoded for each vector.
    batch_size : int, default=64
        Texts decoded together.
    random_state : int, optional
        Key of the random numbers where ``decode`` is given no seeds; ``None`` draws a new
        one for each call.
    dtype : {"auto", "float32", "bfloat16"}, default="auto"
        ``"auto"``: bfloat16 where the CPU multiplies it natively.

    Examples
    --------
    >>> decoder = XRAGDecoder(temperature=0, n_candidates=1)
    >>> vectors = decoder.encoder.encode(["The film was a great success at the box office."])
    >>> "film" in decoder.decode(vectors)[0].lower()
    True
    """

    def __init__(
        self,
        llm: str = DEFAULT_LLM,
        bridge: str | Path | Bridge = "default",
        *,
        encoder: Encoder | None = None,
        prompt: str | None = None,
        temperature: float = 0.7,
        top_p: float = 0.9,
        top_k: int = 50,
        max_new_tokens: int = 128,
        repetition_penalty: float = 1.0,
        n_candidates: int = 4,
        batch_size: int = 64,
        random_state: int | None = None,
        dtype: str = "auto",
    ) -> None:
        if n_candidates < 1:
            msg = f"n_candidates must be 1 or more, not {n_candidates}"
            raise ParameterError(msg)
        if prompt is not None and prompt.count(PLACEHOLDER) != 1:
            msg = f"prompt must hold {PLACEHOLDER} exactly once: {prompt!r}"
            raise ParameterError(msg)
        self.llm = llm
        self.bridge = bridge
        self.encoder = encoder if encoder is not None else BertEncoder()
        self.prompt = prompt
        self.sampling = Sampling(temperature, top_p, top_k, max_new_tokens, repetition_penalty)
        self.n_candidates = n_candidates
        self.batch_size = batch_size
        self.random_state = random_state
        self.dtype = dtype

    def __repr__(self) -> str:
        bridge = self.bridge.facts.kind if isinstance(self.bridge, Bridge) else str(self.bridge)
        return f"XRAGDecoder({self.llm!r}, bridge={bridge!r})"

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        if isinstance(self.bridge, Bridge) and self.bridge.folder is not None:
            state["bridge"] = self.bridge.folder  # a path is read again, weights are not pickled
        return state

    def decode(
        self,
        vectors: np.ndarray,
        *,
        seeds: Sequence[int] | np.ndarray | None = None,
        progress: bool = False,
    ) -> list[str]:
        """Return one text a vector.

        Parameters
        ----------
        vectors : ndarray of float32, shape (n, d)
        seeds : array of uint64, shape (n,), optional
            A row's random key: same vector and seed, same text.
        progress : bool, default=False

        Returns
        -------
        list of str
        """
        from tqdm.auto import tqdm

        texts = [""] * len(vectors)
        rows = self.decode_rows(vectors, seeds=seeds)
        for decoded in tqdm(rows, "decode", len(vectors), disable=not progress, unit="text"):
            texts[decoded.row] = decoded.text
        return texts

    def decode_rows(
        self,
        vectors: np.ndarray,
        *,
        seeds: Sequence[int] | np.ndarray | None = None,
    ) -> Iterator[Decoded]:
        """Yield a `Decoded` for every vector, block by block in row order.

        Raises
        ------
        DataError
            If the vectors are not finite or not of the encoder's length.
        BridgeError
            If bridge, encoder and LLM do not fit.
        """
        vectors = self._checked(vectors)
        keys = self._keys(len(vectors), seeds)
        # one batch of the engine at a time: what is finished reaches the caller soon
        size = max(1, self.batch_size // self.n_candidates)
        for start in range(0, len(vectors), size):
            block = slice(start, start + size)
            yield from self._decode_block(vectors[block], keys[block], start)

    def explain(self, vectors: np.ndarray, top: int = 8) -> list[list[tuple[str, float]]]:
        """Return the words each vector stands for, with their probabilities (0 to 1).

        Most telling first: by ``p · log(p / share of texts that hold the word)``. Empty
        lists for a bridge without words.
        """
        return self._parts().bridge.explain(torch.from_numpy(self._checked(vectors)), top)

    def _parts(self) -> _Parts:
        if self._loaded is None:
            self._loaded = _Parts.load(self)
        return cast("_Parts", self._loaded)

    def _checked(self, vectors: np.ndarray) -> np.ndarray:
        vectors = np.ascontiguousarray(vectors, np.float32)
        if vectors.ndim != 2 or vectors.shape[1] != self.encoder.dim:
            msg = f"vectors have shape {vectors.shape}; expected (n, {self.encoder.dim})"
            raise DataError(msg)
        bad = ~np.isfinite(vectors).all(axis=1)
        if bad.any():
            msg = f"vector {int(bad.argmax())} holds NaN or infinity"
            raise DataError(msg)
        return vectors

    def _keys(self, n: int, seeds: Sequence[int] | np.ndarray | None) -> np.ndarray:
        if seeds is None:
            return np.random.SeedSequence(self.random_state).generate_state(n, np.uint64)
        keys = np.asarray(seeds, np.uint64)
        if keys.shape != (n,):
            msg = f"seeds have shape {keys.shape}; expected ({n},), one a vector"
            raise ParameterError(msg)
        return keys

    def _decode_block(
        self, vectors: np.ndarray, keys: np.ndarray, first_row: int
    ) -> Iterator[Decoded]:
        parts, n = self._parts(), self.n_candidates
        owners = np.repeat(np.arange(len(vectors)), n)
        tries = np.tile(np.arange(n), len(vectors))
        seeds = _candidate_keys(keys[owners], tries)
        soft = parts.soft_tokens(torch.from_numpy(vectors[owners]), _dropped(seeds, tries, parts))
        done = parts.generate(soft, self.sampling, seeds)
        texts = [parts.text(g.ids) for g in done]
        with warnings.catch_warnings():  # candidates may run long; the user's texts did not
            warnings.simplefilter("ignore", UserWarning)
            encoded = self.encoder.encode(texts)
        for row in range(len(vectors)):
            group = range(row * n, (row + 1) * n)
            cosines = {i: _cosine(encoded[i], vectors[row]) for i in group}
            order = sorted(group, key=lambda i: (texts[i] == "", -cosines[i]))
            best = order[0]
            yield Decoded(
                row=first_row + row,
                text=texts[best],
                cosine=cosines[best],
                likelihood=done[best].log_likelihood,
                tokens=len(done[best].ids),
                ended=done[best].ended,
                seed=int(keys[row]),
                attempts=n,
                vector=encoded[best],
                trace=tuple((texts[i], cosines[i], done[i].log_likelihood) for i in order),
            )


@dataclass(frozen=True)
class _Parts:
    """The loaded LLM with the bridge and the engine that go with it."""

    model: Any
    tokenizer: Any
    bridge: Bridge
    engine: Engine
    before: torch.Tensor
    after: torch.Tensor
    lock: threading.Lock

    @classmethod
    def load(cls, decoder: XRAGDecoder) -> _Parts:
        given = decoder.bridge
        bridge = given if isinstance(given, Bridge) else load_bridge(given)
        model, tokenizer = load_llm(decoder.llm, decoder.dtype)
        encoder = decoder.encoder
        hidden = model.get_input_embeddings().weight.shape[1]
        bridge.check(encoder.fingerprint, encoder.dim, fingerprint(decoder.llm), hidden)
        ends = model.generation_config.eos_token_id
        ends = [tokenizer.eos_token_id] if ends is None else ends
        engine = TransformersEngine(
            model, [ends] if isinstance(ends, int) else list(ends), decoder.batch_size
        )
        before, after = _prompt_embeds(model, tokenizer, decoder.prompt)
        return cls(model, tokenizer, bridge.eval(), engine, before, after, threading.Lock())

    @torch.inference_mode()
    def soft_tokens(self, vectors: torch.Tensor, dropped: torch.Tensor | None) -> torch.Tensor:
        """Return the whole input of the LLM: prompt, soft tokens, prompt."""
        embedding = self.model.get_input_embeddings().weight
        soft = self.bridge.soft_tokens(vectors, embedding, dropped)
        n = len(soft)
        around = [self.before.expand(n, -1, -1), soft, self.after.expand(n, -1, -1)]
        return torch.cat(around, dim=1)

    def generate(
        self, soft: torch.Tensor, sampling: Sampling, seeds: np.ndarray
    ) -> list[Generated]:
        """Return the rows in order."""
        lora = self.bridge.lora
        # one at a time: while the LoRA is on, nobody else may use the LLM
        with self.lock, lora.applied(self.model) if lora else nullcontext():
            found = self.engine.generate(soft, sampling, seeds)
            return sorted(found, key=lambda generated: generated.row)

    def text(self, ids: np.ndarray) -> str:
        return " ".join(self.tokenizer.decode(ids, skip_special_tokens=True).split())


def _prompt_embeds(
    model: Any, tokenizer: Any, prompt: str | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the embeddings of the prompt before and after the soft tokens.

    The template is tokenized whole with xRAG's own token in the place of ``{xrag}``, as the
    reference does: split before tokenizing, some tokenizers would add a space.
    """
    embedding = model.get_input_embeddings().weight
    if prompt is None:
        nothing = torch.zeros((1, 0, embedding.shape[1]))
        return nothing, nothing
    if XRAG_TOKEN not in tokenizer.get_vocab():
        from tokenizers import AddedToken

        tokenizer = copy.deepcopy(tokenizer)
        tokenizer.add_tokens([AddedToken(XRAG_TOKEN, lstrip=False, rstrip=False)])
    ids = tokenizer(prompt.replace(PLACEHOLDER, XRAG_TOKEN))["input_ids"]
    at = ids.index(tokenizer.convert_tokens_to_ids(XRAG_TOKEN))
    embeds = [
        embedding[torch.tensor(part, dtype=torch.int64)] for part in (ids[:at], ids[at + 1 :])
    ]
    before, after = (e.detach().float()[None] for e in embeds)
    return before, after


def _candidate_keys(keys: np.ndarray, tries: np.ndarray) -> np.ndarray:
    """Return one key a candidate; the first candidate's is the row's own."""
    with np.errstate(over="ignore"):
        return keys + tries.astype(np.uint64) * np.uint64(0xD1342543DE82EF95)


def _dropped(seeds: np.ndarray, tries: np.ndarray, parts: _Parts) -> torch.Tensor | None:
    """Choose which predicted words each candidate passes over; the first one, none."""
    pool = getattr(parts.bridge, "pool", 0)
    if pool == 0:
        return None
    u = np.stack([uniforms(seeds, -2 - word) for word in range(pool)], axis=1)
    return torch.from_numpy((u < _WORD_DROPOUT) & (tries > 0)[:, None])


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / max(1e-12, float(np.linalg.norm(a) * np.linalg.norm(b))))
