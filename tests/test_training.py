"""Training: it learns, goes on after a stop where it was, and saves what decodes."""

from __future__ import annotations

import errno
import gzip
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers import models as tokenizer_models
from transformers import BertModel, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from typer.testing import CliRunner

from benchmarks import training
from benchmarks.training import packed_loss
from smotext_lab.bridges import (
    LexicalBridge,
    LexicalHead,
    ProjectorBridge,
    load_bridge,
    split_words,
)
from smotext_lab.bridges.files import DEFAULT_BRIDGE
from smotext_lab.cli import app
from smotext_lab.cli.train import _gain
from smotext_lab.decoders import XRAGDecoder
from smotext_lab.encoders import BertEncoder
from smotext_lab.errors import BridgeError, DataError, ModelError, ParameterError
from smotext_lab.models import load_llm
from smotext_lab.training import RefiningRecipe, lexical, refine_bridge, stage, train_bridge
from smotext_lab.training.checkpoints import load_checkpoint, save_checkpoint
from smotext_lab.training.corpus import encode_corpus, read_corpus
from smotext_lab.training.folder import locked
from smotext_lab.training.given import Ends, Texts
from smotext_lab.training.lexical import LexicalRecipe
from smotext_lab.training.log import TrainingLog
from smotext_lab.training.loss import summed_loss
from smotext_lab.training.stage import TokenStage
from smotext_lab.training.trainer import Batch, Batches, BridgeRecipe, BridgeTrainer, noisy
from smotext_lab.training.words import RaggedIds, build_lexicon, word_ids
from smotext_lab.writer import end_tokens

RECIPE = BridgeRecipe(n_words=3, n_learnt=2, rank=4, batch_size=16, steps=30, warmup=5)
HEAD = LexicalRecipe(epochs=4, batch_size=32)


def sentences(n: int) -> list[str]:
    rng = np.random.default_rng(0)
    topics = ["bank rate share bond market", "goal match team coach", "rain snow wind storm"]
    chosen = [topics[i].split() for i in rng.integers(0, 3, n)]
    return [" ".join(rng.choice(words, rng.integers(3, 9))) for words in chosen]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in sentences(400)))
    return path


@pytest.fixture(scope="module")
def train(corpus: Path, tiny_encoder: Path, tiny_llm: Path) -> Callable[..., Any]:
    def go(out: Path, **changes: Any) -> Any:
        settings: dict[str, Any] = {"recipe": RECIPE, "lexical": HEAD} | changes
        settings.setdefault("encoder", str(tiny_encoder))
        return train_bridge([corpus], out=out, llm=str(tiny_llm), **settings)

    return go


