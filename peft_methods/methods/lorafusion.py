"""LoRAFusion (Guo et al., GLSVLSI 2025): learn how to mix a frozen pool of LoRA modules; no cell is rewritten."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from torch import nn

from crossbar_sim import SpecError
from crossbar_sim.chip.interface import AnyChip
from peft_methods.methods.fused import Fusion, Magnitude, Mixture, Norms
from peft_methods.methods.pooled import PoolAdapter, PoolMethod
from peft_methods.placement import Placement
from peft_methods.tuning import Range, Ranges


class LoRAFusion(PoolMethod):
    """W' = diag(m / ||W + dW||_row) (W + dW), dW = s B_w A_w, A_w = sum_i w_i A_i, B_w = sum_i w_i B_i.

    Trained: one coefficient w_i per pool module and transformer block, and the magnitude vector m
    (d_out per layer, starting at ||W||_row; the norm takes no gradient). The stacks of all A_i and of all
    B_i stand on two sets of tiles, programmed once. w does not start at zero, where the gradient vanishes:
    'xavier' is uniform in +-sqrt(6 / (N + blocks)), 'average' is 1 / N for every module.
    magnitude = 'gain' trains the post-ADC gain g = m / ||W + dW||_row itself; 'none' keeps g = 1.
    norms: where 'vector' takes ||W + dW||_row from: 'tables' of small products, kept in SRAM, or 'reads' through the
    tiles, three per rank of dW, after every update.
    fusion = 'modules' mixes the modules themselves, dW = s sum_i w_i B_i A_i, without products of different ones.
    `l1` times the mean |w| is added to the loss (the authors' code has 0.0005).
    """

    name: ClassVar[str] = "lorafusion"
    label: ClassVar[str] = "LoRAFusion"
    papers: ClassVar[tuple[str, ...]] = ("guo2025", "hu2022", "peft")
    writes_cells: ClassVar[bool] = False
    transposed_reads: ClassVar[bool] = True
    extra_reads: ClassVar[str] = "two stacked products per layer"
    searched: ClassVar[Ranges] = {
        "learning_rate": Range(3e-3, 2e-1),
        "magnitude_learning_rate": Range(1e-3, 1e-1),
    }

    unstated: ClassVar[frozenset[str]] = PoolMethod.unstated | {"l1", "norms"}

    initial: Literal["xavier", "average"] = "average"
    magnitude: Magnitude = "vector"
    fusion: Fusion = "factors"
    norms: Norms = "tables"
    l1: Annotated[float, Field(ge=0)] = 0.0
    learning_rate: Annotated[float, Field(gt=0)] = 3.3e-2
    magnitude_learning_rate: Annotated[float, Field(gt=0)] = 7.1e-2

    @model_validator(mode="after")
    def _norms_are_needed(self) -> Self:
        if self.norms == "reads" and self.magnitude != "vector":
            raise SpecError(
                f"LoRAFusion: norms = 'reads' has no effect with magnitude = '{self.magnitude}', which trains without "
                "row norms; leave norms out, or choose magnitude = 'vector'"
            )
        return self

    def placements(self) -> dict[str, Placement]:
        return {"coefficients": "sram", "magnitude": "sram"}

    def make_adapter(self, model: nn.Module, chip: AnyChip, seed: int) -> PoolAdapter:
        adapter = PoolAdapter(self, model, chip, Mixture(self.magnitude, self.fusion, self.norms), l1=self.l1)
        adapter.start(self.initial, seed)
        adapter.train([adapter.coefficients], self.learning_rate, self.weight_decay)
        magnitudes = [layer.magnitude for layer in adapter.layers.values() if layer.magnitude is not None]
        if magnitudes:
            adapter.train(magnitudes, self.magnitude_learning_rate)
        return adapter
