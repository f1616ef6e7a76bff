"""Chip: the state of one simulated chip, its matrices on tiles and its ledger."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from crossbar_sim.cells.cells import Cells
from crossbar_sim.chip.energy_by_tile import energy_by_tile
from crossbar_sim.chip.interface import AnyChip, TiledChip
from crossbar_sim.chip.matrix import Matrix
from crossbar_sim.chip.simulated import SimulatedMatrix
from crossbar_sim.chip.write_mark import WriteMark
from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.ledger.ledger import Ledger
from crossbar_sim.spec.errors import MappingError


class Chip(TiledChip):
    """Everything that changes while a chip runs; `Hardware` is what never does."""

    def __init__(self, hardware: Hardware, seed: int = 0) -> None:
        self.hardware = hardware
        self.seed = seed
        self.ledger = Ledger()
        self.digital = hardware.digital
        self.matrices: dict[str, SimulatedMatrix] = {}
        self.skipped = []
        self._released: dict[str, Cells] = {}

    def matrix(
        self,
        name: str,
        weight: torch.Tensor,
        scale: NDArray[np.float64] | None = None,
        hardware: Hardware | None = None,
    ) -> SimulatedMatrix:
        self.check_new(name)
        hardware = self.hardware if hardware is None else hardware
        worn = self._released.get(name)
        if worn is not None and worn.device != hardware.device:
            worn = None
        matrix = SimulatedMatrix(hardware, self.ledger, self.seed, name, weight, scale, worn)
        self._released.pop(name, None)
        self.matrices[name] = matrix
        matrix.chip = self
        return matrix

    def release(self, name: str) -> None:
        """Give the tiles of a matrix back; a later matrix of that name and shape gets the same, worn cells."""
        self._released[name] = self.matrices.pop(name).cells

    def wait(self, seconds: float) -> None:
        """Let time pass on the chip: every cell ages by `seconds`, those of released tiles too."""
        for matrix in self.matrices.values():
            matrix.wait(seconds)
        for cells in self._released.values():
            cells.wait(seconds)

    @contextmanager
    def probing(self) -> Iterator[None]:
        with self.ledger.paused(), unrecorded(self.matrices.values()):
            yield

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        matrices, skipped, released = dict(self.matrices), list(self.skipped), dict(self._released)
        undo_wear = [as_now(cells) for cells in released.values()]
        try:
            with self.ledger.all_or_nothing():
                yield
        except BaseException:
            self.matrices, self.skipped, self._released = matrices, skipped, released
            for undo in undo_wear:
                undo()
            raise

    def writes(self) -> NDArray[np.int64]:
        """Program operations of every cell on the chip since it was made (flat)."""
        return np.concatenate([matrix.cells.writes.reshape(-1) for matrix in self.matrices.values()])

    def mark_writes(self) -> WriteMark:
        """How often each cell has been written so far, those of released tiles too."""
        every = (*(matrix.cells for matrix in self.matrices.values()), *self._released.values())
        return WriteMark({cells: cells.writes.copy() for cells in every})

    def writes_since(self, mark: WriteMark, besides: Collection[str] = ()) -> dict[str, NDArray[np.int64]]:
        """By matrix, the program operations of each cell (planes, rows, columns) since `mark` was made.

        besides: matrices whose writes do not count; their cells have zeros.
        """
        return {
            name: np.zeros_like(matrix.cells.writes)
            if name in besides
            else matrix.cells.writes - mark.writes.get(matrix.cells, 0)
            for name, matrix in self.matrices.items()
        }

    def energy_by_tile(self, phase: str | None = None) -> dict[str, float]:
        """Joule per tile, and per place for what is on no tile; as in `energy_by_tile.energy_by_tile`."""
        return energy_by_tile(self, phase)


def as_now(cells: Cells) -> Callable[[], None]:
    """What puts cells back to what they are now, in the arrays that they have now."""
    fields = dict(vars(cells))
    arrays = {name: value.copy() for name, value in fields.items() if isinstance(value, np.ndarray)}

    def undo() -> None:
        vars(cells).update(fields)
        for name, value in arrays.items():
            fields[name][...] = value

    return undo


def simulated_chip(chip: AnyChip) -> Chip:
    """The chip, if its cells are simulated; MappingError else."""
    if not isinstance(chip, Chip):
        raise MappingError(f"a {type(chip).__name__} has no cells; simulate to know how often each was written")
    return chip


@contextmanager
def unrecorded(matrices: Iterable[Matrix]) -> Iterator[None]:
    """Reads inside leave no trace in the counters and range registers of these matrices; they are billed."""
    states = [(matrix, matrix.read_state()) for matrix in matrices if isinstance(matrix, SimulatedMatrix)]
    try:
        yield
    finally:
        for matrix, state in states:
            matrix.restore_reads(state)
