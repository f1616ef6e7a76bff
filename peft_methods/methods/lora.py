"""LoRA (Hu et al., ICLR 2022): y = W x + s B (A x), with A and B on tiles or in SRAM."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import nn

from crossbar_sim import Chip
from peft_methods.base import Adapter, Method
from peft_methods.checkpoints.pool import Pool
from peft_methods.checkpoints.weights import LoRAWeights
from peft_methods.model_parts import LinearLike, check_rank, linear_layers, uniform
from peft_methods.placement import PlacedMatrix, Placement, ledger_of


class LowRank(Method):
    """dW = s B A; A (rank, d_in) starts uniform in +-1/sqrt(d_in), B (d_out, rank) at zero.

    s = alpha / rank, or alpha / sqrt(rank) if `rank_stabilised` (rsLoRA, Kalajdzievski 2023), which keeps the
    size of s B A x from shrinking as the rank grows. On tiles B's cells can hold +-`b_range`.
    """

    rank: Annotated[int, Field(ge=1)] = 4
    alpha: Annotated[float, Field(gt=0)] = 8.0
    rank_stabilised: bool = False
    placement: Placement = "crossbar"
    targets: tuple[str, ...] | None = None
    b_range: Annotated[float, Field(gt=0)] = 0.25
    learning_rate: Annotated[float, Field(gt=0)] = 1e-2

    @property
    def display_name(self) -> str:
        name = f"rs{self.label}" if self.rank_stabilised else self.label
        return f"{name} ({'tiles' if self.placement == 'crossbar' else 'SRAM'})"

    @property
    def scaling(self) -> float:
        """s, the factor in front of B A."""
        return self.alpha / (math.sqrt(self.rank) if self.rank_stabilised else self.rank)

    def place_a(self, adapter: Adapter, name: str, a: torch.Tensor) -> PlacedMatrix:
        """Put A where this method keeps it."""
        raise NotImplementedError

    def layer(self, base: LinearLike, a: PlacedMatrix, b: PlacedMatrix, chip: Chip | None) -> LoRALinear:
        """What the linear layer `base` becomes."""
        return LoRALinear(base, a, b, self.scaling)

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


class LoRA(LowRank):
    """dW = s B A with A and B trained.

    On tiles A and B are two small extra products per layer, rewritten as they are trained: `a_range` (in
    units of 1/sqrt(d_in)) and `b_range` are the largest values their cells can hold. In SRAM they cost no
    write, but d_in + d_out digital multiply-accumulates per rank and vector.
    """

    label: ClassVar[str] = "LoRA"
    papers: ClassVar[tuple[str, ...]] = ("hu2022", "peft")
    writes_cells: ClassVar[bool] = True
    transposed_reads: ClassVar[bool] = True
    extra_reads: ClassVar[str] = "two small products per layer (on tiles)"

    a_range: Annotated[float, Field(ge=1)] = 2.0

    def placements(self) -> dict[str, Placement]:
        return {"A, B": self.placement}

    def place_a(self, adapter: Adapter, name: str, a: torch.Tensor) -> PlacedMatrix:
        matrix = adapter.place(name, a, self.placement, self.a_range / math.sqrt(a.shape[1]))
        adapter.train_matrix(matrix)
        return matrix


class LoRALinear(nn.Module):
    """base(x) + s B(A(x))."""

    magnitude: nn.Parameter | None

    def __init__(self, base: LinearLike, a: PlacedMatrix, b: PlacedMatrix, scaling: float) -> None:
        super().__init__()
        self.base, self.a, self.b, self.scaling = base, a, b, scaling
        self.register_parameter("magnitude", None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (..., d_in) -> (..., d_out)."""
        y: torch.Tensor = self.base(x) + self.scaling * self.b(self.a(x))
        return y

    def delta_weight(self) -> torch.Tensor:
        """The merged weight minus the frozen one (d_out, d_in)."""
        return self.scaling * self.b.weight() @ self.a.weight()

    def trained(self) -> list[nn.Parameter]:
        """What is trained beside A and B."""
        return []

    def after_write(self) -> None:
        """Recompute what depends on A and B."""


class LoRAAdapter(Adapter):
    """A low-rank method on every target layer of one model."""

    method: LowRank

    def __init__(self, method: LowRank, model: nn.Module, chip: Chip | None) -> None:
        super().__init__(method, model, chip)
        self.layers: dict[str, LoRALinear] = {}
        self.trained_matrices: list[PlacedMatrix] = []

    @property
    def masters(self) -> list[nn.Parameter]:
        """The float copies of every trained A and B, layer by layer, and what else the layers train."""
        matrices = [matrix.master for matrix in self.trained_matrices]
        return matrices + [value for layer in self.layers.values() for value in layer.trained()]

    def train_matrix(self, matrix: PlacedMatrix) -> nn.Parameter:
        self.trained_matrices.append(matrix)
        return super().train_matrix(matrix)

    def add(self, name: str, base: LinearLike, generator: torch.Generator) -> None:
        """Attach A and B to one layer."""
        method, weight = self.method, base.weight
        outputs, inputs = weight.shape
        check_rank(name, weight, method.rank)
        a = method.place_a(
            self, f"{name}.lora_A", uniform(method.rank, inputs, 1 / math.sqrt(inputs), generator, weight)
        )
        b = self.place(f"{name}.lora_B", weight.new_zeros(outputs, method.rank), method.placement, method.b_range)
        self.train_matrix(b)
        self.layers[name] = method.layer(base, a, b, self.chip)
        self.replace(name, self.layers[name])

    def write(self, last: bool = False) -> int:
        written = super().write(last)
        for layer in self.layers.values():
            layer.after_write()
        return written

    def delta_weights(self) -> dict[str, torch.Tensor]:
        return {name: layer.delta_weight() for name, layer in self.layers.items()}

    def export(self, name: str) -> LoRAWeights:
        """The float master copies as a LoRA (or DoRA) module that `save_lora` can write."""
        magnitude = {
            key: layer.magnitude.detach().clone() for key, layer in self.layers.items() if layer.magnitude is not None
        }
        return LoRAWeights(
            name=name,
            rank=self.method.rank,
            alpha=self.method.scaling * self.method.rank,
            a={key: layer.a.master.detach().clone() for key, layer in self.layers.items()},
            b={key: layer.b.master.detach().clone() for key, layer in self.layers.items()},
            magnitude=magnitude or None,
        )
