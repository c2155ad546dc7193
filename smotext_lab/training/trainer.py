"""Training of the learnt tokens and the LoRA through the frozen LLM."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from smotext_lab.bridges import Bridge
from smotext_lab.bridges.hints import hint_ids
from smotext_lab.errors import ParameterError
from smotext_lab.forms import TextForm
from smotext_lab.training.bounds import check_bounds
from smotext_lab.training.loss import summed_loss
from smotext_lab.training.low_rank import TrainableLora

__all__ = ["Batch", "Batches", "BridgeRecipe", "BridgeTrainer", "noisy"]

_LEAST_STEPS = 10  # between two measurements


@dataclass(frozen=True)
class BridgeRecipe:
    """How the learnt tokens and the LoRA are trained.

    Attributes
    ----------
    n_words : int
        Predicted words handed to the LLM (0: xRAG's ``mlp2x_gelu``).
    n_learnt : int
        Learnt tokens after them.
    rank : int
        Of the LoRA (0: the LLM stays as it is).
    last_layers : int or None
        LoRA on the last so many blocks only (None: all).
    learning_rate : float
        AdamW's; reached after `warmup` steps, or a tenth of all where that is less, constant,
        then linear to 0 over the last `cooldown` share of the steps (so that a run can be made
        longer).
    batch_size : int
        Texts a step, of like length.
    noise : float
        Largest length of the random vector added to a vector, as a share of the vector's own, so
        that the decoder is smooth between real texts.
    word_dropout : float
        Chance that a predicted word is passed over, so that the LLM does not only copy.
    hint_dropout : float
        Chance that a text's length, kind or case is not told, so that it can be left open.
    steps : int
    evaluate_every : int
        Steps between measurements on held-back texts.
    patience : int
        So many in a row without a gain end the training.

    Raises
    ------
    ParameterError
        If a number is out of its range.
    """

    n_words: int = 12
    n_learnt: int = 4
    rank: int = 16
    last_layers: int | None = None
    lora_scale: float = 2.0
    learning_rate: float = 1e-3
    warmup: int = 50
    cooldown: float = 0.2
    batch_size: int = 32
    noise: float = 0.25
    word_dropout: float = 0.15
    hint_dropout: float = 0.5
    steps: int = 1000
    evaluate_every: int = 250
    patience: int = 4

    def __post_init__(self) -> None:
        bounds: dict[str, tuple[float, float | None]] = {
            "n_words": (0, None),
            "n_learnt": (0, None),
            "rank": (0, None),
            "last_layers": (1, None),
            "learning_rate": (0, None),
            "batch_size": (1, None),
            "noise": (0, None),
            "word_dropout": (0, 1),
            "hint_dropout": (0, 1),
            "steps": (0, None),
            "evaluate_every": (1, None),
            "patience": (1, None),
        }
        check_bounds(asdict(self), bounds)
        if not self.n_words + self.n_learnt:
            msg = "n_words and n_learnt are both 0: the LLM would be given nothing"
            raise ParameterError(msg)

    def fitting(self, bridge: Bridge) -> Self:
        """Return the recipe with the bridge's own words, tokens and rank."""
        facts, lora = bridge.facts, bridge.lora
        return replace(
            self,
            n_words=facts.n_words,
            n_learnt=facts.n_tokens - facts.n_words,
            rank=lora.rank if lora else 0,
            last_layers=lora.last_layers if lora else None,
            lora_scale=lora.scale if lora else self.lora_scale,
        )

    def planned(self, steps: int) -> Self:
        """Return the same for so many steps: measured at least ten times, where it was rarer."""
        often = max(_LEAST_STEPS, steps // 10)
        return replace(self, steps=steps, evaluate_every=min(self.evaluate_every, often))

    def rate(self, step: int) -> float:
        """Return the share of the learning rate at `step`."""
        warm = min(1.0, (step + 1) / max(1, min(self.warmup, self.steps // 10)))
        left = (self.steps - step) / max(1.0, self.cooldown * self.steps)
        return warm * min(1.0, max(0.0, left))


@dataclass(frozen=True, eq=False)
class Batch:
    """Texts of one step.

    Attributes
    ----------
    vectors : ndarray of float32, shape (n, d)
    ids : list of ndarray of int, length n
        Each text's tokens.
    hints : Tensor of int64, shape (n, 3)
        Each text's own length and form, see `hint_ids`.
    """

    vectors: np.ndarray
    ids: list[np.ndarray]
    hints: torch.Tensor

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        vectors: np.ndarray,
        ids: list[np.ndarray],
        split: Callable[[str], list[str]],
    ) -> Batch:
        """Return a batch whose hints are the texts' own; `split` counts their words."""
        hints = hint_ids([len(split(text)) for text in texts], [TextForm.of(t) for t in texts])
        return cls(vectors, ids, hints)


def noisy(vectors: torch.Tensor, noise: float, generator: torch.Generator) -> torch.Tensor:
    """Return the vectors turned in random directions, by up to `noise` of their length."""
    direction = torch.randn(vectors.shape, generator=generator)
    shift = noise * torch.rand((len(vectors), 1), generator=generator)
    length = vectors.norm(dim=-1, keepdim=True)
    moved = vectors + nn.functional.normalize(direction, dim=-1) * shift * length
    return nn.functional.normalize(moved, dim=-1) * length


class Batches:
    """Rows of like length together, in an order that depends on the seed and epoch alone.

    Parameters
    ----------
    lengths : ndarray of int, shape (n,)
    batch_size : int
    random_state : int
    """

    def __init__(self, lengths: np.ndarray, batch_size: int, random_state: int) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.random_state = random_state
        self._epoch = (-1, np.empty((0, 0), np.int64))

    def at(self, step: int) -> np.ndarray:
        """Return the rows of batch `step`, so that a run can go on from any step."""
        each = max(1, len(self.lengths) // self.batch_size)
        epoch, place = divmod(step, each)
        if self._epoch[0] != epoch:
            self._epoch = (epoch, self._order(epoch, each))
        return self._epoch[1][place]

    def _order(self, epoch: int, each: int) -> np.ndarray:
        rng = np.random.default_rng([self.random_state, epoch])
        size = min(self.batch_size, len(self.lengths))
        # what fills no batch is left out by lot: once sorted, it would be the longest, every epoch
        shuffled = rng.permutation(len(self.lengths))[: each * size]
        # sorted within pools of 64 batches: like lengths together, yet other company each epoch
        pools = [shuffled[i : i + 64 * size] for i in range(0, len(shuffled), 64 * size)]
        order = np.concatenate([p[np.argsort(self.lengths[p], kind="stable")] for p in pools])
        return rng.permutation(order.reshape(each, size))


class BridgeTrainer:
    """One training step at a time; everything random depends on the seed and the step.

    Parameters
    ----------
    llm : PreTrainedModel
        Frozen; wrapped in place where there is a LoRA.
    bridge : Bridge
    recipe : BridgeRecipe
    eos_token_id : int
    random_state : int, default=0
    """

    def __init__(
        self,
        llm: Any,
        bridge: Bridge,
        recipe: BridgeRecipe,
        eos_token_id: int,
        random_state: int = 0,
    ) -> None:
        self.llm = llm.train(False).requires_grad_(False)
        self.bridge = bridge
        self.recipe = recipe
        self.eos = eos_token_id
        self.random_state = random_state
        self.step = 0
        self.embedding = llm.get_input_embeddings().weight
        self.lora = (
            TrainableLora(
                llm,
                recipe.rank,
                recipe.lora_scale,
                last_layers=recipe.last_layers,
                start=bridge.lora,
            )
            if recipe.rank
            else None
        )
        own = [p for n, p in bridge.named_parameters() if not n.startswith("head.")]
        self.parameters = own + (self.lora.parameters() if self.lora else [])
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            lr=recipe.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=0.0,
            fused=True,
        )

    def train_step(self, batch: Batch) -> float:
        """Take one step on a batch; return its loss in nats a token."""
        loss = self.text_loss(batch)
        loss.backward()
        self.update()
        return float(loss.detach())

    def text_loss(self, batch: Batch) -> torch.Tensor:
        """Return the loss of this step's batch in nats a token: noise, words and hints left out."""
        generator = torch.Generator().manual_seed(self.random_state * 1_000_003 + self.step)
        vectors = noisy(torch.from_numpy(batch.vectors), self.recipe.noise, generator)
        dropped = None
        if self.recipe.n_words:
            u = torch.rand((len(vectors), self.bridge.pool), generator=generator)  # type: ignore[arg-type]
            dropped = u < self.recipe.word_dropout
        told = torch.rand(batch.hints.shape, generator=generator) >= self.recipe.hint_dropout
        if self.lora:
            self.lora.merge()
        total, tokens = self.loss_of(vectors, batch.ids, dropped, batch.hints * told)
        return total / tokens

    def update(self) -> None:
        """Change what is trained by the gradients that there are: one step."""
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * self.recipe.rate(self.step)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1

    @torch.no_grad()
    def loss_on(self, batches: Iterable[Batch]) -> float:
        """Return the mean loss in nats a token over unseen batches, without noise or hints."""
        if self.lora:
            self.lora.merge()
        total = tokens = 0.0
        for batch in batches:
            batch_total, batch_tokens = self.loss_of(torch.from_numpy(batch.vectors), batch.ids)
            total, tokens = total + float(batch_total), tokens + batch_tokens
        return total / max(1.0, tokens)

    @torch.no_grad()
    def losses_on(self, batches: Iterable[Batch]) -> np.ndarray:
        """Return each unseen text's summed loss and its tokens, shape (2, n); see `loss_on`."""
        if self.lora:
            self.lora.merge()
        head, found = self.llm.get_output_embeddings(), []
        for batch in batches:
            states, targets, counts = self._states(torch.from_numpy(batch.vectors), batch.ids)
            sizes = counts.tolist()
            texts = zip(states.split(sizes), targets.split(sizes), sizes, strict=True)
            found += [(float(summed_loss(own, head, text)), size) for own, text, size in texts]
        return np.array(found).T

    def loss_of(
        self,
        vectors: torch.Tensor,
        ids: list[np.ndarray],
        dropped: torch.Tensor | None = None,
        hints: torch.Tensor | None = None,
        weights: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, int]:
        """Return the summed loss over the texts' tokens and end tokens, and their number.

        `weights` says what each text counts.
        """
        states, targets, counts = self._states(vectors, ids, dropped, hints)
        each = None if weights is None else weights.repeat_interleave(counts)
        loss = summed_loss(states, self.llm.get_output_embeddings(), targets, each)
        return loss, len(targets)

    def _states(
        self,
        vectors: torch.Tensor,
        ids: list[np.ndarray],
        dropped: torch.Tensor | None = None,
        hints: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the LLM's states before the texts' tokens, these tokens, and how many each has."""
        soft = self.bridge.soft_tokens(vectors, self.embedding, dropped, hints)
        rows = [torch.from_numpy(np.append(row.astype(np.int64), self.eos)) for row in ids]
        targets = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1)
        real = targets >= 0
        # padding stands at the right, where a causal model's real tokens never look
        read = self.embedding[targets[:, :-1].clamp(min=0)]
        inputs = torch.cat([soft.to(read.dtype), read], dim=1)
        states = self.llm.base_model(inputs_embeds=inputs, use_cache=False).last_hidden_state
        # the output head runs only where there is loss
        return states[:, soft.shape[1] - 1 :][real], targets[real], real.sum(dim=1)
