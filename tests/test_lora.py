"""LoRA: on while decoding, gone after; trained gradients equal plain autograd's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from smotext_lab.errors import BridgeError
from smotext_lab.lora import Lora
from smotext_lab.training.low_rank import TrainableLora


class Blocks(nn.Module):
    """Two blocks of one layer, and a head that LoRA must leave alone."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList([nn.Linear(6, 6, bias=True), nn.Linear(6, 6, bias=False)])
        self.head = nn.Linear(6, 9, bias=False)
        self.config = type("Config", (), {"num_hidden_layers": 2})()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return self.head(x)


def random_lora() -> Lora:
    torch.manual_seed(1)
    return Lora({"layers.0.A": torch.randn(2, 6), "layers.0.B": torch.randn(6, 2)}, scale=0.5)


def test_weights_are_changed_inside_and_restored_after() -> None:
    model, lora, x = Blocks(), random_lora(), torch.randn(3, 6)
    before, original = model(x), model.layers[0].weight.clone()
    with lora.applied(model):
        change = 0.5 * lora.tensors["layers.0.B"] @ lora.tensors["layers.0.A"]
        torch.testing.assert_close(model.layers[0].weight, original + change)
        assert not torch.allclose(model(x), before)
    assert torch.equal(model(x), before)


def test_weights_are_restored_after_an_error() -> None:
    model, lora = Blocks(), random_lora()
    original = model.layers[0].weight.clone()
    with pytest.raises(RuntimeError, match="stop"), lora.applied(model):
        raise RuntimeError("stop")
    assert torch.equal(model.layers[0].weight, original)


def test_another_model_gets_its_own_sums() -> None:
    lora, one, two = random_lora(), Blocks(), Blocks()
    two.layers[0].weight.data.zero_()
    with lora.applied(one):
        first = one.layers[0].weight.clone()
    with lora.applied(two):
        assert not torch.allclose(two.layers[0].weight, first)


def test_a_layer_that_is_not_there_is_named() -> None:
    lora = Lora({"layers.7.A": torch.ones(1, 6), "layers.7.B": torch.ones(6, 1)}, 1.0)
    with pytest.raises(BridgeError, match=r"layers\.7"), lora.applied(Blocks()):
        pass


def test_a_layer_of_another_shape_is_refused() -> None:
    lora = Lora({"layers.0.A": torch.ones(1, 5), "layers.0.B": torch.ones(6, 1)}, 1.0)
    with pytest.raises(BridgeError, match=r"\(6, 5\)"), lora.applied(Blocks()):
        pass


def test_training_gradients_equal_those_of_the_sum() -> None:
    model = Blocks()
    plain = Blocks()
    trainable = TrainableLora(model, rank=3, scale=2.0)
    with torch.no_grad():
        for p in trainable.parameters():
            p.copy_(torch.randn_like(p) * 0.1)
    trainable.merge()
    x = torch.randn(5, 4, 6)
    model(x).square().sum().backward()

    pairs = {name: (v.detach().clone().requires_grad_()) for name, v in trainable.tensors().items()}
    h = x
    for i, layer in enumerate(plain.layers):
        weight = layer.weight + 2.0 * pairs[f"layers.{i}.B"] @ pairs[f"layers.{i}.A"]
        h = torch.tanh(nn.functional.linear(h, weight, layer.bias))
    plain.head(h).square().sum().backward()
    for name, layer in trainable.layers.items():
        torch.testing.assert_close(layer.down.grad, pairs[f"{name}.A"].grad)
        torch.testing.assert_close(layer.up.grad, pairs[f"{name}.B"].grad)


def test_what_was_trained_is_what_is_applied_later() -> None:
    model, x = Blocks(), torch.randn(2, 6)
    trainable = TrainableLora(model, rank=2, scale=2.0)
    with torch.no_grad():
        for p in trainable.parameters():
            p.normal_()
    trainable.merge()
    trained = model(x)
    plain = Blocks()
    with Lora(trainable.tensors(), 2.0).applied(plain):
        torch.testing.assert_close(plain(x), trained)


def test_only_the_last_layers_are_wrapped_where_asked() -> None:
    model = Blocks()
    assert set(TrainableLora(model, 2, 1.0, last_layers=1).layers) == {"layers.1"}
    assert isinstance(model.head, nn.Linear)
