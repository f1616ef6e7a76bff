"""OpenLoopPulses: as many blind pulses as the change is mean pulses long."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import torch

from crossbar_sim.chip.simulated import SimulatedMatrix
from crossbar_sim.runtime.counter_random import stream_key, uniforms_at
from peft_methods.updates.base import ADAMW, StepCosts, Writer
from peft_methods.updates.blind import BlindRule, ChangeWriter


class OpenLoopPulses(BlindRule):
    """|change| / (mean pulse) blind pulses per weight and step; the chip believes that every pulse moves equally far.

    The mean pulse is R / full_swing_pulses. `rounding`: 'stochastic' gives the fraction of a pulse its chance (the
    mean is right, as in Gokmen and Vlasov 2016), 'nearest' drops what is below half a pulse. No float copy of the
    weights is kept.
    """

    rounding: Literal["stochastic", "nearest"] = "stochastic"

    name: ClassVar[str] = "open_loop_pulses"
    papers: ClassVar[tuple[str, ...]] = ("gokmen2016",)
    keeps_value: ClassVar[bool] = False

    @property
    def costs(self) -> StepCosts:
        return StepCosts(ADAMW.kept - 1, ADAMW.reads - 1, ADAMW.writes - 1, ADAMW.adds - 1, ADAMW.multiplies + 1)

    def blind_writer(self, matrix: SimulatedMatrix) -> Writer:
        return OpenLoopWriter(matrix, self.rounding)


class OpenLoopWriter(ChangeWriter):
    """`OpenLoopPulses` of one matrix."""

    def __init__(self, matrix: SimulatedMatrix, rounding: str) -> None:
        super().__init__(matrix)
        self.rounding = rounding
        self.key = stream_key(int(matrix.cells.key[0]), matrix.name, "update")

    def pulses(self, change: torch.Tensor) -> torch.Tensor:
        if self.rounding == "nearest":
            return change.round()
        chance = torch.from_numpy(uniforms_at(np.full(change.numel(), self.steps, np.uint32), self.key)).view_as(change)
        return torch.floor(change + chance)
