"""The engine: equal to transformers when greedy, honest when it samples."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from scipy.stats import chisquare

from smotext_lab.engines.base import Generated, Sampling, uniforms
from smotext_lab.engines.drawing import best, draw, log_probability, penalised
from smotext_lab.engines.llama import Llama
from smotext_lab.engines.memory import peak_memory, rows_within
from smotext_lab.engines.products import Product
from smotext_lab.engines.transformers import TransformersEngine
from smotext_lab.errors import ParameterError

END = 1
GREEDY = Sampling(temperature=0, max_new_tokens=12)
FREE = Sampling(temperature=1.0, top_p=1.0, top_k=0, max_new_tokens=8)

# the loop of our own: as many keys as queries; fewer, in a large vocabulary, and angles scaled;
# biases; weights tied. And one that transformers runs.
SHAPES: dict[str, dict[str, Any]] = {
    "llama": {"num_key_value_heads": 4},
    "llama, grouped": {
        "num_key_value_heads": 2,
        "vocab_size": 6400,
        "max_position_embeddings": 64,
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 10000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16,
        },
    },
    "mistral": {"num_key_value_heads": 1, "head_dim": 16, "sliding_window": None},
    "qwen2": {"num_key_value_heads": 2, "tie_word_embeddings": True},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "tie_word_embeddings": False},
}


def tiny(name: str, dtype: torch.dtype = torch.float32, **more: Any) -> Any:
    """Return a random model whose logits differ enough that some texts end."""
    shape = {"vocab_size": 60, "bos_token_id": END, "eos_token_id": END, "pad_token_id": END}
    if name != "gpt2":
        shape |= {"hidden_size": 32, "intermediate_size": 48}
        shape |= {"num_hidden_layers": 2, "num_attention_heads": 4}
    torch.manual_seed(0)
    kind = name.partition(",")[0]
    config = transformers.AutoConfig.for_model(kind, **(shape | SHAPES[name] | more))
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for weight in model.parameters():
            # norms and biases too must be other than 1 and 0 to be judged
            weight.add_(torch.randn_like(weight) * (0.3 if weight.ndim == 1 else 0.1))
        model.get_output_embeddings().weight[END] *= 2
    return model.to(dtype)


@pytest.fixture(scope="module", params=list(SHAPES))
def llm(request: pytest.FixtureRequest) -> Any:
    return tiny(request.param)


@pytest.fixture(scope="module")
def llama() -> Any:
    return tiny("llama, grouped")


@pytest.fixture
def soft() -> torch.Tensor:
    torch.manual_seed(5)
    return torch.randn(40, 3, 32)


def generated(
    llm: Any, soft: torch.Tensor, sampling: Sampling, *, size: int | None = 64, **more: Any
) -> list[Generated]:
    """Return the rows in order; by default the row's number is its seed."""
    owners = more.get("owners", np.arange(len(soft)))
    seeds = more.pop("seeds", np.arange(len(owners), dtype=np.uint64))
    engine = TransformersEngine(llm, [END])
    found = engine.generate(soft, sampling, seeds, batch_size=size, **more)
    rows = sorted(found, key=lambda g: g.row)
    assert [g.row for g in rows] == list(range(len(owners)))
    return rows


def run(*given: Any, **more: Any) -> list[list[int]]:
    return [g.ids.tolist() for g in generated(*given, **more)]


def greedy_by_transformers(llm: Any, soft: torch.Tensor, new_tokens: int) -> list[list[int]]:
    """Return what `generate` writes, one row at a time."""
    ids = []
    for row in soft:
        written = llm.generate(
            inputs_embeds=row[None],
            attention_mask=torch.ones(1, len(row), dtype=torch.int64),
            do_sample=False,
            max_new_tokens=new_tokens,
            pad_token_id=END,
            eos_token_id=END,
        )[0].tolist()
        ids.append(written[: written.index(END)] if END in written else written)
    return ids


def test_the_loop_of_our_own_runs_what_it_fits() -> None:
    fits = {name: Llama.fits(tiny(name)) for name in SHAPES}
    assert fits == {name: name != "gpt2" for name in SHAPES}
    sliding = tiny("mistral")
    sliding.model.layers[0].self_attn.sliding_window = 4
    assert not Llama.fits(sliding)


@pytest.mark.parametrize("window", [6, 15])
@pytest.mark.parametrize(
    ("name", "more"), [("mistral", {}), ("qwen2", {"use_sliding_window": True})]
)
def test_a_text_longer_than_the_window_of_a_layer_is_read_through_it(
    name: str, more: dict[str, Any], window: int, soft: torch.Tensor
) -> None:
    windowed = tiny(name, sliding_window=window, max_window_layers=1, **more)
    assert windowed.config.sliding_window == window
    ours = run(windowed, soft, GREEDY, size=9)
    assert ours == greedy_by_transformers(windowed, soft, 12)
    whole = run(tiny(name), soft, GREEDY, size=9)
    assert (ours == whole) == (window == 15), "3 soft tokens and 12 more are within a window of 15"


