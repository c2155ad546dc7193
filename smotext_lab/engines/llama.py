"""A Llama run by our own loop: few large operations over a preallocated cache.

What differs from the modules of transformers (the arithmetic is the same up to rounding):

- The weights of the norms are multiplied into the products that follow them, and the products
  that read the same input and are not fused with what follows are made as one.
- A rotary embedding turns pairs of numbers. The rows of the query and key weights are
  reordered so that pairs lie side by side, and one complex product turns them all.
- Queries, key and value of a group of heads lie together: attention runs over (row, group) in
  batched products that read the cache where it lies, never repeated for the heads.
- Attention is computed in float32, which is both exact and, in such small products, faster.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from smotext_lab.engines.products import Product

__all__ = ["Cache", "Llama"]

_KNOWN = {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM"}
_ROTARY = {"default", "linear", "llama3"}
"""Kinds of rotary embedding whose angles do not depend on how long the text becomes."""

_LAYOUTS = 2
"""Sets of weights kept laid out: the LLM's own, and with the bridge's low-rank changes."""

STEP = 8
"""The cache is read in steps of so many places, rows run in steps of so many rows: products of
few shapes, each of which oneDNN prepares once."""


@dataclass(frozen=True)
class _Layer:
    qkv: Product
    out: Product
    gate: Product
    up: Product
    down: Product


@dataclass(frozen=True)
class Weights:
    """The model's weights as they were at one time, laid out for the loop.

    Attributes
    ----------
    sources : list of Tensor
        What they were made of; held so that its memory is not given to other weights, which
        would then be taken for these.
    layers : list of _Layer
    head : Product
    embedding : Tensor, shape (vocabulary, hidden)
    """

    sources: list[torch.Tensor]
    layers: list[_Layer]
    head: Product
    embedding: torch.Tensor


@dataclass(frozen=True)
class _New:
    """The places that a pass adds to each row.

    Attributes
    ----------
    length : int
        How many of each row.
    cells : Tensor of int64, shape (rows * groups * length,)
        Where in a layer's cache their keys and values go.
    mask : Tensor, shape (rows * groups or 1, queries, seen)
        Added to the scores: minus infinity where a query must not look.
    turn : Tensor of complex64
        The rotary embedding's angles, to be broadcast over the heads.
    """

    length: int
    cells: torch.Tensor
    mask: torch.Tensor
    turn: torch.Tensor


class Cache:
    """Keys and values of a number of rows, each starting at place 0.

    Parameters
    ----------
    llama : Llama
    rows, places : int
    """

    def __init__(self, llama: Llama, rows: int, places: int) -> None:
        self.groups = llama.groups
        self.places = places
        shape = (llama.depth, rows * llama.groups, places, llama.width)
        self.keys, self.values = (_zeros(shape, llama.device) for _ in range(2))
        self.turns = llama.turns(places)

    def copy(self, source: Cache, froms: torch.Tensor, tos: torch.Tensor, places: int) -> None:
        """Copy the first `places` of rows `froms` of `source` into rows `tos`."""
        froms, tos = self.heads(froms), self.heads(tos)
        for mine, theirs in ((self.keys, source.keys), (self.values, source.values)):
            mine[:, tos, :places] = theirs[:, froms, :places]

    def heads(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the indices of the groups of `rows`."""
        each = torch.arange(self.groups, device=rows.device)
        return (rows[:, None] * self.groups + each).flatten()


