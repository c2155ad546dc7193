"""Where weights go: GPUs as far as they can be judged without one; precisions of 4 and 8 bits."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers

from smotext_lab import XRAGDecoder, named_decoder
from smotext_lab.bridges import BridgeFacts, ProjectorBridge
from smotext_lab.engines.transformers import TransformersEngine
from smotext_lab.errors import ModelError
from smotext_lab.lora import Lora
from smotext_lab.models import fingerprint, load_llm, torch_device, torch_dtype
from smotext_lab.models.placement import QUANTIZED, loading
from smotext_lab.scale import local
from smotext_lab.writer import Writer

GPU = torch.device("cuda", 0)
HIDDEN = 64  # bitsandbytes quantizes blocks of so many


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Make torch say that there are two GPUs; the second is the current one."""
    state = {"current": 1}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: state["current"])
    monkeypatch.setattr(torch.cuda, "set_device", lambda number: state.update(current=number))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    return state


def test_without_a_gpu_everything_is_on_the_cpu_and_a_gpu_is_refused() -> None:
    assert torch_device("auto") == torch.device("cpu")
    with pytest.raises(ModelError, match="torch sees 0 CUDA devices"):
        torch_device("cuda")
    with pytest.raises(ModelError, match="'gpu' is not known"):
        torch_device("gpu")


def test_auto_is_the_current_gpu_in_bfloat16(two_gpus: dict[str, int]) -> None:
    assert torch_device("auto") == torch.device("cuda", 1)
    assert torch_device("cuda") == torch.device("cuda", 1)
    assert torch_device("cuda:0") == GPU
    assert torch_device("cpu") == torch.device("cpu")
    assert torch_dtype("auto", GPU) is torch.bfloat16
    assert loading("auto", GPU) == {"dtype": torch.bfloat16, "device_map": {"": GPU}}
    with pytest.raises(ModelError, match="torch sees 2 CUDA devices"):
        torch_device("cuda:2")


