"""vLLM as the engine: what it is sent and what is made of its answers.

vLLM itself is not installed in CI; where it is, the last test runs it. Its two doors are stood in
for by our own engine: what goes in must be what it decodes, what comes out what it wrote.
"""

from __future__ import annotations

import base64
import io
import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from smotext_lab import BertEncoder, XRAGDecoder, load_bridge
from smotext_lab.engines.base import Generated, Sampling
from smotext_lab.engines.transformers import TransformersEngine
from smotext_lab.engines.vllm import Vllm, VllmServer
from smotext_lab.errors import ModelError, ParameterError
from smotext_lab.lora import Lora
from smotext_lab.models import load_llm

END = 1
LAYER = "model.layers.1.self_attn.v_proj"
SETTINGS: dict[str, Any] = {"temperature": 0.0, "n_candidates": 2, "max_new_tokens": 6}


def rows_of(embeds: torch.Tensor, asked: dict[str, Any], llm: Any) -> list[Generated]:
    """Decode as vLLM would: by the settings that came with the row."""
    sampling = Sampling(
        asked["temperature"],
        asked["top_p"],
        asked["top_k"],
        asked["max_tokens"],
        asked["repetition_penalty"],
    )
    seeds = np.array([asked["seed"]], np.uint64)
    assert asked["stop_token_ids"] == [END]
    return list(TransformersEngine(llm, [END]).generate(embeds[None], sampling, seeds))


class StandIn:
    """Has the surface of ``vllm.LLM`` that we use, and finishes one row a step."""

    def __init__(self, path: str, *, enable_prompt_embeds: bool, dtype: str, **_: Any) -> None:
        assert enable_prompt_embeds
        self.llm, _tokenizer = load_llm(path, dtype)
        self.llm_engine = self
        self.waiting: dict[str, tuple[torch.Tensor, dict[str, Any]]] = {}
        self.aborted: list[str] = []

    def add_request(self, name: str, prompt: dict[str, torch.Tensor], params: Any) -> None:
        assert params.logprobs == 0, "the chance of what was drawn is wanted"
        self.waiting[name] = (prompt["prompt_embeds"], vars(params))

    def step(self) -> list[Any]:
        name = next(iter(self.waiting))
        embeds, asked = self.waiting.pop(name)
        done = rows_of(embeds, asked, self.llm)[0]
        ids = [*done.ids.tolist(), *([END] if done.ended else [])]
        chances = [{token: SimpleNamespace(logprob=done.log_likelihood)} for token in ids]
        said = SimpleNamespace(token_ids=ids, logprobs=chances)
        return [SimpleNamespace(request_id=name, finished=True, outputs=[said])]

    def abort_request(self, names: list[str]) -> None:
        self.aborted += names
        for name in names:
            del self.waiting[name]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("vllm")
    module.LLM, module.SamplingParams = StandIn, SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)


@pytest.fixture
def hold() -> threading.Event:
    """Return what the server's answers wait for; it is set."""
    event = threading.Event()
    event.set()
    return event


@pytest.fixture
def server(tiny: tuple[Path, Path, Path], hold: threading.Event, tmp_path: Path) -> Iterator[str]:
    llm, _ = load_llm(decoder_of(tiny).save_llm(tmp_path / "served"))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer({"data": [{"id": "tiny"}]})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            hold.wait(60)
            assert asked["model"] == "tiny"
            assert asked["return_token_ids"]
            packed = io.BytesIO(base64.b64decode(asked["prompt_embeds"]))
            done = rows_of(torch.load(packed, weights_only=True), asked, llm)[0]
            ids = [*done.ids.tolist(), *([END] if done.ended else [])]
            chances = {"token_logprobs": [done.log_likelihood] * len(ids)}
            self.answer({"choices": [{"token_ids": ids, "logprobs": chances}]})

        def answer(self, said: dict[str, Any]) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_address[1]}"
        listening.shutdown()


def decoder_of(tiny: tuple[Path, Path, Path], **more: Any) -> XRAGDecoder:
    """Return a decoder whose bridge changes the LLM so much that other texts come out."""
    llm, folder, encoder = tiny
    bridge = load_bridge(folder)
    torch.manual_seed(0)
    bridge.lora = Lora({f"{LAYER}.A": torch.randn(2, 16), f"{LAYER}.B": torch.randn(16, 2)}, 5.0)
    return XRAGDecoder(str(llm), bridge, encoder=BertEncoder(encoder), **SETTINGS, **more)


def written(tiny: tuple[Path, Path, Path], vectors: np.ndarray, **more: Any) -> list[tuple]:
    decoder = decoder_of(tiny, **more)
    keys = np.arange(len(vectors), dtype=np.uint64)
    rows = decoder.decode_rows(vectors, seeds=keys)
    return [(row.text, round(row.likelihood, 4), row.ended, row.tokens) for row in rows]


@pytest.fixture
def tiny(tiny_llm: Path, tiny_bridge: Path, tiny_encoder: Path) -> tuple[Path, Path, Path]:
    return tiny_llm, tiny_bridge, tiny_encoder


