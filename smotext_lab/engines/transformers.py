"""The default engine: causal LMs of transformers, on CPU or CUDA."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from smotext_lab.engines.base import Generated, Sampling, Task, Watch, uniforms
from smotext_lab.engines.drawing import draw, log_probability, penalised
from smotext_lab.engines.llama import Llama
from smotext_lab.engines.memory import rows_within
from smotext_lab.engines.slots import Slots
from smotext_lab.models.placement import free_memory

__all__ = ["MOST_ROWS", "TransformersEngine"]

MOST_ROWS = 128
"""Rows at a time beyond which decoding gets hardly faster: 256 gain 4% and finish later."""


class TransformersEngine:
    """Decode soft tokens with a transformers model.

    A Llama (or Mistral, or Qwen2) is run by a loop of our own, in which waiting rows take the
    places of finished ones. Any other architecture, and rows that may outgrow a sliding window,
    are run through transformers and its cache, batch by batch; a row that has ended leaves its
    batch at once.

    Several threads may call `generate`: the engine makes one step at a time.

    Parameters
    ----------
    llm : PreTrainedModel
        A causal LM.
    eos_token_ids : sequence of int
        Tokens that end a text.
    memory : int, optional
        Bytes that decoding may take beside the weights; by default half of what is free. It says
        how many rows are decoded together, at most 128, where `generate` is not told.
    """

    def __init__(
        self,
        llm: Any,
        eos_token_ids: list[int],
        memory: int | None = None,
    ) -> None:
        self.llm = llm
        self.eos_token_ids = eos_token_ids
        self.memory = memory
        self._llama = Llama(llm) if Llama.fits(llm) else None
        self._lock = threading.Lock()

    def generate(
        self,
        soft_tokens: torch.Tensor,
        sampling: Sampling,
        seeds: np.ndarray,
        *,
        owners: np.ndarray | None = None,
        batch_size: int | None = None,
        cancelled: threading.Event | None = None,
        watch: Watch | None = None,
    ) -> Iterator[Generated]:
        """Yield rows as they finish; see `Engine.generate`.

        The weights are those that the LLM has when `generate` is called.
        """
        owners = np.arange(len(soft_tokens)) if owners is None else np.asarray(owners, np.int64)
        task = Task(soft_tokens, owners, sampling, seeds, self.eos_token_ids)
        most = batch_size or self.rows_at_once(soft_tokens.shape[1], sampling)
        size = max(1, min(len(owners), most))
        places = soft_tokens.shape[1] + sampling.max_new_tokens
        if self._llama is None or places > self._llama.window:
            return self._batches(task, size, cancelled, watch)
        with self._lock:
            weights = self._llama.weights()
        return self._advanced(Slots(self._llama, weights, task, size), cancelled, watch)

    def rows_at_once(self, soft_tokens: int, sampling: Sampling) -> int:
        """Return how many rows are decoded together unless `generate` is told.

        Parameters
        ----------
        soft_tokens : int
            Of each row.
        sampling : Sampling
        """
        budget = free_memory(self.llm.device) // 2 if self.memory is None else self.memory
        return rows_within(budget, self.llm.config, soft_tokens, sampling.max_new_tokens, MOST_ROWS)

    def _batches(
        self, task: Task, size: int, cancelled: threading.Event | None, watch: Watch | None
    ) -> Iterator[Generated]:
        for start in range(0, len(task.owners), size):
            rows = np.arange(start, min(start + size, len(task.owners)))
            yield from self._advanced(_Batch(self.llm, task, rows), cancelled, watch)

    def _advanced(
        self, rows: Slots | _Batch, cancelled: threading.Event | None, watch: Watch | None
    ) -> Iterator[Generated]:
        while rows and not (cancelled is not None and cancelled.is_set()):
            # the lock is held for a step, not across a yield: a caller that stops listening
            # must not keep the others out
            with self._lock:
                finished = rows.advance()
            if watch is not None:
                for row, ids in rows.so_far():
                    watch(row, ids)
            yield from finished


class _Batch:
    """Rows that are read together by transformers, and leave one by one."""

    def __init__(self, llm: Any, task: Task, rows: np.ndarray) -> None:
        self.llm, self.rows, self.sampling = llm, rows, task.sampling
        self.seeds = task.seeds[rows]
        self.ends = torch.tensor(task.ends, device=llm.device)
        distinct, self.owners = np.unique(task.owners[rows], return_inverse=True)
        self.soft = task.soft_tokens[torch.from_numpy(distinct)]
        self.cache: Any = None
        self.written = torch.empty((len(rows), 0), dtype=torch.int64, device=llm.device)
        self.total = torch.zeros(len(rows), device=llm.device)

    def __bool__(self) -> bool:
        """Return whether there is anything left to do."""
        return len(self.rows) > 0

    @torch.inference_mode()
    def advance(self) -> list[Generated]:
        """Make one step and return the rows that have finished."""
        step = self.written.shape[1]
        logits = self._logits()
        device = logits.device
        u = torch.from_numpy(uniforms(self.seeds, step)).to(device)
        token = draw(penalised(logits, self.written, self.sampling), self.sampling, u)
        self.total = self.total + log_probability(logits, token)
        self.written = torch.cat([self.written, token[:, None]], dim=1)
        ended = torch.isin(token, self.ends).cpu().numpy()
        last = step + 1 == self.sampling.max_new_tokens
        leaving = np.ones_like(ended) if last else ended
        written, total = self.written.cpu().numpy(), self.total.cpu().numpy()
        done = [
            Generated(
                row=int(self.rows[i]),
                ids=written[i, : step + 1 - bool(ended[i])].copy(),
                log_likelihood=float(total[i]) / (step + 1),
                ended=bool(ended[i]),
            )
            for i in leaving.nonzero()[0]
        ]
        self._keep((~leaving).nonzero()[0])
        return done

    def so_far(self) -> list[tuple[int, np.ndarray]]:
        """Return what each unfinished row has written."""
        return list(zip(self.rows.tolist(), self.written.cpu().numpy(), strict=True))

    def _logits(self) -> torch.Tensor:
        if self.cache is None:
            soft = self.soft.to(self.llm.device, self.llm.get_input_embeddings().weight.dtype)
            out = self.llm(inputs_embeds=soft, use_cache=True, logits_to_keep=1)
            self.cache = out.past_key_values
            owners = torch.from_numpy(self.owners).to(self.llm.device)
            self.cache.batch_select_indices(owners)
            return out.logits[owners, -1]
        out = self.llm(input_ids=self.written[:, -1:], past_key_values=self.cache, logits_to_keep=1)
        return out.logits[:, -1]

    def _keep(self, stay: np.ndarray) -> None:
        if len(stay) == len(self.rows):
            return
        self.rows, self.seeds = self.rows[stay], self.seeds[stay]
        where = torch.from_numpy(stay).to(self.total.device)
        self.written, self.total = self.written[where], self.total[where]
        if len(stay):
            self.cache.batch_select_indices(where)