def test_within_its_window_a_model_is_run_by_the_loop_of_our_own(
    soft: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = counted(monkeypatch, "read", lambda weights, soft: len(soft))
    run(tiny("mistral", sliding_window=15), soft, GREEDY)
    assert sum(read) == len(soft)


def test_greedy_ids_equal_generate(llm: Any, soft: torch.Tensor) -> None:
    ours = run(llm, soft, GREEDY, size=9)
    assert ours == greedy_by_transformers(llm, soft, 12)
    assert len(set(map(len, ours))) > 2, "rows must leave the batch at different steps"


def test_batch_size_does_not_change_rows(llm: Any, soft: torch.Tensor) -> None:
    assert run(llm, soft, GREEDY, size=3) == run(llm, soft, GREEDY, size=64)
    assert run(llm, soft, FREE, size=3) == run(llm, soft, FREE, size=64)


def test_a_row_depends_on_its_own_seed_only(llm: Any, soft: torch.Tensor) -> None:
    seeds = np.arange(40, dtype=np.uint64) + np.uint64(2**63)
    together = run(llm, soft, FREE, seeds=seeds)
    assert run(llm, soft[7:9], FREE, seeds=seeds[7:9]) == together[7:9]
    assert run(llm, soft, FREE, seeds=seeds[::-1].copy()) != together


def test_rows_of_one_owner_equal_rows_of_their_own(llm: Any, soft: torch.Tensor) -> None:
    owners = np.array([2, 0, 2, 2, 39, 0, 5, 2])
    shared = run(llm, soft, FREE, owners=owners, size=3)
    assert shared == run(llm, soft[torch.from_numpy(owners)], FREE)
    assert len({tuple(shared[i]) for i in (0, 2, 3, 7)}) > 1, "each row has a seed of its own"


def test_soft_tokens_are_read_once_for_all_rows_of_an_owner(
    llama: Any, soft: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = counted(monkeypatch, "read", lambda weights, soft: len(soft))
    generated(llama, soft, GREEDY, owners=np.repeat(np.arange(40), 8), size=12)
    assert sum(read) == 40


def test_finished_rows_cost_nothing_more(
    llama: Any, soft: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepped = counted(monkeypatch, "step", lambda weights, tokens, *rest: len(tokens))
    rows = generated(llama, soft, Sampling(temperature=0, max_new_tokens=90), size=24)
    written = [len(g.ids) + g.ended for g in rows]
    assert max(written) >= 30 * min(written)
    # the first token of a row comes from reading it; rows run in steps of 8
    assert sum(stepped) <= sum(written) - len(rows) + 7 * len(stepped)


def counted(monkeypatch: pytest.MonkeyPatch, name: str, count: Callable[..., int]) -> list[int]:
    """Note what `count` says of every call of a method of `Llama`."""
    counts: list[int] = []
    original = getattr(Llama, name)

    def noted(self: Llama, *given: Any) -> Any:
        counts.append(count(*given))
        return original(self, *given)

    monkeypatch.setattr(Llama, name, noted)
    return counts


def test_rows_arrive_as_they_finish(llama: Any, soft: torch.Tensor) -> None:
    found = TransformersEngine(llama, [END]).generate(
        soft, GREEDY, np.arange(40, dtype=np.uint64), batch_size=64
    )
    lengths = [len(g.ids) + g.ended for g in found]
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1]


def test_cancelling_stops_between_two_steps(llm: Any, soft: torch.Tensor) -> None:
    cancelled = threading.Event()
    engine = TransformersEngine(llm, [END])
    seeds = np.arange(40, dtype=np.uint64)
    found = []
    for row in engine.generate(soft, GREEDY, seeds, batch_size=4, cancelled=cancelled):
        found.append(row)
        cancelled.set()
    assert 0 < len(found) < 40
    whole = generated(llm, soft, GREEDY)
    assert all(g.ids.tolist() == whole[g.row].ids.tolist() for g in found)


def test_an_interrupt_keeps_what_is_finished_and_the_engine_usable(
    llama: Any, soft: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop_at_fifth(*_: Any) -> int:
        if len(steps) == 4:
            raise KeyboardInterrupt
        return 0

    whole = generated(llama, soft, GREEDY)
    engine = TransformersEngine(llama, [END])
    seeds = np.arange(40, dtype=np.uint64)
    found = []
    with monkeypatch.context() as patched:
        steps = counted(patched, "step", stop_at_fifth)
        with pytest.raises(KeyboardInterrupt):
            found.extend(engine.generate(soft, GREEDY, seeds, batch_size=64))
    early = {g.row for g in whole if g.ended and len(g.ids) <= 4}
    assert {g.row for g in found} == early
    assert len(list(engine.generate(soft, GREEDY, seeds))) == 40


def test_a_caller_that_stops_listening_keeps_nobody_out(llm: Any, soft: torch.Tensor) -> None:
    engine = TransformersEngine(llm, [END])
    seeds = np.arange(40, dtype=np.uint64)
    first = next(unheard := engine.generate(soft, GREEDY, seeds))
    rows = [g.row for g in engine.generate(soft, GREEDY, seeds)]
    assert sorted(rows) == list(range(40))
    assert sorted([first.row, *(g.row for g in unheard)]) == list(range(40))


def test_threads_may_share_an_engine(llama: Any, soft: torch.Tensor) -> None:
    engine = TransformersEngine(llama, [END])
    found: dict[int, list[list[int]]] = {}

    def work(number: int) -> None:
        part = soft[number * 10 : number * 10 + 10]
        seeds = np.arange(10, dtype=np.uint64)
        rows = sorted(engine.generate(part, GREEDY, seeds, batch_size=8), key=lambda g: g.row)
        found[number] = [g.ids.tolist() for g in rows]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [ids for number in range(4) for ids in found[number]] == run(llama, soft, GREEDY)


def test_exchanged_weights_are_noticed_and_laid_out_once(soft: torch.Tensor) -> None:
    llm = tiny("llama")
    engine = TransformersEngine(llm, [END])
    seeds = np.arange(40, dtype=np.uint64)

    def ids() -> list[list[int]]:
        rows = sorted(engine.generate(soft, GREEDY, seeds), key=lambda g: g.row)
        return [g.ids.tolist() for g in rows]

    layer = llm.model.layers[1].mlp.down_proj
    original, other = layer.weight.data, torch.randn_like(layer.weight) * 0.3
    before = ids()
    laid_out = engine._llama.weights()
    layer.weight.data = other
    between = ids()
    assert between == greedy_by_transformers(llm, soft, 12) != before
    layer.weight.data = original
    assert engine._llama.weights() is laid_out
    assert ids() == before
    with torch.no_grad():
        layer.weight.copy_(other)
    assert ids() == between


def test_bfloat16_stays_near_float32(soft: torch.Tensor) -> None:
    exact, rough = (tiny("llama, grouped", d) for d in (torch.float32, torch.bfloat16))
    one = Sampling(temperature=0, max_new_tokens=1)
    pairs = zip(generated(exact, soft, one), generated(rough, soft, one), strict=True)
    near = [abs(a.log_likelihood - b.log_likelihood) for a, b in pairs]
    assert max(near) < 0.1


@pytest.mark.real
def test_greedy_ids_equal_generate_on_real_soft_tokens() -> None:
    from smotext_lab import XRAGDecoder, load_dataset

    texts = load_dataset("bbc_titles")["text"].sample(24, random_state=1).tolist()
    decoder = XRAGDecoder(dtype="float32")
    parts = decoder._writer()
    soft = parts.soft_tokens(torch.from_numpy(decoder.encoder.encode(texts)))
    end = parts.model.generation_config.eos_token_id
    engine = TransformersEngine(parts.model, [end])
    with parts.bridge.lora.applied(parts.model):
        found = engine.generate(soft, GREEDY, np.arange(24, dtype=np.uint64), batch_size=16)
        ours = [g.ids.tolist() for g in sorted(found, key=lambda g: g.row)]
        mask = torch.ones(soft.shape[:2], dtype=torch.int64)
        theirs = parts.model.generate(
            inputs_embeds=soft, attention_mask=mask, do_sample=False, max_new_tokens=12
        ).tolist()
    assert ours == [ids[: ids.index(end)] if end in ids else ids for ids in theirs]


def test_end_token_counts_as_ended_and_is_left_out(llm: Any, soft: torch.Tensor) -> None:
    rows = generated(llm, soft, GREEDY)
    assert {g.ended for g in rows} == {True, False}
    assert all(len(g.ids) == 12 for g in rows if not g.ended)
    assert all(END not in g.ids for g in rows)


@pytest.mark.parametrize("penalty", [1.0, 1.7])
def test_likelihood_is_the_mean_log_probability(
    llm: Any, soft: torch.Tensor, penalty: float
) -> None:
    sampling = Sampling(temperature=0, max_new_tokens=12, repetition_penalty=penalty)
    for row, found in enumerate(generated(llm, soft, sampling)[:5]):
        ids = [*found.ids.tolist(), *([END] if found.ended else [])]
        written = llm.get_input_embeddings()(torch.tensor([ids]))
        embeds = torch.cat([soft[row : row + 1], written], dim=1)
        with torch.inference_mode():
            log_p = llm(inputs_embeds=embeds).logits[0, 2:-1].log_softmax(-1)
        expected = log_p.gather(1, torch.tensor(ids)[:, None]).mean()
        assert found.log_likelihood == pytest.approx(float(expected), abs=1e-4)


def test_repetition_penalty_acts_on_what_the_row_has_written(llm: Any, soft: torch.Tensor) -> None:
    strict = Sampling(temperature=0, max_new_tokens=12, repetition_penalty=1e6)
    rows = run(llm, soft, strict, size=9)
    assert rows != run(llm, soft, GREEDY)
    assert rows == run(llm, soft, strict, size=40)
    assert all(len(set(ids)) == len(ids) for ids in rows if len(ids) < 12)


def test_draws_follow_the_distribution() -> None:
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0])
    n = 20_000
    u = torch.from_numpy(uniforms(np.arange(n, dtype=np.uint64), 0))
    sampling = Sampling(temperature=0.8, top_p=1.0, top_k=0)
    drawn = draw(logits.repeat(n, 1), sampling, u)
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
    assert set(draw(logits, sampling, u).tolist()) == kept


def test_repetition_penalty_lowers_what_was_written() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5]])
    lowered = penalised(logits, torch.tensor([[0, 1]]), Sampling(repetition_penalty=2.0))
    assert lowered.tolist() == [[1.0, -2.0, 0.5]]