class Llama:
    """Forward passes of a Llama-like model.

    Parameters
    ----------
    llm : PreTrainedModel
        For which `fits` holds.

    Attributes
    ----------
    window : int
        Places of a row that may be read: beyond them the model would no longer see the first.
    """

    def __init__(self, llm: Any) -> None:
        config = llm.config
        self.llm = llm
        self.device = llm.device
        self.depth = config.num_hidden_layers
        self.groups = config.num_key_value_heads
        self.per_group = config.num_attention_heads // config.num_key_value_heads
        self.width = llm.model.layers[0].self_attn.head_dim
        self.window = getattr(config, "sliding_window", None) or sys.maxsize  # Mistral's
        self.eps = config.rms_norm_eps * config.hidden_size
        self._laid_out: OrderedDict[tuple[tuple[int, int], ...], Weights] = OrderedDict()

    @staticmethod
    def fits(llm: Any) -> bool:
        """Return whether `llm` is built as this loop runs it, for rows within its `window`."""
        if type(llm).__name__ not in _KNOWN:
            return False
        config = llm.config
        attentions = [layer.self_attn for layer in llm.model.layers]
        return (
            type(llm).__module__.startswith("transformers.")
            and config.hidden_act == "silu"
            and llm.model.rotary_emb.rope_type in _ROTARY
            and all(getattr(each, "sliding_window", None) is None for each in attentions)
            and attentions[0].head_dim % 2 == 0
            and all(isinstance(layer, torch.nn.Linear) for layer in _linear(llm))
            and all(layer.weight.is_floating_point() for layer in _linear(llm))  # not quantized
        )

    def weights(self) -> Weights:
        """Return the model's weights of now; what was laid out before is not made again."""
        sources = _sources(self.llm)
        # a swapped weight has another address, one changed in place another version
        key = tuple((s.data_ptr(), 0 if s.is_inference() else s._version) for s in sources)
        if key not in self._laid_out:
            while len(self._laid_out) >= _LAYOUTS:
                self._laid_out.popitem(last=False)
            self._laid_out[key] = self._lay_out([s.data for s in sources])
        self._laid_out.move_to_end(key)
        return self._laid_out[key]

    @torch.inference_mode()
    def read(self, weights: Weights, soft: torch.Tensor) -> tuple[torch.Tensor, Cache]:
        """Read soft tokens, shape (n, k, hidden): logits of what follows, and the cache."""
        n, k, _ = soft.shape
        cache = Cache(self, n, k)
        places = torch.arange(k, device=self.device)
        ahead = (places > places[:, None]).repeat_interleave(self.per_group, 0)
        mask = torch.zeros(ahead.shape, device=self.device).masked_fill_(ahead, -torch.inf)
        cells = torch.arange(n * self.groups * k, device=self.device)
        x = soft.to(self.device, weights.embedding.dtype).reshape(n * k, -1)
        new = _New(k, cells, mask[None], cache.turns[:, None])
        x = self._layers(weights, x, cache, new)
        return self._logits(weights, x.view(n, k, -1)[:, -1]), cache

    @torch.inference_mode()
    def step(
        self, weights: Weights, tokens: torch.Tensor, at: np.ndarray, cache: Cache
    ) -> torch.Tensor:
        """Read one token a row at its place and return the logits of what follows.

        Parameters
        ----------
        weights : Weights
        tokens : Tensor of int64, shape (n,)
            Of the cache's first n rows.
        at : ndarray of int64, shape (n,)
            Their places.
        cache : Cache
        """
        width = min(cache.places, -(-(int(at.max()) + 1) // STEP) * STEP)
        places = torch.from_numpy(at).to(self.device)
        columns = torch.arange(width, device=self.device)
        mask = torch.zeros((len(tokens), width), device=self.device)
        mask.masked_fill_(columns > places[:, None], -torch.inf)
        mask = mask.repeat_interleave(self.groups, 0)[:, None]
        rows = torch.arange(len(tokens) * self.groups, device=self.device)
        cells = rows * cache.places + places.repeat_interleave(self.groups)
        x = torch.nn.functional.embedding(tokens, weights.embedding)
        new = _New(1, cells, mask, cache.turns[places][:, None, None, None])
        return self._logits(weights, self._layers(weights, x, cache, new))

    def _layers(self, weights: Weights, x: torch.Tensor, cache: Cache, new: _New) -> torch.Tensor:
        """Run all layers on the new places, given one row after the other."""
        n, groups, width = len(x) // new.length, self.groups, self.width
        seen, scale = new.mask.shape[-1], width**-0.5
        for layer, keys, values in zip(weights.layers, cache.keys, cache.values, strict=True):
            heads = layer.qkv(self._norm(x)).float().view(n, new.length, groups, -1, width)
            heads = heads.transpose(1, 2)
            pairs = heads[..., :-1, :].unflatten(-1, (-1, 2))
            torch.view_as_complex(pairs).mul_(new.turn)
            keys.view(-1, width).index_copy_(0, new.cells, heads[..., -2, :].reshape(-1, width))
            values.view(-1, width).index_copy_(0, new.cells, heads[..., -1, :].reshape(-1, width))
            asked = heads[..., :-2, :].reshape(n * groups, -1, width)
            scores = torch.baddbmm(new.mask, asked, keys[: n * groups, :seen].mT, alpha=scale)
            found = torch.bmm(scores.softmax(-1), values[: n * groups, :seen])
            found = found.view(n, groups, new.length, -1, width).transpose(1, 2)
            x = layer.out.plus(found.reshape(len(x), -1).to(x.dtype), x)
            h = self._norm(x)
            x = layer.down.plus(layer.up.times(h, layer.gate.swish(h)), x)
        return x

    def _logits(self, weights: Weights, x: torch.Tensor) -> torch.Tensor:
        return weights.head(self._norm(x))

    def _norm(self, x: torch.Tensor) -> torch.Tensor:
        """Return each row divided by its length; the weights hold the rest of the norm."""
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        return torch.mul(x, (length.square_() + self.eps).rsqrt_(), out=torch.empty_like(x))

    def turns(self, places: int) -> torch.Tensor:
        """Return the rotary embedding as complex numbers, shape (places, width / 2)."""
        where = torch.arange(places, device=self.device)[None]
        cos, sin = self.llm.model.rotary_emb(torch.zeros(1, device=self.device), where)
        return torch.complex(cos[0, :, : self.width // 2], sin[0, :, : self.width // 2])

    @torch.no_grad()
    def _lay_out(self, sources: list[torch.Tensor]) -> Weights:
        model = self.llm.model
        layers = [self._layer(layer) for layer in model.layers]
        head = Product(_with_norm(self.llm.lm_head.weight, model.norm.weight))
        return Weights(sources, layers, head, model.embed_tokens.weight.data)

    def _layer(self, layer: Any) -> _Layer:
        at, mlp = layer.self_attn, layer.mlp
        before, between = layer.input_layernorm.weight, layer.post_attention_layernorm.weight
        qkv = [_with_norm(p.weight, before) for p in (at.q_proj, at.k_proj, at.v_proj)]
        bias = None
        if at.q_proj.bias is not None:
            bias = self._grouped(*(p.bias[:, None] for p in (at.q_proj, at.k_proj, at.v_proj)))
        return _Layer(
            qkv=Product(self._grouped(*qkv), None if bias is None else bias[:, 0]),
            out=Product(at.o_proj.weight, at.o_proj.bias),
            gate=Product(_with_norm(mlp.gate_proj.weight, between), mlp.gate_proj.bias),
            up=Product(_with_norm(mlp.up_proj.weight, between), mlp.up_proj.bias),
            down=Product(mlp.down_proj.weight, mlp.down_proj.bias),
        )

    def _grouped(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Return rows as group by group: its queries, its key, its value; pairs side by side."""
        shape = (self.groups, -1, self.width, q.shape[-1])
        q, k = (_paired(part.reshape(shape)) for part in (q, k))
        return torch.cat([q, k, v.reshape(shape)], dim=1).flatten(0, 2)


def _linear(llm: Any) -> list[Any]:
    parts = [(layer.self_attn, layer.mlp) for layer in llm.model.layers]
    names = (("q_proj", "k_proj", "v_proj", "o_proj"), ("gate_proj", "up_proj", "down_proj"))
    found = [
        getattr(part, name)
        for pair in parts
        for part, those in zip(pair, names, strict=True)
        for name in those
    ]
    return [*found, llm.lm_head]


def _sources(llm: Any) -> list[torch.Tensor]:
    """Return every weight that the loop uses."""
    return [*llm.model.parameters(), *llm.lm_head.parameters()]


def _with_norm(weight: torch.Tensor, norm: torch.Tensor) -> torch.Tensor:
    """Return `weight` to be multiplied by rows of length 1 in place of normalised ones."""
    scaled = weight.float() * (norm.float() * norm.numel() ** 0.5)
    return scaled.to(weight.dtype)


def _paired(rows: torch.Tensor) -> torch.Tensor:
    """Put the halves that are turned together side by side."""
    return rows.unflatten(2, (2, -1)).transpose(2, 3).flatten(2, 3)


def _zeros(shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Return zeros (what attention masks must be finite) that take memory once written to."""
    if device.type == "cpu":
        return torch.from_numpy(np.zeros(shape, np.float32))
    return torch.zeros(shape, device=device)
