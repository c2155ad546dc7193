"""The default engine: any causal LM of transformers, on CPU or CUDA."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from smotext_lab.engines.base import Generated, Sampling, uniforms

__all__ = ["TransformersEngine"]


class TransformersEngine:
    """Decode soft tokens with a transformers model.

    Rows are decoded in batches; a row that has ended leaves its batch at once.

    Parameters
    ----------
    llm : PreTrainedModel
        A causal LM.
    eos_token_ids : sequence of int
        Tokens that end a text.
    batch_size : int, default=64
    """

    def __init__(self, llm: Any, eos_token_ids: list[int], batch_size: int = 64) -> None:
        self.llm = llm
        self.eos_token_ids = eos_token_ids
        self.batch_size = batch_size
        self._lock = threading.Lock()

    def generate(
        self, soft_tokens: torch.Tensor, sampling: Sampling, seeds: np.ndarray
    ) -> Iterator[Generated]:
        """Yield rows as they finish; see `Engine.generate`."""
        for start in range(0, len(soft_tokens), self.batch_size):
            rows = np.arange(start, min(start + self.batch_size, len(soft_tokens)))
            # the lock is held for a batch, not across a yield: a caller that stops
            # listening must not keep the others out
            with self._lock:
                finished = list(self._batch(soft_tokens[rows], rows, sampling, seeds[rows]))
            yield from finished

    @torch.inference_mode()
    def _batch(
        self, soft_tokens: torch.Tensor, rows: np.ndarray, sampling: Sampling, seeds: np.ndarray
    ) -> Iterator[Generated]:
        llm = self.llm
        device, dtype = llm.device, llm.get_input_embeddings().weight.dtype
        ends = torch.tensor(self.eos_token_ids, device=device)
        written = torch.empty((len(rows), 0), dtype=torch.int64, device=device)
        total = torch.zeros(len(rows), device=device)
        step_input = {"inputs_embeds": soft_tokens.to(device, dtype)}
        cache = None
        for step in range(sampling.max_new_tokens):
            out = llm(**step_input, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache = out.past_key_values
            logits = out.logits[:, -1].float()
            u = torch.from_numpy(uniforms(seeds, step)).to(device)
            token = _draw(_penalised(logits, written, sampling), sampling, u)
            total += logits.log_softmax(-1).gather(1, token[:, None])[:, 0]
            ended = torch.isin(token, ends)
            written = torch.cat([written, token[:, None]], dim=1)
            last = step + 1 == sampling.max_new_tokens
            leaving = torch.ones_like(ended) if last else ended
            for i in leaving.nonzero()[:, 0].tolist():
                ids = written[i, : -1 if ended[i] else None].cpu().numpy()
                yield Generated(int(rows[i]), ids, float(total[i]) / (step + 1), bool(ended[i]))
            stay = (~leaving).nonzero()[:, 0]
            if len(stay) == 0:
                return
            if len(stay) < len(rows):
                cache.batch_select_indices(stay)
                written, total, token = written[stay], total[stay], token[stay]
                rows, seeds = rows[stay.cpu().numpy()], seeds[stay.cpu().numpy()]
            step_input = {"input_ids": token[:, None]}


def _penalised(logits: torch.Tensor, written: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    if sampling.repetition_penalty == 1.0 or written.shape[1] == 0:
        return logits
    seen = logits.gather(1, written)
    penalty = sampling.repetition_penalty
    return logits.scatter(1, written, torch.where(seen > 0, seen / penalty, seen * penalty))


def _draw(logits: torch.Tensor, sampling: Sampling, u: torch.Tensor) -> torch.Tensor:
    """Draw a token a row by inverting the distribution function at `u`."""
    if sampling.temperature == 0:
        return logits.argmax(-1)
    # top-k before top-p: the sort then runs over k values, not over the vocabulary
    k = min(sampling.top_k or logits.shape[-1], logits.shape[-1])
    best, ids = logits.topk(k, dim=-1)
    share = (best.double() / sampling.temperature).softmax(-1)
    before = share.cumsum(-1) - share
    share = torch.where(before < sampling.top_p, share, 0.0)
    reached = share.cumsum(-1)
    # the last kept token takes what rounding leaves
    place = (reached <= (u * reached[:, -1])[:, None]).sum(-1).clamp(max=k - 1)
    return ids.gather(1, place[:, None])[:, 0]
