"""PoolMethod: what methods share that mix a pool of LoRA modules, and the adapter that holds the pool on tiles."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from pydantic import InstanceOf, field_serializer, field_validator
from torch import nn

from crossbar_sim.chip.interface import AnyChip
from peft_methods.base import MergeableAdapter, Method
from peft_methods.checkpoints.pool import Pool, find_pool
from peft_methods.checkpoints.weights import LoRAWeights
from peft_methods.errors import MethodError
from peft_methods.methods.fused import FusedLinear, Mixture, Stack
from peft_methods.model_parts import LinearLike, all_linear_layers, block_of, weight_of
from peft_methods.phases import POOL, UPDATE
from peft_methods.placement import Placement, bill_arithmetic

IN_MEMORY = "digest:"
"""How the table of a method names a pool that was given as an object: by its digest, without its tensors."""


class PoolMethod(Method):
    """A method that mixes a pool of frozen LoRA modules, which stand on tiles and are programmed once.

    `pool`: the name of a pool that ships, a folder of LoRA modules in PEFT's format, or a Pool. None: whoever runs the
    method provides one (an Experiment that of its backbone).
    """

    unstated: ClassVar[frozenset[str]] = frozenset({"pool"})

    pool: InstanceOf[Pool] | str | None = None

    @field_validator("pool", mode="before")
    @classmethod
    def _folder_as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, Path) else value

    @field_serializer("pool")
    def _pool_by_name(self, pool: Pool | str | None) -> str | None:
        """A table names the pool and never holds its tensors."""
        return f"{IN_MEMORY}{pool.digest()}" if isinstance(pool, Pool) else pool

    def frozen_placements(self) -> dict[str, Placement]:
        return {"pool": "crossbar"}

    def find_pool(self) -> Pool:
        """The pool itself; MethodError if there is none, PoolError if it cannot be read."""
        if isinstance(self.pool, Pool):
            return self.pool
        if self.pool is None:
            raise MethodError(
                f"{self.label} needs a pool of LoRA modules: {type(self).__name__}(pool=...) takes the name of a pool "
                "that ships, a folder, or Pool.load(folder)"
            )
        if self.pool.startswith(IN_MEMORY):
            raise MethodError(
                f"{self.label} was described with a pool that only its digest is known of ({self.pool}); give the "
                "pool again: method.replace(pool=...)"
            )
        return find_pool(self.pool)


def with_pool(method: Method, make: Callable[[], Pool]) -> Method:
    """The method as it is; with the pool that `make` gives if it mixes one and names none."""
    if isinstance(method, PoolMethod) and method.pool is None:
        return method.replace(pool=make())
    return method


class PoolAdapter(MergeableAdapter):
    """A mixed pool beside every layer that its modules cover; one coefficient per module and block.

    per_block = False: one coefficient per module for the whole model. Coefficients start at zero.
    """

    method: PoolMethod

    def __init__(
        self,
        method: PoolMethod,
        model: nn.Module,
        chip: AnyChip,
        mixture: Mixture,
        *,
        per_block: bool = True,
        l1: float = 0.0,
    ) -> None:
        self.pool = method.find_pool()
        bases = covered_layers(model, self.pool)
        super().__init__(method, model, chip)
        self.mixture, self.l1 = mixture, l1
        block = {name: (block_of(name) or name) if per_block else "" for name in bases}
        blocks = list(dict.fromkeys(block.values()))
        some = weight_of(next(iter(bases.values())))
        self.coefficients = nn.Parameter(some.new_zeros(len(self.pool), len(blocks)), requires_grad=False)
        self.layers: dict[str, FusedLinear] = {}
        with chip.ledger.phase(POOL):
            for name, base in bases.items():
                stack = Stack(
                    self.place(f"{name}.pool_A", self.pool.stacked_a(name).to(some), "crossbar"),
                    self.place(f"{name}.pool_B", self.pool.stacked_b(name).to(some), "crossbar"),
                    self.pool.scaling,
                )
                self.layers[name] = FusedLinear(
                    base, stack, mixture, self.coefficients, blocks.index(block[name]), chip
                )
                self.replace(name, self.layers[name])

    @torch.no_grad()
    def start(self, initial: Literal["xavier", "average"], seed: int) -> None:
        """Where the coefficients begin to be trained."""
        modules, blocks = self.coefficients.shape
        if initial == "average":
            self.coefficients.fill_(1 / modules)
        elif self.coefficients.device.type != "meta":
            bound, generator = math.sqrt(6 / (modules + blocks)), torch.Generator().manual_seed(seed)
            self.coefficients.copy_(torch.empty(modules, blocks).uniform_(-bound, bound, generator=generator))
        with self.chip.ledger.phase(UPDATE):
            for layer in self.layers.values():
                layer.start_magnitude()

    def after_write(self) -> None:
        for layer in self.layers.values():
            layer.refresh_norm()

    def penalty(self) -> torch.Tensor | None:
        """l1 times the mean |w|."""
        if self.l1 == 0:
            return None
        bill_arithmetic(self.chip, "fusion", adds=self.coefficients.numel(), multiplies=1)
        return self.l1 * self.coefficients.abs().mean()

    def fused(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """A and B of the mixture of one layer, from the pool's stored weights: A_w (rank, d_in) and B_w (d_out, rank);
        of rank N r, all A_i and all w_i B_i, if modules are mixed."""
        layer = self.layers[name]
        w = layer.weights.detach()
        a = layer.a_stack.weight().unflatten(0, (len(w), -1))
        b = layer.b_stack.weight().unflatten(1, (len(w), -1))
        if self.mixture.fusion == "modules":
            return a.flatten(0, 1), (b * w[:, None]).flatten(1)
        return torch.einsum("n,nri->ri", w, a), torch.einsum("n,onr->or", w, b)

    def delta_weights(self) -> dict[str, torch.Tensor]:
        deltas = {}
        for name, layer in self.layers.items():
            a, b = self.fused(name)
            added, gain = layer.scaling * b @ a, layer.gain()
            weight = weight_of(layer.base).detach()
            deltas[name] = added if gain is None else gain.detach()[:, None] * (weight + added) - weight
        return deltas

    def export(self, name: str) -> LoRAWeights:
        """The fused modules as one plain LoRA; with its magnitude vector as DoRA unless magnitude is 'none'."""
        pairs = {key: self.fused(key) for key in self.layers}
        norms = {key: layer.merged_norms() for key, layer in self.layers.items()}
        magnitude = {key: norm for key, norm in norms.items() if norm is not None} or None
        rank = next(iter(pairs.values()))[0].shape[0]
        return LoRAWeights(
            name=name,
            rank=rank,
            alpha=self.pool.scaling * rank,
            a={key: pair[0] for key, pair in pairs.items()},
            b={key: pair[1] for key, pair in pairs.items()},
            magnitude=magnitude,
        )


def covered_layers(model: nn.Module, pool: Pool) -> dict[str, LinearLike]:
    """The linear layers that the pool's modules change; MethodError if the pool was trained for another backbone."""
    layers = all_linear_layers(model)
    missing = [name for name in pool.modules if name not in layers]
    if missing:
        raise MethodError(
            f"the pool was trained for another backbone: {type(model).__name__} has no linear layer called {missing[0]}"
        )
    bases = {name: layer for name, layer in layers.items() if name in pool.modules}
    for name, base in bases.items():
        outputs, inputs = pool.shape_of(name)
        if (outputs, inputs) != tuple(weight_of(base).shape):
            raise MethodError(
                f"pool module for {name} is {outputs} x {inputs}, the layer {tuple(weight_of(base).shape)}: the pool "
                "was trained for another backbone"
            )
    return bases
