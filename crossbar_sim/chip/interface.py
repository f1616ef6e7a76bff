"""AnyChip: what methods need of a chip, whether it is simulated, only counted, or has no tiles at all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager

import numpy as np
import torch
from numpy.typing import NDArray

from crossbar_sim.chip.matrix import Matrix
from crossbar_sim.chip.plan import Plan
from crossbar_sim.chip.write_mark import WriteMark
from crossbar_sim.hardware.digital import Digital
from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.ledger.ledger import Ledger
from crossbar_sim.spec.errors import MappingError


class AnyChip(ABC):
    """A ledger, the digital circuits beside the tiles, and what is on the tiles: `matrices` by name."""

    ledger: Ledger
    digital: Digital
    matrices: Mapping[str, Matrix]

    @abstractmethod
    def probing(self) -> AbstractContextManager[None]:
        """Reads inside are neither billed nor recorded: a look at a run does not change it."""

    @abstractmethod
    def mark_writes(self) -> WriteMark:
        """How often each cell has been written so far; empty where no cell is simulated."""


class TiledChip(AnyChip):
    """A chip with tiles; `skipped` says which layers of a model stayed digital, and why."""

    hardware: Hardware
    skipped: list[tuple[str, str]]

    @abstractmethod
    def matrix(
        self,
        name: str,
        weight: torch.Tensor,
        scale: NDArray[np.float64] | None = None,
        hardware: Hardware | None = None,
    ) -> Matrix:
        """Program a new matrix (outputs, inputs), billed to the current phase.

        scale (outputs,): the largest |w| each column can hold; None: taken from the weight. hardware: of its tiles,
        where it is not the chip's own. Raises MappingError if there is a matrix of that name.
        """

    def check_new(self, name: str) -> None:
        """MappingError if there is a matrix of that name."""
        if name in self.matrices:
            raise MappingError(f"the chip already holds a matrix called '{name}'; release it first")

    @abstractmethod
    def release(self, name: str) -> None:
        """Give the tiles of a matrix back."""

    @property
    def plan(self) -> Plan:
        """Which cells belong to what."""
        return Plan(tuple(self.matrices.values()), tuple(self.skipped), self.hardware)
