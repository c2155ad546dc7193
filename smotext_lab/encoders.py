"""Texts to vectors: BERT-type encoders, and the one that xRAG-7B was trained with."""

from __future__ import annotations

import copy
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import numpy as np

from smotext_lab.errors import DataError, ParameterError
from smotext_lab.loading import LazyWeights
from smotext_lab.models import (
    DEFAULT_ENCODER,
    fingerprint,
    load_encoder_model,
    torch_device,
    torch_dtype,
)

if TYPE_CHECKING:
    import torch

__all__ = ["BertEncoder", "Encoder", "LongTexts", "SFREncoder", "TextLengths"]

LongTexts = Literal["truncate", "sentences", "error"]

_PROBES = ("Who paid for it?", "The train was late again, so we walked home in the rain.", "spam")
_LEAST_COSINE = 0.999  # of bfloat16 to float32 vectors, for "auto" to take the faster

_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+")


class Encoder(Protocol):
    """What the road asks of an encoder.

    Attributes
    ----------
    name : str
    fingerprint : str
        Identity of the weights; a bridge is trained for one of them.
    dim : int
        Length of the vectors.
    """

    name: str

    @property
    def fingerprint(self) -> str:
        """Identity of the weights."""
        ...

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        ...

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> np.ndarray:
        """Return float32 vectors, shape (n, dim)."""
        ...


@dataclass(frozen=True)
class TextLengths:
    """What the long-text policy met in one call of ``encode``.

    Attributes
    ----------
    n_texts : int
    n_long : int
        Texts longer than `max_words` (``"sentences"``) or than the encoder reads.
    mean_words : float
        Words a text, before anything was cut.
    """

    n_texts: int = 0
    n_long: int = 0
    mean_words: float = 0.0


