"""Full fine-tuning: every parameter is trained; weights on tiles are rewritten in place."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field
from torch import nn

from crossbar_sim.chip.interface import AnyChip
from crossbar_sim.chip.matrix import Matrix
from peft_methods.base import Adapter, Method
from peft_methods.placement import Placement
from peft_methods.tuning import Range, Ranges


class FullFineTuning(Method):
    """y = W x + b with W on tiles and trained; biases, normalisation and head are digital and trained too.

    A float master copy of W collects the updates; after every step the cells whose level changed are
    programmed. Weights cannot leave the range their columns were deployed with.
    """

    name: ClassVar[str] = "full-fine-tuning"
    label: ClassVar[str] = "full fine-tuning"
    writes_cells: ClassVar[bool] = True
    transposed_reads: ClassVar[bool] = True
    extra_reads: ClassVar[str] = "none"
    searched: ClassVar[Ranges] = {"learning_rate": Range(1e-4, 1e-2)}

    learning_rate: Annotated[float, Field(gt=0)] = 7e-4

    def placements(self) -> dict[str, Placement]:
        return {"weights": "crossbar", "biases, normalisation, head": "sram"}

    def make_adapter(self, model: nn.Module, chip: AnyChip, seed: int) -> Adapter:
        adapter = Adapter(self, model, chip)
        for module in model.modules():
            if isinstance(module, Matrix):
                adapter.train_matrix(module)
        adapter.train(list(model.parameters()), self.learning_rate, self.weight_decay)
        return adapter
