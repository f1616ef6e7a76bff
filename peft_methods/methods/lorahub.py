"""LoRAHub (Huang et al., COLM 2024): mix a pool of LoRA modules without a gradient."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from crossbar_sim.chip.interface import AnyChip
from peft_methods.errors import MethodError
from peft_methods.methods.fused import Mixture
from peft_methods.methods.gradient_free import GradientFree
from peft_methods.methods.pooled import PoolAdapter, PoolMethod
from peft_methods.placement import Placement
from peft_methods.tuning import Range, Ranges


class LoRAHub(GradientFree, PoolMethod):
    """W' = W + s (sum_i w_i B_i) (sum_j w_j A_j) with one w_i per pool module, for the whole model.

    w starts at zero, which is the frozen model, and is searched in [-1.5, 1.5] by CMA-ES within 40 evaluations.
    """

    name: ClassVar[str] = "lorahub"
    label: ClassVar[str] = "LoRAHub"
    papers: ClassVar[tuple[str, ...]] = ("huang2024", "hu2022", "peft")
    writes_cells: ClassVar[bool] = False
    transposed_reads: ClassVar[bool] = False
    extra_reads: ClassVar[str] = "two stacked products per layer"
    searched: ClassVar[Ranges] = {"learning_rate": Range(5e-2, 1.0), "regularisation": Range(1e-3, 1e-1)}

    def placements(self) -> dict[str, Placement]:
        return {"coefficients": "sram"}

    def make_adapter(self, model: nn.Module, chip: AnyChip, seed: int) -> PoolAdapter:
        if self.train_head:
            raise MethodError("LoRAHub searches a few coefficients without gradients; train_head must stay false")
        if len(self.find_pool()) < 2:
            raise MethodError("LoRAHub needs a pool of at least two LoRA modules; one alone cannot be mixed")
        adapter = PoolAdapter(self, model, chip, Mixture("none", "factors"), per_block=False)
        adapter.train([adapter.coefficients], self.learning_rate)
        return adapter
