"""StochasticPulses: plain gradient descent by random pulse trains on the rows and columns of a tile."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field

from crossbar_sim.cells.compiled.stochastic_update import SLOTS
from crossbar_sim.cells.outer_product import update_scheme
from crossbar_sim.chip.simulated import SimulatedMatrix
from peft_methods.updates.base import StepCosts, Writer
from peft_methods.updates.blind import BlindRule


class StochasticPulses(BlindRule):
    """W <- W - learning_rate d^T x by random pulse trains on the rows (x) and columns (d, the output's gradient) of a
    tile: a cell takes a pulse where both coincide (Gokmen and Vlasov 2016).

    `learning_rate`: weight per product of gradient and input, constant; neither the method's own nor its schedule is
    used. `bits`: longest train of one sample. Neither optimiser nor gradient nor copy is kept in SRAM.
    """

    learning_rate: Annotated[float, Field(gt=0)] = 0.05
    bits: Annotated[int, Field(ge=1, le=SLOTS)] = SLOTS

    name: ClassVar[str] = "stochastic_pulses"
    papers: ClassVar[tuple[str, ...]] = ("gokmen2016",)
    keeps_value: ClassVar[bool] = False
    uses_optimizer: ClassVar[bool] = False

    @property
    def costs(self) -> StepCosts:
        return StepCosts(kept=0, reads=0, writes=0, adds=0, multiplies=0)

    def blind_writer(self, matrix: SimulatedMatrix) -> Writer:
        update_scheme(matrix.hardware)  # refuses what cannot be updated before the first step
        return StochasticWriter(matrix, self)


class StochasticWriter(Writer):
    """`StochasticPulses` of one matrix."""

    def __init__(self, matrix: SimulatedMatrix, rule: StochasticPulses) -> None:
        self.matrix = matrix
        self.rule = rule
        matrix.keep_factors()

    def write(self, last: bool) -> int:
        factors = self.matrix.take_factors()
        if not factors:
            return 0
        x, error = (torch.cat(parts) for parts in zip(*factors, strict=True))
        return self.matrix.update(x, error, self.rule.learning_rate, self.rule.bits).count