@pytest.fixture
def vectors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(5, 16)).astype(np.float32)


@pytest.mark.usefixtures("stand_in")
def test_in_process_the_texts_are_those_of_our_own_engine(
    tiny: tuple[Path, Path, Path], vectors: np.ndarray
) -> None:
    expected = written(tiny, vectors)
    assert written(tiny, vectors, engine="vllm") == expected
    assert written(tiny, vectors, engine=Vllm({"seed": 0})) == expected
    assert len({text for text, *_ in expected}) > 1


def test_a_server_is_sent_the_soft_tokens_and_answers_with_ids(
    tiny: tuple[Path, Path, Path], vectors: np.ndarray, server: str
) -> None:
    expected = written(tiny, vectors)
    assert written(tiny, vectors, engine=server) == expected
    assert written(tiny, vectors, engine=VllmServer(server, requests=1)) == expected


def test_a_call_that_is_cancelled_does_not_wait_for_the_server(
    tiny: tuple[Path, Path, Path], vectors: np.ndarray, server: str, hold: threading.Event
) -> None:
    decoder = decoder_of(tiny, engine=server)
    decoder.explain(vectors)  # the models are loaded
    hold.clear()
    cancelled = threading.Event()
    threading.Timer(0.3, cancelled.set).start()
    started = time.monotonic()
    assert list(decoder.decode_rows(vectors, cancelled=cancelled)) == []
    waited = time.monotonic() - started
    hold.set()
    assert 0.3 <= waited < 20  # the server would have held it for 60


def test_requests_that_are_not_finished_are_taken_back(tiny_llm: Path) -> None:
    from smotext_lab.engines.vllm import _Local

    engine = StandIn(str(tiny_llm), enable_prompt_embeds=True, dtype="float32")
    cancelled = threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "vllm", SimpleNamespace(SamplingParams=SimpleNamespace))
        local = _Local(engine, [END], torch.float32)
        soft = torch.randn(4, 2, 16)
        keys = np.arange(4, dtype=np.uint64)
        rows = local.generate(soft, Sampling(max_new_tokens=3), keys, cancelled=cancelled)
        assert next(rows).row == 0
        cancelled.set()
        assert list(rows) == []
    assert engine.aborted == ["1-1", "1-2", "1-3"]


def test_the_merged_folder_holds_what_the_bridge_taught(
    tiny: tuple[Path, Path, Path], vectors: np.ndarray, tmp_path: Path
) -> None:
    decoder = decoder_of(tiny)
    model, tokenizer = load_llm(decoder.save_llm(tmp_path / "merged"))
    assert tokenizer.eos_token_id == END
    merged = model.get_submodule(LAYER).weight
    lora = decoder.bridge.lora.tensors
    with decoder.bare_llm() as (bare, _):
        own = bare.get_submodule(LAYER).weight
        change = 5.0 * lora[f"{LAYER}.B"] @ lora[f"{LAYER}.A"]
        torch.testing.assert_close(merged, (own.float() + change).to(own.dtype))
        assert torch.equal(model.lm_head.weight, bare.lm_head.weight)
    without = load_bridge(tiny[1])
    plain = XRAGDecoder(str(tiny[0]), without, encoder=decoder.encoder, **SETTINGS)
    assert plain.decode(vectors) != decoder.decode(vectors), "else no test here sees the LoRA"


@pytest.mark.parametrize("engine", ["tensorrt", ""])
def test_an_engine_that_is_not_known_is_refused(
    tiny: tuple[Path, Path, Path], vectors: np.ndarray, engine: str
) -> None:
    with pytest.raises(ParameterError, match=r"use 'transformers', 'vllm', or the address"):
        written(tiny, vectors, engine=engine)


def test_without_vllm_one_sentence_says_what_to_install(
    tiny: tuple[Path, Path, Path], vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ModelError, match="pip install vllm"):
        written(tiny, vectors, engine="vllm")


def test_a_server_that_does_not_answer_is_named(
    tiny: tuple[Path, Path, Path], vectors: np.ndarray
) -> None:
    with pytest.raises(ModelError, match=r"no vLLM server answers at http://127\.0\.0\.1:9"):
        written(tiny, vectors, engine="http://127.0.0.1:9")


@pytest.mark.real
def test_vllm_itself_writes_what_our_engine_writes() -> None:
    pytest.importorskip("vllm", reason="vLLM is not installed")
    settings = {"temperature": 0, "n_candidates": 1, "max_new_tokens": 32, "dtype": "float32"}
    ours = XRAGDecoder(**settings)
    theirs = XRAGDecoder(engine=Vllm({"max_model_len": 256, "enforce_eager": True}), **settings)
    texts = ["The film was a great success.", "How do I reset my password?", "Rain is due."]
    vectors = ours.encoder.encode(texts)
    rows = [list(d.decode_rows(vectors, seeds=np.arange(3))) for d in (ours, theirs)]
    assert [row.text for row in rows[0]] == [row.text for row in rows[1]]
    likelihoods = np.array([[row.likelihood for row in each] for each in rows])
    np.testing.assert_allclose(*likelihoods, atol=1e-3)
