"""SignPulses: one blind pulse per weight and step."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from crossbar_sim.chip.simulated import SimulatedMatrix
from peft_methods.updates.base import StepCosts, Writer
from peft_methods.updates.blind import BlindRule


class SignPulses(BlindRule):
    """One blind pulse per weight and step against the sign of its gradient, whatever its size (Manhattan rule,
    Zamanidoost et al. 2015). Neither optimiser nor learning rate; nothing is kept in SRAM."""

    name: ClassVar[str] = "sign_pulses"
    papers: ClassVar[tuple[str, ...]] = ("zamanidoost2015",)
    keeps_value: ClassVar[bool] = False
    uses_optimizer: ClassVar[bool] = False

    @property
    def costs(self) -> StepCosts:
        return StepCosts(kept=0, reads=1, writes=0, adds=0, multiplies=0)

    def blind_writer(self, matrix: SimulatedMatrix) -> Writer:
        return SignWriter(matrix)


class SignWriter(Writer):
    """`SignPulses` of one matrix."""

    def __init__(self, matrix: SimulatedMatrix) -> None:
        self.matrix = matrix

    def write(self, last: bool) -> int:
        gradient = self.matrix.master.grad
        if gradient is None:
            return 0
        return self.matrix.pulse(-gradient.sign().cpu().numpy().astype(np.int64)).count
