"""BitFit (Ben Zaken, Ravfogel and Goldberg, ACL 2022): only bias vectors are trained."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field
from torch import nn

from crossbar_sim.chip.interface import AnyChip
from peft_methods.base import Adapter
from peft_methods.errors import MethodError
from peft_methods.methods.targeted import TargetedMethod
from peft_methods.model_parts import linear_layers
from peft_methods.placement import Placement
from peft_methods.tuning import Range, Ranges


class BitFit(TargetedMethod):
    """y = W x + (b + db) with db trained: the biases of the target layers, which are added digitally.

    `normalisation` trains the biases of the layer normalisations of the whole model too.
    """

    name: ClassVar[str] = "bitfit"
    label: ClassVar[str] = "BitFit"
    papers: ClassVar[tuple[str, ...]] = ("benzaken2022",)
    writes_cells: ClassVar[bool] = False
    transposed_reads: ClassVar[bool] = True
    extra_reads: ClassVar[str] = "none"
    searched: ClassVar[Ranges] = {"learning_rate": Range(1e-3, 1e-1)}

    normalisation: bool = False
    learning_rate: Annotated[float, Field(gt=0)] = 1e-2

    def placements(self) -> dict[str, Placement]:
        return {"biases": "sram"}

    def make_adapter(self, model: nn.Module, chip: AnyChip, seed: int) -> Adapter:
        layers = self.among(linear_layers(model, self.targets))
        biases = [layer.bias for layer in layers.values() if layer.bias is not None]
        if not biases:
            raise MethodError(
                f"none of the {len(layers)} target layers of {type(model).__name__} has a bias; BitFit has nothing "
                "to train there, choose other targets or another method"
            )
        if self.normalisation:
            norms = [module for module in model.modules() if isinstance(module, nn.LayerNorm)]
            biases += [norm.bias for norm in norms if norm.bias is not None]
        adapter = Adapter(self, model, chip)
        adapter.train(biases, self.learning_rate, self.weight_decay)
        return adapter
