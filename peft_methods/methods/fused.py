"""FusedLinear: a linear layer with a mixed pool of frozen LoRA modules beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from crossbar_sim.chip.interface import AnyChip
from peft_methods.adapted_layer import AdaptedLayer
from peft_methods.methods.mixture_norms import FusedNorm, MixtureNorm, ReadNorm, SummedNorm
from peft_methods.model_parts import LinearLike, product, row_squares, weight_of
from peft_methods.placement import PlacedMatrix, bill_arithmetic, bill_sram

Magnitude = Literal["vector", "gain", "none"]
Fusion = Literal["factors", "modules"]
Norms = Literal["tables", "reads"]


@dataclass(frozen=True)
class Mixture:
    """How a pool is mixed.

    magnitude = 'none': there is no gain, and no row norm is computed, kept or billed. 'gain': the norm is computed
    once, where the gain starts. 'vector': it is needed after every update; norms = 'tables': from small products that
    are kept in SRAM, 'reads': through the tiles.
    fusion = 'factors': every h_i is sum_j w_j (A_stack x)_j, so dW = s B_w A_w; 'modules': h_i = (A_stack x)_i,
    so dW = s sum_i w_i B_i A_i.
    """

    magnitude: Magnitude
    fusion: Fusion
    norms: Norms = "tables"


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
        self.tables: MixtureNorm | None = None
        self.reads: ReadNorm | None = None
        self.magnitude: nn.Parameter | None = None
        if mixture.magnitude == "none":
            return
        self.magnitude = nn.Parameter(row_squares(base).sqrt(), requires_grad=False)
        if mixture.magnitude == "vector" and mixture.norms == "reads":
            self.reads = ReadNorm(base, stack.a, stack.b, stack.scaling, chip)
        elif mixture.magnitude == "vector":
            self.tables = self._make_tables()
            bill_arithmetic(chip, "fusion", adds=self.tables.one_off, multiplies=self.tables.one_off)

    def _make_tables(self) -> MixtureNorm:
        """What gives the row norms for any coefficients."""
        norms = FusedNorm if self.mixture.fusion == "factors" else SummedNorm
        stacks = self.a_stack.master, self.b_stack.master
        return norms(weight_of(self.base).detach(), *stacks, self.scaling, self.modules_in_pool)

    @torch.no_grad()
    def start_magnitude(self) -> None:
        """m = ||W||_row, or the gain that goes with it at the present coefficients: the only norm it ever takes."""
        if self.magnitude is None:
            return
        start = row_squares(self.base).sqrt()
        if self.mixture.magnitude == "gain":
            start /= self._make_tables()(self.weights)
            operations = self._operations_of_one_norm()
            bill_arithmetic(self.chip, "fusion", adds=operations, multiplies=operations)
        self.magnitude.copy_(start)
        self.refresh_norm()

    def _operations_of_one_norm(self) -> int:
        """Multiply-accumulates of ||W + s B' A'||_row at given coefficients: mixing A' and B', W A'^T, A' A'^T, the
        sums."""
        (stacked, inputs), outputs = self.a_stack.master.shape, self.outputs
        rank = stacked // self.modules_in_pool if self.mixture.fusion == "factors" else stacked
        return stacked * (inputs + outputs) + rank * (rank + outputs) * inputs + outputs * rank * (rank + 1)

    @torch.no_grad()
    def refresh_norm(self) -> None:
        """Read the norm through the tiles, if that is where it comes from."""
        if self.reads is None:
            return
        w = self.weights.detach()
        rank = self.a_stack.master.shape[0] // self.modules_in_pool
        if self.mixture.fusion == "factors":
            mixing = (w[:, None] * torch.eye(rank, dtype=w.dtype, device=w.device)[:, None, :]).flatten(1)
            self.reads.refresh(mixing, mixing)
        else:
            each = torch.eye(rank * self.modules_in_pool, dtype=w.dtype, device=w.device)
            self.reads.refresh(each, each * w.repeat_interleave(rank))

    @property
    def weights(self) -> torch.Tensor:
        """The coefficients w (N,) of this layer's block."""
        return self.coefficients[:, self.block]

    def gain(self) -> torch.Tensor | None:
        """Post-ADC factor of every output (d_out,); None: there is none."""
        if self.magnitude is None or self.mixture.magnitude == "gain":
            return self.magnitude
        return self.magnitude / self.norm()

    def norm(self) -> torch.Tensor:
        """||W + dW||_row (d_out,) at the present coefficients; not for the gradient."""
        if self.reads is not None:
            return self.reads.norm
        tables = self._make_tables() if self.tables is None else self.tables
        return tables(self.weights.detach())

    def merged_norms(self) -> torch.Tensor | None:
        """||W'||_row (d_out,), DoRA's magnitude; None without a gain."""
        gain = self.gain()
        return None if gain is None else (gain * self.norm()).detach()

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
        gains = 0 if self.magnitude is None else self.outputs
        adds, products = (mixing, 2 * mixing) if self.mixture.fusion == "factors" else (0, mixing)
        bill_arithmetic(self.chip, "fusion", adds=vectors * adds, multiplies=vectors * (products + gains))
        bill_sram(self.chip, "fusion", reads=vectors * (self.modules_in_pool + gains))
        if self.tables is not None and self.training:
            operations = self.tables.operations
            bill_arithmetic(self.chip, "fusion", adds=operations, multiplies=operations)
            bill_sram(self.chip, "fusion", reads=self.tables.stored_values)
