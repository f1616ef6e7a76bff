"""Chip: the state of one simulated chip, its matrices on tiles and its ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from crossbar_sim.cells.cells import Cells
from crossbar_sim.chip.energy_by_tile import energy_by_tile
from crossbar_sim.chip.plan import Plan
from crossbar_sim.chip.simulated import MappedMatrix
from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.ledger.ledger import Ledger
from crossbar_sim.spec.errors import MappingError


class Chip:
    """Everything that changes while a chip runs; `Hardware` is what never does."""

    def __init__(self, hardware: Hardware, seed: int = 0) -> None:
        self.hardware, self.seed = hardware, seed
        self.ledger = Ledger()
        self.matrices: dict[str, MappedMatrix] = {}
        self.skipped: list[tuple[str, str]] = []
        self._released: dict[str, Cells] = {}

    def matrix(
        self,
        name: str,
        weight: torch.Tensor,
        scale: NDArray[np.float64] | None = None,
        hardware: Hardware | None = None,
    ) -> MappedMatrix:
        """Program a new matrix (outputs, inputs), billed to the current phase; `scale` as in MappedMatrix.

        hardware: of its tiles, where it is not the chip's own.
        """
        if name in self.matrices:
            raise MappingError(f"the chip already holds a matrix called '{name}'; release it first")
        hardware = self.hardware if hardware is None else hardware
        worn = self._released.pop(name, None)
        if worn is not None and worn.device != hardware.device:
            worn = None
        matrix = MappedMatrix(hardware, self.ledger, self.seed, name, weight, scale, worn)
        self.matrices[name] = matrix
        return matrix

    def release(self, name: str) -> None:
        """Give the tiles of a matrix back; a later matrix of that name and shape gets the same, worn cells."""
        self._released[name] = self.matrices.pop(name).crossbar

    def start_task(self) -> None:
        """Count `task_writes` from here."""
        for matrix in self.matrices.values():
            matrix.task_writes[:] = 0

    def wait(self, seconds: float) -> None:
        """Let time pass on the chip: every cell ages by `seconds`, those of released tiles too."""
        for matrix in self.matrices.values():
            matrix.wait(seconds)
        for crossbar in self._released.values():
            crossbar.wait(seconds)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Reads inside are neither billed nor remembered: looking at a run does not change it."""
        with self.ledger.paused(), unremembered(self.matrices.values()):
            yield

    def writes(self) -> NDArray[np.int64]:
        """Program operations of every cell on the chip since it was made (flat)."""
        return np.concatenate([matrix.crossbar.writes.reshape(-1) for matrix in self.matrices.values()])

    def task_writes(self) -> NDArray[np.int64]:
        """Program operations of every cell in the 'adapt' phases since `start_task` (flat, same order)."""
        return np.concatenate([matrix.task_writes.reshape(-1) for matrix in self.matrices.values()])

    def energy_by_tile(self, phase: str | None = None) -> dict[str, float]:
        """Joule per tile, and per place for what is on no tile; as in `tile_energy.energy_by_tile`."""
        return energy_by_tile(self, phase)

    @property
    def plan(self) -> Plan:
        """Which cells belong to what."""
        return Plan(tuple(self.matrices.values()), tuple(self.skipped), self.hardware)


@contextmanager
def unremembered(matrices: Iterable[MappedMatrix]) -> Iterator[None]:
    """Reads inside leave no trace in the counters and range registers of these matrices; they are billed."""
    states = [(matrix, matrix.read_state()) for matrix in matrices]
    try:
        yield
    finally:
        for matrix, state in states:
            matrix.restore_reads(state)
