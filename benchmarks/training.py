"""How fast a bridge trains, and what other ways of laying out its batches would give.

    python -m benchmarks.training --corpus sentences.jsonl.gz --steps 9 --out training.json

Each way takes the same texts of the corpus through forward pass, backward pass and optimiser:

- *as it trains*: batches of like length, a LoRA on all layers
- *not by length*: batches of texts as they come, padded to the longest
- *packed*: the batches of *not by length*, several texts to a row, none of which sees another
- *LoRA on the upper half*: gradients go through all layers still, as learnt tokens lie below
- *lower half without gradients*: that, and what lies below is not trained either
- *no LoRA*: only what lies below the LLM is trained

A speed is that of the median step. *Padding* is the share of positions that hold nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm.auto import tqdm

from benchmarks.machine import described
from smotext_lab import machine
from smotext_lab.bridges import load_bridge
from smotext_lab.errors import SmotextError
from smotext_lab.models import DEFAULT_ENCODER, DEFAULT_LLM
from smotext_lab.training import BridgeRecipe
from smotext_lab.training.corpus import read_corpus
from smotext_lab.training.given import Ends
from smotext_lab.training.loss import summed_loss
from smotext_lab.training.trainer import Batch, Batches, BridgeTrainer

__all__ = ["packed_loss"]

_WIDTH = 4  # texts of the longest kind that a packed row has room for


@dataclass(frozen=True)
class Way:
    """One way of training.

    Attributes
    ----------
    by_length : bool
        Whether texts of a batch are of like length.
    packed : bool
        Whether several texts share a row.
    lora : float
        On which share of the layers, from the last.
    below : bool
        Whether what lies below the LLM is trained.
    """

    by_length: bool = True
    packed: bool = False
    lora: float = 1.0
    below: bool = True


WAYS = {
    "as it trains": Way(),
    "not by length": Way(by_length=False),
    "packed": Way(by_length=False, packed=True),
    "LoRA on the upper half": Way(lora=0.5),
    "lower half without gradients": Way(lora=0.5, below=False),
    "no LoRA": Way(lora=0.0),
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--text", default="text", help="column of the corpus")
    parser.add_argument("--encoder", default=DEFAULT_ENCODER)
    parser.add_argument("--llm", default=DEFAULT_LLM)
    parser.add_argument("--bridge", default="default")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=9, help="that are timed, of each way")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--out", type=Path, default=Path("training.json"))
    given = parser.parse_args(arguments)
    machine.limit_threads()
    try:
        rows = list(_measured(given))
    except SmotextError as error:
        parser.exit(2, f"Error: {error}\n")
    found = {"machine": described(), "steps": given.steps, "batch_size": given.batch_size}
    print(pd.DataFrame(rows).round(3).to_string(index=False))
    given.out.write_text(json.dumps(found | {"rows": rows}, indent=1) + "\n", encoding="utf-8")


def _measured(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    size = given.batch_size
    texts = read_corpus([given.corpus], given.text)
    drawn = np.random.default_rng(0).permutation(len(texts))[: size * (given.steps + 1) * 2]
    ends = Ends.load(given.encoder, given.llm)
    ids = ends.tokenizer([texts[row] for row in drawn], add_special_tokens=False)["input_ids"]
    usable = [i for i, row in enumerate(ids) if 3 <= len(row) <= 128][: size * (given.steps + 1)]
    texts = [texts[drawn[i]] for i in usable]
    vectors = ends.encoder.encode(texts)
    tokens = [np.asarray(ids[i], np.int32) for i in usable]
    for name in given.ways:
        tqdm.write(name, sys.stderr)
        yield {"way": name} | _timed(given, WAYS[name], texts, vectors, tokens)


def _timed(
    given: argparse.Namespace,
    way: Way,
    texts: list[str],
    vectors: np.ndarray,
    ids: list[np.ndarray],
) -> dict[str, Any]:
    """Return how fast a way is, over all steps but the first."""
    ends = Ends.load(given.encoder, given.llm)  # a LoRA is wrapped into the model: one for each
    bridge = load_bridge(given.bridge)
    recipe = BridgeRecipe().fitting(bridge)
    layers = round(int(ends.model.config.num_hidden_layers) * way.lora)
    recipe = replace(recipe, rank=recipe.rank if layers else 0, last_layers=layers or None)
    bridge.requires_grad_(way.below)
    trainer = BridgeTrainer(ends.model, bridge, recipe, ends.end)
    split: Callable[[str], list[str]] = getattr(bridge, "split", str.split)
    lengths = np.array([len(row) for row in ids]) if way.by_length else np.ones(len(ids))
    batches = Batches(lengths, given.batch_size, random_state=0)
    figures: list[tuple[float, float, int, int]] = []
    for step in range(given.steps + 1):
        rows = batches.at(step)
        batch = Batch.of([texts[i] for i in rows], vectors[rows], [ids[i] for i in rows], split)
        started = time.perf_counter()
        if trainer.lora:
            trainer.lora.merge()
        if way.packed:
            loss, real, places = packed_loss(trainer, batch)
        else:
            loss, real = trainer.loss_of(torch.from_numpy(batch.vectors), batch.ids)
            longest = max(map(len, batch.ids))
            places = len(rows) * (bridge.facts.n_tokens + longest)
        (loss / real).backward()
        trainer.update()
        held = real - len(rows) + len(rows) * bridge.facts.n_tokens  # ends are not read
        figures.append((time.perf_counter() - started, float(loss.detach()) / real, held, places))
    seconds, losses, held, places = (np.array(each[1:]) for each in zip(*figures, strict=True))
    return {
        "texts/s": given.batch_size / float(np.median(seconds)),
        "positions/s": float(np.median(held / seconds)),
        "padding": 1 - float(held.sum() / places.sum()),
        "loss": float(losses.mean()),
    }


def packed_loss(trainer: BridgeTrainer, batch: Batch) -> tuple[torch.Tensor, int, int]:
    """Return what `BridgeTrainer.loss_of` does, several texts to a row, and the positions used.

    Texts go into the first row that has room for them, and see themselves alone.
    """
    soft = trainer.bridge.soft_tokens(torch.from_numpy(batch.vectors), trainer.embedding)
    ids = [torch.from_numpy(row.astype(np.int64)) for row in batch.ids]
    reads = [trainer.embedding[row] for row in ids]
    whole = [torch.cat([s.to(r.dtype), r]) for s, r in zip(soft, reads, strict=True)]
    rows = _rows([len(each) for each in whole])
    inputs = _padded([[whole[text] for text in row] for row in rows], 0.0)
    whose = _padded([[torch.full((len(whole[i]),), i) for i in row] for row in rows], -1)
    places = _padded([[torch.arange(len(whole[i])) for i in row] for row in rows], 0)
    ends, before = torch.tensor([trainer.eos]), torch.full((soft.shape[1] - 1,), -1)
    told = [torch.cat([before, row, ends]) for row in ids]
    targets = _padded([[told[text] for text in row] for row in rows], -1)
    seen = (whose[:, :, None] == whose[:, None, :]).tril()
    mask = torch.where(seen, 0.0, torch.finfo(inputs.dtype).min).to(inputs.dtype)[:, None]
    read = {"inputs_embeds": inputs, "attention_mask": mask, "position_ids": places}
    states = trainer.llm.base_model(**read, use_cache=False).last_hidden_state
    real = targets >= 0
    loss = summed_loss(states[real], trainer.llm.get_output_embeddings(), targets[real], None)
    return loss, int(real.sum()), whose.numel()


def _rows(lengths: list[int]) -> list[list[int]]:
    """Return which texts share a row: the longest first, each where there is room first."""
    width, rows = _WIDTH * max(lengths), list[list[int]]()
    for text in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        left = (row for row in rows if sum(lengths[i] for i in row) + lengths[text] <= width)
        room = next(left, None)
        if room is None:
            rows.append([text])
        else:
            room.append(text)
    return rows


def _padded(rows: list[list[torch.Tensor]], padding: float) -> torch.Tensor:
    joined = [torch.cat(row) for row in rows]
    return nn.utils.rnn.pad_sequence(joined, batch_first=True, padding_value=padding)


if __name__ == "__main__":
    main()
