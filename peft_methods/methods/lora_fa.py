"""LoRA-FA (Zhang et al. 2023): LoRA with A frozen where it is and only B trained."""

from __future__ import annotations

from typing import ClassVar

import torch

from crossbar_sim.chip.interface import AnyChip
from peft_methods.base import Adapter
from peft_methods.methods.lora import LoRAConvolution, LoRALinear
from peft_methods.methods.low_rank import LowRank, LowRankLayer, LowRankLinear
from peft_methods.model_parts import ConvolutionLike, LinearLike
from peft_methods.phases import POOL
from peft_methods.placement import PlacedMatrix, Placement
from peft_methods.tuning import Range, Ranges


class LoRAFA(LowRank):
    """dW = s B A with A random and frozen, B trained: half the values, and no activation x has to be kept.

    A stands on tiles (`a_placement`), programmed once with phase 'pool'; B in SRAM by default, so that no
    cell is rewritten.
    """

    name: ClassVar[str] = "lora-fa"
    label: ClassVar[str] = "LoRA-FA"
    papers: ClassVar[tuple[str, ...]] = ("zhang2023", "hu2022")
    writes_cells: ClassVar[bool] = True
    transposed_reads: ClassVar[bool] = True
    extra_reads: ClassVar[str] = "one small product per layer (two with B on tiles)"
    searched: ClassVar[Ranges] = {"learning_rate": Range(1e-3, 1e-1)}

    placement: Placement = "sram"
    a_placement: Placement = "crossbar"

    def placements(self) -> dict[str, Placement]:
        return {"B": self.placement}

    def frozen_placements(self) -> dict[str, Placement]:
        return {"A": self.a_placement}

    def place_a(self, adapter: Adapter, name: str, a: torch.Tensor) -> PlacedMatrix:
        with adapter.chip.ledger.phase(POOL):
            return adapter.place(name, a, self.a_placement)

    def layer(self, base: LinearLike, a: PlacedMatrix, b: PlacedMatrix, chip: AnyChip) -> LowRankLinear:
        return LoRALinear(base, a, b, self.scaling)

    def convolution(self, base: ConvolutionLike, a: PlacedMatrix, b: PlacedMatrix) -> LowRankLayer:
        return LoRAConvolution(base, a, b, self.scaling)
