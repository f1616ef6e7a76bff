"""WeGeFT (Savadikar, Song and Wu, ICML 2025): the weight update is generated from the frozen weight itself."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from crossbar_sim.chip.interface import AnyChip
from peft_methods.adapted_layer import AdaptedLayer
from peft_methods.base import MergeableAdapter
from peft_methods.checkpoints.weights import LoRAWeights
from peft_methods.methods.targeted import TargetedMethod
from peft_methods.model_parts import LinearLike, check_rank, product, uniform, weight_of
from peft_methods.placement import Placement, SramMatrix, bill_arithmetic
from peft_methods.tuning import Range, Ranges


class WeGeFT(TargetedMethod):
    """side = 'input':  y = W (x + s Phi^T (Psi x)) + b, an edit of x before the DAC; Phi, Psi (rank, d_in).
    side = 'output': y = (I + s U V) W x + b, an edit of the product after the ADC; U (d_out, rank), V (rank, d_out).

    The update is s W Phi^T Psi (or s U V W), made of the weights as the cells really hold them, at no extra
    analog read and no write. `shared`: one generator for all layers whose dotted names differ in numbers only,
    else one per layer. s = alpha / rank; Psi (V) starts uniform in +-1/sqrt(d), Phi (U) at zero.
    """

    name: ClassVar[str] = "wegeft"
    label: ClassVar[str] = "WeGeFT"
    papers: ClassVar[tuple[str, ...]] = ("savadikar2025",)
    writes_cells: ClassVar[bool] = False
    transposed_reads: ClassVar[bool] = True
    extra_reads: ClassVar[str] = "none"
    searched: ClassVar[Ranges] = {"learning_rate": Range(1e-3, 5e-2), "alpha": Range(2.0, 32.0)}

    rank: Annotated[int, Field(ge=1)] = 4
    alpha: Annotated[float, Field(gt=0)] = 8.0
    side: Literal["input", "output"] = "input"
    shared: bool = True
    learning_rate: Annotated[float, Field(gt=0)] = 1e-2

    @property
    def scaling(self) -> float:
        """s = alpha / rank."""
        return self.alpha / self.rank

    def placements(self) -> dict[str, Placement]:
        return {"Phi, Psi" if self.side == "input" else "U, V": "sram"}

    def make_adapter(self, model: nn.Module, chip: AnyChip, seed: int) -> WeGeFTAdapter:
        adapter = WeGeFTAdapter(self, model, chip)
        adapter.left_out = self.left_out(model)
        generator = torch.Generator().manual_seed(seed)
        for name, base in self.updated_layers(model).items():
            adapter.add(name, base, generator)
        matrices = [matrix.master for pair in adapter.generators.values() for matrix in pair]
        adapter.train(matrices, self.learning_rate, self.weight_decay)
        return adapter


class EditedLinear(AdaptedLayer):
    """A linear layer with z -> z + s up(down(z)) on its input, or on its product before the bias."""

    base: LinearLike

    def __init__(
        self, base: LinearLike, down: SramMatrix, up: SramMatrix, scaling: float, on_input: bool, chip: AnyChip
    ) -> None:
        super().__init__(base)
        self.down = down
        self.up = up
        self.scaling = scaling
        self.on_input, self.chip = on_input, chip

    @property
    def calls_base(self) -> bool:
        return self.on_input

    def adapted(self, x: torch.Tensor) -> torch.Tensor:
        if self.on_input:
            y: torch.Tensor = self.base(self._edit(x))
            return y
        edited = self._edit(product(self.base, x))
        return edited if self.base.bias is None else edited + self.base.bias

    def _edit(self, z: torch.Tensor) -> torch.Tensor:
        bill_arithmetic(
            self.chip, "WeGeFT", adds=z.numel(), multiplies=z.numel() // z.shape[-1] * len(self.down.master)
        )
        return z + self.up(self.scaling * self.down(z))

    def factors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The same update as a LoRA with the same s: A = Psi, B = W Phi^T, or A = V W, B = U."""
        weight = weight_of(self.base).detach()
        down = self.down.weight()
        up = self.up.weight()
        return (down, weight @ up) if self.on_input else (down @ weight, up)


class WeGeFTAdapter(MergeableAdapter):
    """WeGeFT on every target layer of one model; `generators` holds (Psi, Phi^T), or (V, U), by group."""

    method: WeGeFT

    def __init__(self, method: WeGeFT, model: nn.Module, chip: AnyChip) -> None:
        super().__init__(method, model, chip)
        self.generators: dict[str, tuple[SramMatrix, SramMatrix]] = {}
        self.layers: dict[str, EditedLinear] = {}

    def add(self, name: str, base: LinearLike, generator: torch.Generator) -> None:
        """Put the edit around one layer."""
        method, on_input = self.method, self.method.side == "input"
        weight = weight_of(base)
        check_rank(name, weight, method.rank)
        width = weight.shape[1 if on_input else 0]
        words = [word for word in name.split(".") if not (method.shared and word.isdecimal())]
        group = f"{'.'.join(words)} ({width})"
        if group not in self.generators:
            down = uniform(method.rank, width, 1 / math.sqrt(width), generator, weight)
            up = weight.new_zeros(width, method.rank)
            self.generators[group] = (
                SramMatrix(f"{group}.down", down, self.chip),
                SramMatrix(f"{group}.up", up, self.chip),
            )
        self.layers[name] = EditedLinear(base, *self.generators[group], method.scaling, on_input, self.chip)
        self.replace(name, self.layers[name])

    def delta_weights(self) -> dict[str, torch.Tensor]:
        factors = {name: layer.factors() for name, layer in self.layers.items()}
        return {name: self.method.scaling * b @ a for name, (a, b) in factors.items()}

    def export(self, name: str) -> LoRAWeights:
        """The same update as a plain LoRA of the same rank, on the float copies of W."""
        factors = {key: layer.factors() for key, layer in self.layers.items()}
        return LoRAWeights(
            name=name,
            rank=self.method.rank,
            alpha=self.method.alpha,
            a={key: a.clone() for key, (a, _) in factors.items()},
            b={key: b.clone() for key, (_, b) in factors.items()},
        )
