"""LoRA (Hu et al., ICLR 2022): y = W x + s B (A x), with A and B on tiles or in SRAM."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from crossbar_sim.chip.interface import AnyChip
from peft_methods.methods.low_rank import LowRankLinear, TrainedPair
from peft_methods.model_parts import LinearLike
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


class LoRALinear(LowRankLinear):
    """base(x) + s B(A(x))."""

    def adapted(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.base(x) + self.added(x)
        return y

    def delta_weight(self) -> torch.Tensor:
        return self.product_delta()

    def magnitudes(self) -> nn.Parameter | None:
        return None

    def after_write(self) -> None:
        """Nothing depends on A and B."""
