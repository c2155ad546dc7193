"""A bridge from private texts: what a text can move, what it costs, and what is told."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from smotext_lab import BertEncoder, load_bridge
from smotext_lab.errors import BudgetError, DataError, ParameterError
from smotext_lab.models import load_llm
from smotext_lab.privacy import DPProjector, PrivacyBudget, dp_projector
from smotext_lab.privacy.accounting import delta_of, epsilon_of, mu_of
from smotext_lab.privacy.guarantee import trained_on
from smotext_lab.training import train_bridge
from smotext_lab.training.trainer import BridgeRecipe, BridgeTrainer

TEXTS = ["bank rate share", "goal match team coach", "rain snow wind"] * 4


@pytest.fixture
def make(tiny_bridge: Path, tiny_encoder: Path, tiny_llm: Path) -> Any:
    def build(epsilon: float = 4.0, **settings: Any) -> DPProjector:
        own = {"bridge": tiny_bridge, "encoder": BertEncoder(tiny_encoder), "llm": str(tiny_llm)}
        return DPProjector(epsilon, 1e-4, progress=False, **(own | settings))

    return build


@pytest.fixture
def trainer(tiny_bridge: Path, tiny_llm: Path) -> BridgeTrainer:
    llm, _ = load_llm(tiny_llm)
    return BridgeTrainer(llm, load_bridge(tiny_bridge), BridgeRecipe(0, rank=0), 1)


def released(
    mechanism: DPProjector, trainer: BridgeTrainer, gradients: Any, monkeypatch: Any
) -> np.ndarray:
    """Return what a step adds noise to, in the gradients' unit."""
    seen: list[np.ndarray] = []

    def keep(steps: np.ndarray, step: float, sigma: float) -> np.ndarray:
        seen.append(steps * step)
        assert sigma == mechanism.sigma
        return steps * step

    monkeypatch.setattr(dp_projector, "add_noise", keep)
    mechanism._step(trainer, iter(gradients))
    return seen[0]


@pytest.mark.parametrize("epsilon", [0.3, 4.0])
def test_one_text_moves_a_step_by_no_more_than_clip(
    make: Any, trainer: BridgeTrainer, monkeypatch: pytest.MonkeyPatch, epsilon: float
) -> None:
    size = sum(p.numel() for p in trainer.parameters)
    rng = np.random.default_rng(0)
    gradients = [rng.normal(size=size).astype(np.float32) * scale for scale in (1e-4, 1, 1e6)]
    gradients.append(np.full(size, np.inf, np.float32))
    mechanism = make(epsilon, clip=0.5)
    whole = released(mechanism, trainer, gradients, monkeypatch)
    for left_out in range(4):
        others = [g for i, g in enumerate(gradients) if i != left_out]
        without = released(mechanism, trainer, others, monkeypatch)
        assert np.linalg.norm(whole - without) <= 0.5
    large = whole - released(mechanism, trainer, gradients[:1], monkeypatch)
    assert np.linalg.norm(large) > 0.5, "clipping must not take more than it has to"


def test_a_gradient_depends_on_its_own_text_alone(make: Any, trainer: BridgeTrainer) -> None:
    encoder, (_, tokenizer) = make().encoder, load_llm(make().llm)

    def gradient(texts: list[str], row: int) -> np.ndarray:
        vectors = dp_projector.encoded_alone(encoder, texts)
        return dp_projector._gradient(trainer, dp_projector._batch(texts, vectors, tokenizer), row)

    alone = gradient(["rain snow"], 0)
    assert np.linalg.norm(alone) > 0
    np.testing.assert_array_equal(alone, gradient([*TEXTS, "rain snow"], len(TEXTS)))


@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize(("neighbouring", "change"), [("add_or_remove", 1), ("replace", 2)])
def test_the_noise_costs_what_is_stated(
    make: Any, epochs: int, neighbouring: str, change: int
) -> None:
    mechanism = make(2.0, epochs=epochs, neighbouring=neighbouring, clip=0.3)
    mu = change * 0.3 * math.sqrt(epochs) / mechanism.sigma
    assert delta_of(2.0, mu) <= 1e-4 < delta_of(1.99, mu)


def test_an_independent_accountant_agrees(make: Any) -> None:
    from dp_accounting import GaussianDpEvent, SelfComposedDpEvent
    from dp_accounting.pld import PLDAccountant

    mechanism = make(3.0, epochs=4)
    event = SelfComposedDpEvent(GaussianDpEvent(mechanism.sigma / mechanism.clip), 4)
    assert PLDAccountant().compose(event).get_epsilon(1e-4) == pytest.approx(3.0, abs=1e-6)


