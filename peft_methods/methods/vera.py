"""VeRA (Kopiczko, Blankevoort and Asano, ICLR 2024): one random pair for all layers, two trained vectors for each."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import nn

from crossbar_sim.chip.interface import AnyChip
from crossbar_sim.chip.matrix import Matrix
from peft_methods.adapted_layer import AdaptedLayer
from peft_methods.base import MOST_RANK, MergeableAdapter, Method
from peft_methods.checkpoints.vera import VeRAWeights
from peft_methods.checkpoints.weights import LoRAWeights
from peft_methods.model_parts import LinearLike, left_out, replaceable_layers, uniform, weight_of
from peft_methods.phases import POOL
from peft_methods.placement import PlacedMatrix, Placement, bill_arithmetic, bill_sram, product_of
from peft_methods.tuning import Range, Ranges


class VeRA(Method):
    """y = W x + lambda_b o (B_f (lambda_d o (A_f x))) + b; lambda_d (rank) and lambda_b (d_out) trained, per layer.

    A_f (rank, largest d_in) and B_f (largest d_out, rank) are Kaiming-uniform, shared by every layer and
    frozen: on tiles they are programmed once. A layer uses the first d_in columns of A_f and the first d_out
    rows of B_f. lambda_d starts at `initial`, lambda_b at zero. One copy serves all layers, one after the other.
    """

    name: ClassVar[str] = "vera"
    label: ClassVar[str] = "VeRA"
    papers: ClassVar[tuple[str, ...]] = ("kopiczko2024",)
    writes_cells: ClassVar[bool] = False
    transposed_reads: ClassVar[bool] = True
    extra_reads: ClassVar[str] = "two products per layer with the shared pair (on tiles)"
    searched: ClassVar[Ranges] = {"learning_rate": Range(3e-3, 2e-1), "initial": Range(3e-2, 1.0)}

    rank: Annotated[int, Field(ge=1, le=MOST_RANK)] = 16
    placement: Placement = "crossbar"
    targets: tuple[str, ...] | None = None
    initial: Annotated[float, Field(gt=0)] = 0.1
    learning_rate: Annotated[float, Field(gt=0)] = 2e-2

    def placements(self) -> dict[str, Placement]:
        return {"lambda_d, lambda_b": "sram"}

    def frozen_placements(self) -> dict[str, Placement]:
        return {"A_f, B_f": self.placement}

    def make_adapter(self, model: nn.Module, chip: AnyChip, seed: int) -> VeRAAdapter:
        bases = replaceable_layers(model, self.targets)
        adapter = VeRAAdapter(self, model, chip, bases, seed)
        adapter.left_out = left_out(model, self.targets)
        adapter.train(
            [vector for layer in adapter.layers.values() for vector in (layer.lambda_d, layer.lambda_b)],
            self.learning_rate,
            self.weight_decay,
        )
        return adapter


class VeRALinear(AdaptedLayer):
    """base(x) + lambda_b o B_f(lambda_d o A_f(x))."""

    def __init__(self, base: LinearLike, a: PlacedMatrix, b: PlacedMatrix, initial: float, chip: AnyChip) -> None:
        super().__init__(base)
        self.a = a
        self.b = b
        self.chip = chip
        weight = weight_of(base)
        self.outputs, self.inputs = weight.shape
        self.lambda_d = nn.Parameter(weight.new_full((a.master.shape[0],), initial), requires_grad=False)
        self.lambda_b = nn.Parameter(weight.new_zeros(self.outputs), requires_grad=False)

    def adapted(self, x: torch.Tensor) -> torch.Tensor:
        values = x.numel() // x.shape[-1] * (len(self.lambda_d) + self.outputs)
        bill_arithmetic(self.chip, "VeRA", adds=values, multiplies=values)
        bill_sram(self.chip, "VeRA", reads=values)
        projected = self._shared(self.a, x, len(self.lambda_d), self.inputs)
        update = self._shared(self.b, self.lambda_d * projected, self.outputs, len(self.lambda_d))
        y: torch.Tensor = self.base(x) + self.lambda_b * update
        return y

    def _shared(self, matrix: PlacedMatrix, x: torch.Tensor, outputs: int, inputs: int) -> torch.Tensor:
        """The corner (outputs, inputs) of a shared matrix times x; on tiles the other word lines stay at zero volts."""
        if isinstance(matrix, Matrix):
            y: torch.Tensor = matrix(nn.functional.pad(x, (0, matrix.master.shape[1] - inputs)))
            return y[..., :outputs]
        bill_sram(self.chip, matrix.name, reads=x.numel() // x.shape[-1] * outputs * inputs)
        return product_of(x, matrix.master[:outputs, :inputs])

    def factors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The same update as a LoRA with s = 1: A (rank, d_in) and B (d_out, rank)."""
        b = self.b.weight()[: self.outputs] * self.lambda_d.detach()
        return self.a.weight()[:, : self.inputs], self.lambda_b.detach()[:, None] * b


class VeRAAdapter(MergeableAdapter):
    """VeRA on every target layer of one model."""

    method: VeRA

    def __init__(self, method: VeRA, model: nn.Module, chip: AnyChip, bases: dict[str, LinearLike], seed: int) -> None:
        super().__init__(method, model, chip)
        self.seed = seed
        weights = [weight_of(base) for base in bases.values()]
        widest, tallest = max(w.shape[1] for w in weights), max(w.shape[0] for w in weights)
        generator = torch.Generator().manual_seed(seed)
        a = uniform(method.rank, widest, math.sqrt(6 / widest), generator, weights[0])
        b = uniform(tallest, method.rank, math.sqrt(6 / method.rank), generator, weights[0])
        with chip.ledger.phase(POOL):
            self.a, self.b = self.place("vera_A", a, method.placement), self.place("vera_B", b, method.placement)
        self.layers: dict[str, VeRALinear] = {}
        for name, base in bases.items():
            self.layers[name] = VeRALinear(base, self.a, self.b, method.initial, chip)
            self.replace(name, self.layers[name])

    def delta_weights(self) -> dict[str, torch.Tensor]:
        factors = {name: layer.factors() for name, layer in self.layers.items()}
        return {name: b @ a for name, (a, b) in factors.items()}

    def export(self, name: str) -> LoRAWeights:
        """The same update as a plain LoRA, A = A_f and B = diag(lambda_b) B_f diag(lambda_d)."""
        factors = {key: layer.factors() for key, layer in self.layers.items()}
        return LoRAWeights(
            name=name,
            rank=self.method.rank,
            alpha=float(self.method.rank),
            a={key: a.clone() for key, (a, _) in factors.items()},
            b={key: b for key, (_, b) in factors.items()},
        )

    def weights(self, name: str) -> VeRAWeights:
        """The shared float matrices and every vector, as `save_vera` writes them."""
        return VeRAWeights(
            name,
            self.a.master.detach().clone(),
            self.b.master.detach().clone(),
            {key: layer.lambda_b.detach().clone() for key, layer in self.layers.items()},
            {key: layer.lambda_d.detach().clone() for key, layer in self.layers.items()},
        )