class _TransformerEncoder(LazyWeights):
    """Loading, batching and pooling that both encoders share."""

    _normalize = True

    def __init__(
        self,
        model: str,
        *,
        pooling: Literal["mean", "cls", "last"],
        long_texts: LongTexts,
        max_length: int,
        max_words: int,
        batch_tokens: int,
        dtype: str,
        device: str,
    ) -> None:
        if long_texts not in ("truncate", "sentences", "error"):
            msg = f"long_texts must be 'truncate', 'sentences' or 'error', not {long_texts!r}"
            raise ParameterError(msg)
        self.name = model
        self.pooling = pooling
        self.long_texts = long_texts
        self.max_length = max_length
        self.max_words = max_words
        self.batch_tokens = batch_tokens
        self.dtype = dtype
        self.device = device
        self.lengths_ = TextLengths()
        self._fingerprint: str | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, pooling={self.pooling!r})"

    @property
    def fingerprint(self) -> str:
        """Identity of the weights."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self.name)
        return self._fingerprint

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return int(self._models()[0].config.hidden_size)

    def _models(self) -> tuple[Any, Any]:
        if self._loaded is None:
            self._loaded = load_encoder_model(self.name, self.dtype, self.device)
        return cast("tuple[Any, Any]", self._loaded)

    def _positions(self) -> int:
        """Return how many tokens the model itself reads at most."""
        model = self._models()[0]
        most = getattr(model.config, "max_position_embeddings", None) or sys.maxsize
        table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
        padding = getattr(table, "padding_idx", None)  # RoBERTa's kind counts from behind it
        return int(most if padding is None else most - padding - 1)

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> np.ndarray:
        """Return one vector a text.

        Parameters
        ----------
        texts : sequence of str, length n
        progress : bool, default=False
            Show a bar.

        Returns
        -------
        ndarray of float32, shape (n, dim)

        Raises
        ------
        DataError
            If something is not a string, or a text is too long under
            ``long_texts="error"``.
        """
        texts = list(texts)
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        other = next((i for i, text in enumerate(texts) if not isinstance(text, str)), None)
        if other is not None:
            msg = f"text {other} is a {type(texts[other]).__name__}, not a string"
            raise DataError(msg)
        pieces, owners = self._split_long(texts)
        vectors = np.zeros((len(pieces), self.dim), np.float32)
        truncated = np.zeros(len(pieces), bool)
        for rows, values, cut in self._batches(pieces, progress):
            vectors[rows], truncated[rows] = values, cut
        self._note_lengths(texts, truncated, owners)
        if len(pieces) == len(texts):
            return vectors
        means = np.zeros((len(texts), self.dim), np.float64)
        np.add.at(means, owners, vectors)
        means /= np.bincount(owners, minlength=len(texts))[:, None]
        if self._normalize:
            means /= np.linalg.norm(means, axis=1, keepdims=True).clip(1e-12)
        return means.astype(np.float32)

    def _split_long(self, texts: list[str]) -> tuple[list[str], np.ndarray]:
        """Return the pieces to encode and, for each, the row of its text."""
        words = np.array([len(text.split()) for text in texts])
        self.lengths_ = TextLengths(len(texts), 0, float(words.mean()) if len(texts) else 0.0)
        if self.long_texts == "truncate":
            return texts, np.arange(len(texts))
        long = words > self.max_words
        if self.long_texts == "error" and long.any():
            row = int(long.argmax())
            msg = (
                f"{long.sum()} of {len(texts)} texts have more than {self.max_words} words "
                f"(the first is text {row} with {words[row]}): shorten them, or use "
                f"long_texts='truncate' or 'sentences'"
            )
            raise DataError(msg)
        self.lengths_ = TextLengths(len(texts), int(long.sum()), self.lengths_.mean_words)
        split = [
            _passages(t, self.max_words) if far else [t] for t, far in zip(texts, long, strict=True)
        ]
        owners = np.repeat(np.arange(len(texts)), [len(p) for p in split])
        return [piece for pieces in split for piece in pieces], owners

    def _note_lengths(self, texts: list[str], truncated: np.ndarray, owners: np.ndarray) -> None:
        touched = len(np.unique(owners[truncated]))
        if self.long_texts == "truncate":
            self.lengths_ = TextLengths(len(texts), touched, self.lengths_.mean_words)
            if touched:
                most = min(self.max_length, self._positions())
                warnings.warn(
                    f"{touched} of {len(texts)} texts are longer than the {most} "
                    f"tokens that {self.name} reads and were cut there; long_texts='sentences' "
                    f"reads them whole",
                    stacklevel=3,
                )

    def _batches(
        self, texts: list[str], progress: bool
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield ``(rows, vectors, truncated)``, texts of like length together."""
        import torch
        from tqdm.auto import tqdm

        model, tokenizer = self._models()
        ids, cut = self._tokenize(tokenizer, texts)
        order = np.argsort([-len(row) for row in ids], kind="stable")
        with tqdm(
            total=len(texts), desc="encode", unit="text", disable=not progress, leave=False
        ) as bar:
            start = 0
            while start < len(order):
                size = max(1, self.batch_tokens // max(1, len(ids[order[start]])))
                rows = order[start : start + size]
                start += size
                batch = tokenizer.pad({"input_ids": [ids[r] for r in rows]}, return_tensors="pt")
                with torch.inference_mode():
                    states = model(**batch.to(model.device)).last_hidden_state
                    pooled = self._pool(states, batch["attention_mask"].to(states.device))
                yield rows, pooled.cpu().numpy(), cut[rows]
                bar.update(len(rows))

    def _tokenize(self, tokenizer: Any, texts: list[str]) -> tuple[list[list[int]], np.ndarray]:
        # a text of a million characters is cut before the tokenizer sees it: no token that
        # the model reads lies beyond 32 characters a token
        most = min(self.max_length, self._positions())
        short = [text[: 32 * most] for text in texts]
        full = tokenizer(short, add_special_tokens=True, verbose=False)["input_ids"]
        cut = np.array([len(row) > most for row in full], bool)
        if cut.any():
            full = tokenizer(short, truncation=True, max_length=most)["input_ids"]
        # a text may have no token at all; a mean of none is no number
        nothing = tokenizer.pad_token_id if (unk := tokenizer.unk_token_id) is None else unk
        return [row or [nothing] for row in full], cut

    def _pool(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        import torch

        states = states.float()
        if self.pooling == "cls":
            pooled = states[:, 0]
        elif self.pooling == "last":
            last = mask.shape[1] - 1 - mask.flip(1).argmax(1)
            pooled = states[torch.arange(len(states), device=states.device), last]
        else:
            weights = mask[..., None].float()
            pooled = (states * weights).sum(1) / weights.sum(1)
        return torch.nn.functional.normalize(pooled, dim=-1) if self._normalize else pooled


class BertEncoder(_TransformerEncoder):
    """Any BERT-type sentence encoder; unit rows.

    Parameters
    ----------
    model : str, default="all-MiniLM-L6-v2"
        A registered name, a local folder, or a hub id.
    pooling : {"mean", "cls"}, default="mean"
        How token states become one vector; what the model was trained with.
    long_texts : {"truncate", "sentences", "error"}, default="truncate"
        ``"truncate"`` reads the first `max_length` tokens; ``"sentences"`` splits a text of
        more than `max_words` words at sentence ends and takes the mean of the parts;
        ``"error"`` refuses it. What was done is in `lengths_`.
    max_length : int, default=256
        Tokens that are read.
    max_words : int, default=90
        Longest text that a bridge has learnt to write back.
    batch_tokens : int, default=4096
        Tokens in a batch; texts are sorted by length first.
    dtype : {"auto", "float32", "bfloat16", "float16", "4bit", "8bit"}, default="auto"
        ``"auto"`` is bfloat16 where the device computes in it (cosine to float32 above 0.999),
        else see `torch_dtype`. The last two need the extra ``quantized``.
    device : {"auto", "cpu", "cuda", "cuda:N"}, default="auto"
        ``"auto"``: the GPU where CUDA has one.

    Attributes
    ----------
    lengths_ : TextLengths
        What the long-text policy met in the last call.

    Examples
    --------
    >>> encoder = BertEncoder()
    >>> encoder.encode(["Who paid?", "Nobody."]).shape
    (2, 384)
    """

    def __init__(
        self,
        model: str = DEFAULT_ENCODER,
        *,
        pooling: Literal["mean", "cls"] = "mean",
        long_texts: LongTexts = "truncate",
        max_length: int = 256,
        max_words: int = 90,
        batch_tokens: int = 4096,
        dtype: str = "auto",
        device: str = "auto",
    ) -> None:
        if pooling not in ("mean", "cls"):
            msg = f"pooling must be 'mean' or 'cls', not {pooling!r}"
            raise ParameterError(msg)
        super().__init__(
            model,
            pooling=pooling,
            long_texts=long_texts,
            max_length=max_length,
            max_words=max_words,
            batch_tokens=batch_tokens,
            dtype=dtype,
            device=device,
        )

    def _models(self) -> tuple[Any, Any]:
        if self._loaded is None and self.dtype == "auto" and self.name != DEFAULT_ENCODER:
            self._loaded = self._checked()
        return super()._models()

    def _checked(self) -> tuple[Any, Any] | None:
        """Return the model in 16 bits, or in float32 where these move its vectors."""
        import torch

        fast = torch_dtype("auto", torch_device(self.device))
        if fast is torch.float32:
            return None
        full = load_encoder_model(self.name, "float32", self.device)
        probe = copy.deepcopy(self)
        probe.long_texts, probe._loaded = "truncate", full
        expected = probe.encode(_PROBES)
        probe._loaded = load_encoder_model(self.name, fast, self.device)
        cosines = (probe.encode(_PROBES) * expected).sum(axis=1)
        return cast("tuple[Any, Any]", probe._loaded if cosines.min() > _LEAST_COSINE else full)


class SFREncoder(_TransformerEncoder):
    """The encoder of xRAG-7B, ``Salesforce/SFR-Embedding-Mistral`` (14 GB in bfloat16).

    Last-token pooling; documents as xRAG feeds them: no prefix, not normalised. The end
    token is appended, as the model's own tokenizer does. Points between texts are computed as
    directions, of length 1: `XRAGDecoder` gives them `usual_length`, which xRAG's projector knows.

    Parameters
    ----------
    model : str, default="Salesforce/SFR-Embedding-Mistral"
    long_texts : {"truncate", "sentences", "error"}, default="truncate"
        See `BertEncoder`.
    max_length : int, default=180
        Tokens that are read: what xRAG retrieves with.
    dtype, device
        See `BertEncoder`.

    Notes
    -----
    Tested on a small random Mistral; the 7B weights need a hub and about 15 GB of memory
    and have not been run by us.
    """

    _normalize = False

    def __init__(
        self,
        model: str = "Salesforce/SFR-Embedding-Mistral",
        *,
        long_texts: LongTexts = "truncate",
        max_length: int = 180,
        max_words: int = 120,
        batch_tokens: int = 1024,
        dtype: str = "auto",
        device: str = "auto",
    ) -> None:
        super().__init__(
            model,
            pooling="last",
            long_texts=long_texts,
            max_length=max_length,
            max_words=max_words,
            batch_tokens=batch_tokens,
            dtype=dtype,
            device=device,
        )
        self._usual_length: float | None = None

    @property
    def usual_length(self) -> float:
        """How long a text's vector is: the mean of three texts that are always the same."""
        if self._usual_length is None:
            before = self.lengths_
            self._usual_length = float(np.linalg.norm(self.encode(_PROBES), axis=1).mean())
            self.lengths_ = before
        return self._usual_length


def _passages(text: str, max_words: int) -> list[str]:
    """Split `text` at sentence ends into passages of at most `max_words` words.

    A sentence that is longer by itself is cut at word boundaries.
    """
    passages: list[str] = []
    current: list[str] = []
    for sentence in _SENTENCE_END.split(text):
        words = sentence.split()
        if current and len(current) + len(words) > max_words:
            passages.append(" ".join(current))
            current = []
        current += words
        while len(current) > max_words:
            passages.append(" ".join(current[:max_words]))
            current = current[max_words:]
    if current:
        passages.append(" ".join(current))
    return passages
