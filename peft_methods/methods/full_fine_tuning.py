"""Full fine-tuning: every parameter is trained; weights on tiles are rewritten in place."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field
from torch import nn

from crossbar_sim import Chip
from crossbar_sim.chip.matrix import Matrix
from peft_methods.base import Adapter, Method
from peft_methods.checkpoints.pool import Pool
from peft_methods.placement import Placement


class FullFineTuning(Method):
    """y = W x + b with W on tiles and trained; biases, normalisation and head are digital and trained too.

    A float master copy of W collects the updates; after every step the cells whose level changed are
    programmed. Weights cannot leave the range their columns were deployed with.
    """

    label: ClassVar[str] = "full fine-tuning"
    writes_cells: ClassVar[bool] = True
    transposed_reads: ClassVar[bool] = True
    extra_reads: ClassVar[str] = "none"

    learning_rate: Annotated[float, Field(gt=0)] = 7e-4

    def placements(self) -> dict[str, Placement]:
        return {"weights": "crossbar", "biases, normalisation, head": "sram"}

    def attach(self, model: nn.Module, chip: Chip | None = None, pool: Pool | None = None, seed: int = 0) -> Adapter:
        adapter = Adapter(self, model, chip)
        for module in model.modules():
            if isinstance(module, Matrix):
                adapter.train_matrix(module)
        adapter.train(list(model.parameters()), self.learning_rate, self.weight_decay)
        return adapter
