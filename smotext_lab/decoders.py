"""Vectors back to texts: soft tokens into a language model, and the best of a few tries."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, overload

import numpy as np
import torch

from smotext_lab.bridges import Bridge, split_of, split_words
from smotext_lab.decoded import Decoded, Tried
from smotext_lab.encoders import BertEncoder, Encoder
from smotext_lab.engines.base import Sampling
from smotext_lab.engines.transformers import MOST_ROWS
from smotext_lab.engines.vllm import outside, save_merged
from smotext_lab.errors import ParameterError, did_you_mean
from smotext_lab.forms import TextForm
from smotext_lab.given import Rows, forms_of, guidance_of, keys_of, lengths_of, vectors_of
from smotext_lab.loading import LazyWeights
from smotext_lab.models import DEFAULT_LLM
from smotext_lab.search import Search
from smotext_lab.steering import Steering
from smotext_lab.wanted import Agreement, Wanted, Written
from smotext_lab.writer import PLACEHOLDER, Writer

if TYPE_CHECKING:
    import pandas as pd

    from smotext_lab.engines.vllm import Vllm, VllmServer

__all__ = ["XRAGDecoder"]

_BATCHES = 4
"""So many batches of the engine are taken up together."""


class XRAGDecoder(LazyWeights):
    """Write the text that a vector stands for.

    A bridge turns the vector into soft tokens, which the LLM reads as ``inputs_embeds``
    (xRAG, arXiv 2405.13792, section 3; SMOTExT, arXiv 2505.13434, section 3). Of
    `n_candidates` texts a vector the one is kept that the encoder puts nearest to it, or of
    those about equally near the one that the LLM finds likeliest; texts that are empty or go
    on repeating themselves come last.

    Parameters
    ----------
    llm : str, default="SmolLM2-135M-Instruct"
        A registered name, a local folder, or a hub id.
    bridge : str, Path or Bridge, default="default"
        See `load_bridge`. The name of the LLM: the projector among that one's files (xRAG's).
    encoder : Encoder, str or Path, optional
        The one the bridge was trained for; default `BertEncoder`. Of a `BertEncoder` its name,
        folder or hub id will do.
    prompt : str, optional
        A template with one ``{xrag}``, such as ``"Background: {xrag} means the same as"``.
        The bridge that ships was trained without one.
    temperature, top_p, top_k, max_new_tokens, repetition_penalty
        See `Sampling`.
    n_candidates : int, default=4
        Texts decoded for each vector. All but the first pass over some of the predicted words.
    corrections : int, default=0
        How often the result is corrected: it is encoded again, `n_candidates` more are
        decoded with the words first that it lacks (for a bridge without words: with the input
        moved by the residual), up to two words of the best are changed where that brings it
        nearer and the LLM does not mind (`Editor`), and the best of all is kept. A row that no
        longer gains is left alone. A fixed-point search that needs no training; the idea of
        correcting with the re-encoded text is that of vec2text (Morris et al., arXiv 2310.06816,
        section 3).
    batch_size : int, optional
        Texts decoded together; by default as many as half of the free memory holds, at most 128.
        With another number near-ties may fall otherwise.
    random_state : int, optional
        Key of the random numbers where ``decode`` is given no seeds; ``None`` draws a new
        one for each call.
    dtype : {"auto", "float32", "bfloat16", "float16", "4bit", "8bit"}, default="auto"
        ``"auto"``: bfloat16 where the device computes in it, see `torch_dtype`. ``"4bit"`` and
        ``"8bit"``, of LLMs too large for the memory, need the extra ``quantized``.
    device : {"auto", "cpu", "cuda", "cuda:N"}, default="auto"
        Where the LLM is; ``"auto"``: on the GPU where CUDA has one.
    engine : {"transformers", "vllm"}, URL, Vllm or VllmServer, default="transformers"
        How the LLM is run: by the loop of `TransformersEngine`; by vLLM in this process; or by a
        vLLM server, named by its address. See docs/scale.md.

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
        encoder: Encoder | str | os.PathLike[str] | None = None,
        prompt: str | None = None,
        temperature: float = 0.7,
        top_p: float = 0.9,
        top_k: int = 50,
        max_new_tokens: int = 128,
        repetition_penalty: float = 1.0,
        n_candidates: int = 4,
        corrections: int = 0,
        batch_size: int | None = None,
        random_state: int | None = None,
        dtype: str = "auto",
        device: str = "auto",
        engine: str | Vllm | VllmServer = "transformers",
    ) -> None:
        if n_candidates < 1:
            msg = f"n_candidates must be 1 or more, not {n_candidates}"
            raise ParameterError(msg)
        if corrections < 0:
            msg = f"corrections must be 0 or more, not {corrections}"
            raise ParameterError(msg)
        if batch_size is not None and batch_size < 1:
            msg = f"batch_size must be 1 or more (None: what the memory holds), not {batch_size}"
            raise ParameterError(msg)
        if prompt is not None and prompt.count(PLACEHOLDER) != 1:
            msg = f"prompt must hold {PLACEHOLDER} exactly once: {prompt!r}"
            raise ParameterError(msg)
        try:
            np.random.SeedSequence(random_state)
        except (TypeError, ValueError) as error:
            msg = f"random_state must be None or a whole number, 0 or more, not {random_state!r}"
            raise ParameterError(msg) from error
        if engine != "transformers":
            outside(engine)  # refuses what is none
        self.llm = llm
        self.bridge = bridge
        self.encoder = _encoder_of(encoder)
        self.prompt = prompt
        self.sampling = Sampling(temperature, top_p, top_k, max_new_tokens, repetition_penalty)
        self.n_candidates = n_candidates
        self.corrections = corrections
        self.batch_size = batch_size
        self.random_state = random_state
        self.dtype = dtype
        self.device = device
        self.engine = engine

    @classmethod
    def from_xrag(
        cls,
        checkpoint: str | Path = "Hannibal046/xrag-7b",
        *,
        encoder: Encoder | None = None,
        instruction: str = "means the same",
        **settings: Any,
    ) -> XRAGDecoder:
        """Return a decoder with xRAG's own LLM and projector.

        The default checkpoint and its encoder have 7 billion weights each: about 15 GB of disk
        and as much memory, for each of the two, in bfloat16; with ``dtype="4bit"`` or ``"8bit"``,
        which its own encoder is then read in too, two or three times less memory. We have run
        this on small random checkpoints of the same layout only.

        Parameters
        ----------
        checkpoint : str or Path
            A hub id or a folder, laid out as the reference's. Where its weights are PyTorch's own
            files, they are copied into safetensors once, which takes as much disk again.
        encoder : Encoder, optional
            Default `SFREncoder`.
        instruction : str, default="means the same"
            One of the thirteen of `smotext_lab.xrag.INSTRUCTIONS`.
        **settings
            Other parameters of the class.

        Raises
        ------
        ParameterError, ModelError, BridgeError
            If there is no such instruction, or the checkpoint cannot be had or used.

        References
        ----------
        .. [1] Cheng et al., "xRAG", arXiv 2405.13792, section 3.

        Examples
        --------
        >>> decoder = XRAGDecoder.from_xrag("Hannibal046/xrag-7b")  # doctest: +SKIP
        """
        from smotext_lab.encoders import SFREncoder
        from smotext_lab.models import model_path, say_needs
        from smotext_lab.xrag import instruction_prompt

        prompt = instruction_prompt(instruction)
        placed = {name: settings[name] for name in ("dtype", "device") if name in settings}
        reads = SFREncoder(**placed) if encoder is None else encoder
        if encoder is None:
            say_needs(checkpoint, reads.name, **placed)
        model_path(checkpoint)  # fetched now, and copied into safetensors
        both = str(checkpoint)  # not the folder, so that other machines find their own
        return cls(both, both, encoder=reads, prompt=prompt, **settings)

    def varied(self, **settings: Any) -> XRAGDecoder:
        """Return a decoder with the same models and other settings.

        Parameters
        ----------
        **settings
            Those of the class that say how is decoded: ``temperature``, ``n_candidates``, ….

        Raises
        ------
        ParameterError
            If there is no such setting, or it has a value that cannot be used.

        Examples
        --------
        >>> XRAGDecoder(n_candidates=8).varied(temperature=0).sampling.temperature
        0
        """
        own: dict[str, Any] = {
            n: getattr(self, n) for n in ("n_candidates", "corrections", "batch_size")
        }
        own |= {"random_state": self.random_state, **asdict(self.sampling)}
        for name in settings:
            if name not in own:
                msg = f"A decoder has no setting {name!r}{did_you_mean(name, own)}."
                raise ParameterError(msg)
        self._writer()  # loaded here, once for both
        own |= {name: getattr(self, name) for name in ("encoder", "dtype", "device", "engine")}
        twin = XRAGDecoder(self.llm, self.bridge, prompt=self.prompt, **(own | settings))
        return twin.sharing(self)

    def loaded_bridge(self) -> Bridge:
        """Return the bridge that is in memory, with all else if need be."""
        return self._writer().bridge

    def __repr__(self) -> str:
        bridge = self.bridge.facts.kind if isinstance(self.bridge, Bridge) else str(self.bridge)
        return f"XRAGDecoder({self.llm!r}, bridge={bridge!r})"

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        own = split_of(self.bridge) is not split_words  # which the folder does not hold
        if isinstance(self.bridge, Bridge) and self.bridge.folder is not None and not own:
            state["bridge"] = self.bridge.folder  # a path is read again, weights are not pickled
        return state

    @overload
    def decode(
        self,
        vectors: Rows,
        *,
        seeds: Sequence[int] | np.ndarray | None = ...,
        forms: Sequence[TextForm | None] | TextForm | None = ...,
        lengths: Sequence[int | None] | int | None = ...,
        progress: bool = ...,
        candidates_trace: Literal[False] = ...,
    ) -> list[str]: ...

    @overload
    def decode(
        self,
        vectors: Rows,
        *,
        seeds: Sequence[int] | np.ndarray | None = ...,
        forms: Sequence[TextForm | None] | TextForm | None = ...,
        lengths: Sequence[int | None] | int | None = ...,
        progress: bool = ...,
        candidates_trace: Literal[True],
    ) -> pd.DataFrame: ...

    def decode(
        self,
        vectors: Rows,
        *,
        seeds: Sequence[int] | np.ndarray | None = None,
        forms: Sequence[TextForm | None] | TextForm | None = None,
        lengths: Sequence[int | None] | int | None = None,
        progress: bool = False,
        candidates_trace: bool = False,
    ) -> list[str] | pd.DataFrame:
        """Return one text a vector, or all candidates.

        Parameters
        ----------
        vectors : ndarray of float32, shape (n, d)
            Or a tensor, or n rows in a list or Series. Those of length 1 are directions for an
            encoder that does not normalise: they are made as long as its texts' vectors usually
            are (`SFREncoder.usual_length`, or as the bridge was trained on).
        seeds : array of uint64, shape (n,), optional
            A row's random key: same vector and seed, same text.
        forms : sequence of TextForm or None, length n, optional
            Or one for all. See `decode_rows`.
        lengths : sequence of int or None, length n, optional
            About how many words each text should have, or one number for all.
        progress : bool, default=False
        candidates_trace : bool, default=False
            Return every candidate with its scores instead of the best one's text.

        Returns
        -------
        list of str, or DataFrame
            The frame has the columns ``row``, ``rank`` (0: the one that is kept), ``text``,
            ``cosine``, ``likelihood`` (mean natural log a token) and ``score``.
        """
        from tqdm.auto import tqdm

        vectors = vectors_of(vectors, self.encoder.dim)
        rows = self.decode_rows(vectors, seeds=seeds, forms=forms, lengths=lengths)
        found = list(tqdm(rows, "decode", len(vectors), disable=not progress, unit="text"))
        if not candidates_trace:
            return [decoded.text for decoded in found]
        import pandas as pd

        names = ["row", "rank", *Tried._fields]
        told = [(d.row, rank, *each) for d in found for rank, each in enumerate(d.trace)]
        return pd.DataFrame(told, columns=names)

    def decode_rows(
        self,
        vectors: Rows,
        *,
        seeds: Sequence[int] | np.ndarray | None = None,
        forms: Sequence[TextForm | None] | TextForm | None = None,
        lengths: Sequence[int | None] | int | None = None,
        guidance: np.ndarray | None = None,
        agreement: Agreement | None = None,
        steering: Steering | None = None,
        written: Written | None = None,
        cancelled: threading.Event | None = None,
    ) -> Iterator[Decoded]:
        """Yield a `Decoded` for every vector, in row order, as they are written.

        Parameters
        ----------
        vectors : ndarray of float32, shape (n, d)
            Or a tensor, or n rows in a list or Series. Those of length 1 are directions for an
            encoder that does not normalise: they are made as long as its texts' vectors usually
            are (`SFREncoder.usual_length`, or as the bridge was trained on).
        seeds : array of uint64, shape (n,), optional
            A row's random key: same vector and seed, same text.
        forms : sequence of TextForm or None, length n, optional
            The form each text should have: the LLM is told, as far as the bridge has learnt to;
            the case, which many encoders do not see, is put right; and candidates of another
            kind (question, statement, …) count for less. One is for all.
        lengths : sequence of int or None, length n, optional
            About how many words each text should have (None: as the vector says), as far as
            the bridge has learnt lengths. One number is for all.
        guidance : ndarray of float32, shape (n, d), optional
            What each vector, at length 1, is moved by before the LLM reads it (see `SMOTExT`,
            ``guidance_scale``). Texts are still ranked by the vector itself, and corrections are
            towards it.
        agreement : callable, optional
            ``(rows, vectors) -> array``: how surely (0 to 1) texts with these vectors, tried for
            these rows, are of the label their row should have. It counts in the ranking.
        steering : Steering, optional
            Words that all these texts should, or should not, have.
        written : callable, optional
            ``(row, text)``: told what the first candidate of a row says so far, after every
            token, so that a text can be shown while it is written. The one that is kept in the
            end may be another candidate.
        cancelled : threading.Event, optional
            Once it is set no further step is made; rows that have a text by then are yielded.

        Raises
        ------
        DataError
            If the vectors are no numbers, not finite or not of the encoder's length.
        ParameterError
            If there is not one seed, form, length or guidance a vector, or one of them or a word
            is none that the decoder or the bridge knows.
        BridgeError
            If bridge, encoder and LLM do not fit.
        """
        vectors = self._checked(vectors)
        keys = self._keys(len(vectors), seeds)
        how = self.n_candidates, self.corrections, self.batch_size
        search = Search(self._writer(), self.encoder, self.sampling, *how)
        steering = steering or Steering()
        if guidance is not None:
            guidance = guidance_of(guidance, *vectors.shape)
        asked = forms_of(forms, len(vectors)), lengths_of(lengths, len(vectors))
        wanted = Wanted(vectors, keys, *asked, guidance, agreement, steering, written)
        size = self.rows_together
        for start in range(0, len(vectors), size):
            if cancelled is not None and cancelled.is_set():
                return
            block = wanted.block(slice(start, start + size))
            for row, candidates in search.run(block, cancelled):
                yield Decoded.of(candidates, start + row, int(block.keys[row]))

    @property
    def rows_together(self) -> int:
        """Rows that `decode_rows` takes up together: fewer at a call are slower each.

        Several batches, so that rows that wait take the places of finished ones. One batch with
        corrections, which are made of all together before the first is yielded.
        """
        batches = 1 if self.corrections else _BATCHES
        return max(1, batches * (self.batch_size or MOST_ROWS) // self.n_candidates)

    def explain(self, vectors: Rows, top: int = 8) -> list[list[tuple[str, float]]]:
        """Return the words each vector stands for, with their probabilities (0 to 1).

        Most telling first: by ``p · log(p / share of texts that hold the word)``. Empty
        lists for a bridge without words.
        """
        if int(top) != top or top < 0:
            msg = f"top must be a whole number of words, 0 or more, not {top!r}"
            raise ParameterError(msg)
        return self._writer().bridge.explain(torch.from_numpy(self._checked(vectors)), top)

    def save_llm(self, folder: str | Path) -> Path:
        """Write the LLM with the bridge's LoRA in its weights, for ``vllm serve``.

        Parameters
        ----------
        folder : str or Path

        Returns
        -------
        Path
            Of a model folder of transformers, tokenizer included.

        Examples
        --------
        >>> XRAGDecoder().save_llm("merged")  # doctest: +SKIP
        """
        writer = self._writer()
        with writer.lock:
            return save_merged(writer.model, writer.tokenizer, writer.bridge.lora, Path(folder))

    @contextmanager
    def bare_llm(self) -> Iterator[tuple[Any, Any]]:
        """Give the language model as it came, without the bridge's LoRA, and its tokenizer.

        Nothing else is decoded meanwhile.

        Examples
        --------
        >>> with XRAGDecoder().bare_llm() as (llm, tokenizer):
        ...     llm.config.model_type
        'llama'
        """
        writer = self._writer()
        with writer.lock:
            yield writer.model, writer.tokenizer

    def _writer(self) -> Writer:
        if self._loaded is None:
            self._loaded = Writer.load(
                self.llm,
                self.bridge,
                self.encoder,
                prompt=self.prompt,
                dtype=self.dtype,
                device=self.device,
                engine=self.engine,
            )
        return cast("Writer", self._loaded)

    def _checked(self, vectors: Rows) -> np.ndarray:
        return self._as_long_as_texts(vectors_of(vectors, self.encoder.dim))

    def _as_long_as_texts(self, vectors: np.ndarray) -> np.ndarray:
        """Return directions (length 1) as long as texts' vectors, if the encoder's are longer."""
        directions = np.abs(np.linalg.norm(vectors, axis=1) - 1) < 1e-3
        if not directions.any():
            return vectors
        usual = getattr(self.encoder, "usual_length", None)
        if usual is None:  # as long as those that the bridge was trained on
            usual = self.loaded_bridge().facts.training.get("vector_length", 1.0)
        return np.where(directions[:, None], vectors * usual, vectors)

    def _keys(self, n: int, seeds: Sequence[int] | np.ndarray | None) -> np.ndarray:
        if seeds is None:
            return np.random.SeedSequence(self.random_state).generate_state(n, np.uint64)
        return keys_of(seeds, n)


def _encoder_of(given: Encoder | str | os.PathLike[str] | None) -> Encoder:
    if given is None:
        return BertEncoder()
    if isinstance(given, str | os.PathLike):
        return BertEncoder(os.fspath(given))
    if not hasattr(given, "encode"):
        msg = f"encoder must be an Encoder, or the name or folder of a BertEncoder, not {given!r}"
        raise ParameterError(msg)
    return given
