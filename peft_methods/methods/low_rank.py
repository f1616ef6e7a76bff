"""LowRank: what LoRA, LoRA-FA and DoRA share, a small product s B A beside every target layer."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import nn

from crossbar_sim.chip.interface import AnyChip
from peft_methods.adapted_layer import AdaptedLayer
from peft_methods.base import Adapter, MergeableAdapter
from peft_methods.checkpoints.weights import LoRAWeights
from peft_methods.errors import MethodError
from peft_methods.methods.dropout import Dropout
from peft_methods.methods.targeted import TargetedMethod
from peft_methods.model_parts import (
    ConvolutionLike,
    LinearLike,
    all_linear_layers,
    check_rank,
    convolutions,
    kernels_of,
    replaceable_layers,
    uniform,
    weight_of,
)
from peft_methods.patterns import matches
from peft_methods.phases import UPDATE
from peft_methods.placement import PlacedMatrix, Placement


class LowRank(TargetedMethod):
    """dW = s B A; A (rank, d_in) starts uniform in +-1/sqrt(d_in), B (d_out, rank) at zero.

    s = alpha / rank, or alpha / sqrt(rank) if `rank_stabilised` (rsLoRA, Kalajdzievski 2023), which keeps the
    size of s B A x from shrinking as the rank grows. On tiles B's cells can hold +-`b_range`. `dropout`: of the inputs
    of A, while training, from a stream of the seed of `attach`.
    """

    trains_a: ClassVar[bool] = False
    unstated: ClassVar[frozenset[str]] = TargetedMethod.unstated | {"dropout"}

    rank: Annotated[int, Field(ge=1)] = 4
    alpha: Annotated[float, Field(gt=0)] = 8.0
    rank_stabilised: bool = False
    placement: Placement = "crossbar"
    b_range: Annotated[float, Field(gt=0)] = 0.25
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    learning_rate: Annotated[float, Field(gt=0)] = 1e-2

    @property
    def display_name(self) -> str:
        name = f"rs{self.label}" if self.rank_stabilised else self.label
        return f"{name} ({'tiles' if self.placement == 'crossbar' else 'SRAM'})"

    @property
    def scaling(self) -> float:
        """s, the factor in front of B A."""
        return self.alpha / (math.sqrt(self.rank) if self.rank_stabilised else self.rank)

    @abstractmethod
    def place_a(self, adapter: Adapter, name: str, a: torch.Tensor) -> PlacedMatrix:
        """Put A where this method keeps it."""

    @abstractmethod
    def layer(self, base: LinearLike, a: PlacedMatrix, b: PlacedMatrix, chip: AnyChip) -> LowRankLayer:
        """What the linear layer `base` becomes."""

    def convolution(self, base: ConvolutionLike, a: PlacedMatrix, b: PlacedMatrix) -> LowRankLayer:
        """What a convolution becomes; MethodError for a method that has no law for it."""
        raise MethodError(f"{self.label} has no law for convolutions, of which targets name one; LoRA and LoRA-FA have")

    def updated(self, model: nn.Module) -> dict[str, LinearLike | ConvolutionLike]:
        """What the update goes to, in the order of the model: linear layers, and the convolutions of those targets that
        name no linear layer."""
        linear = all_linear_layers(model)
        others = tuple(one for one in self.targets or () if not any(matches(name, one) for name in linear))
        kernels = convolutions(model, others)
        if not kernels:
            return dict(self.updated_layers(model))
        rest = tuple(one for one in self.targets or () if not any(matches(name, one) for name in kernels))
        found = self.among({**(replaceable_layers(model, rest) if rest else {}), **kernels})
        return {name: found[name] for name, _ in model.named_modules() if name in found}

    def make_adapter(self, model: nn.Module, chip: AnyChip, seed: int) -> LowRankAdapter:
        adapter = LowRankAdapter(self, model, chip, Dropout(self.dropout, seed) if self.dropout else None)
        adapter.left_out = self.left_out(model)
        generator = torch.Generator().manual_seed(seed)
        with chip.ledger.phase(UPDATE):
            for name, base in self.updated(model).items():
                adapter.add(name, base, generator)
        adapter.train(adapter.masters, self.learning_rate, self.weight_decay)
        return adapter


class TrainedPair(LowRank):
    """A low-rank method that trains A too; on tiles A's cells can hold +-`a_range` / sqrt(d_in)."""

    trains_a: ClassVar[bool] = True

    a_range: Annotated[float, Field(ge=1)] = 2.0

    def place_a(self, adapter: Adapter, name: str, a: torch.Tensor) -> PlacedMatrix:
        return adapter.place(name, a, self.placement, self.a_range / math.sqrt(a.shape[1]))


