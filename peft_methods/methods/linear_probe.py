"""Linear probe: only the digital classification head is trained."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field
from torch import nn

from crossbar_sim.chip.interface import AnyChip
from peft_methods.base import Adapter, Method
from peft_methods.model_parts import head_of
from peft_methods.placement import Placement
from peft_methods.tuning import Range, Ranges


class LinearProbe(Method):
    """logits = H f(x) + b with H, b (digital) trained and f frozen on tiles; K d + K values."""

    name: ClassVar[str] = "linear-probe"
    label: ClassVar[str] = "linear probe"
    writes_cells: ClassVar[bool] = False
    transposed_reads: ClassVar[bool] = False
    extra_reads: ClassVar[str] = "none"
    searched: ClassVar[Ranges] = {"learning_rate": Range(1e-3, 1e-1)}

    learning_rate: Annotated[float, Field(gt=0)] = 5e-2

    def placements(self) -> dict[str, Placement]:
        return {"head": "sram"}

    def make_adapter(self, model: nn.Module, chip: AnyChip, seed: int) -> Adapter:
        adapter = Adapter(self, model, chip)
        adapter.train(list(head_of(model).parameters()), self.learning_rate, self.weight_decay)
        return adapter