def test_with_hardly_any_noise_it_learns(make: Any, tmp_path: Path) -> None:
    mechanism = make(1e5, epochs=25, n_batches=2, clip=10.0, learning_rate=0.05)
    mechanism.fit(TEXTS, tmp_path, public=TEXTS[:3])
    told = load_bridge(tmp_path).facts.training
    assert told["public_loss_after"] < told["public_loss_before"] - 0.02


def test_the_folder_tells_the_guarantee_and_no_private_loss(make: Any, tmp_path: Path) -> None:
    bridge = make().fit(TEXTS, tmp_path)
    told = json.loads((tmp_path / "bridge.json").read_text())["training"]
    assert list(told) == ["guarantee"]
    assert told["guarantee"]["epsilon"] == 4.0
    unsaid = "Not covered: texts decoded with it from vectors of private texts."
    assert unsaid in (tmp_path / "README.md").read_text()
    assert told["guarantee"]["sentence"].endswith(unsaid)
    assert not any(text in (tmp_path / "README.md").read_text() for text in TEXTS)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "README.md",
        "bridge.json",
        "bridge.safetensors",
    ]
    assert all(torch.isfinite(p).all() for p in bridge.parameters())


def test_of_a_user_no_more_texts_are_trained_on_than_are_stated(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    encoded = dp_projector.encoded_alone

    def noted(encoder: Any, texts: list[str], **how: Any) -> np.ndarray:
        seen.extend(texts)
        return encoded(encoder, texts, **how)

    monkeypatch.setattr(dp_projector, "encoded_alone", noted)
    mechanism = make(texts_per_user=2)
    users = ["a"] * (len(TEXTS) - 1) + ["b"]
    mechanism.fit(TEXTS, tmp_path, users=users)
    assert seen == [*TEXTS[:2], TEXTS[-1]]
    assert mechanism.sigma == pytest.approx(2 * make().sigma)


def test_two_runs_differ(make: Any, tmp_path: Path) -> None:
    first, second = (make().fit(TEXTS, tmp_path / name) for name in "ab")
    weights = [next(iter(bridge.parameters())) for bridge in (first, second)]
    assert not torch.equal(*weights)


def test_it_trains_once_without_a_budget(make: Any, tmp_path: Path) -> None:
    mechanism = make()
    mechanism.fit(TEXTS, tmp_path)
    with pytest.raises(ParameterError, match="has trained once"):
        mechanism.fit(TEXTS, tmp_path)


def test_an_overspent_budget_stops_it_before_it_trains(make: Any, tmp_path: Path) -> None:
    budget = PrivacyBudget(tmp_path / "budget.json", 5.0, 1e-4)
    mechanism = make(4.0, budget=budget)
    mechanism.fit(TEXTS, tmp_path / "first")
    assert budget.spent == pytest.approx(4.0)
    with pytest.raises(BudgetError, match="does not cover"):
        mechanism.fit(TEXTS, tmp_path / "second")
    assert not (tmp_path / "second").exists()


def test_what_may_be_known_is_read_from_a_column_before_anything_is_paid_for(
    make: Any, tmp_path: Path
) -> None:
    budget = PrivacyBudget(tmp_path / "budget.json", 5.0, 1e-4)
    mechanism = make(4.0, budget=budget)
    for wrong in (pd.DataFrame({"text": TEXTS}), "rain"):
        with pytest.raises(DataError, match="give the texts themselves"):
            mechanism.fit(TEXTS, tmp_path / "out", public=wrong)
        with pytest.raises(DataError, match="give the texts themselves"):
            mechanism.fit(wrong, tmp_path / "out")
    assert budget.spent == 0
    mechanism.fit(
        [*TEXTS, "half \ud83d"],
        tmp_path / "out",
        public=pd.Series([*TEXTS[:3], "\ud83d"], dtype=object),
    )
    assert "public_loss_before" in load_bridge(tmp_path / "out").facts.training


def test_an_interrupt_keeps_what_was_trained(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = dp_projector._gradient
    calls: list[int] = []

    def stop_after_an_epoch(*given: Any) -> np.ndarray:
        calls.append(1)
        if len(calls) == len(TEXTS) + 1:  # in the second epoch
            raise KeyboardInterrupt
        return whole(*given)

    monkeypatch.setattr(dp_projector, "_gradient", stop_after_an_epoch)
    with pytest.raises(KeyboardInterrupt):
        make(n_batches=3).fit(TEXTS, tmp_path)
    assert load_bridge(tmp_path).facts.training["guarantee"]["epsilon"] == 4.0


def test_nothing_is_saved_where_no_step_was_made(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*given: Any) -> np.ndarray:
        raise KeyboardInterrupt

    monkeypatch.setattr(dp_projector, "_gradient", stop)
    monkeypatch.setattr(dp_projector, "_lots", lambda n, n_batches: np.zeros(n, np.int64))
    with pytest.raises(KeyboardInterrupt):
        make().fit(TEXTS, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_can_be_refused_is_refused_before_it_is_paid_for(
    make: Any, tiny_encoder: Path, tmp_path: Path
) -> None:
    budget = PrivacyBudget(tmp_path / "budget.json", 5.0, 1e-4)
    strict = make(budget=budget, encoder=BertEncoder(tiny_encoder, long_texts="error"))
    with pytest.raises(ParameterError, match="long_texts='error' would tell"):
        strict.fit(TEXTS, tmp_path / "out")
    (tmp_path / "file").write_text("a file")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ParameterError, match="cannot be written to"):
            make(budget=budget).fit(TEXTS, out)
    (tmp_path / "trained" / "work").mkdir(parents=True)
    (tmp_path / "trained" / "work" / "vectors.npy").write_text("vectors of the same texts")
    with pytest.raises(ParameterError, match=r"holds other files \(work\), which would be shared"):
        make(budget=budget).fit(TEXTS, tmp_path / "trained")
    (tmp_path / "older").mkdir()
    (tmp_path / "older" / "words.txt").write_text("the words of the same texts")
    with pytest.raises(ParameterError, match=r"holds other files \(words.txt\)"):
        make(budget=budget).fit(TEXTS, tmp_path / "older")  # a bridge of no words leaves them there
    assert budget.spent == 0
    assert not (tmp_path / "out").exists()


def test_a_bridge_that_starts_from_one_of_private_texts_states_both(
    make: Any, tmp_path: Path
) -> None:
    make(2.0).fit(TEXTS, tmp_path / "first")
    again = make(1.0, bridge=tmp_path / "first")
    again.fit(TEXTS, tmp_path / "second")
    told = load_bridge(tmp_path / "second").facts.training["guarantee"]
    both = epsilon_of(math.hypot(mu_of(2.0, 1e-4), mu_of(1.0, 1e-4)), 1e-4)
    assert told["epsilon"] == pytest.approx(both)
    assert told["sentence"] in (tmp_path / "second" / "README.md").read_text()
    assert told["not_covered"] == "texts decoded with it from vectors of private texts"
    make(1.0, bridge=tmp_path / "first", neighbouring="replace").fit(TEXTS, tmp_path / "third")
    told = load_bridge(tmp_path / "third").facts.training["guarantee"]
    assert "epsilon" not in told
    assert "cannot be added up" in told["sentence"]
    last = make(1.0, bridge=tmp_path / "third")
    last.fit(TEXTS, tmp_path / "fourth")
    told = load_bridge(tmp_path / "fourth").facts.training["guarantee"]
    assert "cannot be added up" in told["sentence"]


def test_a_bridge_that_was_trained_on_names_those_texts_as_taken_for_public(
    make: Any, tiny_encoder: Path, tiny_llm: Path, tmp_path: Path
) -> None:
    make(2.0).fit(TEXTS, tmp_path / "first")
    corpus = tmp_path / "more.txt"
    corpus.write_text("".join(f"rain snow wind storm {'rain ' * i}\n" for i in range(80)))
    models = {"encoder": str(tiny_encoder), "llm": str(tiny_llm)}
    asked = {"start_from": tmp_path / "first", "out": tmp_path / "second"}
    recipe = BridgeRecipe(0, 1, rank=0, batch_size=16, steps=2)
    train_bridge([corpus], kind="mlp2x_gelu", recipe=recipe, **models, **asked)
    told = load_bridge(tmp_path / "second").facts.training["guarantee"]
    assert told["epsilon"] == 2
    assert "the texts that the bridge was trained on afterwards" in told["sentence"]
    assert told["sentence"] in (tmp_path / "second" / "README.md").read_text()
    alone = trained_on({"sentence": "These cannot be added up."})["sentence"]
    assert alone.startswith("These cannot be added up. Taken as public: the texts that")


def test_the_length_of_a_private_text_is_not_logged(
    make: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, tokenizer = load_llm(make().llm)
    monkeypatch.setattr(tokenizer, "model_max_length", 5)
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    dp_projector._batch(["rain snow " * 9], np.zeros((1, 16), np.float32), tokenizer)
    assert not caplog.records


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1"),
        ({"epochs": 2.0}, "epochs must be a whole number of at least 1"),
        ({"n_batches": 10.0}, "n_batches must be a whole number of at least 1"),
        ({"texts_per_user": 0}, "texts_per_user must be a whole number of at least 1"),
        ({"clip": 0.0}, "clip must be above 0"),
        ({"learning_rate": math.nan}, "learning_rate must be above 0"),
    ],
)
def test_numbers_that_say_nothing_are_refused(
    make: Any, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        make(**settings)
