"""LoRAHub (Huang et al., COLM 2024): mix a pool of LoRA modules without a gradient."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from crossbar_sim import Chip
from peft_methods.checkpoints.pool import Pool
from peft_methods.errors import MethodError
from peft_methods.methods.lorafusion import LoRAFusionAdapter
from peft_methods.placement import Placement
from peft_methods.training.search import GradientFree


class LoRAHub(GradientFree):
    """W' = W + s (sum_i w_i B_i) (sum_j w_j A_j) with one w_i per pool module, for the whole model.

    w starts at zero, which is the frozen model, and is searched in [-1.5, 1.5] by CMA-ES within 40 evaluations.
    """

    label: ClassVar[str] = "LoRAHub"
    papers: ClassVar[tuple[str, ...]] = ("huang2024", "hu2022", "peft")
    writes_cells: ClassVar[bool] = False
    transposed_reads: ClassVar[bool] = False
    extra_reads: ClassVar[str] = "two stacked products per layer"
    needs_pool: ClassVar[bool] = True

    def placements(self) -> dict[str, Placement]:
        return {"coefficients": "sram"}

    def frozen_placements(self) -> dict[str, Placement]:
        return {"pool": "crossbar"}

    def attach(
        self, model: nn.Module, chip: Chip | None = None, pool: Pool | None = None, seed: int = 0
    ) -> LoRAFusionAdapter:
        if pool is None or len(pool) < 2:
            raise MethodError("LoRAHub needs a pool of at least two LoRA modules: attach(..., pool=Pool.load(folder))")
        if self.train_head:
            raise MethodError("LoRAHub searches a few coefficients without gradients; train_head must stay false")
        adapter = LoRAFusionAdapter(self, model, chip, pool, "none", "factors", per_block=False)
        adapter.train([adapter.coefficients], self.learning_rate)
        return adapter
