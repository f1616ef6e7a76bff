"""DoRA (Liu et al., ICML 2024): LoRA's direction and a trained length for every output."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from crossbar_sim.chip.interface import AnyChip
from peft_methods.methods.low_rank import LowRankLinear, TrainedPair
from peft_methods.model_parts import (
    LinearLike,
    merged_row_operations,
    merged_row_squares,
    product,
    row_squares,
    weight_of,
)
from peft_methods.placement import PlacedMatrix, Placement, bill_arithmetic, bill_sram
from peft_methods.tuning import Range, Ranges


class DoRA(TrainedPair):
    """y = m o (W + s B A) x / n + b with n_o = ||(W + s B A)_o||_2; A, B and m trained.

    m (d_out) starts at ||W||_row, so that the gain m / n is one. n takes part in the value but not in the
    gradient. The gain is digital, after the ADC.
    """

    name: ClassVar[str] = "dora"
    label: ClassVar[str] = "DoRA"
    papers: ClassVar[tuple[str, ...]] = ("liu2024", "hu2022")
    writes_cells: ClassVar[bool] = True
    transposed_reads: ClassVar[bool] = True
    needs_values: ClassVar[bool] = True
    extra_reads: ClassVar[str] = "two small products per layer (on tiles); rank reads of W per training step"
    searched: ClassVar[Ranges] = {"learning_rate": Range(1e-3, 5e-2)}
    searched_on_tiles: ClassVar[Ranges] = {"b_range": Range(0.1, 1.0)}

    def placements(self) -> dict[str, Placement]:
        return {"A, B": self.placement, "magnitude": "sram"}

    def layer(self, base: LinearLike, a: PlacedMatrix, b: PlacedMatrix, chip: AnyChip) -> LowRankLinear:
        return DoRALinear(base, a, b, self.scaling, chip)


class DoRALinear(LowRankLinear):
    """m / n o (W x + s B A x) + b.

    n_o^2 = ||w_o||^2 + 2 s b_o . c_o + s^2 b_o^T (A A^T) b_o with c = W A^T: the rows of A are read once
    through W's tiles after every update, `rank` vectors in place of the d_in that reading W out would take. The gain of
    a row of zeros is one, its limit.
    """

    squares: torch.Tensor
    norm: torch.Tensor

    def __init__(self, base: LinearLike, a: PlacedMatrix, b: PlacedMatrix, scaling: float, chip: AnyChip) -> None:
        super().__init__(base, a, b, scaling)
        self.chip = chip
        squares = row_squares(base)
        self.register_buffer("squares", squares, persistent=False)
        self.register_buffer("norm", squares.sqrt(), persistent=False)
        self._zero_rows = self._rows_of_zeros(squares)
        self.magnitude = nn.Parameter(squares.sqrt(), requires_grad=False)

    @property
    def calls_base(self) -> bool:
        return False

    def adapted(self, x: torch.Tensor) -> torch.Tensor:
        outputs, vectors = self.norm.numel(), x.numel() // x.shape[-1]
        bill_arithmetic(self.chip, "DoRA", multiplies=vectors * outputs)
        bill_sram(self.chip, "DoRA", reads=vectors * outputs)
        y = self.gain() * (product(self.base, x) + self.added(x))
        return y if self.base.bias is None else y + self.base.bias

    def gain(self) -> torch.Tensor:
        """Post-ADC factor of every output (d_out,)."""
        gain = self.magnitude / self.norm
        return gain if self._zero_rows is None else torch.where(self._zero_rows, 1.0, gain)

    def _rows_of_zeros(self, squares: torch.Tensor) -> torch.Tensor | None:
        """Which squared norms vanish; None: none does. Their norms become one, so that no quotient is infinite."""
        if squares.is_meta:
            return None
        zero = squares <= torch.finfo(squares.dtype).tiny
        if not bool(zero.any()):
            return None
        self.norm = self.norm.masked_fill(zero, 1.0)
        return zero

    @torch.no_grad()
    def after_write(self) -> None:
        a = self.a.master
        b = self.b.master
        squares = merged_row_squares(self.base, self.squares, a, b, self.scaling)
        self.norm = squares.sqrt()
        self._zero_rows = self._rows_of_zeros(squares)
        operations, outputs = merged_row_operations(a, b), len(b)
        bill_arithmetic(self.chip, "DoRA", adds=operations, multiplies=operations)
        bill_sram(self.chip, "DoRA", reads=a.numel() + b.numel() + outputs, writes=outputs)

    def magnitudes(self) -> nn.Parameter | None:
        return self.magnitude

    def delta_weight(self) -> torch.Tensor:
        weight = weight_of(self.base).detach()
        return self.gain().detach()[:, None] * (weight + self.product_delta()) - weight