def test_places_not_written_yet_are_not_penalised() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5]])
    lowered = penalised(logits, torch.tensor([[2, 3, 3]]), Sampling(repetition_penalty=2.0))
    assert lowered.tolist() == [[2.0, -1.0, 0.25]]


@pytest.mark.parametrize("k", [1, 7, 50])
def test_the_best_of_a_large_vocabulary_are_those_of_topk(k: int) -> None:
    torch.manual_seed(0)
    logits = torch.randn(9, 32 * 400)
    logits[0, :60] += 9  # many of the best side by side
    logits[1, ::400] += 9  # and many in one group
    values, ids = best(logits, k)
    expected = logits.topk(k)
    assert torch.equal(values, expected.values)
    assert torch.equal(ids, expected.indices)


def test_log_probability_is_that_of_log_softmax() -> None:
    torch.manual_seed(0)
    logits, token = torch.randn(19, 70) * 5, torch.randint(70, (19,))
    expected = logits.log_softmax(-1).gather(1, token[:, None])[:, 0]
    torch.testing.assert_close(log_probability(logits, token), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_products_are_those_of_torch(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x, other = torch.randn(5, 24, dtype=dtype), torch.randn(5, 40, dtype=dtype)
    weight, bias = torch.randn(40, 24, dtype=dtype), torch.randn(40, dtype=dtype)
    product, plain = Product(weight, bias), x.double() @ weight.double().T + bias.double()
    near = {"rtol": 2e-2, "atol": 2e-1} if dtype == torch.bfloat16 else {"rtol": 1e-4, "atol": 1e-4}
    for found, expected in (
        (product(x), plain),
        (product.swish(x), torch.nn.functional.silu(plain)),
        (product.times(x, other), plain * other),
        (product.plus(x, other), plain + other),
    ):
        torch.testing.assert_close(found.double(), expected.double(), **near)


def test_batch_is_chosen_to_fit_the_memory() -> None:
    config = tiny("llama").config
    budget = peak_memory(config, 20, 16, 64)
    assert rows_within(budget, config, 16, 64, most=128) == 20
    assert rows_within(budget - 1, config, 16, 64, most=128) == 19
    assert rows_within(budget, config, 16, 64, most=8) == 8
    assert rows_within(0, config, 16, 64, most=8) == 1


def test_seeds_must_be_as_many_as_rows(llama: Any, soft: torch.Tensor) -> None:
    with pytest.raises(ParameterError, match="3 rows have 2 seeds"):
        TransformersEngine(llama, [END]).generate(soft[:3], GREEDY, np.zeros(2, np.uint64))


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


def test_what_is_being_written_can_be_watched(llm: Any, soft: torch.Tensor) -> None:
    seen: dict[int, list[int]] = {}
    engine = TransformersEngine(llm, [END])
    sampling = Sampling(temperature=0, max_new_tokens=6)
    seeds = np.arange(len(soft), dtype=np.uint64)

    def watch(row: int, ids: np.ndarray) -> None:
        before = seen.get(row, [])
        assert ids.tolist()[: len(before)] == before
        seen[row] = ids.tolist()

    for done in engine.generate(soft, sampling, seeds, watch=watch):
        told = seen.get(done.row, [])
        assert done.ids.tolist()[: len(told)] == told
        assert len(told) >= len(done.ids) - 1, "all but the last token was told in between"
