"""Placement: where a tensor lives, on tiles ('crossbar') or beside them ('sram')."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import nn

from crossbar_sim.chip.digital import DigitalChip
from crossbar_sim.chip.interface import AnyChip, TiledChip
from crossbar_sim.chip.matrix import Matrix
from crossbar_sim.hardware.digital import DigitalWork

Placement = Literal["crossbar", "sram"]
WORD = 4
"""Bytes of a word of SRAM, a float32."""
DIGITAL = DigitalChip()
"""The chip of a run without one: nothing lies on tiles, and nothing is billed."""


class SramMatrix(nn.Module):
    """y = x W^T with W (outputs, inputs) in SRAM; every vector reads every word once."""

    def __init__(self, name: str, weight: torch.Tensor, chip: AnyChip) -> None:
        super().__init__()
        self.name = name
        self.chip = chip
        self.master = nn.Parameter(weight.detach().clone(), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (..., inputs) -> (..., outputs), of the type of x."""
        bill_sram(self.chip, self.name, reads=x.numel() // x.shape[-1] * self.master.numel())
        return product_of(x, self.master)

    def weight(self) -> torch.Tensor:
        """The stored weights."""
        return self.master.detach()


def product_of(x: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """x W^T in the type of W (outputs, inputs); returned in that of x."""
    return nn.functional.linear(x.to(matrix.dtype), matrix).to(x.dtype)


PlacedMatrix = Matrix | SramMatrix


def read_back(matrix: PlacedMatrix, x: torch.Tensor) -> torch.Tensor:
    """x W (vectors, inputs) of vectors x (vectors, outputs): transposed reads of tiles, or of every word in SRAM."""
    if isinstance(matrix, Matrix):
        return matrix.read(x, transposed=True)
    bill_sram(matrix.chip, matrix.name, reads=len(x) * matrix.master.numel())
    return x.to(matrix.master.dtype) @ matrix.master


def place(
    name: str, weight: torch.Tensor, placement: Placement, chip: AnyChip, largest: float | None = None
) -> PlacedMatrix:
    """Put a matrix (outputs, inputs) on tiles or in SRAM; on a chip without tiles it is plain digital.

    largest: the largest |w| its cells must be able to hold (a trained tensor moves); None: that of `weight`.
    """
    if placement == "sram" or not isinstance(chip, TiledChip):
        return SramMatrix(name, weight, chip)
    scale = None if largest is None else np.full(weight.shape[0], largest)
    return chip.matrix(name, weight, scale)


def bill_sram(chip: AnyChip, place: str, *, reads: int = 0, writes: int = 0) -> None:
    """Bill 32-bit SRAM words."""
    _bill(chip, place, chip.digital.sram(reads, writes))


def bill_arithmetic(chip: AnyChip, place: str, *, adds: int = 0, multiplies: int = 0) -> None:
    """Bill additions and multiplications at the design's precision."""
    _bill(chip, place, chip.digital.arithmetic(adds, multiplies))


def bill_activations(chip: AnyChip, values: int, access: Literal["read", "write"]) -> None:
    """Bill the activations of one step, read or written once; nothing where the design gives them no memory."""
    for work in chip.digital.activations(values, access):
        _bill(chip, "activations", work)


def _bill(chip: AnyChip, place: str, work: DigitalWork) -> None:
    chip.ledger.add(work.component, place, work.energy, work.events, work.time)
