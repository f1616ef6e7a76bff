"""Programming: what one programming operation did; sums at once, lists of cells when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.cells.compiled import row_work

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CellLists:
    """What was done to each programmed cell; see `Programming`. counts: SET pulses, RESET pulses and verify reads;
    joules: theirs (3, cells)."""

    before: Floats
    achieved: Floats
    counts: NDArray[np.int32]
    joules: Floats
    swing: Floats

    @classmethod
    def empty(cls, before: Floats, count: int) -> CellLists:
        """Room for `count` cells."""
        return cls(before, np.empty(count), np.empty((3, count), np.int32), np.empty((3, count)), np.empty(count))

    @property
    def results(self) -> tuple[NDArray[Any], ...]:
        """What kernels write into, in their order."""
        return self.achieved, self.counts, self.joules, self.swing


def _listed(name: str, index: int | None = None) -> Any:
    """A list of cells by its name in CellLists."""

    def read(self: Programming) -> NDArray[Any]:
        values: NDArray[Any] = getattr(self.lists, name)
        return values if index is None else values[index]

    return property(read)


class Programming:
    """What one programming operation did.

    cells: flat indices of the programmed cells; work (rows, column arrays, row_work.FIELDS): of each row of each array
    of the crossbar, of `array_rows` rows; disturbed: flat indices of the cells that pulses of other cells moved.

    Cell by cell (flat arrays over `cells`): before and achieved, siemens; set_pulses, reset_pulses, verify_reads;
    set_energy, reset_energy, verify_energy, joule; swing, sum of |dG| over a cell's pulses, siemens. These lists are
    made when the first of them is asked for, by giving the same pulses again to a copy of the cells as they were:
    random numbers depend on counters alone.
    """

    before, achieved, swing = _listed("before"), _listed("achieved"), _listed("swing")
    set_pulses, reset_pulses, verify_reads = (_listed("counts", i) for i in range(3))
    set_energy, reset_energy, verify_energy = (_listed("joules", i) for i in range(3))

    def __init__(
        self,
        cells: NDArray[np.int64],
        work: Floats,
        array_rows: int,
        disturbed: NDArray[np.int64],
        again: Callable[[], CellLists],
    ) -> None:
        self.cells, self.work, self.disturbed = cells, work, disturbed
        self._array_rows, self._again = array_rows, again

    @property
    def sums(self) -> Floats:
        """(row arrays, column arrays, row_work.SUMS) of each array of the crossbar."""
        tops = np.arange(0, len(self.work), self._array_rows)
        result: Floats = np.add.reduceat(self.work[..., : row_work.SUMS], tops, axis=0)
        return result

    @property
    def squared_volts(self) -> float:
        """Sum of V^2 over all pulses."""
        return float(self.sums[..., row_work.SQUARED].sum())

    @cached_property
    def lists(self) -> CellLists:
        """All lists of cells."""
        lists = self._again()
        del self._again  # and with it the cells as they were
        return lists

    @property
    def energy(self) -> Floats:
        """Joule per programmed cell: pulses and verify reads."""
        total: Floats = self.set_energy + self.reset_energy + self.verify_energy
        return total

    @property
    def pulses(self) -> NDArray[np.int32]:
        """SET and RESET pulses per programmed cell."""
        total: NDArray[np.int32] = self.set_pulses + self.reset_pulses
        return total

    @property
    def count(self) -> int:
        """Cells programmed."""
        return int(self.cells.size)

    @property
    def moved(self) -> NDArray[np.int64]:
        """Flat indices of all cells whose conductance may have changed, programmed or disturbed."""
        return np.union1d(self.cells, self.disturbed) if self.disturbed.size else self.cells

    def add_writes(self, counts: NDArray[np.int64]) -> None:
        """One more write of each programmed cell, in `counts` of all cells of the crossbar."""
        counts.reshape(-1)[self.cells] += 1


def together(parts: Floats) -> Floats:
    """The work of several parts of one operation (parts, rows, column arrays, row_work.FIELDS) as one."""
    work: Floats = parts[0]
    for more in parts[1:]:
        work[..., : row_work.SUMS] += more[..., : row_work.SUMS]
        np.maximum(work[..., row_work.SUMS :], more[..., row_work.SUMS :], out=work[..., row_work.SUMS :])
    return work
