"""Layers on tiles return and differentiate in the type of their input, whatever the type of the model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from crossbar_sim import Hardware, map_model

LAYERS: list[tuple[Any, tuple[int, ...]]] = [
    (lambda: nn.Linear(8, 4), (2, 8)),
    (lambda: nn.Linear(8, 4, bias=False), (2, 8)),
    (lambda: nn.Conv1d(2, 3, 2), (1, 2, 5)),
    (lambda: nn.Conv2d(2, 4, 3, groups=2, padding=1, padding_mode="circular"), (1, 2, 5, 5)),
    (lambda: nn.LSTM(3, 4, num_layers=2, bidirectional=True, proj_size=2), (5, 2, 3)),
    (lambda: nn.GRU(3, 4), (5, 2, 3)),
    (lambda: nn.RNN(3, 4, bias=False), (5, 2, 3)),
    (lambda: nn.LSTMCell(3, 4), (2, 3)),
    (lambda: nn.GRUCell(3, 4), (2, 3)),
    (lambda: nn.RNNCell(3, 4), (2, 3)),
    (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (2, 3, 8)),
]


class Inside(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> Any:
        return self.layer(x)


def tensors(found: Any) -> list[torch.Tensor]:
    return [found] if isinstance(found, torch.Tensor) else [tensor for part in found for tensor in tensors(part)]


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize(("make", "shape"), LAYERS, ids=[str(index) for index in range(len(LAYERS))])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_outputs_and_gradients_have_the_type_of_the_input(
    milo: Hardware, dtype: torch.dtype, make: Any, shape: tuple[int, ...], training: bool
) -> None:
    model = Inside(make()).to(dtype).train(training)
    map_model(model, milo)
    x = torch.rand(*shape).to(dtype).requires_grad_()
    outputs = tensors(model(x))
    assert {output.dtype for output in outputs} == {dtype}
    outputs[0].sum().backward()
    assert x.grad is not None and x.grad.dtype == dtype and x.grad.isfinite().all()


def test_the_type_of_a_model_may_change_on_tiles(milo: Hardware) -> None:
    model = nn.Sequential(nn.Linear(8, 4))
    matrix = map_model(model, milo).matrices["0"]
    before = matrix.master.detach().clone()
    model.bfloat16()
    assert torch.equal(matrix.master, before) and matrix.program().count == 0
    assert model(torch.rand(2, 8).bfloat16()).dtype == torch.bfloat16