def test_a_gpu_without_bfloat16_computes_in_float16(
    two_gpus: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert torch_dtype("auto", GPU) is torch.float16


def test_workers_take_gpus_in_turn(
    two_gpus: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    monkeypatch.setattr(local.machine, "limit_threads", lambda threads: threads)
    monkeypatch.setattr(local.os, "sched_getaffinity", lambda _: set(), raising=False)
    for number in range(1, 5):
        process = SimpleNamespace(name=f"LokyProcess-{number}")
        monkeypatch.setattr(local.multiprocessing, "current_process", lambda p=process: p)
        local._pin(4, 1)
        taken.append(torch_device("auto").index)
    assert sorted(taken) == [0, 0, 1, 1]


def test_a_model_larger_than_the_gpu_s_memory_is_refused(
    two_gpus: dict[str, int], tiny_llm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1000, 10**9))
    with pytest.raises(ModelError, match=r"are free on cuda:1\."):
        load_llm(tiny_llm)


def config(**more: Any) -> Any:
    shape = {"vocab_size": 96, "hidden_size": HIDDEN, "intermediate_size": 128}
    shape |= {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    return transformers.LlamaConfig(**(shape | more))


def test_the_loop_keeps_to_the_gpu_whatever_comes_from_the_cpu() -> None:
    program = Path(__file__).with_name("fake_gpu.py")
    root = Path(__file__).parents[1]
    run = subprocess.run(
        [sys.executable, program],
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout == "all of it stayed on the GPU\n", run.stderr


def test_the_bridge_works_on_the_cpu_with_embeddings_of_its_own(
    tiny_encoder: Path, tiny_llm: Path, tiny_bridge: Path
) -> None:
    decoder = XRAGDecoder(str(tiny_llm), tiny_bridge, encoder=_encoder(tiny_encoder))
    writer = decoder._writer()
    assert writer.embedding.device.type == "cpu"
    assert torch.equal(writer.embedding, writer.model.get_input_embeddings().weight)


def _encoder(folder: Path) -> Any:
    from smotext_lab import BertEncoder

    return BertEncoder(str(folder), device="cpu")


# -- 4 and 8 bits --------------------------------------------------------------------

needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed"
)


@pytest.fixture(scope="module")
def wide_llm(tmp_path_factory: pytest.TempPathFactory, tiny_llm: Path) -> Path:
    """Return the folder of a random Llama that is wide enough to be quantized."""
    folder = tmp_path_factory.mktemp("models") / "wide-llm"
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_llm)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    numbers = {"bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 1}
    llm = transformers.LlamaForCausalLM(config(vocab_size=len(tokenizer), **numbers))
    llm.save_pretrained(folder)
    return folder


def logits_of(llm: Any) -> torch.Tensor:
    soft = torch.randn(4, 6, HIDDEN, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return llm(inputs_embeds=soft.to(llm.get_input_embeddings().weight)).logits.float()


@needs_bitsandbytes
@pytest.mark.parametrize("dtype", list(QUANTIZED))
def test_weights_of_few_bits_say_nearly_the_same(wide_llm: Path, dtype: str) -> None:
    whole, _ = load_llm(wide_llm, "float32", "cpu")
    small, _ = load_llm(wide_llm, dtype, "cpu")
    assert small.get_memory_footprint() < 0.6 * whole.get_memory_footprint()
    both = torch.stack([logits_of(whole).flatten(), logits_of(small).flatten()])
    assert 0.98 < float(torch.corrcoef(both)[0, 1]) < 0.99999999


@needs_bitsandbytes
@pytest.mark.parametrize("dtype", list(QUANTIZED))
def test_a_bridge_s_changes_reach_weights_of_few_bits_and_go_again(
    wide_llm: Path, dtype: str
) -> None:
    name = "model.layers.1.mlp.down_proj"
    draw = torch.Generator().manual_seed(2)
    tensors = {
        f"{name}.A": torch.randn(4, 128, generator=draw),
        f"{name}.B": torch.randn(HIDDEN, 4, generator=draw),
    }
    found = {}
    for kind in ("float32", dtype):
        llm, _ = load_llm(wide_llm, kind, "cpu")
        before = logits_of(llm)
        with Lora(tensors, 20.0).applied(llm):
            found[kind] = logits_of(llm)
        torch.testing.assert_close(logits_of(llm), before)
    both = torch.stack([each.flatten() for each in found.values()])
    assert float(torch.corrcoef(both)[0, 1]) > 0.98
    # without the change they would be other logits altogether
    assert float(torch.corrcoef(torch.stack([both[0], before.flatten()]))[0, 1]) < 0.9


@needs_bitsandbytes
def test_a_decoder_writes_with_weights_of_4_bits(tiny_encoder: Path, wide_llm: Path) -> None:
    torch.manual_seed(3)
    encoder = _encoder(tiny_encoder)
    facts = BridgeFacts(
        "mlp2x_gelu", encoder.fingerprint, fingerprint(wide_llm), dim=16, hidden=HIDDEN, n_tokens=1
    )
    settings = {"n_candidates": 2, "max_new_tokens": 8, "random_state": 0, "dtype": "4bit"}
    decoder = XRAGDecoder(str(wide_llm), ProjectorBridge(facts), encoder=encoder, **settings)
    vectors = encoder.encode(["rain snow wind.", "goal match team."])
    texts = decoder.decode(vectors)
    assert texts == decoder.decode(vectors)
    assert all(texts)
    engine = decoder._writer().engine
    assert isinstance(engine, TransformersEngine)
    assert engine._llama is None, "packed weights of 4 bits are none that our loop multiplies by"


def test_without_bitsandbytes_the_way_to_it_is_told(
    tiny_llm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smotext_lab.models.placement.importlib.util.find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r"pip install 'smotext-lab\[quantized\]'"):
        load_llm(tiny_llm, "4bit")


@pytest.mark.parametrize("precision", list(QUANTIZED))
def test_a_report_names_models_and_their_precision_in_one(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smotext_lab.models.model_path", lambda name: Path("folder") / str(name))
    decoder = named_decoder(f"some/checkpoint:{precision}", n_candidates=1)
    assert (decoder.llm, decoder.dtype) == ("some/checkpoint", precision)
    decoder = XRAGDecoder.from_xrag("some/checkpoint", dtype=precision)
    assert decoder.encoder.dtype == precision


def test_vllm_leaves_the_gpu_to_its_own_copy(
    two_gpus: dict[str, int],
    tiny_encoder: Path,
    tiny_llm: Path,
    tiny_bridge: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def load(name: Any, dtype: Any, device: Any) -> Any:
        asked.append(device)
        return load_llm(name, "float32", "cpu")

    monkeypatch.setattr("smotext_lab.writer.load_llm", load)
    started = SimpleNamespace(start=lambda *_: object())
    monkeypatch.setattr("smotext_lab.writer.outside", lambda _: started)
    for engine in ("transformers", "http://gpu-box:8000"):
        Writer.load(
            str(tiny_llm),
            tiny_bridge,
            _encoder(tiny_encoder),
            prompt=None,
            dtype="auto",
            engine=engine,
        )
    assert asked == ["auto", "cpu"]
