"""Vectors back to texts: soft tokens into a language model, and the best of a few tries."""

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, overload

import numpy as np
import torch

from smotext_lab.bridges import Bridge, load_bridge
from smotext_lab.candidates import Candidate, in_form, malus
from smotext_lab.encoders import BertEncoder, Encoder
from smotext_lab.engines.base import Engine, Generated, Sampling, uniforms
from smotext_lab.engines.transformers import TransformersEngine
from smotext_lab.errors import DataError, ParameterError
from smotext_lab.forms import TextForm
from smotext_lab.loading import LazyWeights
from smotext_lab.models import DEFAULT_LLM, fingerprint, load_llm

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Decoded", "XRAGDecoder"]

PLACEHOLDER = "{xrag}"
XRAG_TOKEN = "<xRAG>"  # noqa: S105 - a token of text, not a secret

_WORD_DROPOUT = 0.15
"""Share of the predicted words that a candidate after the first passes over."""


_NO_GAIN = 1e-3
"""A correction that brings less cosine than this is a row's last."""


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
        Candidates that were decoded, corrections included.
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
    `n_candidates` texts a vector the one is kept that the encoder puts nearest to it; texts
    that are empty or go on repeating themselves come last.

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
        Texts decoded for each vector. All but the first pass over some of the predicted words.
    corrections : int, default=0
        How often the result is corrected: it is encoded again, the decoder's input is moved by
        what is missing to the vector (the residual), `n_candidates` more are decoded, and the
        best of all is kept. A row that no longer gains is left alone. A fixed-point search
        that needs no training; the idea of correcting with the re-encoded text is that of
        vec2text (Morris et al., arXiv 2310.06816, section 3).
    batch_size : int, default=128
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
        corrections: int = 0,
        batch_size: int = 128,
        random_state: int | None = None,
        dtype: str = "auto",
    ) -> None:
        if n_candidates < 1:
            msg = f"n_candidates must be 1 or more, not {n_candidates}"
            raise ParameterError(msg)
        if corrections < 0:
            msg = f"corrections must be 0 or more, not {corrections}"
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
        self.corrections = corrections
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

    @overload
    def decode(
        self,
        vectors: np.ndarray,
        *,
        seeds: Sequence[int] | np.ndarray | None = ...,
        forms: Sequence[TextForm | None] | None = ...,
        progress: bool = ...,
        candidates_trace: Literal[False] = ...,
    ) -> list[str]: ...

    @overload
    def decode(
        self,
        vectors: np.ndarray,
        *,
        seeds: Sequence[int] | np.ndarray | None = ...,
        forms: Sequence[TextForm | None] | None = ...,
        progress: bool = ...,
        candidates_trace: Literal[True],
    ) -> pd.DataFrame: ...

    def decode(
        self,
        vectors: np.ndarray,
        *,
        seeds: Sequence[int] | np.ndarray | None = None,
        forms: Sequence[TextForm | None] | None = None,
        progress: bool = False,
        candidates_trace: bool = False,
    ) -> list[str] | pd.DataFrame:
        """Return one text a vector, or all candidates.

        Parameters
        ----------
        vectors : ndarray of float32, shape (n, d)
        seeds : array of uint64, shape (n,), optional
            A row's random key: same vector and seed, same text.
        forms : sequence of TextForm or None, length n, optional
            See `decode_rows`.
        progress : bool, default=False
        candidates_trace : bool, default=False
            Return every candidate with its scores instead of the best one's text.

        Returns
        -------
        list of str, or DataFrame
            The frame has the columns ``row``, ``rank`` (0: the one that is kept), ``text``,
            ``cosine`` and ``likelihood`` (mean natural log a token).
        """
        from tqdm.auto import tqdm

        rows = self.decode_rows(vectors, seeds=seeds, forms=forms)
        found = list(tqdm(rows, "decode", len(vectors), disable=not progress, unit="text"))
        if not candidates_trace:
            return [decoded.text for decoded in found]
        import pandas as pd

        names = ["row", "rank", "text", "cosine", "likelihood"]
        told = [(d.row, rank, *each) for d in found for rank, each in enumerate(d.trace)]
        return pd.DataFrame(told, columns=names)

    def decode_rows(
        self,
        vectors: np.ndarray,
        *,
        seeds: Sequence[int] | np.ndarray | None = None,
        forms: Sequence[TextForm | None] | None = None,
    ) -> Iterator[Decoded]:
        """Yield a `Decoded` for every vector, block by block in row order.

        Parameters
        ----------
        vectors : ndarray of float32, shape (n, d)
        seeds : array of uint64, shape (n,), optional
            A row's random key: same vector and seed, same text.
        forms : sequence of TextForm or None, length n, optional
            The form each text should have: its case, which many encoders do not see, is put
            right, and candidates of another kind (question, statement, …) count for less.

        Raises
        ------
        DataError
            If the vectors are not finite or not of the encoder's length.
        ParameterError
            If there is not one seed, or not one form, a vector.
        BridgeError
            If bridge, encoder and LLM do not fit.
        """
        vectors = self._checked(vectors)
        keys = self._keys(len(vectors), seeds)
        forms = [None] * len(vectors) if forms is None else list(forms)
        if len(forms) != len(vectors):
            msg = f"there are {len(forms)} forms for {len(vectors)} vectors: give one each"
            raise ParameterError(msg)
        # one batch of the engine at a time: what is finished reaches the caller soon
        size = max(1, self.batch_size // self.n_candidates)
        for start in range(0, len(vectors), size):
            block = slice(start, start + size)
            yield from self._decode_block(_Wanted(vectors[block], keys[block], forms[block]), start)

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

    def _decode_block(self, wanted: _Wanted, first_row: int) -> Iterator[Decoded]:
        vectors = wanted.vectors
        tried: list[list[Candidate]] = [[] for _ in vectors]
        inputs, gaining = vectors.copy(), list(range(len(vectors)))
        for turn in range(self.corrections + 1):
            before = [tried[row][0].score if tried[row] else -np.inf for row in gaining]
            for candidate in self._candidates(inputs, wanted, gaining, turn):
                tried[candidate.row].append(candidate)
            for row in gaining:
                tried[row].sort(key=lambda c: -c.score)
            pairs = zip(gaining, before, strict=True)
            gaining = [row for row, was in pairs if tried[row][0].score > was + _NO_GAIN]
            for row in gaining:
                best = tried[row][0]
                moved = best.input + vectors[row] - best.vector
                length = max(1e-12, float(np.linalg.norm(moved)))
                inputs[row] = moved * (np.linalg.norm(vectors[row]) / length)
            if not gaining:
                break
        for row, candidates in enumerate(tried):
            yield _decoded(candidates, first_row + row, int(wanted.keys[row]))

    def _candidates(
        self, inputs: np.ndarray, wanted: _Wanted, rows: list[int], turn: int
    ) -> Iterator[Candidate]:
        """Decode `n_candidates` texts for each of `rows`, and encode them again."""
        parts, n = self._parts(), self.n_candidates
        owners = np.repeat(np.array(rows, np.int64), n)
        tries = np.tile(np.arange(n), len(rows))
        seeds = _candidate_keys(wanted.keys[owners], tries + turn * n)
        soft = parts.soft_tokens(torch.from_numpy(inputs[owners]), _dropped(seeds, tries, parts))
        done = parts.generate(soft, self.sampling, seeds)
        forms = [wanted.forms[row] for row in owners]
        texts = [in_form(parts.text(g.ids), form) for g, form in zip(done, forms, strict=True)]
        with warnings.catch_warnings():  # candidates may run long; the user's texts did not
            warnings.simplefilter("ignore", UserWarning)
            encoded = self.encoder.encode(texts)
        for i, row in enumerate(owners.tolist()):
            cosine = _cosine(encoded[i], wanted.vectors[row])
            score = cosine - malus(texts[i], forms[i])
            # a copy: a later correction moves the row's input
            start = inputs[row].copy()
            yield Candidate(row, texts[i], cosine, score, done[i], encoded[i], start)


@dataclass(frozen=True, eq=False)
class _Wanted:
    """What is asked of one block: vectors (n, d), a key and perhaps a form for each."""

    vectors: np.ndarray
    keys: np.ndarray
    forms: list[TextForm | None]


def _decoded(candidates: Sequence[Candidate], row: int, seed: int) -> Decoded:
    best = candidates[0]
    return Decoded(
        row=row,
        text=best.text,
        cosine=best.cosine,
        likelihood=best.generated.log_likelihood,
        tokens=len(best.generated.ids),
        ended=best.generated.ended,
        seed=seed,
        attempts=len(candidates),
        vector=best.vector,
        trace=tuple((c.text, c.cosine, c.generated.log_likelihood) for c in candidates),
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
