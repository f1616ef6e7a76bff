"""What rules without verify reads share: they need simulated cells, and those that follow the optimiser a writer."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch

from crossbar_sim.chip.matrix import Matrix
from crossbar_sim.chip.simulated import SimulatedMatrix, simulated
from peft_methods.updates.base import UpdateRule, Writer


class BlindRule(UpdateRule):
    """A rule whose pulses depend on where each cell stands: it needs cells, which a counted matrix has not."""

    def writer(self, matrix: Matrix) -> Writer:
        return self.blind_writer(simulated(matrix, f": '{self.name}' depends on data; simulate, or write with verify"))

    @abstractmethod
    def blind_writer(self, matrix: SimulatedMatrix) -> Writer:
        """What carries the updates of one matrix to its cells."""


class ChangeWriter(Writer):
    """A writer that turns the change of the master since its last write into blind pulses."""

    def __init__(self, matrix: SimulatedMatrix) -> None:
        self.matrix = matrix
        self.held = matrix.master.detach().clone()
        self.steps = 0
        self.pulse = matrix.largest_weight.double().cpu() / matrix.hardware.device.full_swing_pulses

    @torch.no_grad()
    def write(self, last: bool) -> int:
        change = (self.matrix.master - self.held).double().cpu() / self.pulse
        pulses = self.pulses(change).clamp(-self.most, self.most)
        self.steps += 1
        self.matrix.master.copy_(self.held)
        count = self.matrix.pulse(pulses.numpy().astype(np.int64)).count
        self.held = self.matrix.master.detach().clone()
        return count

    @property
    def most(self) -> int:
        """Longest train of pulses."""
        return self.matrix.hardware.device.max_pulses

    @abstractmethod
    def pulses(self, change: torch.Tensor) -> torch.Tensor:
        """Whole pulses per weight for a change in units of the mean pulse."""
