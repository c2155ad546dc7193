"""A program, run by `test_placement`: our loop on tensors that say that they are on a GPU.

They are fake (`FakeTensorMode`): a shape, a type and a device, and no numbers. An operation on
tensors of two devices fails as it would on a GPU. torch must be told of such a device for the
whole process, which is why this is one of its own.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from smotext_lab.engines.base import Sampling
from smotext_lab.engines.drawing import draw, log_probability, penalised
from smotext_lab.engines.llama import Llama
from smotext_lab.lora import Lora

GPU, HIDDEN, VOCABULARY = "fake_gpu", 64, 96
CHANGED = "model.layers.0.self_attn.q_proj"


def llm_on_gpu() -> Any:
    """Return a Llama in bfloat16 without numbers."""
    shape = {"hidden_size": HIDDEN, "intermediate_size": 128, "num_hidden_layers": 2}
    shape |= {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": VOCABULARY}
    with torch.device("meta"):
        llm = transformers.LlamaForCausalLM(transformers.LlamaConfig(**shape)).eval()
    with FakeTensorMode():
        for module in llm.modules():
            for name, weight in module._parameters.items():
                if weight is not None:
                    made = torch.empty(weight.shape, device=GPU, dtype=torch.bfloat16)
                    module._parameters[name] = torch.nn.Parameter(made, requires_grad=False)
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    made = torch.empty(buffer.shape, device=GPU, dtype=buffer.dtype)
                    module._buffers[name] = made
    return llm


def is_on_gpu(tensor: torch.Tensor, dtype: torch.dtype) -> bool:
    return (tensor.device.type, tensor.dtype) == (GPU, dtype)


def main() -> None:
    _setup_privateuseone_for_python_backend(GPU)
    llm = llm_on_gpu()
    with FakeTensorMode(allow_non_fake_inputs=True), torch.inference_mode():
        with pytest.raises(RuntimeError, match="two devices"):
            torch.randn(2, 2, device=GPU) @ torch.randn(2, 2)
        llama = Llama(llm)
        weights = llama._lay_out([])
        soft = torch.randn(3, 5, HIDDEN)  # comes from the bridge, which is on the CPU
        logits, cache = llama.read(weights, soft)
        assert is_on_gpu(logits, torch.bfloat16)
        u, seen = torch.rand(3).double().to(GPU), torch.zeros(3, 2, dtype=torch.int64, device=GPU)
        token = draw(penalised(logits, seen, Sampling(repetition_penalty=1.2)), Sampling(), u)
        assert is_on_gpu(token, torch.int64)
        assert is_on_gpu(log_probability(logits, token), torch.float32)
        assert is_on_gpu(llama.step(weights, token, np.full(3, 4), cache), torch.bfloat16)
        rows = torch.arange(2, device=GPU)
        cache.copy(cache, rows, rows + 1, 5)
    with FakeTensorMode(allow_non_fake_inputs=True):
        changes = {f"{CHANGED}.A": torch.ones(2, HIDDEN), f"{CHANGED}.B": torch.ones(HIDDEN, 2)}
        before = llm.get_submodule(CHANGED).weight.data
        with Lora(changes, 1.0).applied(llm):
            changed = llm.get_submodule(CHANGED).weight.data
            assert changed is not before
            assert is_on_gpu(changed, torch.bfloat16)
    sys.stdout.write("all of it stayed on the GPU\n")


if __name__ == "__main__":
    main()
