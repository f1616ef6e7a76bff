"""Linear probe: only the digital classification head is trained."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field
from torch import nn

from crossbar_sim import Chip
from peft_methods.base import Adapter, Method
from peft_methods.checkpoints.pool import Pool
from peft_methods.model_parts import head_of
from peft_methods.placement import Placement


class LinearProbe(Method):
    """logits = H f(x) + b with H, b (digital) trained and f frozen on tiles; K d + K values."""

    label: ClassVar[str] = "linear probe"
    writes_cells: ClassVar[bool] = False
    transposed_reads: ClassVar[bool] = False
    extra_reads: ClassVar[str] = "none"

    learning_rate: Annotated[float, Field(gt=0)] = 5e-2

    def placements(self) -> dict[str, Placement]:
        return {"head": "sram"}

    def attach(self, model: nn.Module, chip: Chip | None = None, pool: Pool | None = None, seed: int = 0) -> Adapter:
        adapter = Adapter(self, model, chip)
        adapter.train(list(head_of(model).parameters()), self.learning_rate, self.weight_decay)
        return adapter
