"""FusedLinear: a linear layer with a mixed pool of frozen LoRA modules beside it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from crossbar_sim.chip.interface import AnyChip
from peft_methods.adapted_layer import AdaptedLayer
from peft_methods.model_parts import LinearLike, product, safe_squares, weight_of
from peft_methods.placement import PlacedMatrix, bill_arithmetic, bill_sram

Magnitude = Literal["vector", "gain", "none"]
Fusion = Literal["factors", "modules"]


@dataclass(frozen=True)
class Mixture:
    """How a pool is mixed.

    magnitude = 'none': there is no gain, and no row norm is computed, kept or billed.
    fusion = 'factors': every h_i is sum_j w_j (A_stack x)_j, so dW = s B_w A_w; 'modules': h_i = (A_stack x)_i,
    so dW = s sum_i w_i B_i A_i.
    """

    magnitude: Magnitude
    fusion: Fusion


@dataclass(frozen=True)
class Stack:
    """A pool's modules for one layer: all A_i on top of each other, all B_i side by side, and s in front of B A."""

    a: PlacedMatrix
    b: PlacedMatrix
    scaling: float


class FusedLinear(AdaptedLayer):
    """gain o (W x + s B_stack [w_1 h_1; ...; w_N h_N]) + b, with h_i as `Mixture` says.

    coefficients (N, blocks), of which this layer uses column `block`.
    """

    base: LinearLike

    def __init__(
        self,
        base: LinearLike,
        stack: Stack,
        mixture: Mixture,
        coefficients: nn.Parameter,
        block: int,
        chip: AnyChip,
    ) -> None:
        super().__init__(base)
        self.a_stack = stack.a
        self.b_stack = stack.b
        self.scaling = stack.scaling
        self.mixture = mixture
        self.coefficients = coefficients
        self.block = block
        self.chip = chip
        self.modules_in_pool = coefficients.shape[0]
        weight = weight_of(base).detach()
        self.outputs = weight.shape[0]
        self.norms: MixtureNorm | None = None
        self.magnitude: nn.Parameter | None = None
        if mixture.magnitude != "none":
            norms = FusedNorm if mixture.fusion == "factors" else SummedNorm
            self.norms = norms(weight, stack.a.master, stack.b.master, stack.scaling, self.modules_in_pool)
            self.magnitude = nn.Parameter(self.norms.frozen(), requires_grad=False)
            bill_arithmetic(chip, "fusion", adds=self.norms.one_off, multiplies=self.norms.one_off)
            self.start_magnitude()

    @torch.no_grad()
    def start_magnitude(self) -> None:
        """m = ||W||_row, or the gain that goes with it at the present coefficients."""
        if self.norms is not None and self.magnitude is not None:
            start = self.norms.frozen()
            self.magnitude.copy_(start / self.norms(self.weights) if self.mixture.magnitude == "gain" else start)

    @property
    def weights(self) -> torch.Tensor:
        """The coefficients w (N,) of this layer's block."""
        return self.coefficients[:, self.block]

    def gain(self) -> torch.Tensor | None:
        """Post-ADC factor of every output (d_out,); None: there is none."""
        if self.norms is None or self.magnitude is None:
            return None
        return (
            self.magnitude if self.mixture.magnitude == "gain" else self.magnitude / self.norms(self.weights.detach())
        )

    def merged_norms(self) -> torch.Tensor | None:
        """||W'||_row (d_out,), DoRA's magnitude; None without a gain."""
        gain = self.gain()
        return None if gain is None or self.norms is None else (gain * self.norms(self.weights)).detach()

    @property
    def calls_base(self) -> bool:
        return False

    def adapted(self, x: torch.Tensor) -> torch.Tensor:
        w = self.weights
        a = self.a_stack(x).unflatten(-1, (self.modules_in_pool, -1))
        if self.mixture.fusion == "factors":
            a = (w[:, None] * a).sum(-2, keepdim=True)
        mixed = (w[:, None] * a).flatten(-2)
        y, gain = product(self.base, x) + self.scaling * self.b_stack(mixed), self.gain()
        y = y if gain is None else gain * y
        self._bill(x.numel() // x.shape[-1])
        return y if self.base.bias is None else y + self.base.bias

    def _bill(self, vectors: int) -> None:
        mixing = self.b_stack.master.shape[1]
        gains = 0 if self.norms is None else self.outputs
        adds, products = (mixing, 2 * mixing) if self.mixture.fusion == "factors" else (0, mixing)
        bill_arithmetic(self.chip, "fusion", adds=vectors * adds, multiplies=vectors * (products + gains))
        bill_sram(self.chip, "fusion", reads=vectors * (self.modules_in_pool + gains))
        if self.mixture.magnitude == "vector" and self.norms is not None and self.training:
            operations = self.norms.operations
            bill_arithmetic(self.chip, "fusion", adds=operations, multiplies=operations)
            bill_sram(self.chip, "fusion", reads=self.norms.stored_values)


class MixtureNorm(nn.Module, ABC):
    """||W + dW||_row of a mixture, from the squares ||w_o||^2 and products computed once."""

    one_off: int
    """Multiply-accumulates when the pool is attached."""

    def frozen(self) -> torch.Tensor:
        """||W||_row (d_out,)."""
        squares: torch.Tensor = self.get_buffer("squares")
        return squares.sqrt()

    def _root(self, added: torch.Tensor) -> torch.Tensor:
        """(||w_o||^2 + added)^(1/2), safe from rounding to zero or below."""
        squares: torch.Tensor = self.get_buffer("squares")
        return safe_squares(squares + added, squares).sqrt()

    @property
    @abstractmethod
    def operations(self) -> int:
        """Multiply-accumulates of one evaluation."""

    @property
    def stored_values(self) -> int:
        """Numbers kept in SRAM for this."""
        return sum(buffer.numel() for buffer in self.buffers())


class FusedNorm(MixtureNorm):
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
        self.scaling = scaling
        self.outputs = weight.shape[0]
        self.rank = a.shape[1]
        self.one_off = (c.numel() + gram.numel()) * weight.shape[1]
        self.register_buffer("squares", weight.square().sum(dim=1), persistent=False)
        self.register_buffer("b_and_c", torch.stack([b, c], dim=1).flatten(1), persistent=False)
        self.register_buffer("gram", gram.flatten(2).flatten(0, 1), persistent=False)

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        """Row norms (d_out,) for coefficients w (N,)."""
        # sums of products, not matrix products: `operations` bills them once per training step
        b, c = (w[:, None] * self.get_buffer("b_and_c")).sum(0).view(2, self.outputs, self.rank)
        pairs = (w[:, None] * w).flatten()[:, None]
        gram = (pairs * self.get_buffer("gram")).sum(0).view(self.rank, self.rank)
        added = ((2 * c + self.scaling * (b[:, :, None] * gram).sum(1)) * b).sum(dim=1)
        return self._root(self.scaling * added)

    @property
    def operations(self) -> int:
        """Multiply-accumulates of one evaluation."""
        return self.stored_values + self.outputs * self.rank * (self.rank + 1)


class SummedNorm(MixtureNorm):
    """||W + s sum_i w_i B_i A_i||_row without forming it: n_o^2 = ||w_o||^2 + 2 s w . p_o + s^2 w^T q_o w, with
    p_io = (B_i A_i)_o . w_o and q_ijo = (B_i A_i)_o . (B_j A_j)_o computed once when the pool is attached."""

    def __init__(
        self, weight: torch.Tensor, a_stack: torch.Tensor, b_stack: torch.Tensor, scaling: float, modules: int
    ) -> None:
        super().__init__()
        a = a_stack.detach().unflatten(0, (modules, -1))
        b = b_stack.detach().unflatten(1, (modules, -1)).transpose(0, 1)
        c = torch.einsum("oi,nri->nor", weight, a)
        (outputs, inputs), rank = weight.shape, a.shape[1]
        # c, its product with b, and for every pair of modules A_i A_j^T, B_i times it and the product with B_j
        per_pair = rank * rank * inputs + outputs * rank * (rank + 1)
        self.one_off = c.numel() * (inputs + 1) + modules * modules * per_pair
        self.scaling = scaling
        self.register_buffer("squares", weight.square().sum(dim=1), persistent=False)
        self.register_buffer("overlaps", (b * c).sum(-1), persistent=False)
        self.register_buffer(
            "pairs",
            torch.stack(
                [
                    torch.einsum(
                        "mos,mos->mo", torch.einsum("or,mrs->mos", b[i], torch.einsum("ri,msi->mrs", a[i], a)), b
                    )
                    for i in range(modules)
                ]
            ),
            persistent=False,
        )

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        """Row norms (d_out,) for coefficients w (N,)."""
        # sums of products, not matrix products: `operations` bills them once per training step
        from_pairs = (w[:, None, None] * w[:, None] * self.get_buffer("pairs")).sum((0, 1))
        added = 2 * (w[:, None] * self.get_buffer("overlaps")).sum(0) + self.scaling * from_pairs
        return self._root(self.scaling * added)

    @property
    def operations(self) -> int:
        """Multiply-accumulates of one evaluation."""
        return self.stored_values
