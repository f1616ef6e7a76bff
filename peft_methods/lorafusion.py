"""LoRAFusion (Guo et al., GLSVLSI 2025): learn how to mix a frozen pool of LoRA modules; no cell is rewritten."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from crossbar_sim import Chip
from peft_methods.base import Adapter, LinearLike, Method, MethodError, all_linear_layers, block_of, product
from peft_methods.checkpoint import LoRAWeights
from peft_methods.placement import PlacedMatrix, Placement, bill_arithmetic, bill_sram, ledger_of
from peft_methods.pool import Pool


class LoRAFusion(Method):
    """W' = diag(m / ||W + dW||_row) (W + dW), dW = s B_w A_w, A_w = sum_i w_i A_i, B_w = sum_i w_i B_i.

    Trained: one coefficient w_i per pool module and transformer block, and the magnitude vector m
    (d_out per layer, starting at ||W||_row; the norm takes no gradient). The stacks of all A_i and of all
    B_i stand on two sets of tiles, programmed once. w does not start at zero, where the gradient vanishes:
    'xavier' is uniform in +-sqrt(6 / (N + blocks)), 'average' is 1 / N for every module.
    magnitude = 'gain' trains the post-ADC gain g = m / ||W + dW||_row itself; 'none' keeps g = 1.
    """

    label: ClassVar[str] = "LoRAFusion"
    writes_cells: ClassVar[bool] = False
    transposed_reads: ClassVar[bool] = True
    extra_reads: ClassVar[str] = "two stacked products per layer"
    needs_pool: ClassVar[bool] = True

    initial: Literal["xavier", "average"] = "average"
    magnitude: Literal["vector", "gain", "none"] = "vector"
    learning_rate: Annotated[float, Field(gt=0)] = 3.3e-2
    magnitude_learning_rate: Annotated[float, Field(gt=0)] = 7.1e-2

    def placements(self) -> dict[str, Placement]:
        return {"coefficients": "sram", "magnitude": "sram"}

    def attach(
        self, model: nn.Module, chip: Chip | None = None, pool: Pool | None = None, seed: int = 0
    ) -> LoRAFusionAdapter:
        if pool is None:
            raise MethodError("LoRAFusion needs a pool of LoRA modules: attach(..., pool=Pool.load(folder))")
        adapter = LoRAFusionAdapter(self, model, chip, pool, seed)
        adapter.train([adapter.coefficients], self.learning_rate, self.weight_decay)
        if self.magnitude != "none":
            adapter.train([layer.magnitude for layer in adapter.layers.values()], self.magnitude_learning_rate)
        return adapter


class FusedLinear(nn.Module):
    """gain o (W x + s B_stack [w_1 h; ...; w_N h]) + b with h = sum_j w_j (A_stack x)_j."""

    def __init__(
        self, base: LinearLike, a_stack: PlacedMatrix, b_stack: PlacedMatrix, scaling: float,
        coefficients: nn.Parameter, block: int, magnitude: Literal["vector", "gain", "none"], chip: Chip | None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.base, self.a_stack, self.b_stack, self.scaling = base, a_stack, b_stack, scaling
        self.coefficients, self.block, self.kind, self.chip = coefficients, block, magnitude, chip
        self.modules_in_pool = coefficients.shape[0]
        self.norms = FusedNorm(base.weight.detach(), a_stack.master, b_stack.master, scaling, self.modules_in_pool)
        start = self.norms.frozen()
        if magnitude == "gain":
            start = start / self.norms(self.weights.detach())
        self.magnitude = nn.Parameter(start, requires_grad=False)

    @property
    def weights(self) -> torch.Tensor:
        """The coefficients w (N,) of this layer's block."""
        return self.coefficients[:, self.block]

    def gain(self) -> torch.Tensor:
        """Post-ADC factor of every output (d_out,)."""
        if self.kind == "none":
            return torch.ones_like(self.magnitude)
        return self.magnitude if self.kind == "gain" else self.magnitude / self.norms(self.weights.detach())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (..., d_in) -> (..., d_out)."""
        w = self.weights
        a = self.a_stack(x).unflatten(-1, (self.modules_in_pool, -1))
        h = (w[:, None] * a).sum(-2)
        mixed = (w[:, None] * h[..., None, :]).flatten(-2)
        y = self.gain() * (product(self.base, x) + self.scaling * self.b_stack(mixed))
        self._bill(x.numel() // x.shape[-1])
        return y if self.base.bias is None else y + self.base.bias

    def _bill(self, vectors: int) -> None:
        if self.chip is not None:
            mixing, outputs = self.b_stack.master.shape[1], self.magnitude.numel()
            bill_arithmetic(self.chip, "fusion", adds=vectors * mixing, multiplies=vectors * (2 * mixing + outputs))
            bill_sram(self.chip, "fusion", reads=vectors * (self.modules_in_pool + outputs))
            if self.kind == "vector" and self.training:
                operations = self.norms.operations
                bill_arithmetic(self.chip, "fusion", adds=operations, multiplies=operations)
                bill_sram(self.chip, "fusion", reads=self.norms.stored_values)


class FusedNorm(nn.Module):
    """||W + s B_w A_w||_row without forming it: n_o^2 = ||w_o||^2 + 2 s b_o . c_o + s^2 b_o^T M b_o,
    with c = W A_w^T and M = A_w A_w^T mixed from products computed once when the pool is attached."""

    def __init__(
        self, weight: torch.Tensor, a_stack: torch.Tensor, b_stack: torch.Tensor, scaling: float, modules: int
    ) -> None:
        super().__init__()
        a = a_stack.detach().unflatten(0, (modules, -1))
        b = b_stack.detach().unflatten(1, (modules, -1)).transpose(0, 1)
        c = torch.einsum("oi,nri->nor", weight, a)
        gram = torch.einsum("nri,msi->nmrs", a, a)
        self.scaling, self.outputs, self.rank = scaling, weight.shape[0], a.shape[1]
        self.one_off = c.numel() * weight.shape[1] + gram.numel() * weight.shape[1]  # multiply-accumulates, once
        self.register_buffer("squares", weight.square().sum(dim=1), persistent=False)
        self.register_buffer("b_and_c", torch.stack([b, c], dim=1).flatten(1), persistent=False)
        self.register_buffer("gram", gram.flatten(2).flatten(0, 1), persistent=False)

    def frozen(self) -> torch.Tensor:
        """||W||_row (d_out,)."""
        squares: torch.Tensor = self.get_buffer("squares")
        return squares.sqrt()

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        """Row norms (d_out,) for coefficients w (N,)."""
        # sums of products, not matrix products: `operations` bills them once per training step
        b, c = (w[:, None] * self.get_buffer("b_and_c")).sum(0).view(2, self.outputs, self.rank)
        pairs = (w[:, None] * w).flatten()[:, None]
        gram = (pairs * self.get_buffer("gram")).sum(0).view(self.rank, self.rank)
        added = ((2 * c + self.scaling * (b[:, :, None] * gram).sum(1)) * b).sum(dim=1)
        squares = self.get_buffer("squares") + self.scaling * added
        return squares.clamp_min(torch.finfo(squares.dtype).tiny).sqrt()

    @property
    def stored_values(self) -> int:
        """Numbers kept in SRAM for this."""
        return sum(buffer.numel() for buffer in self.buffers())

    @property
    def operations(self) -> int:
        """Multiply-accumulates of one evaluation."""
        return self.stored_values + self.outputs * self.rank * (self.rank + 1)


class LoRAFusionAdapter(Adapter):
    """LoRAFusion on every layer that the pool's modules cover."""

    method: LoRAFusion

    def __init__(self, method: LoRAFusion, model: nn.Module, chip: Chip | None, pool: Pool, seed: int) -> None:
        super().__init__(method, model, chip)
        self.pool = pool
        layers = all_linear_layers(model)
        missing = [name for name in pool.modules if name not in layers]
        if missing:
            raise MethodError(
                f"the pool was trained for another backbone: {type(model).__name__} has no linear layer "
                f"called {missing[0]}"
            )
        bases = {name: layer for name, layer in layers.items() if name in pool.modules}
        blocks = list(dict.fromkeys(block_of(name) or name for name in bases))
        some = next(iter(bases.values())).weight
        self.coefficients = nn.Parameter(self._start(len(pool.names), len(blocks), some, seed))
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
                    pool.scaling, self.coefficients, blocks.index(block_of(name) or name), method.magnitude, chip,
                )  # fmt: skip
                bill_arithmetic(
                    chip, "fusion", adds=self.layers[name].norms.one_off, multiplies=self.layers[name].norms.one_off
                )
                self.replace(name, self.layers[name])

    def _start(self, modules: int, blocks: int, like: torch.Tensor, seed: int) -> torch.Tensor:
        if self.method.initial == "average" or like.device.type == "meta":
            return like.new_full((modules, blocks), 1 / modules)
        bound = math.sqrt(6 / (modules + blocks))
        generator = torch.Generator().manual_seed(seed)
        return torch.empty(modules, blocks).uniform_(-bound, bound, generator=generator).to(like)

    def fused(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """A_w (rank, d_in) and B_w (d_out, rank) of one layer, from the pool's stored weights."""
        layer = self.layers[name]
        w = layer.weights.detach()
        a = layer.a_stack.weight().unflatten(0, (len(w), -1))
        b = layer.b_stack.weight().unflatten(1, (len(w), -1))
        return torch.einsum("n,nri->ri", w, a), torch.einsum("n,onr->or", w, b)

    def delta_weights(self) -> dict[str, torch.Tensor]:
        deltas = {}
        for name, layer in self.layers.items():
            a, b = self.fused(name)
            weight = layer.base.weight.detach()
            deltas[name] = layer.gain().detach()[:, None] * (weight + layer.scaling * b @ a) - weight
        return deltas

    def export(self, name: str) -> LoRAWeights:
        """The fused modules as one plain LoRA; with its magnitude vector as DoRA unless magnitude is 'none'."""
        pairs = {key: self.fused(key) for key in self.layers}
        magnitude = None
        if self.method.magnitude != "none":
            magnitude = {
                key: (layer.gain() * layer.norms(layer.weights)).detach() for key, layer in self.layers.items()
            }
        return LoRAWeights(
            name=name, rank=self.pool.rank, alpha=self.pool.scaling * self.pool.rank,
            a={key: pair[0] for key, pair in pairs.items()}, b={key: pair[1] for key, pair in pairs.items()},
            magnitude=magnitude,
        )  # fmt: skip
