"""Refining: a bridge learns from its own texts, and is stopped and taken up like any training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from smotext_lab.bridges import load_bridge
from smotext_lab.cli import app
from smotext_lab.errors import BridgeError, DataError, ParameterError
from smotext_lab.forms import TextForm
from smotext_lab.training import (
    BridgeRecipe,
    LexicalRecipe,
    RefiningRecipe,
    refine,
    refine_bridge,
    train_bridge,
)
from smotext_lab.training.checkpoints import load_checkpoint
from smotext_lab.training.loss import summed_loss
from smotext_lab.training.tries import Points, reward

RECIPE = RefiningRecipe(
    steps=40, learning_rate=3e-3, n_points=16, batch_size=16, max_new_tokens=10, evaluate_every=20
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    topics = ["bank rate share bond market", "goal match team coach", "rain snow wind storm"]
    chosen = [topics[i].split() for i in rng.integers(0, 3, 400)]
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    texts = [" ".join(rng.choice(words, rng.integers(3, 9))) for words in chosen]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


@pytest.fixture(scope="module")
def models(tiny_encoder: Path, tiny_llm: Path) -> dict[str, Any]:
    return {"encoder": str(tiny_encoder), "llm": str(tiny_llm)}


@pytest.fixture(scope="module")
def trained(corpus: Path, models: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    recipe = BridgeRecipe(n_words=3, n_learnt=2, rank=4, batch_size=16, steps=30, warmup=5)
    train_bridge([corpus], out=out, recipe=recipe, lexical=LexicalRecipe(epochs=4), **models)
    return out


@pytest.fixture(scope="module")
def go(corpus: Path, models: dict[str, Any], trained: Path) -> Callable[..., Any]:
    def refined(out: Path, **changes: Any) -> Any:
        settings = {"start_from": trained, "recipe": RECIPE} | models | changes
        return refine_bridge([corpus], out=out, **settings)

    return refined


@pytest.fixture(scope="module")
def refined(go: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("refined")
    go(out)
    return out


def lines(out: Path, key: str) -> list[float]:
    told = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line[key] for line in told if key in line]


def test_what_the_bridge_writes_comes_nearer_to_the_points(
    corpus: Path, tiny_llm: Path, word_encoder: Any, tmp_path: Path
) -> None:
    """With an encoder that tells words apart: to one with random weights all texts are alike."""
    models = {"encoder": word_encoder, "llm": str(tiny_llm)}
    first = BridgeRecipe(n_words=3, n_learnt=2, rank=4, batch_size=16, steps=30, warmup=5)
    lexical = LexicalRecipe(epochs=4)
    train_bridge([corpus], out=tmp_path / "first", recipe=first, lexical=lexical, **models)
    out = tmp_path / "out"
    recipe = replace(RECIPE, steps=60)
    refine_bridge([corpus], out=out, start_from=tmp_path / "first", recipe=recipe, **models)
    rewards = lines(out, "reward")
    assert len(rewards) == recipe.steps
    assert np.mean(rewards[-10:]) > np.mean(rewards[:10]) + 0.005
    training = load_bridge(out).facts.training
    assert 0 < training["cosine_change_error"] < 0.1  # of ten points
    assert training["from"]["training"]["texts_seen"] == 30 * 16
    assert training["unseen_cosine"] > training["start_cosine"] + 0.2
    assert training["texts_seen"] == (30 + recipe.steps) * 16
    assert "held-back points (greedy)" in (out / "log.svg").read_text()


def test_a_stopped_run_goes_on_to_the_same_weights(
    go: Callable[..., Any], refined: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = refine._RefiningStage._step

    def stop_at_5(self: Any, trainer: Any, batch: Any) -> float:
        if trainer.step == 5:
            raise KeyboardInterrupt
        return step(self, trainer, batch)

    monkeypatch.setattr(refine._RefiningStage, "_step", stop_at_5)
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path)
    monkeypatch.setattr(refine._RefiningStage, "_step", step)
    go(tmp_path)
    ours, unbroken = lines(tmp_path, "reward"), lines(refined, "reward")
    assert ours == pytest.approx(unbroken, abs=1e-4)
    weights = load_bridge(refined).state_dict()
    for name, value in load_bridge(tmp_path).state_dict().items():
        torch.testing.assert_close(value, weights[name], atol=2e-3, rtol=1e-2)


def test_the_command_says_what_was_gained(
    corpus: Path, models: dict[str, Any], trained: Path, tmp_path: Path
) -> None:
    command = ["refine-bridge", "--corpus", corpus, "--from", trained, "--out", tmp_path / "out"]
    command += ["--encoder", models["encoder"], "--llm", models["llm"], "--steps", 1]
    command += ["--n-points", 8, "--batch-size", 8]
    ran = CliRunner().invoke(app, [str(each) for each in command])
    assert ran.exit_code == 0, ran.output
    training = load_bridge(tmp_path / "out").facts.training
    assert f"from {training['start_cosine']:.3f} to" in ran.output
    assert f"± {training['cosine_change_error']:.3f}" in " ".join(ran.output.split())


def test_a_bridge_without_words_or_lora_is_refined_too(
    corpus: Path, models: dict[str, Any], go: Callable[..., Any], tmp_path: Path
) -> None:
    plain = BridgeRecipe(rank=0, batch_size=16, steps=2)
    train_bridge([corpus], out=tmp_path / "mlp", kind="mlp2x_gelu", recipe=plain, **models)
    bridge = go(tmp_path / "out", start_from=tmp_path / "mlp", recipe=replace(RECIPE, steps=2))
    assert bridge.lora is None
    reached, facts = load_checkpoint(tmp_path / "out" / "work" / "checkpoint.safetensors")
    before = load_bridge(tmp_path / "mlp").state_dict()
    assert facts["step"] == 2
    assert any(not torch.equal(reached[f"bridge.{k}"], v.float()) for k, v in before.items())


def test_other_models_and_a_small_corpus_are_refused(
    go: Callable[..., Any], models: dict[str, Any], trained: Path, tmp_path: Path
) -> None:
    with pytest.raises(BridgeError, match="encoder"):
        go(tmp_path / "a", encoder="all-MiniLM-L6-v2")
    small = tmp_path / "small.txt"
    small.write_text("".join(f"rain snow wind {n}\n" for n in range(20)))
    with pytest.raises(DataError, match="holds 20 texts; refining a bridge takes at least 32"):
        refine_bridge([small], out=tmp_path / "b", start_from=trained, recipe=RECIPE, **models)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"n_candidates": 1}, "n_candidates must be 2 or more, not 1"),
        ({"form_told": 5}, "form_told must be 0 to 1, not 5"),
        ({"top_p": 0}, "top_p must be above 0"),
        ({"max_new_tokens": 0}, "max_new_tokens must be 1 or more, not 0"),
    ],
)
def test_numbers_out_of_range_are_named(asked: dict[str, Any], told: str) -> None:
    with pytest.raises(ParameterError, match=told):
        RefiningRecipe(**asked)


def test_what_is_refused_leaves_all_as_it_was(
    go: Callable[..., Any], models: dict[str, Any], trained: Path, refined: Path, tmp_path: Path
) -> None:
    with pytest.raises(ParameterError, match="is the bridge to start from"):
        go(trained)
    mine = shutil.copytree(refined, tmp_path / "mine")
    (tmp_path / "other.txt").write_text("".join(f"rain snow wind {n}\n" for n in range(90)))
    with pytest.raises(ParameterError, match="another recipe, corpus"):
        refine_bridge(
            [tmp_path / "other.txt"], out=mine, start_from=trained, recipe=RECIPE, **models
        )
    for kept in sorted(refined.glob("**/*.*")):
        assert (mine / kept.relative_to(refined)).read_bytes() == kept.read_bytes(), kept.name


def test_half_of_the_points_lie_between_neighbours() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, 8)).astype(np.float32)
    texts = [f"Is it {i}?" for i in range(50)]
    points = Points.draw(texts, vectors, np.arange(40), 20, form_told=0.5, rng=rng)
    np.testing.assert_allclose(np.linalg.norm(points.vectors, axis=1), 1, rtol=1e-5)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    nearest = (points.vectors @ unit.T).max(axis=1)
    np.testing.assert_allclose(nearest[:10], 1, rtol=1e-5)
    assert (nearest[10:] < 0.999).all()
    assert {form is None for form in points.forms} == {True, False}


def test_loops_empty_texts_and_other_kinds_are_worth_less() -> None:
    question = TextForm.of("Who?")
    assert reward("the rain the rain the rain the rain", 0.9) == pytest.approx(0.6)
    assert reward("", 0.1) == pytest.approx(-0.2)
    assert reward("Who paid?", 0.5, question) > reward("He paid.", 0.5, question)


def test_weights_scale_the_loss_of_each_row_and_its_gradient() -> None:
    torch.manual_seed(0)
    head = torch.nn.Linear(6, 9, bias=False)
    targets = torch.randint(0, 9, (100,))
    counts = torch.randn(100)
    states = torch.randn(100, 6, requires_grad=True)
    summed_loss(states, head, targets, counts).backward()
    ours, states.grad = states.grad, None
    each = torch.nn.functional.cross_entropy(head(states), targets, reduction="none")
    (each * counts).sum().backward()
    torch.testing.assert_close(ours, states.grad)