@pytest.fixture(scope="module")
def trained(train: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    train(out)
    return out


def log(out: Path, stage: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["stage"] == stage]


def test_the_head_learns_the_words(trained: Path) -> None:
    losses = [line["loss"] for line in log(trained, "words") if "loss" in line]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("native", [True, False])
def test_words_are_learnt_in_bfloat16_where_the_cpu_multiplies_it_and_nowhere_else(
    native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = []
    head = LexicalHead(4, 6, width=8)
    head.up.register_forward_hook(lambda _, __, made: computed.append(made.dtype))
    monkeypatch.setattr(lexical, "has_bf16", lambda: native)
    vectors = np.eye(4, dtype=np.float32)
    words = RaggedIds(np.arange(4, dtype=np.int32), np.arange(5))
    recipe = LexicalRecipe(batch_size=4)
    lexical.HeadTrainer(head, vectors, np.arange(4), words, recipe).train_step()
    assert computed == [torch.bfloat16 if native else torch.float32]


def test_the_loss_falls(train: Callable[..., Any], trained: Path, tmp_path: Path) -> None:
    train(tmp_path, recipe=replace(RECIPE, steps=1))
    assert log(trained, "tokens")[-1]["unseen_loss"] < log(tmp_path, "tokens")[-1]["unseen_loss"]


def test_the_saved_bridge_decodes(trained: Path, tiny_encoder: Path, tiny_llm: Path) -> None:
    bridge = load_bridge(trained)
    assert isinstance(bridge, LexicalBridge)
    assert bridge.lora is not None
    assert bridge.facts.training["texts_seen"] == 30 * 16
    assert bridge.facts.sha256 in (trained / "README.md").read_text()
    decoder = XRAGDecoder(
        str(tiny_llm), trained, encoder=BertEncoder(str(tiny_encoder)), max_new_tokens=8
    )
    vectors = decoder.encoder.encode(["rain snow wind", "bank share"])
    assert len(decoder.decode(vectors)) == 2
    assert [len(words) for words in decoder.explain(vectors, top=3)] == [3, 3]


def test_a_stopped_run_goes_on_to_the_same_weights(
    train: Callable[..., Any], trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = stage.BridgeTrainer.train_step

    def stop_at_12(self: Any, *args: Any) -> float:
        if self.step == 12:
            raise KeyboardInterrupt
        return step(self, *args)

    monkeypatch.setattr(stage.BridgeTrainer, "train_step", stop_at_12)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path)
    assert load_bridge(tmp_path).facts.training["texts_seen"] == 12 * 16
    monkeypatch.setattr(stage.BridgeTrainer, "train_step", step)
    train(tmp_path)
    ours, unbroken = load_bridge(tmp_path), load_bridge(trained)
    for name, value in unbroken.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, atol=2e-3, rtol=1e-2)
    ends = [log(out, "tokens")[-1]["unseen_loss"] for out in (tmp_path, trained)]
    assert ends[0] == pytest.approx(ends[1], abs=1e-3)


def test_a_second_interrupt_ends_a_stopped_run_at_once_and_loses_no_step(
    train: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    step, measure = stage.BridgeTrainer.train_step, stage.TokenStage._evaluate

    def stop_at_3(self: Any, *args: Any) -> float:
        if self.step == 3:
            raise KeyboardInterrupt
        return step(self, *args)

    def stop_again(self: Any, trainer: Any, **how: Any) -> None:
        if trainer.step == 3:
            assert "stopped at step 3; run the same command" in capsys.readouterr().err
            raise KeyboardInterrupt
        measure(self, trainer, **how)

    short = replace(RECIPE, steps=5)
    monkeypatch.setattr(stage.BridgeTrainer, "train_step", stop_at_3)
    monkeypatch.setattr(stage.TokenStage, "_evaluate", stop_again)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, recipe=short)
    assert not (tmp_path / "bridge.safetensors").exists()
    monkeypatch.undo()
    assert train(tmp_path, recipe=short).facts.training["texts_seen"] == 5 * 16
    assert "going on from step 3" in capsys.readouterr().err


def test_a_new_run_starts_from_shipped_weights_alone(
    train: Callable[..., Any], trained: Path, tmp_path: Path
) -> None:
    train(tmp_path, start_from=trained, recipe=replace(RECIPE, steps=10))
    before = log(trained, "tokens")[-1]["unseen_loss"]
    assert log(tmp_path, "tokens")[-1]["unseen_loss"] < before + 0.05
    assert load_bridge(tmp_path).facts.training["texts_seen"] == 40 * 16


def test_fitting_a_bridge_says_what_it_gained_on_held_back_texts(
    train: Callable[..., Any], trained: Path, tmp_path: Path
) -> None:
    bridge = train(tmp_path, start_from=trained, recipe=replace(RECIPE, steps=20))
    training = bridge.facts.training
    assert training["start_loss"] == pytest.approx(
        load_bridge(trained).facts.training["unseen_loss"], abs=0.01
    )
    assert training["start_loss"] - training["unseen_loss"] > 2 * training["loss_change_error"] > 0
    assert training["unseen_texts"] == 10
    assert "is told from nothing" not in _gain(training)


def test_training_that_gains_nothing_ends_early_with_the_best_weights(
    train: Callable[..., Any], trained: Path, tmp_path: Path
) -> None:
    ruinous = replace(RECIPE, learning_rate=0.5, evaluate_every=3, patience=2, steps=300)
    bridge = train(tmp_path, start_from=trained, recipe=ruinous)
    lines = [line for line in log(tmp_path, "tokens") if "unseen_loss" in line]
    assert lines[-1]["step"] < 300
    tensors, best = load_checkpoint(tmp_path / "work/best.safetensors")
    assert best["least"] == min(line["unseen_loss"] for line in lines)
    for name, value in bridge.state_dict().items():
        torch.testing.assert_close(value, tensors[f"bridge.{name}"])
    training = bridge.facts.training
    if best["step"] == 0:
        assert training["unseen_loss"] == training["start_loss"]


def test_noise_in_what_is_measured_is_told_as_no_gain(
    tiny_llm: Path, word_encoder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(self: Any, _: Any) -> float:
        self.step += 1
        return 3.0

    def measured(_: Any, batches: Any) -> float:
        return 3 + float(rng.normal() / sum(len(batch.ids) for batch in batches) ** 0.5)

    def judged(_: Any, batches: Any) -> np.ndarray:
        counts = np.array([len(ids) + 1 for batch in batches for ids in batch.ids], float)
        return np.array([counts * rng.normal(3, 1, len(counts)), counts])

    rng = np.random.default_rng(0)
    for name, stub in (("train_step", step), ("loss_on", measured), ("losses_on", judged)):
        monkeypatch.setattr(stage.BridgeTrainer, name, stub)
    monkeypatch.setattr(TrainingLog, "draw", lambda *_: None)
    ends = Ends.load(word_encoder, str(tiny_llm))
    texts = sentences(300)
    vectors = word_encoder.encode(texts)
    recipe = BridgeRecipe(n_words=0, n_learnt=1, rank=0, steps=24, evaluate_every=2, patience=12)
    told = 0
    for seed in range(20):
        bridge = ProjectorBridge(ends.facts("mlp2x_gelu", recipe))
        its = TokenStage(
            Texts.divided(texts, seed),
            ends,
            bridge=bridge,
            recipe=recipe,
            log=TrainingLog(tmp_path / str(seed)),
            pause=1000,
            random_state=seed,
        )
        told += "is told from nothing" not in _gain(its.train(vectors, None).facts.training)
    assert told <= 2  # the least of 12 such measurements lay below the first one in nearly all


def test_the_log_tells_texts_seen_and_is_drawn(trained: Path) -> None:
    seen = [line["texts_seen"] for line in log(trained, "tokens")]
    assert seen == sorted(seen)
    assert seen[0] == 0
    assert seen[-1] == 30 * 16
    assert "unseen texts" in (trained / "log.svg").read_text()


@pytest.mark.parametrize("bias", [True, False])
def test_the_loss_by_parts_is_that_of_all_logits_at_once_and_so_are_its_gradients(
    bias: bool,
) -> None:
    torch.manual_seed(0)
    head = torch.nn.Linear(8, 300, bias=bias)
    states = torch.randn(150, 8)  # two parts and a rest
    targets = torch.randint(0, 300, (150,))
    found = {}
    for name in ("parts", "at once"):
        leaf = (3 * states).requires_grad_()
        if name == "parts":
            loss = summed_loss(leaf, head, targets)
        else:
            loss = torch.nn.functional.cross_entropy(head(leaf), targets, reduction="sum")
        (loss / 7).backward()
        found[name] = loss.detach(), leaf.grad
    for part, whole in zip(*found.values(), strict=True):
        torch.testing.assert_close(part, whole)
    with torch.no_grad():
        torch.testing.assert_close(summed_loss(3 * states, head, targets), found["at once"][0])


def test_hints_are_learnt(trained: Path) -> None:
    bridge = load_bridge(trained)
    assert isinstance(bridge, LexicalBridge)
    assert float(bridge.hints.detach().abs().max()) > 0
    assert float(bridge.hints[0].detach().abs().max()) == 0  # the row for what is not asked


def test_a_checkpoint_of_another_recipe_is_not_taken_up(
    train: Callable[..., Any], trained: Path
) -> None:
    with pytest.raises(ParameterError, match="another recipe"):
        train(trained, recipe=replace(RECIPE, learning_rate=5e-4))


def test_a_checkpoint_or_a_head_of_other_texts_or_another_start_is_not_taken_up(
    train: Callable[..., Any],
    trained: Path,
    tmp_path: Path,
    tiny_encoder: Path,
    tiny_llm: Path,
) -> None:
    shutil.copytree(trained, tmp_path / "mine")
    with pytest.raises(ParameterError, match=r"another recipe, corpus, .* random state"):
        train(tmp_path / "mine", random_state=1)
    with pytest.raises(ParameterError, match="bridge to start from"):
        train(tmp_path / "mine", start_from=trained)
    (tmp_path / "other.txt").write_text("\n".join(sentences(500)[150:]))
    shutil.copytree(trained, tmp_path / "other")
    settings = {"encoder": str(tiny_encoder), "llm": str(tiny_llm), "recipe": RECIPE}
    with pytest.raises(ParameterError, match="another recipe, corpus"):
        train_bridge([tmp_path / "other.txt"], out=tmp_path / "other", lexical=HEAD, **settings)
    for name in ("checkpoint.safetensors", "run.json"):
        (tmp_path / "other/work" / name).unlink()
    bridge = train_bridge(
        [tmp_path / "other.txt"], out=tmp_path / "other", lexical=HEAD, **settings
    )
    anew = train_bridge([tmp_path / "other.txt"], out=tmp_path / "new", lexical=HEAD, **settings)
    assert torch.equal(bridge.head.words, anew.head.words)


def test_a_run_that_is_refused_leaves_what_another_would_go_on_from(
    train: Callable[..., Any], trained: Path, tmp_path: Path, tiny_encoder: Path, tiny_llm: Path
) -> None:
    mine = shutil.copytree(trained, tmp_path / "mine")
    (tmp_path / "other.txt").write_text("\n".join(sentences(500)[150:]))
    models = {"encoder": str(tiny_encoder), "llm": str(tiny_llm)}
    with pytest.raises(ParameterError, match="another recipe, corpus"):
        train_bridge([tmp_path / "other.txt"], out=mine, recipe=RECIPE, lexical=HEAD, **models)
    with pytest.raises(ParameterError, match="another recipe, corpus"):
        train(mine, encoder=BertEncoder(str(tiny_encoder), pooling="cls"))
    for kept in sorted(trained.glob("**/*.*")):
        assert (mine / kept.relative_to(trained)).read_bytes() == kept.read_bytes(), kept.name
    with pytest.raises(BridgeError, match="no bridge in"):
        train(tmp_path / "new", start_from=tmp_path / "mispelt")
    with pytest.raises(BridgeError, match="vectors of length 384"):
        train(tmp_path / "new", start_from="default")
    assert not (tmp_path / "new").exists()


def test_a_run_that_was_stopped_while_it_encoded_is_not_written_over_by_another(
    train: Callable[..., Any],
    tmp_path: Path,
    tiny_llm: Path,
    word_encoder: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from smotext_lab.training import corpus as module

    encode, calls = word_encoder.encode, itertools.count()

    def stops(part: list[str], **_: Any) -> np.ndarray:
        if next(calls):
            raise KeyboardInterrupt
        return encode(part)

    monkeypatch.setattr(module, "_CHUNK", 100)
    word_encoder.encode = stops
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "mine", encoder=word_encoder)
    vectors = (tmp_path / "mine/work/vectors.npy").read_bytes()
    word_encoder.encode = encode
    (tmp_path / "other.txt").write_text("\n".join(sentences(500)[150:]))
    other = {"encoder": word_encoder, "llm": str(tiny_llm), "recipe": RECIPE, "lexical": HEAD}
    with pytest.raises(ParameterError, match=r"run\.json is of a run with another recipe, corpus"):
        train_bridge([tmp_path / "other.txt"], out=tmp_path / "mine", **other)
    assert (tmp_path / "mine/work/vectors.npy").read_bytes() == vectors
    train(tmp_path / "mine", encoder=word_encoder, recipe=replace(RECIPE, steps=1))


def test_two_runs_are_not_let_into_one_folder(train: Callable[..., Any], tmp_path: Path) -> None:
    with (
        locked(tmp_path / "work"),
        pytest.raises(ParameterError, match="another run trains into"),
    ):
        train(tmp_path)
    assert {path.name for path in tmp_path.glob("**/*")} <= {"work", "lock"}


def test_a_folder_of_other_files_is_refused(train: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / "work").mkdir()  # no run's
    with pytest.raises(ParameterError, match=r"holds files that are no bridge's \(README\.md\)"):
        train(tmp_path)
    with pytest.raises(ParameterError, match="holds files that are no bridge's"):
        refine_bridge(["never read"], out=tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"
    with pytest.raises(ParameterError, match=r"README\.md is a file: give a folder"):
        train(tmp_path / "README.md")


def test_a_bridge_says_what_it_was_begun_from_and_under_which_licence(
    train: Callable[..., Any], trained: Path, tmp_path: Path
) -> None:
    parent = shutil.copytree(trained, tmp_path / "parent")
    shutil.rmtree(parent / "work")
    with (parent / "README.md").open("a") as card:
        card.write("\n## Licence\n\nFor research.\n\n## More\n\nNothing.\n")
    train(tmp_path / "child", start_from=parent, recipe=replace(RECIPE, steps=1))
    facts, before = load_bridge(tmp_path / "child").facts, load_bridge(parent).facts
    begun = {"name": "parent", "sha256": before.sha256, "training": before.training}
    assert facts.training["from"] == begun
    card = (tmp_path / "child/README.md").read_text()
    assert f"| begun from | parent ({before.sha256}) |" in card
    assert card.endswith("## Licence\n\nFor research.\n")
    train(tmp_path / "third", start_from=tmp_path / "child", recipe=replace(RECIPE, steps=1))
    third = load_bridge(tmp_path / "third").facts.training
    assert third["from"]["training"]["from"] == begun
    assert third["texts_seen"] == 32 * 16
    assert (tmp_path / "third/README.md").read_text().endswith("For research.\n")


def test_an_encoder_is_given_as_a_path_and_what_is_none_is_named(
    train: Callable[..., Any], tmp_path: Path, tiny_encoder: Path
) -> None:
    bridge = train(tmp_path / "out", encoder=tiny_encoder, recipe=replace(RECIPE, steps=0))
    assert bridge.facts.training["vector_length"] == pytest.approx(1, abs=1e-3)
    with pytest.raises(ParameterError, match=r"encoder must be .* not 7"):
        train(tmp_path / "seven", encoder=7)


def test_a_bridge_to_start_from_gives_its_shape_where_no_recipe_is_given(
    train: Callable[..., Any], trained: Path, tmp_path: Path
) -> None:
    short = {"start_from": trained, "minutes": 0.001, "recipe": None}
    bridge = train(tmp_path / "lexical", **short)
    assert (bridge.facts.n_words, bridge.facts.n_tokens, bridge.lora.rank) == (3, 5, 4)
    train(tmp_path / "xrag", kind="mlp2x_gelu", minutes=0.001, recipe=None)
    bridge = train(tmp_path / "mlp", **short | {"start_from": tmp_path / "xrag"})
    assert (bridge.facts.kind, bridge.facts.n_tokens, bridge.lora) == ("mlp2x_gelu", 1, None)


def test_the_command_takes_what_is_not_said_from_the_bridge_to_start_from(
    corpus: Path, trained: Path, tmp_path: Path, tiny_encoder: Path, tiny_llm: Path
) -> None:
    command = ["train-bridge", "--corpus", corpus, "--from", trained, "--out", tmp_path / "out"]
    command += ["--encoder", tiny_encoder, "--llm", tiny_llm, "--steps", 1]
    ran = CliRunner().invoke(app, [str(each) for each in command])
    assert ran.exit_code == 0, ran.output
    assert load_bridge(tmp_path / "out").lora.rank == 4
    ran = CliRunner().invoke(
        app, [str(each) for each in [*command, "--n-words", 4, "--n-learnt", 1]]
    )
    assert "has n_words = 3, the recipe 4" in ran.output


def test_starting_from_a_bridge_of_another_shape_is_refused(
    train: Callable[..., Any], trained: Path, tmp_path: Path
) -> None:
    with pytest.raises(BridgeError, match="n_words = 3, the recipe 4"):
        train(tmp_path, start_from=trained, recipe=replace(RECIPE, n_words=4, n_learnt=1))
    for name, other in (("rank", 0), ("rank", 8), ("last_layers", 1), ("lora_scale", 1.0)):
        with pytest.raises(BridgeError, match=f"{name} = .*, the recipe {other}"):
            train(tmp_path, start_from=trained, recipe=replace(RECIPE, **{name: other}))


def test_a_bridge_without_lora_gets_one_and_one_of_the_last_layers_goes_on(
    train: Callable[..., Any], tmp_path: Path
) -> None:
    train(tmp_path / "plain", recipe=replace(RECIPE, rank=0, steps=2))
    last = replace(RECIPE, last_layers=1, steps=12)
    train(tmp_path / "last", start_from=tmp_path / "plain", recipe=last)
    made = load_bridge(tmp_path / "last").lora
    assert made is not None
    assert (made.scale, made.rank, made.last_layers) == (RECIPE.lora_scale, RECIPE.rank, 1)
    assert all(".layers.1." in name for name in made.modules)
    assert RefiningRecipe().fitting(load_bridge(tmp_path / "last")).last_layers == 1
    train(tmp_path / "more", start_from=tmp_path / "last", recipe=replace(last, steps=2))
    assert load_bridge(tmp_path / "more").lora.modules == made.modules


def test_texts_that_cannot_be_learnt_from_are_counted_in_one_sentence(
    tmp_path: Path, tiny_encoder: Path, tiny_llm: Path
) -> None:
    long = [" ".join(["rain snow wind"] * 60) + f" {'goal ' * n}" for n in range(90)]
    (tmp_path / "long.txt").write_text("\n".join(long))
    models = {"encoder": str(tiny_encoder), "llm": str(tiny_llm)}
    out = tmp_path / "out"
    with pytest.raises(DataError, match=r'of 90 texts 0 .* 3 to 128 tokens .* nor in "\.\.\."'):
        train_bridge([tmp_path / "long.txt"], out=out, recipe=RECIPE, lexical=HEAD, **models)
    assert not out.exists()


def test_a_run_for_some_minutes_goes_on_as_it_had_planned(
    train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = stage.BridgeTrainer.train_step

    def stop_at_6(self: Any, *args: Any) -> float:
        if self.step == 6:
            raise KeyboardInterrupt
        return step(self, *args)

    clock = itertools.count(step=0.1)  # each look at it takes a tenth of a second
    monkeypatch.setattr(stage, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(stage, "_SPEED_STEPS", 2)
    monkeypatch.setattr(stage.BridgeTrainer, "train_step", stop_at_6)
    short = replace(RECIPE, steps=4, evaluate_every=5, patience=1000)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, recipe=short, minutes=0.05)
    _, facts = load_checkpoint(tmp_path / "work" / "checkpoint.safetensors")
    planned = facts["recipe"]["steps"]
    assert 6 < planned < 30
    monkeypatch.setattr(stage.BridgeTrainer, "train_step", step)
    for _ in range(2):  # once it is done, the same command adds nothing
        trained = train(tmp_path, recipe=short, minutes=0.05).facts.training
        assert (trained["recipe"]["steps"], trained["texts_seen"]) == (planned, planned * 16)
    more = train(tmp_path, recipe=short, minutes=0.02).facts.training
    assert more["texts_seen"] > planned * 16


def test_a_run_for_some_minutes_ends_in_time_with_all_that_is_measured(
    train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    def takes(seconds: float, name: str) -> None:
        own = getattr(stage.BridgeTrainer, name)

        def slow(self: Any, *args: Any) -> Any:
            clock[0] += seconds
            return own(self, *args)

        monkeypatch.setattr(stage.BridgeTrainer, name, slow)

    monkeypatch.setattr(stage, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    takes(1.0, "train_step")
    takes(5.0, "loss_on")
    takes(5.0, "losses_on")
    patient = replace(RECIPE, steps=1000, rank=0, n_words=0, patience=1000)
    train(tmp_path, kind="mlp2x_gelu", recipe=patient, minutes=5)
    assert clock[0] == pytest.approx(300, rel=0.1)


def test_a_line_of_the_log_that_a_kill_has_cut_takes_no_other_with_it(tmp_path: Path) -> None:
    told = TrainingLog(tmp_path)
    told.write(stage="words", step=1)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"stage": "wor')
    assert [line["step"] for line in told.lines()] == [1]
    told.write(stage="words", step=2)
    assert [line["step"] for line in told.lines()] == [1, 2]


def test_xrags_projector_is_trained_on_a_frozen_llm(
    train: Callable[..., Any], tmp_path: Path
) -> None:
    bridge = train(tmp_path, kind="mlp2x_gelu", recipe=BridgeRecipe(rank=0, batch_size=16, steps=4))
    assert bridge.facts.kind == "mlp2x_gelu"
    assert bridge.facts.n_tokens == 1
    assert bridge.lora is None


def other_llm(kind: str, tiny_llm: Path, folder: Path) -> Path:
    """Return an LLM of another kind with random weights and the tiny one's tokenizer."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_llm)
    shape: dict[str, Any] = {"vocab_size": len(tokenizer), "bos_token_id": 1, "eos_token_id": 1}
    if kind == "GPT2":
        config = transformers.GPT2Config(n_embd=16, n_layer=1, n_head=2, **shape)
        model: Any = transformers.GPT2LMHeadModel(config)
    else:
        sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
        config = transformers.GPTNeoXConfig(num_attention_heads=2, **sizes, **shape)
        model = transformers.GPTNeoXForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(("kind", "rank"), [("GPTNeoX", 2), ("GPT2", 0)])
def test_other_kinds_of_llm_are_trained_and_write(
    corpus: Path, tiny_encoder: Path, tiny_llm: Path, tmp_path: Path, kind: str, rank: int
) -> None:
    llm, out = other_llm(kind, tiny_llm, tmp_path / "llm"), tmp_path / "out"
    recipe = replace(RECIPE, steps=3, rank=rank)
    train_bridge(
        [corpus], out=out, encoder=str(tiny_encoder), llm=str(llm), recipe=recipe, lexical=HEAD
    )
    encoder = BertEncoder(str(tiny_encoder))
    decoder = XRAGDecoder(str(llm), out, encoder=encoder, max_new_tokens=4, random_state=0)
    assert any(decoder.decode(encoder.encode(["rain snow", "bank share", "goal match"])))


def test_an_llm_that_a_lora_cannot_change_is_named(
    corpus: Path, tiny_encoder: Path, tiny_llm: Path, tmp_path: Path
) -> None:
    llm = other_llm("GPT2", tiny_llm, tmp_path / "llm")
    with pytest.raises(ParameterError, match=r"GPT2LMHeadModel has no linear layers.*--rank 0"):
        train_bridge(
            [corpus],
            out=tmp_path / "out",
            encoder=str(tiny_encoder),
            llm=str(llm),
            recipe=RECIPE,
            lexical=HEAD,
        )
    assert not (tmp_path / "out").exists()


def test_a_killed_run_goes_on_to_the_loss_of_an_unbroken_one(
    corpus: Path, tiny_encoder: Path, tiny_llm: Path, trained: Path, tmp_path: Path
) -> None:
    command = (
        "import sys, os, signal\n"
        "from smotext_lab.training import BridgeRecipe, LexicalRecipe, stage, train_bridge\n"
        "step = stage.BridgeTrainer.train_step\n"
        "def die(self, batch):\n"
        "    if self.step == 17: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return step(self, batch)\n"
        "stage.BridgeTrainer.train_step = die\n"
        f"train_bridge([{str(corpus)!r}], out={str(tmp_path)!r}, encoder={str(tiny_encoder)!r},\n"
        f"    llm={str(tiny_llm)!r}, recipe={RECIPE!r}, lexical={HEAD!r}, checkpoint_minutes=0)\n"
    )
    killed = subprocess.run([sys.executable, "-c", command], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "bridge.json").exists()
    train_bridge(
        [corpus],
        out=tmp_path,
        encoder=str(tiny_encoder),
        llm=str(tiny_llm),
        recipe=RECIPE,
        lexical=HEAD,
    )
    steps = [line["step"] for line in log(tmp_path, "tokens")]
    assert steps.count(0) == 1  # it did not begin anew
    ends = [log(out, "tokens")[-1]["unseen_loss"] for out in (tmp_path, trained)]
    assert ends[0] == pytest.approx(ends[1], abs=1e-3)


def test_a_kill_while_the_words_are_learnt_loses_no_step(
    train: Callable[..., Any], trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = lexical.HeadTrainer.train_step
    taken: list[int] = []

    def die_at_20(self: Any) -> float:
        taken.append(self.step)
        if len(taken) == 21:
            raise RuntimeError
        return step(self)

    monkeypatch.setattr(lexical.HeadTrainer, "train_step", die_at_20)
    with pytest.raises(RuntimeError):
        train(tmp_path, checkpoint_minutes=0)
    train(tmp_path, recipe=replace(RECIPE, steps=1))
    assert taken == [*range(21), *range(20, 46)]
    whole, broken = (load_bridge(out).head for out in (trained, tmp_path))
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(broken.state_dict()[name], value, atol=2e-3, rtol=1e-2)
    assert not (tmp_path / "work/head-part.safetensors").exists()


def test_a_run_for_some_minutes_is_measured_ten_times_and_kept_as_soon_as_it_is_planned(
    train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = stage.BridgeTrainer.train_step
    seconds = itertools.count(step=0.1)

    def stop_at_11(self: Any, batch: Any) -> float:
        if self.step == 11:
            raise RuntimeError
        return step(self, batch)

    monkeypatch.setattr(stage.time, "monotonic", lambda: next(seconds))
    monkeypatch.setattr(stage.BridgeTrainer, "train_step", stop_at_11)
    long = replace(RECIPE, evaluate_every=250)
    with pytest.raises(RuntimeError):
        train(tmp_path, recipe=long, minutes=1)
    facts = load_checkpoint(tmp_path / "work/checkpoint.safetensors")[1]
    assert facts["step"] == 10
    assert facts["recipe"]["evaluate_every"] == facts["recipe"]["steps"] // 10 > 10
    monkeypatch.setattr(stage.BridgeTrainer, "train_step", step)
    train(tmp_path, recipe=long, minutes=1)
    told = [line["step"] for line in log(tmp_path, "tokens") if "unseen_loss" in line]
    assert told[:3] == [0, facts["recipe"]["evaluate_every"], 2 * facts["recipe"]["evaluate_every"]]


def test_no_step_is_measured_twice(train: Callable[..., Any], tmp_path: Path) -> None:
    for steps, told in ((6, [0, 3, 6]), (8, [0, 3, 6, 8])):
        out = tmp_path / str(steps)
        train(out, recipe=replace(RECIPE, steps=steps, evaluate_every=3))
        assert [line["step"] for line in log(out, "tokens") if "unseen_loss" in line] == told


def test_a_checkpoint_of_a_time_when_all_texts_were_measured_is_gone_on_from(
    train: Callable[..., Any], tmp_path: Path
) -> None:
    short = replace(RECIPE, steps=3)
    train(tmp_path, recipe=short)
    checkpoint = tmp_path / "work/checkpoint.safetensors"
    tensors, facts = load_checkpoint(checkpoint)
    assert facts["marks"].pop("every") == 1
    save_checkpoint(checkpoint, tensors, facts)
    train(tmp_path, recipe=replace(short, steps=5))
    assert log(tmp_path, "tokens")[-1]["step"] == 5


def test_where_measuring_takes_long_fewer_texts_are_measured_and_the_same_after_a_stop(
    train: Callable[..., Any], trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = stage.BridgeTrainer.train_step

    def stop_at_11(self: Any, batch: Any) -> float:
        if self.step == 11:
            raise RuntimeError
        return step(self, batch)

    monkeypatch.setattr(stage.TokenStage, "least_measured", 3)
    monkeypatch.setattr(stage, "_MEASURING", 1e-6)
    monkeypatch.setattr(stage.BridgeTrainer, "train_step", stop_at_11)
    with pytest.raises(RuntimeError):
        train(tmp_path, minutes=0.05)
    before = load_checkpoint(tmp_path / "work/checkpoint.safetensors")[1]["before"]["loss"]
    monkeypatch.setattr(stage.BridgeTrainer, "train_step", step)
    few = train(tmp_path, minutes=0.05).facts.training["unseen_texts"]
    assert few == len(before[0])
    assert train(tmp_path / "no", minutes=0).facts.training["unseen_texts"] == few
    assert 3 <= few < load_bridge(trained).facts.training["unseen_texts"] / 2


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"batch_size": 0}, "batch_size must be 1 or more, not 0"),
        ({"rank": -1}, "rank must be 0 or more, not -1"),
        ({"word_dropout": 1.5}, "word_dropout must be 0 to 1, not 1.5"),
        ({"learning_rate": float("nan")}, "learning_rate must be 0 or more, not nan"),
        ({"n_words": 0, "n_learnt": 0}, "the LLM would be given nothing"),
    ],
)
def test_numbers_out_of_range_are_named(asked: dict[str, Any], told: str) -> None:
    with pytest.raises(ParameterError, match=told):
        BridgeRecipe(**asked)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"epochs": float("nan")}, "epochs must be 0 or more, not nan"),
        ({"batch_size": 0}, "batch_size must be 1 or more, not 0"),
        ({"learning_rate": -1}, "learning_rate must be 0 or more, not -1"),
        ({"noise": -0.1}, "noise must be 0 or more, not -0.1"),
    ],
)
def test_numbers_out_of_range_of_the_words_are_named(asked: dict[str, Any], told: str) -> None:
    with pytest.raises(ParameterError, match=told):
        LexicalRecipe(**asked)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"random_state": -1}, "random_state must be 0 to 4294967295, not -1"),
        ({"minutes": float("nan")}, "minutes must be 0 or more, not nan"),
        ({"minutes": -5}, "minutes must be 0 or more, not -5"),
        ({"checkpoint_minutes": -1}, "checkpoint_minutes must be 0 or more, not -1"),
    ],
)
def test_numbers_out_of_range_of_a_run_are_named(
    train: Callable[..., Any], tmp_path: Path, asked: dict[str, Any], told: str
) -> None:
    with pytest.raises(ParameterError, match=told):
        train(tmp_path, **asked)
    with pytest.raises(ParameterError, match=told):
        refine_bridge(["never read"], out=tmp_path, **asked)


def test_a_bridge_of_words_alone_is_trained_and_writes(
    train: Callable[..., Any], tmp_path: Path, tiny_encoder: Path, tiny_llm: Path
) -> None:
    train(tmp_path, recipe=replace(RECIPE, n_learnt=0, steps=2))
    encoder = BertEncoder(str(tiny_encoder))
    decoder = XRAGDecoder(str(tiny_llm), tmp_path, encoder=encoder, max_new_tokens=4)
    assert len(decoder.decode(encoder.encode(["rain snow"]))) == 1


def test_a_bridge_is_not_trained_onto_the_one_it_starts_from(
    train: Callable[..., Any], trained: Path
) -> None:
    with pytest.raises(ParameterError, match="is the bridge to start from"):
        train(trained, start_from=trained)


def test_a_folder_named_default_is_not_the_bridge_that_ships(
    train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BridgeError, match="vectors of length 384"):  # of the models alone
        train(Path("default"), start_from="default")
    with pytest.raises(ParameterError, match="is the bridge to start from"):
        train(DEFAULT_BRIDGE, start_from="default")


def test_words_that_are_learnt_otherwise_are_not_taken_up(
    train: Callable[..., Any], trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "mine")
    with pytest.raises(ParameterError, match="another recipe"):
        train(tmp_path / "mine", lexical=replace(HEAD, epochs=1))
    with pytest.raises(ParameterError, match="another recipe"):
        train(tmp_path / "mine", split=list)


def test_an_llm_that_scales_its_embeddings_is_refused(
    train: Callable[..., Any], tiny_llm: Path, tmp_path: Path, corpus: Path, tiny_encoder: Path
) -> None:
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    folder = shutil.copytree(tiny_llm, tmp_path / "gemma")
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "head_dim": 8}
    size = len((folder / "tokenizer.json").read_text())  # more than enough
    config = Gemma3TextConfig(vocab_size=size, intermediate_size=8, **shape, eos_token_id=1)
    Gemma3ForCausalLM(config).save_pretrained(folder)
    with pytest.raises(ModelError, match="scales its embeddings or logits"):
        train_bridge(
            [corpus], out=tmp_path, encoder=str(tiny_encoder), llm=str(folder), recipe=RECIPE
        )


@pytest.mark.parametrize("kind", ["Bert", "FalconH1", "Granite"])
def test_an_llm_that_does_more_than_its_body_and_its_head_is_refused(
    tiny_llm: Path, tiny_encoder: Path, corpus: Path, tmp_path: Path, kind: str
) -> None:
    import transformers

    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    shape |= {"intermediate_size": 32, "vocab_size": 60, "eos_token_id": 1}
    others = {
        "Bert": {"is_decoder": True},
        "FalconH1": {"lm_head_multiplier": 0.2, "num_key_value_heads": 2, "mamba_d_ssm": 16}
        | {"mamba_n_heads": 4, "mamba_d_head": 4, "mamba_d_state": 4, "mamba_chunk_size": 8},
        "Granite": {"logits_scaling": 4.0, "num_key_value_heads": 2},
    }
    config = getattr(transformers, f"{kind}Config")(**shape, **others[kind])
    model = transformers.AutoModelForCausalLM.from_config(config)
    transformers.AutoTokenizer.from_pretrained(tiny_llm).save_pretrained(tmp_path / "llm")
    model.save_pretrained(tmp_path / "llm")
    with pytest.raises(ModelError, match="scales its embeddings or logits"):
        train_bridge([corpus], out=tmp_path, encoder=str(tiny_encoder), llm=str(tmp_path / "llm"))


def test_a_token_that_the_llm_has_no_embedding_of_is_named_before_anything_is_encoded(
    tiny_llm: Path, tiny_encoder: Path, corpus: Path, tmp_path: Path
) -> None:
    llm, tokenizer = load_llm(str(tiny_llm))
    llm.resize_token_embeddings(len(tokenizer) - 1)
    folder = shutil.copytree(tiny_llm, tmp_path / "llm")
    llm.save_pretrained(folder)
    models = {"encoder": str(tiny_encoder), "llm": str(folder)}
    last = max(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    texts = [f"{text} {last}" for text in sentences(100)]
    (tmp_path / "corpus.txt").write_text("\n".join(texts))
    with pytest.raises(ModelError, match=f"has no embedding of token {len(tokenizer) - 1}"):
        train_bridge([tmp_path / "corpus.txt"], out=tmp_path / "out", recipe=RECIPE, **models)
    tokenizer.eos_token = last
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelError, match=f"has no embedding of token {len(tokenizer) - 1}"):
        train_bridge([corpus], out=tmp_path / "out", recipe=RECIPE, **models)
    assert not (tmp_path / "out").exists()


def test_texts_end_where_the_tokenizer_says_whatever_the_config_does(
    tiny_llm: Path, tiny_encoder: Path, trained: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_llm, tmp_path / "llm")
    for name in ("config.json", "generation_config.json"):
        told = json.loads((folder / name).read_text()) | {"eos_token_id": 2}
        (folder / name).write_text(json.dumps(told))
    llm = load_llm(str(folder))
    assert end_tokens("it", *llm) == [1, 2]
    llm[1].eos_token = None
    llm[0].generation_config.eos_token_id = None
    with pytest.raises(ModelError, match="it names no token that ends a text"):
        end_tokens("it", *llm)


def test_models_that_read_few_tokens_are_trained_and_write(
    corpus: Path, tiny_llm: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    short = {}
    for name, folder in {"llm": tiny_llm, "encoder": tiny_encoder}.items():
        short[name] = shutil.copytree(folder, tmp_path / name)
    # a position is a row of a table in these
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(load_llm(str(tiny_llm))[1]),
            n_positions=12,
            n_embd=16,
            n_layer=1,
            n_head=2,
            eos_token_id=1,
            bos_token_id=1,
        )
    )
    for weights in short["llm"].glob("*.safetensors"):
        weights.unlink()
    model.save_pretrained(short["llm"])
    bert = BertModel.from_pretrained(tiny_encoder)
    bert.embeddings.position_embeddings = torch.nn.Embedding(10, bert.config.hidden_size)
    bert.config.max_position_embeddings = 10
    bert.save_pretrained(short["encoder"])
    encoder = BertEncoder(str(short["encoder"]))
    with pytest.warns(UserWarning, match="longer than the 10 tokens"):
        assert encoder.encode(["rain " * 30]).shape == (1, 16)
    train_bridge(
        [corpus],
        out=tmp_path / "out",
        encoder=str(short["encoder"]),
        llm=str(short["llm"]),
        recipe=replace(RECIPE, rank=0, steps=2),
        lexical=HEAD,
    )
    decoder = XRAGDecoder(str(short["llm"]), tmp_path / "out", encoder=encoder, max_new_tokens=64)
    assert len(decoder.decode(encoder.encode(["rain snow"]))) == 1


def test_words_that_the_llm_has_no_token_for_are_left_out(
    corpus: Path, tiny_llm: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_llm, tmp_path / "llm")
    letters = {letter: n for n, letter in enumerate(["<end>", *"abcdefghijklmnopqrstuvwyz"])}
    tokenizer = Tokenizer(tokenizer_models.BPE(letters, []))  # no x, and nothing in its place
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>"
    ).save_pretrained(folder)
    texts = [*sentences(400), "xxx rain snow", "xxx wind storm"]
    (tmp_path / "corpus.txt").write_text("\n".join(texts))
    bridge = train_bridge(
        [tmp_path / "corpus.txt"],
        out=tmp_path / "out",
        encoder=str(tiny_encoder),
        llm=str(folder),
        recipe=replace(RECIPE, steps=2, rank=0),
        lexical=HEAD,
    )
    assert "xxx" not in bridge.words
    assert "rain" in bridge.words
    assert bridge.facts.training["unseen_loss"] > 0


def test_a_loss_that_is_no_number_is_told(
    train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage.BridgeTrainer, "loss_on", lambda *_: float("nan"))
    with pytest.raises(ModelError, match="loss on held-back texts is nan at step 0"):
        train(tmp_path)


def test_a_log_tells_a_step_that_was_taken_twice_once(tmp_path: Path) -> None:
    told = TrainingLog(tmp_path)
    for step, loss in [(10, 3.0), (20, 2.0), (10, 2.9), (20, 1.9)]:
        told.write(stage="tokens", step=step, loss=loss)
    told.write(stage="tokens", step=20, unseen_loss=1.5)
    lines = [(line["step"], line.get("loss")) for line in told.lines()]
    assert lines == [(10, 2.9), (20, 1.9), (20, None)]


def test_a_run_that_begins_anew_tells_nothing_of_the_former_one(
    train: Callable[..., Any], trained: Path, tmp_path: Path
) -> None:
    mine = shutil.copytree(trained, tmp_path / "mine")
    shutil.rmtree(mine / "work")
    train(mine, recipe=replace(RECIPE, steps=3))
    assert [line["step"] for line in log(mine, "tokens")] == [0, 3]


def test_what_a_power_cut_has_damaged_is_made_again_or_named(
    train: Callable[..., Any], trained: Path, tmp_path: Path
) -> None:
    mine = shutil.copytree(trained, tmp_path / "mine")
    work = mine / "work"
    for name in ("checkpoint", "head"):
        file = work / f"{name}.safetensors"
        file.write_bytes(file.read_bytes()[:-100])
    shutil.copyfile(work / "head.safetensors", work / "head-part.safetensors")
    (work / "vectors.json").write_text("")
    with pytest.raises(ModelError, match=r"checkpoint.safetensors cannot be read.*remove"):
        train(mine)
    (work / "checkpoint.safetensors").unlink()
    again = train(mine)
    for name, value in load_bridge(trained).state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, atol=2e-3, rtol=1e-2)


@pytest.mark.parametrize("state", ["", "[]", "{}", '{"key": "x", "rows": "y"}', None])
def test_vectors_that_are_not_whole_are_encoded_anew(
    word_encoder: Any, tmp_path: Path, state: str | None
) -> None:
    texts = sentences(30)
    whole = np.array(encode_corpus(texts, word_encoder, tmp_path))
    if state is None:
        (tmp_path / "vectors.npy").write_bytes((tmp_path / "vectors.npy").read_bytes()[:500])
    else:
        (tmp_path / "vectors.json").write_text(state)
    np.testing.assert_array_equal(encode_corpus(texts, word_encoder, tmp_path), whole)


def test_a_checkpoint_is_on_the_disk_before_it_takes_the_place_of_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, rename = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda file: (done.append("fsync"), sync(file))[1])
    monkeypatch.setattr(Path, "replace", lambda *a: (done.append("rename"), rename(*a))[1])
    save_checkpoint(tmp_path / "a.safetensors", {"x": torch.zeros(2)}, {})
    encode_corpus(
        ["rain"], SimpleNamespace(dim=2, fingerprint="", encode=lambda _: np.ones((1, 2))), tmp_path
    )
    assert done == ["fsync", "rename", "fsync"] * 2  # the file, and the folder that names it


def test_a_full_disk_is_one_sentence_and_the_last_checkpoint_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word_encoder: Any
) -> None:
    import safetensors.torch

    def full(_: Any, path: Path, **__: Any) -> None:
        path.write_bytes(b"half")
        msg = "I/O error: No space left on device (os error 28)"
        raise safetensors.SafetensorError(msg)

    def none(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, {"x": torch.zeros(2)}, {})
    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(ModelError, match=r"checkpoint.* cannot be written: .*No space left"):
        save_checkpoint(path, {"x": torch.ones(2)}, {})
    assert load_checkpoint(path)[0]["x"].sum() == 0
    assert list(tmp_path.iterdir()) == [path]
    monkeypatch.setattr(os, "posix_fallocate", none, raising=False)
    with pytest.raises(OSError, match=r"No space left on device: .*vectors.npy"):
        encode_corpus(["rain"], word_encoder, tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_vector_that_is_no_number_is_refused_with_its_text(
    word_encoder: Any, tmp_path: Path
) -> None:
    encode = word_encoder.encode
    word_encoder.encode = lambda texts: encode(texts) / [[1.0], [0.0], [1.0]]
    with np.errstate(all="ignore"), pytest.raises(DataError, match="no vector for 'snow'"):
        encode_corpus(["rain", "snow", "goal"], word_encoder, tmp_path)


def test_minutes_set_the_number_of_steps(train: Callable[..., Any], tmp_path: Path) -> None:
    bridge = train(tmp_path, minutes=0.02)
    assert 10 <= bridge.facts.training["recipe"]["steps"] < 10_000


def test_an_unknown_kind_and_a_small_corpus_are_refused(
    train: Callable[..., Any], tmp_path: Path, tiny_encoder: Path, tiny_llm: Path
) -> None:
    with pytest.raises(ParameterError, match="'resampler'"):
        train(tmp_path, kind="resampler")
    few = tmp_path / "few.txt"
    few.write_text("rain\nsnow\n")
    with pytest.raises(DataError, match="holds 2 texts; a bridge needs at least 32"):
        train_bridge(
            [few], out=tmp_path / "out", encoder=str(tiny_encoder), llm=str(tiny_llm), recipe=RECIPE
        )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"text": "rain  now"}\n{"text": ""}\n{"text": "goal"}\n'),
        ("a.JSONL", '\ufeff{"text": "rain  now"}\n\n{"text": null}\n{"text": "goal"}\n'),
        ("a.tsv", "text\tlabel\nrain now\tx\ngoal\ty\n"),
        ("a.tab", "text\tlabel\nrain now\tx\ngoal\ty\n"),
        ("a.CSV", "\ufefftext,label\nrain now,x\ngoal,z\n"),
        ("b.csv", "\ufefflabel;text\nx;rain now\nz;goal\n"),
        ("a.csv", 'text,label\n"rain\nnow",x\n,y\ngoal,z\n'),
        ("a.txt", "rain now\n\ngoal\nrain now\n"),
    ],
)
def test_corpus_formats_give_the_same_texts(tmp_path: Path, name: str, content: str) -> None:
    plain, packed = tmp_path / name, tmp_path / f"{name}.gz"
    plain.write_text(content)
    packed.write_bytes(gzip.compress(content.encode()))
    assert read_corpus([plain]) == read_corpus([packed]) == ["rain now", "goal"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "x"}\nnope\n', "line 2: not a JSON object"),
        ("a.csv", b"body\nx\n", "no column 'text'; its columns: body"),
        ("a.parquet", b"PAR1", "give a corpus as .jsonl, .csv, .tsv or plain text, not .parquet"),
        ("a.txt.gz", gzip.compress(b"rain and snow", mtime=0)[:-9], "cannot be read as UTF-8 text"),
        ("a.txt", b"caf\xe9\n", "cannot be read as UTF-8"),
        ("a.txt", b"\n", "holds no text"),
    ],
)
def test_corpus_mistakes_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_corpus([tmp_path / name])


def test_one_file_in_place_of_several_is_told(tmp_path: Path) -> None:
    for given in ("a.txt", tmp_path / "a.txt"):
        with pytest.raises(DataError, match=r"a list of files, .*\[.*a\.txt.*\]"):
            read_corpus(given)  # type: ignore[arg-type]


def test_a_long_cell_and_half_a_character_are_read(tmp_path: Path) -> None:
    long = "rain " * 40_000
    (tmp_path / "a.csv").write_text(f"text\n{long}\n")
    (tmp_path / "a.jsonl").write_text('{"text": "hi \\ud83d"}\n')
    assert read_corpus([tmp_path / "a.csv", tmp_path / "a.jsonl"]) == [long.strip(), "hi ?"]


def test_vectors_of_another_pooling_are_not_taken_up(tiny_encoder: Path, tmp_path: Path) -> None:
    texts = ["rain snow", "goal"]
    mean, cls = (BertEncoder(str(tiny_encoder), pooling=each) for each in ("mean", "cls"))
    encode_corpus(texts, mean, tmp_path)
    found = encode_corpus(texts, cls, tmp_path)
    np.testing.assert_allclose(found, cls.encode(texts), atol=1e-3)


def test_encoding_the_corpus_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word_encoder: Any
) -> None:
    from smotext_lab.training import corpus as module

    monkeypatch.setattr(module, "_CHUNK", 10)
    texts = sentences(35)
    encode = word_encoder.encode
    calls: list[int] = []

    def stops(part: list[str], **_: Any) -> np.ndarray:
        calls.append(len(part))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return encode(part)

    def stop_at_once(*_: Any, **__: Any) -> np.ndarray:
        raise KeyboardInterrupt

    word_encoder.encode = stops
    with pytest.raises(KeyboardInterrupt):
        encode_corpus(texts, word_encoder, tmp_path)
    vectors = encode_corpus(texts, word_encoder, tmp_path)
    assert calls == [10, 10, 10, 10, 5]
    np.testing.assert_allclose(vectors, encode(texts), atol=1e-3)
    encode_corpus(texts, word_encoder, tmp_path)
    assert len(calls) == 5
    encode_corpus(texts[:-1], word_encoder, tmp_path)
    assert len(calls) > 5, "another corpus is encoded anew"
    others = [text.upper() for text in texts]
    word_encoder.encode = stop_at_once
    with pytest.raises(KeyboardInterrupt):
        encode_corpus(others, word_encoder, tmp_path)
    word_encoder.encode = encode
    again = encode_corpus(texts[:-1], word_encoder, tmp_path)
    np.testing.assert_allclose(again, encode(texts[:-1]), atol=1e-3)


def test_batches_hold_every_row_once_and_like_lengths_together() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 1000)
    batches = Batches(lengths, 50, random_state=1)
    rows = [batches.at(step) for step in range(20)]
    assert sorted(np.concatenate(rows)) == list(range(1000))
    assert np.mean([np.ptp(lengths[r]) for r in rows]) < 20
    np.testing.assert_array_equal(Batches(lengths, 50, random_state=1).at(13), rows[13])
    assert not np.array_equal(batches.at(33), rows[13]), "each epoch has an order of its own"


def test_no_length_is_left_out_of_training_for_good() -> None:
    batches = Batches(np.arange(3, 288), 32, random_state=0)
    rows = np.unique([batches.at(step) for step in range(30 * (285 // 32))])
    assert rows.tolist() == list(range(285))


@pytest.mark.parametrize("length", [1.0, 60.0])
def test_noise_turns_a_vector_as_far_whatever_its_length(length: float) -> None:
    vectors = length * torch.nn.functional.normalize(torch.randn(200, 16), dim=1)
    moved = noisy(vectors, 0.5, torch.Generator().manual_seed(0))
    torch.testing.assert_close(moved.norm(dim=1), vectors.norm(dim=1))
    cosines = torch.nn.functional.cosine_similarity(moved, vectors)
    assert 0.86 < float(cosines.min()) < 0.95


def test_lexicon_keeps_frequent_words_as_they_are_mostly_written() -> None:
    texts = ["Rain in Oslo", "rain and rain", "snow in Oslo?", "oslo Rain"]
    lexicon = build_lexicon(texts, split_words, n_words=3)
    assert lexicon.words == ("Oslo", "rain", "in") or lexicon.words == ("Oslo", "Rain", "in")
    np.testing.assert_allclose(np.exp(lexicon.prior), [0.75, 0.75, 0.5])
    at, ids = word_ids(texts, lexicon, split_words).take(np.array([3, 1]))
    assert at.tolist() == [0, 0, 1]
    assert ids.tolist() == [0, 1, 1]


def test_texts_that_share_a_row_see_themselves_alone(
    tiny_encoder: Path, tiny_llm: Path, trained: Path
) -> None:
    bridge = load_bridge(trained)
    texts = ["rain snow wind", "goal", "bank rate share bond market goal match"]
    ends = Ends.load(str(tiny_encoder), str(tiny_llm))
    ids = [np.array(row) for row in ends.tokenizer(texts)["input_ids"]]
    batch = Batch.of(texts, ends.encoder.encode(texts), ids, split_words)
    trainer = BridgeTrainer(ends.model, bridge, RECIPE.fitting(bridge), ends.end)
    trainer.lora.merge()
    apart, tokens = trainer.loss_of(torch.from_numpy(batch.vectors), batch.ids)
    together, as_many, places = packed_loss(trainer, batch)
    assert together.item() == pytest.approx(apart.item(), rel=1e-5)
    assert (as_many, places) == (tokens, sum(map(len, ids)) + 3 * bridge.facts.n_tokens)


def test_ways_of_training_are_timed_on_the_same_texts(
    tiny_encoder: Path, tiny_llm: Path, trained: Path, corpus: Path, tmp_path: Path
) -> None:
    models = ["--encoder", tiny_encoder, "--llm", tiny_llm, "--bridge", trained]
    out = tmp_path / "training.json"
    asked = ["--corpus", corpus, *models, "--batch-size", 8, "--steps", 2, "--out", out]
    training.main([str(each) for each in asked])
    rows = {row["way"]: row for row in json.loads(out.read_text())["rows"]}
    assert set(rows) == set(training.WAYS)
    assert rows["packed"]["loss"] == pytest.approx(rows["not by length"]["loss"], rel=1e-3)
    assert rows["packed"]["padding"] < rows["not by length"]["padding"]
    assert rows["as it trains"]["padding"] < rows["not by length"]["padding"]
