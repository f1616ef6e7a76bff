"""Adapters (Houlsby et al., ICML 2019; Pfeiffer et al., EACL 2021): a small residual network behind a module."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import nn

from crossbar_sim.chip.interface import AnyChip
from peft_methods.adapted_layer import AdaptedLayer
from peft_methods.base import MOST_RANK, Adapter, Method
from peft_methods.errors import MethodError
from peft_methods.model_parts import LinearLike, block_of, matches, uniform, weight_of
from peft_methods.phases import UPDATE
from peft_methods.placement import PlacedMatrix, Placement, bill_arithmetic, bill_sram
from peft_methods.tuning import Range, Ranges


class Bottleneck(Method):
    """h <- h + W_up g(W_down h + b_down) + b_up after every target module; g is GELU.

    W_down (rank, d) starts uniform in +-1/sqrt(d) (Kaiming), W_up (d, rank) and the biases at zero, so the
    frozen model is the start; with W_down at zero too, only b_up would ever get a gradient. `targets` are
    modules inside numbered blocks: after the MLP alone (Pfeiffer), or after the attention too (Houlsby). The
    matrices lie on tiles or in SRAM, ranges as in LoRA; the biases are digital.
    """

    name: ClassVar[str] = "adapters"
    label: ClassVar[str] = "adapters"
    papers: ClassVar[tuple[str, ...]] = ("houlsby2019", "pfeiffer2021")
    writes_cells: ClassVar[bool] = True
    transposed_reads: ClassVar[bool] = True
    extra_reads: ClassVar[str] = "two small products per target (on tiles)"
    searched: ClassVar[Ranges] = {"learning_rate": Range(1e-3, 5e-2)}
    searched_on_tiles: ClassVar[Ranges] = {"b_range": Range(0.1, 1.0)}

    rank: Annotated[int, Field(ge=1, le=MOST_RANK)] = 4
    placement: Placement = "crossbar"
    targets: tuple[str, ...] = ("mlp",)
    a_range: Annotated[float, Field(ge=1)] = 2.0
    b_range: Annotated[float, Field(gt=0)] = 0.25
    learning_rate: Annotated[float, Field(gt=0)] = 1e-2

    @property
    def display_name(self) -> str:
        return f"adapters ({'tiles' if self.placement == 'crossbar' else 'SRAM'})"

    def placements(self) -> dict[str, Placement]:
        return {"down, up": self.placement, "biases": "sram"}

    def make_adapter(self, model: nn.Module, chip: AnyChip, seed: int) -> Adapter:
        chosen = targeted_modules(model, self.targets)
        adapter = Adapter(self, model, chip)
        generator = torch.Generator().manual_seed(seed)
        for name, module in chosen.items():
            like = last_weight(name, module)
            width = like.shape[0]
            bound = 1 / math.sqrt(width)
            down = uniform(self.rank, width, bound, generator, like)
            with chip.ledger.phase(UPDATE):
                layer = BottleneckLayer(
                    module,
                    adapter.place(f"{name}.adapter_down", down, self.placement, self.a_range * bound),
                    adapter.place(f"{name}.adapter_up", like.new_zeros(width, self.rank), self.placement, self.b_range),
                    chip,
                )
            matrices = [adapter.train_matrix(layer.down), adapter.train_matrix(layer.up)]
            adapter.train([*matrices, layer.down_bias, layer.up_bias], self.learning_rate, self.weight_decay)
            adapter.replace(name, layer)
        return adapter


class BottleneckLayer(AdaptedLayer):
    """h + up(gelu(down(h) + b_down)) + b_up with h = base(x)."""

    def __init__(self, base: nn.Module, down: PlacedMatrix, up: PlacedMatrix, chip: AnyChip) -> None:
        super().__init__(base)
        self.down = down
        self.up = up
        self.chip = chip
        width, rank = up.master.shape
        self.down_bias = nn.Parameter(down.master.new_zeros(rank), requires_grad=False)
        self.up_bias = nn.Parameter(up.master.new_zeros(width), requires_grad=False)

    def adapted(self, x: torch.Tensor) -> torch.Tensor:
        h: torch.Tensor = self.base(x)
        vectors, biases = h.numel() // h.shape[-1], len(self.down_bias) + len(self.up_bias)
        bill_arithmetic(self.chip, "adapters", adds=vectors * (biases + len(self.up_bias)))
        bill_sram(self.chip, "adapters", reads=vectors * biases)
        update: torch.Tensor = self.up(nn.functional.gelu(self.down(h) + self.down_bias))
        return h + update + self.up_bias


def targeted_modules(model: nn.Module, targets: tuple[str, ...]) -> dict[str, nn.Module]:
    """The modules inside numbered blocks whose dotted names end in a target; MethodError if a target finds none."""
    inside = {name: module for name, module in model.named_modules() if block_of(name) not in (None, name)}
    for target in targets:
        if not any(matches(name, target) for name in inside):
            known = sorted({name.removeprefix(f"{block_of(name)}.") for name in inside})
            raise MethodError(f"no module inside a block ends in '{target}'; the blocks have {', '.join(known)}")
    return {name: module for name, module in inside.items() if any(matches(name, target) for target in targets)}


def last_weight(name: str, module: nn.Module) -> torch.Tensor:
    """The weight of the module's last linear layer: its rows are the module's outputs."""
    layers: list[LinearLike] = [layer for layer in module.modules() if isinstance(layer, LinearLike)]
    if not layers:
        raise MethodError(f"{name} has no linear layer to take its width from; choose another target")
    return weight_of(layers[-1])
