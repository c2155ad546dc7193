"""The engine: equal to transformers when greedy, honest when it samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from smotext_lab.engines.base import Sampling, uniforms
from smotext_lab.engines.transformers import TransformersEngine, _draw, _penalised
from smotext_lab.errors import ParameterError
from smotext_lab.models import load_llm

GREEDY = Sampling(temperature=0, max_new_tokens=12)


@pytest.fixture(scope="module")
def llm(tiny_llm: Path) -> tuple[Any, Any]:
    model, tokenizer = load_llm(tiny_llm, "float32")
    # a random tiny model never ends a text by itself: make some rows do
    torch.manual_seed(3)
    with torch.no_grad():
        model.lm_head.weight.mul_(20)
    return model, tokenizer


@pytest.fixture
def soft(llm: tuple[Any, Any]) -> torch.Tensor:
    torch.manual_seed(5)
    return torch.randn(20, 3, llm[0].config.hidden_size)


def run(
    llm: tuple[Any, Any],
    soft: torch.Tensor,
    sampling: Sampling,
    *,
    seeds: Any = None,
    size: int = 64,
) -> list[list[int]]:
    engine = TransformersEngine(llm[0], [llm[1].eos_token_id], batch_size=size)
    keys = np.arange(len(soft), dtype=np.uint64) if seeds is None else seeds
    rows = sorted(engine.generate(soft, sampling, keys), key=lambda g: g.row)
    assert [g.row for g in rows] == list(range(len(soft)))
    return [g.ids.tolist() for g in rows]


def test_greedy_ids_equal_generate(llm: tuple[Any, Any], soft: torch.Tensor) -> None:
    model, tokenizer = llm
    ours = run(llm, soft, GREEDY)
    lengths = set()
    for row, ids in enumerate(ours):
        theirs = model.generate(
            inputs_embeds=soft[row : row + 1],
            attention_mask=torch.ones(1, 3, dtype=torch.int64),
            do_sample=False,
            max_new_tokens=12,
            pad_token_id=tokenizer.eos_token_id,
        )[0].tolist()
        end = theirs.index(tokenizer.eos_token_id) if tokenizer.eos_token_id in theirs else None
        assert ids == theirs[:end]
        lengths.add(len(ids))
    assert len(lengths) > 1, "rows must leave the batch at different steps"


def test_batch_size_does_not_change_greedy_rows(llm: tuple[Any, Any], soft: torch.Tensor) -> None:
    assert run(llm, soft, GREEDY, size=3) == run(llm, soft, GREEDY, size=64)


def test_a_row_depends_on_its_own_seed_only(llm: tuple[Any, Any], soft: torch.Tensor) -> None:
    sampling = Sampling(temperature=1.0, top_p=1.0, top_k=0, max_new_tokens=8)
    seeds = np.arange(20, dtype=np.uint64) + np.uint64(2**63)
    together = run(llm, soft, sampling, seeds=seeds)
    assert run(llm, soft[7:9], sampling, seeds=seeds[7:9]) == together[7:9]
    assert run(llm, soft, sampling, seeds=seeds[::-1].copy()) != together


def test_end_token_counts_as_ended_and_is_left_out(
    llm: tuple[Any, Any], soft: torch.Tensor
) -> None:
    engine = TransformersEngine(llm[0], [llm[1].eos_token_id])
    rows = list(engine.generate(soft, GREEDY, np.arange(20, dtype=np.uint64)))
    assert {g.ended for g in rows} == {True, False}
    assert all(len(g.ids) == 12 for g in rows if not g.ended)
    assert all(llm[1].eos_token_id not in g.ids for g in rows)


def test_likelihood_is_the_mean_log_probability(llm: tuple[Any, Any], soft: torch.Tensor) -> None:
    model, tokenizer = llm
    engine = TransformersEngine(model, [tokenizer.eos_token_id])
    generated = next(iter(engine.generate(soft[:1], GREEDY, np.zeros(1, np.uint64))))
    ids = [*generated.ids.tolist(), *([tokenizer.eos_token_id] if generated.ended else [])]
    embeds = torch.cat([soft[:1], model.get_input_embeddings()(torch.tensor([ids]))], dim=1)
    with torch.inference_mode():
        log_p = model(inputs_embeds=embeds).logits[0, 2:-1].log_softmax(-1)
    expected = log_p.gather(1, torch.tensor(ids)[:, None]).mean()
    assert generated.log_likelihood == pytest.approx(float(expected), abs=1e-4)


def test_draws_follow_the_distribution() -> None:
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0])
    n = 20_000
    u = torch.from_numpy(uniforms(np.arange(n, dtype=np.uint64), 0))
    sampling = Sampling(temperature=0.8, top_p=1.0, top_k=0)
    drawn = _draw(logits.repeat(n, 1), sampling, u)
    expected = (logits / 0.8).double().softmax(-1).numpy()
    counts = np.bincount(drawn.numpy(), minlength=4)
    assert chisquare(counts, expected / expected.sum() * n).pvalue > 1e-3


@pytest.mark.parametrize(
    ("sampling", "kept"),
    [
        (Sampling(temperature=1.0, top_p=1.0, top_k=2), {0, 1}),
        (Sampling(temperature=1.0, top_p=0.6, top_k=0), {0}),
        (Sampling(temperature=1.0, top_p=0.7, top_k=0), {0, 1}),
        (Sampling(temperature=0, top_p=1.0, top_k=0), {0}),
    ],
)
def test_top_k_and_top_p_keep_the_likeliest(sampling: Sampling, kept: set[int]) -> None:
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0]).repeat(2000, 1)  # shares .64 .24 .09 .03
    u = torch.from_numpy(uniforms(np.arange(2000, dtype=np.uint64), 3))
    assert set(_draw(logits, sampling, u).tolist()) == kept


def test_repetition_penalty_lowers_what_was_written() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5]])
    lowered = _penalised(logits, torch.tensor([[0, 1]]), Sampling(repetition_penalty=2.0))
    assert lowered.tolist() == [[1.0, -2.0, 0.5]]


def test_uniforms_are_even_and_independent_of_company() -> None:
    seeds = np.arange(50_000, dtype=np.uint64)
    u = uniforms(seeds, 4)
    assert u.min() >= 0
    assert u.max() < 1
    assert chisquare(np.histogram(u, 20, (0, 1))[0]).pvalue > 1e-3
    np.testing.assert_array_equal(u[10:20], uniforms(seeds[10:20], 4))
    assert abs(np.corrcoef(u, uniforms(seeds, 5))[0, 1]) < 0.02


@pytest.mark.parametrize(
    "wrong", [{"temperature": -1}, {"top_p": 0}, {"top_k": -1}, {"max_new_tokens": 0}]
)
def test_numbers_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        Sampling(**wrong)
