"""Placement: where a tensor lives, on tiles ('crossbar') or beside them ('sram')."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import nn

from crossbar_sim import Chip
from crossbar_sim.chip.matrix import Matrix
from crossbar_sim.ledger.ledger import Ledger

Placement = Literal["crossbar", "sram"]


class SramMatrix(nn.Module):
    """y = x W^T with W (outputs, inputs) in SRAM; every vector reads every word once."""

    def __init__(self, name: str, weight: torch.Tensor, chip: Chip | None) -> None:
        super().__init__()
        self.name, self.chip = name, chip
        self.master = nn.Parameter(weight.detach().clone(), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (..., inputs) -> (..., outputs)."""
        bill_sram(self.chip, self.name, reads=x.numel() // x.shape[-1] * self.master.numel())
        return nn.functional.linear(x, self.master)

    def weight(self) -> torch.Tensor:
        """The stored weights."""
        return self.master.detach()


PlacedMatrix = Matrix | SramMatrix


def place(
    name: str, weight: torch.Tensor, placement: Placement, chip: Chip | None, largest: float | None = None
) -> PlacedMatrix:
    """Put a matrix (outputs, inputs) on tiles or in SRAM; without a chip everything is plain digital.

    largest: the largest |w| its cells must be able to hold (a trained tensor moves); None: that of `weight`.
    """
    if chip is None or placement == "sram":
        return SramMatrix(name, weight, chip)
    scale = None if largest is None else np.full(weight.shape[0], largest)
    return chip.matrix(name, weight, scale)


def bill_sram(chip: Chip | None, place: str, *, reads: int = 0, writes: int = 0) -> None:
    """Bill 32-bit SRAM words; nothing without a chip."""
    if chip is not None:
        digital = chip.hardware.digital
        energy = reads * digital.sram_read + writes * digital.sram_write
        chip.ledger.add("SRAM", place, energy, reads + writes)


def bill_arithmetic(chip: Chip | None, place: str, *, adds: int = 0, multiplies: int = 0) -> None:
    """Bill additions and multiplications at the design's precision; nothing without a chip."""
    if chip is not None:
        digital = chip.hardware.digital
        energy = adds * digital.add_energy + multiplies * digital.multiply_energy
        chip.ledger.add("arithmetic", place, energy, adds + multiplies)


def bill_activations(chip: Chip | None, values: int, access: Literal["read", "write"]) -> None:
    """Bill the activations of one step, read or written once; nothing where the design gives them no memory."""
    if chip is not None:
        for component, events, energy in chip.hardware.digital.activation_terms(values, access):
            chip.ledger.add(component, "activations", energy, events)


def ledger_of(chip: Chip | None) -> Ledger:
    """The chip's ledger, or one that nobody reads."""
    return Ledger() if chip is None else chip.ledger
