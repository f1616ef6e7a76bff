"""MixedPrecision: small changes collect in SRAM, whole pulses leave for the cells."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field

from crossbar_sim.chip.simulated import SimulatedMatrix
from peft_methods.updates.base import ADAMW, StepCosts, Writer
from peft_methods.updates.blind import BlindRule, ChangeWriter


class MixedPrecision(BlindRule):
    """chi <- chi + change in SRAM; whole pulses leave chi for the cells, blind (Nandakumar et al. 2020).

    `granularity`: the mean pulses that chi must collect before it is emptied. The cells hold the only copy of the
    weights, chi what they do not know yet.
    """

    granularity: Annotated[int, Field(ge=1)] = 1

    name: ClassVar[str] = "mixed_precision"
    papers: ClassVar[tuple[str, ...]] = ("nandakumar2020",)
    keeps_value: ClassVar[bool] = False

    @property
    def costs(self) -> StepCosts:
        return StepCosts(ADAMW.kept, ADAMW.reads, ADAMW.writes, ADAMW.adds, ADAMW.multiplies + 1)

    def blind_writer(self, matrix: SimulatedMatrix) -> Writer:
        return AccumulatingWriter(matrix, self.granularity)


class AccumulatingWriter(ChangeWriter):
    """`MixedPrecision` of one matrix; chi is in units of the mean pulse."""

    def __init__(self, matrix: SimulatedMatrix, granularity: int) -> None:
        super().__init__(matrix)
        self.granularity = granularity
        self.chi = torch.zeros(matrix.master.shape, dtype=torch.float64)

    def pulses(self, change: torch.Tensor) -> torch.Tensor:
        self.chi += change
        leaving = torch.where(self.chi.abs() >= self.granularity * (1 - 1e-6), self.chi, 0.0)
        leaving = torch.trunc(leaving * (1 + 1e-6)).clamp(-self.most, self.most)
        self.chi -= leaving
        return leaving