class LowRankLayer(AdaptedLayer):
    """A layer `base` with the product of A and B beside it, s in front."""

    def __init__(self, base: nn.Module, a: PlacedMatrix, b: PlacedMatrix, scaling: float) -> None:
        super().__init__(base)
        self.a = a
        self.b = b
        self.scaling = scaling
        self.dropout: Dropout | None = None

    def added(self, x: torch.Tensor) -> torch.Tensor:
        """s B A x, of dropped inputs while training if there is dropout."""
        inputs = x if self.dropout is None else self.dropout(x, self.training)
        update: torch.Tensor = self.scaling * self.b(self.a(inputs))
        return update

    def product_delta(self) -> torch.Tensor:
        """s B A (d_out, d_in)."""
        return self.scaling * self.b.weight() @ self.a.weight()

    @abstractmethod
    def delta_weight(self) -> torch.Tensor:
        """The merged weight minus the frozen one, in the shape of the weight."""

    def magnitudes(self) -> nn.Parameter | None:
        """A hook: the trained lengths of the outputs (d_out,); None: there are none."""
        return None

    def after_write(self) -> None:
        """A hook: compute again what depends on A and B."""


class LowRankLinear(LowRankLayer):
    """The same of a linear layer."""

    base: LinearLike


class LowRankAdapter(MergeableAdapter):
    """A low-rank method on every target layer of one model."""

    method: LowRank

    def __init__(self, method: LowRank, model: nn.Module, chip: AnyChip, dropout: Dropout | None = None) -> None:
        super().__init__(method, model, chip)
        self.dropout = dropout
        self.layers: dict[str, LowRankLayer] = {}

    @property
    def masters(self) -> list[nn.Parameter]:
        """The float copies of every trained A and B, layer by layer, and then the lengths of the outputs."""
        matrices = []
        for layer in self.layers.values():
            matrices += [layer.a.master, layer.b.master] if self.method.trains_a else [layer.b.master]
        lengths = [layer.magnitudes() for layer in self.layers.values()]
        return matrices + [one for one in lengths if one is not None]

    def add(self, name: str, base: LinearLike | ConvolutionLike, generator: torch.Generator) -> None:
        """Attach A and B to one layer."""
        method = self.method
        weight = kernels_of(base) if isinstance(base, ConvolutionLike) else weight_of(base)
        outputs, inputs = weight.shape
        check_rank(name, weight, method.rank)
        start = uniform(method.rank, inputs, 1 / math.sqrt(inputs), generator, weight)
        a = method.place_a(self, f"{name}.lora_A", start)
        if method.trains_a:
            self.train_matrix(a)
        b = self.place(f"{name}.lora_B", weight.new_zeros(outputs, method.rank), method.placement, method.b_range)
        self.train_matrix(b)
        if isinstance(base, ConvolutionLike):
            self.layers[name] = method.convolution(base, a, b)
        else:
            self.layers[name] = method.layer(base, a, b, self.chip)
        self.layers[name].dropout = self.dropout
        self.replace(name, self.layers[name])

    def after_write(self) -> None:
        for layer in self.layers.values():
            layer.after_write()

    def delta_weights(self) -> dict[str, torch.Tensor]:
        return {name: layer.delta_weight() for name, layer in self.layers.items()}

    def export(self, name: str) -> LoRAWeights:
        """The float master copies as a LoRA (or DoRA) module that `save_lora` can write; MethodError where a target is
        a convolution, for which it has no place."""
        for key, layer in self.layers.items():
            if isinstance(layer.base, ConvolutionLike):
                raise MethodError(f"{key} is a convolution, and LoRA modules here hold linear layers; use save_native")
        lengths = {key: layer.magnitudes() for key, layer in self.layers.items()}
        magnitude = {key: one.detach().clone() for key, one in lengths.items() if one is not None}
        return LoRAWeights(
            name=name,
            rank=self.method.rank,
            alpha=self.method.scaling * self.method.rank,
            a={key: layer.a.master.detach().clone() for key, layer in self.layers.items()},
            b={key: layer.b.master.detach().clone() for key, layer in self.layers.items()},
            magnitude=magnitude or None,
        )
