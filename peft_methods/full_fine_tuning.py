"""Full fine-tuning: every parameter is trained; weights on tiles are rewritten in place."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import nn

from crossbar_sim import Chip, MappedLinear
from peft_methods.base import Adapter, Method
from peft_methods.placement import Placement
from peft_methods.pool import Pool


class FullFineTuning(Method):
    """y = W x + b with W on tiles and trained; biases, normalisation and head are digital and trained too.

    A float master copy of W collects the updates; after every step the cells whose level changed are
    programmed. Weights cannot leave the range their columns were deployed with.
    """

    label: ClassVar[str] = "full fine-tuning"
    writes_cells: ClassVar[bool] = True
    transposed_reads: ClassVar[bool] = True
    extra_reads: ClassVar[str] = "none"

    learning_rate: Annotated[float, Field(gt=0)] = 1e-3

    def placements(self) -> dict[str, Placement]:
        return {"weights": "crossbar", "biases, normalisation, head": "sram"}

    def attach(self, model: nn.Module, chip: Chip | None = None, pool: Pool | None = None, seed: int = 0) -> Adapter:
        adapter = FullAdapter(self, model, chip)
        for layer in model.modules():
            if isinstance(layer, MappedLinear):
                adapter.train_matrix(layer.matrix)
        adapter.train(list(model.parameters()), self.learning_rate, self.weight_decay)
        return adapter


class FullAdapter(Adapter):
    """Keeps a digital copy of the backbone so that `detach` can write it back."""

    def __init__(self, method: Method, model: nn.Module, chip: Chip | None) -> None:
        super().__init__(method, model, chip)
        self._before = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    def delta_weights(self) -> dict[str, torch.Tensor]:
        return {
            name: layer.weight.detach() - self._before[name + (".matrix.master" if isinstance(layer, MappedLinear) else ".weight")]
            for name, layer in self.model.named_modules()
            if isinstance(layer, nn.Linear | MappedLinear)
        }

    def detach(self) -> None:
        """Write the backbone back: the levels return, with the programming error of a new write."""
        self.model.load_state_dict(self._before)
        self.write()
        super().detach()
