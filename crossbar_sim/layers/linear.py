"""MappedLinear: y = x W^T + b with W on tiles."""

from __future__ import annotations

import torch
from torch import nn

from crossbar_sim.chip.matrix import Matrix
from crossbar_sim.layers.base import MappedLayer, Program, Weights
from crossbar_sim.layers.guarded_weight import GuardedWeight

TRANSPOSED = ("transformers.pytorch_utils", "Conv1D")
"""Module and class of the linear layer of Hugging Face's GPT-2, whose weight is (inputs, outputs)."""


def is_transposed(layer: nn.Module) -> bool:
    """Whether it is a linear layer that keeps its weight as (inputs, outputs): exactly Hugging Face's Conv1D."""
    return (type(layer).__module__, type(layer).__name__) == TRANSPOSED


def rows_of(layer: nn.Module) -> torch.Tensor:
    """The weight of a torch layer as (outputs, inputs); a view of its parameter."""
    weight = layer.get_parameter("weight")
    return weight.T if is_transposed(layer) else weight


class MappedLinear(MappedLayer):
    """y = x W^T + b with W on tiles and the bias added digitally; stands for nn.Linear and Hugging Face's Conv1D."""

    def __init__(self, matrix: Matrix, bias: nn.Parameter | None, original: nn.Module | None = None) -> None:
        super().__init__(matrix.name, original, {"weight": (matrix,)})
        self.matrix = matrix
        self.bias = bias

    @classmethod
    def of(cls, name: str, layer: nn.Module, program: Program) -> MappedLinear:
        """The layer on tiles."""
        return cls(program(name, rows_of(layer)), layer._parameters["bias"], layer)

    @property
    def weight(self) -> GuardedWeight:
        """The float master copy of the weights, (outputs, inputs) or as the layer it stands for keeps them, to look at;
        the tiles hold its levels."""
        master, (original,) = self.matrix.master, self._original
        if original is None:
            return GuardedWeight.of(self.name, master)
        stands_for = master.T if is_transposed(original) else master
        return GuardedWeight.of(self.name, stands_for.to(original.get_parameter("weight").dtype))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (..., inputs) -> (..., outputs)."""
        y: torch.Tensor = self.matrix(x)
        return y if self.bias is None else y + self.bias

    @torch.no_grad()
    def held_weight(self, name: str, weights: Weights) -> torch.Tensor:
        (original,) = self._original
        if original is None or not is_transposed(original):
            return super().held_weight(name, weights)
        rows = self.matrix.weight() if weights == "cells" else self.matrix.master
        return rows.T.to(original.get_parameter(name).dtype).contiguous()

    def restored(self, weights: Weights) -> nn.Module:
        if self._original == (None,):
            outputs, inputs = self.weight.shape
            plain = nn.Linear(inputs, outputs, bias=False, device=self.weight.device)
            plain.register_parameter("bias", self.bias)
            self._original = (plain,)
        return super().restored(weights)
