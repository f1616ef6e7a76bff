"""MappedLinear: y = x W^T + b with W on tiles."""

from __future__ import annotations

import torch
from torch import nn

from crossbar_sim.chip.matrix import Matrix
from crossbar_sim.layers.base import MappedLayer, Program, Weights
from crossbar_sim.layers.guarded_weight import GuardedWeight


class MappedLinear(MappedLayer):
    """y = x W^T + b with W on tiles and the bias added digitally."""

    def __init__(self, matrix: Matrix, bias: nn.Parameter | None, original: nn.Linear | None = None) -> None:
        super().__init__(matrix.name, original, {"weight": (matrix,)})
        self.matrix = matrix
        self.bias = bias

    @classmethod
    def of(cls, name: str, layer: nn.Linear, program: Program) -> MappedLinear:
        """The layer on tiles."""
        return cls(program(name, layer.weight), layer.bias, layer)

    @property
    def weight(self) -> GuardedWeight:
        """The float master copy of the weights (outputs, inputs), to look at; the tiles hold its levels."""
        master, (original,) = self.matrix.master, self._original
        dtype = original.weight.dtype if isinstance(original, nn.Linear) else master.dtype
        return GuardedWeight.of(self.name, master.to(dtype))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (..., inputs) -> (..., outputs)."""
        y: torch.Tensor = self.matrix(x)
        return y if self.bias is None else y + self.bias

    def restored(self, weights: Weights) -> nn.Module:
        if self._original == (None,):
            outputs, inputs = self.weight.shape
            plain = nn.Linear(inputs, outputs, bias=False, device=self.weight.device)
            plain.register_parameter("bias", self.bias)
            self._original = (plain,)
        return super().restored(weights)
