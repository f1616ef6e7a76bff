"""LoRA (Hu et al., ICLR 2022): y = W x + s B (A x), with A and B on tiles or in SRAM."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import nn

from crossbar_sim import Chip
from peft_methods.base import Adapter, LinearLike, Method, MethodError, linear_layers
from peft_methods.checkpoint import LoRAWeights
from peft_methods.placement import PlacedMatrix, Placement, ledger_of
from peft_methods.pool import Pool


class LoRA(Method):
    """dW = s B A with A (rank, d_in) uniform in +-1/sqrt(d_in), B (d_out, rank) zero, s = alpha / rank.

    On tiles A and B are two small extra products per layer, rewritten as they are trained: `a_range` (in
    units of 1/sqrt(d_in)) and `b_range` are the largest values their cells can hold. In SRAM they cost no
    write, but d_in + d_out digital multiply-accumulates per rank and vector.
    """

    label: ClassVar[str] = "LoRA"
    writes_cells: ClassVar[bool] = True
    transposed_reads: ClassVar[bool] = True
    extra_reads: ClassVar[str] = "two small products per layer (on tiles)"

    rank: Annotated[int, Field(ge=1)] = 4
    alpha: Annotated[float, Field(gt=0)] = 8.0
    placement: Placement = "crossbar"
    targets: tuple[str, ...] | None = None
    a_range: Annotated[float, Field(ge=1)] = 2.0
    b_range: Annotated[float, Field(gt=0)] = 0.25
    learning_rate: Annotated[float, Field(gt=0)] = 1e-2

    @property
    def display_name(self) -> str:
        return f"LoRA ({'tiles' if self.placement == 'crossbar' else 'SRAM'})"

    @property
    def scaling(self) -> float:
        """s = alpha / rank."""
        return self.alpha / self.rank

    def placements(self) -> dict[str, Placement]:
        return {"A, B": self.placement}

    def attach(
        self, model: nn.Module, chip: Chip | None = None, pool: Pool | None = None, seed: int = 0
    ) -> LoRAAdapter:
        adapter = LoRAAdapter(self, model, chip)
        generator = torch.Generator().manual_seed(seed)
        with ledger_of(chip).phase("adapt/update"):
            for name, base in linear_layers(model, self.targets).items():
                adapter.add(name, base, generator)
        adapter.train(adapter.masters, self.learning_rate, self.weight_decay)
        return adapter


class LoRALinear(nn.Module):
    """base(x) + s B(A(x))."""

    def __init__(self, base: LinearLike, a: PlacedMatrix, b: PlacedMatrix, scaling: float) -> None:
        super().__init__()
        self.base, self.a, self.b, self.scaling = base, a, b, scaling

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (..., d_in) -> (..., d_out)."""
        y: torch.Tensor = self.base(x) + self.scaling * self.b(self.a(x))
        return y


class LoRAAdapter(Adapter):
    """LoRA on every target layer of one model."""

    method: LoRA

    def __init__(self, method: LoRA, model: nn.Module, chip: Chip | None) -> None:
        super().__init__(method, model, chip)
        self.layers: dict[str, LoRALinear] = {}
        self.masters: list[nn.Parameter] = []

    def add(self, name: str, base: LinearLike, generator: torch.Generator) -> None:
        """Attach A and B to one layer."""
        method, weight = self.method, base.weight
        outputs, inputs = weight.shape
        if method.rank > min(outputs, inputs):
            raise MethodError(
                f"{name} is {outputs} x {inputs}: rank must be at most {min(outputs, inputs)}, got {method.rank}"
            )
        bound = 1 / math.sqrt(inputs)
        a = torch.empty(method.rank, inputs)
        a = a.uniform_(-bound, bound, generator=generator) if weight.device.type != "meta" else a.to("meta")
        b = torch.zeros(outputs, method.rank, device=weight.device, dtype=weight.dtype)
        layer = LoRALinear(
            base,
            self.place(f"{name}.lora_A", a.to(weight), method.placement, method.a_range * bound),
            self.place(f"{name}.lora_B", b, method.placement, method.b_range),
            method.scaling,
        )
        self.layers[name] = layer
        self.masters += [self.train_matrix(layer.a), self.train_matrix(layer.b)]
        self.replace(name, layer)

    def delta_weights(self) -> dict[str, torch.Tensor]:
        return {name: self.method.scaling * layer.b.weight() @ layer.a.weight() for name, layer in self.layers.items()}

    def export(self, name: str) -> LoRAWeights:
        """The float master copies as a LoRA module that `save_lora` can write."""
        return LoRAWeights(
            name=name,
            rank=self.method.rank,
            alpha=self.method.alpha,
            a={key: layer.a.master.detach().clone() for key, layer in self.layers.items()},
            b={key: layer.b.master.detach().clone() for key, layer in self.layers.items()},
        )
