"""LoRAFusion (Guo et al., GLSVLSI 2025): learn how to mix a frozen pool of LoRA modules; no cell is rewritten."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from crossbar_sim import Chip
from peft_methods.base import Adapter, Method
from peft_methods.checkpoints.pool import Pool
from peft_methods.checkpoints.weights import LoRAWeights
from peft_methods.errors import MethodError
from peft_methods.methods.fused import FusedLinear, Fusion, Magnitude
from peft_methods.model_parts import all_linear_layers, block_of
from peft_methods.placement import Placement, ledger_of


class LoRAFusion(Method):
    """W' = diag(m / ||W + dW||_row) (W + dW), dW = s B_w A_w, A_w = sum_i w_i A_i, B_w = sum_i w_i B_i.

    Trained: one coefficient w_i per pool module and transformer block, and the magnitude vector m
    (d_out per layer, starting at ||W||_row; the norm takes no gradient). The stacks of all A_i and of all
    B_i stand on two sets of tiles, programmed once. w does not start at zero, where the gradient vanishes:
    'xavier' is uniform in +-sqrt(6 / (N + blocks)), 'average' is 1 / N for every module.
    magnitude = 'gain' trains the post-ADC gain g = m / ||W + dW||_row itself; 'none' keeps g = 1.
    fusion = 'modules' mixes the modules themselves, dW = s sum_i w_i B_i A_i, without products of different ones.
    """

    label: ClassVar[str] = "LoRAFusion"
    papers: ClassVar[tuple[str, ...]] = ("guo2025", "hu2022", "peft")
    writes_cells: ClassVar[bool] = False
    transposed_reads: ClassVar[bool] = True
    extra_reads: ClassVar[str] = "two stacked products per layer"
    needs_pool: ClassVar[bool] = True

    initial: Literal["xavier", "average"] = "average"
    magnitude: Magnitude = "vector"
    fusion: Fusion = "factors"
    learning_rate: Annotated[float, Field(gt=0)] = 3.3e-2
    magnitude_learning_rate: Annotated[float, Field(gt=0)] = 7.1e-2

    def placements(self) -> dict[str, Placement]:
        return {"coefficients": "sram", "magnitude": "sram"}

    def frozen_placements(self) -> dict[str, Placement]:
        return {"pool": "crossbar"}

    def attach(
        self, model: nn.Module, chip: Chip | None = None, pool: Pool | None = None, seed: int = 0
    ) -> LoRAFusionAdapter:
        if pool is None:
            raise MethodError("LoRAFusion needs a pool of LoRA modules: attach(..., pool=Pool.load(folder))")
        adapter = LoRAFusionAdapter(self, model, chip, pool, self.magnitude, self.fusion)
        adapter.start(self.initial, seed)
        adapter.train([adapter.coefficients], self.learning_rate, self.weight_decay)
        magnitudes = [layer.magnitude for layer in adapter.layers.values() if layer.magnitude is not None]
        if magnitudes:
            adapter.train(magnitudes, self.magnitude_learning_rate)
        return adapter


class LoRAFusionAdapter(Adapter):
    """A mixed pool beside every layer that its modules cover; one coefficient per module and block.

    per_block = False: one coefficient per module for the whole model. Coefficients start at zero.
    """

    def __init__(
        self,
        method: Method,
        model: nn.Module,
        chip: Chip | None,
        pool: Pool,
        magnitude: Magnitude,
        fusion: Fusion,
        per_block: bool = True,
    ) -> None:
        super().__init__(method, model, chip)
        self.pool, self.magnitude, self.fusion = pool, magnitude, fusion
        layers = all_linear_layers(model)
        missing = [name for name in pool.modules if name not in layers]
        if missing:
            raise MethodError(
                f"the pool was trained for another backbone: {type(model).__name__} has no linear layer "
                f"called {missing[0]}"
            )
        bases = {name: layer for name, layer in layers.items() if name in pool.modules}
        block = {name: (block_of(name) or name) if per_block else "" for name in bases}
        blocks = list(dict.fromkeys(block.values()))
        some = next(iter(bases.values())).weight
        self.coefficients = nn.Parameter(some.new_zeros(len(pool), len(blocks)), requires_grad=False)
        self.layers: dict[str, FusedLinear] = {}
        with ledger_of(chip).phase("pool"):
            for name, base in bases.items():
                a, b = pool.stacked_a(name).to(some), pool.stacked_b(name).to(some)
                if (b.shape[0], a.shape[1]) != tuple(base.weight.shape):
                    raise MethodError(
                        f"pool module for {name} is {b.shape[0]} x {a.shape[1]}, the layer {tuple(base.weight.shape)}: "
                        "the pool was trained for another backbone"
                    )
                self.layers[name] = FusedLinear(
                    base,
                    self.place(f"{name}.pool_A", a, "crossbar"),
                    self.place(f"{name}.pool_B", b, "crossbar"),
                    pool.scaling,
                    self.coefficients,
                    blocks.index(block[name]),
                    magnitude,
                    chip,
                    fusion,
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
        for layer in self.layers.values():
            layer.start_magnitude()

    def fused(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """A and B of the mixture of one layer, from the pool's stored weights: A_w (rank, d_in) and B_w (d_out, rank);
        of rank N r, all A_i and all w_i B_i, if modules are mixed."""
        layer = self.layers[name]
        w = layer.weights.detach()
        a = layer.a_stack.weight().unflatten(0, (len(w), -1))
        b = layer.b_stack.weight().unflatten(1, (len(w), -1))
        if self.fusion == "modules":
            return a.flatten(0, 1), (b * w[:, None]).flatten(1)
        return torch.einsum("n,nri->ri", w, a), torch.einsum("n,onr->or", w, b)

    def delta_weights(self) -> dict[str, torch.Tensor]:
        deltas = {}
        for name, layer in self.layers.items():
            a, b = self.fused(name)
            added, gain = layer.scaling * b @ a, layer.gain()
            weight = layer.base.weight.detach()
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
