"""LoRA (Hu et al., ICLR 2022): y = W x + s B (A x), with A and B on tiles or in SRAM."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from crossbar_sim.chip.interface import AnyChip
from crossbar_sim.layers.convolution import Geometry, MappedConvolution
from peft_methods.methods.low_rank import LowRankLayer, LowRankLinear, TrainedPair
from peft_methods.model_parts import ConvolutionLike, LinearLike
from peft_methods.placement import PlacedMatrix, Placement
from peft_methods.tuning import Range, Ranges


class LoRA(TrainedPair):
    """dW = s B A with A and B trained.

    On tiles A and B are two small extra products per layer, rewritten as they are trained: `a_range` (in
    units of 1/sqrt(d_in)) and `b_range` are the largest values their cells can hold. In SRAM they cost no
    write, but d_in + d_out digital multiply-accumulates per rank and vector.
    """

    name: ClassVar[str] = "lora"
    label: ClassVar[str] = "LoRA"
    papers: ClassVar[tuple[str, ...]] = ("hu2022", "peft")
    writes_cells: ClassVar[bool] = True
    transposed_reads: ClassVar[bool] = True
    extra_reads: ClassVar[str] = "two small products per layer (on tiles)"
    searched: ClassVar[Ranges] = {"learning_rate": Range(1e-3, 5e-2)}
    searched_on_tiles: ClassVar[Ranges] = {"b_range": Range(0.1, 1.0)}

    def placements(self) -> dict[str, Placement]:
        return {"A, B": self.placement}

    def layer(self, base: LinearLike, a: PlacedMatrix, b: PlacedMatrix, chip: AnyChip) -> LowRankLinear:
        return LoRALinear(base, a, b, self.scaling)

    def convolution(self, base: ConvolutionLike, a: PlacedMatrix, b: PlacedMatrix) -> LowRankLayer:
        return LoRAConvolution(base, a, b, self.scaling)


class LoRALinear(LowRankLinear):
    """base(x) + s B(A(x))."""

    def adapted(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.base(x) + self.added(x)
        return y

    def delta_weight(self) -> torch.Tensor:
        return self.product_delta()


class LoRAConvolution(LowRankLayer):
    """base(x) + s B(A(patches of x)): A is a convolution with the geometry of the layer and `rank` channels out, B one
    of kernel 1, as in PEFT. Every output position reads both once."""

    base: nn.Module

    def __init__(self, base: ConvolutionLike, a: PlacedMatrix, b: PlacedMatrix, scaling: float) -> None:
        super().__init__(base, a, b, scaling)
        self.geometry = base.geometry if isinstance(base, MappedConvolution) else Geometry.of(base)
        self.weight_shape = (base.out_channels, base.in_channels, *self.geometry.kernel[-self.geometry.dimensions :])

    def adapted(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.base(x)
        batch = x if x.ndim == self.geometry.dimensions + 2 else x[None]
        inputs = batch if self.dropout is None else self.dropout(batch, self.training)
        patches, _ = self.geometry.patches(inputs)
        update: torch.Tensor = self.scaling * self.b(self.a(patches))
        return y + update.transpose(1, 2).reshape(y.shape)

    def delta_weight(self) -> torch.Tensor:
        return self.product_delta().reshape(self.weight_shape)
