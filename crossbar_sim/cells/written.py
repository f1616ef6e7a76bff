"""Written: what one write of cells did, however it was done; sums at once, lists of cells when first asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.cells.compiled import row_work
from crossbar_sim.spec.errors import MappingError

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Counts = NDArray[np.int32]
no_cells = np.empty(0, np.int64)


class CellLists(NamedTuple):
    """What was done to each written cell, one entry per cell.

    before, achieved: conductance before and after, siemens
    set_pulses, reset_pulses, verify_reads: how many of each
    set_energy, reset_energy, verify_energy: joule of each
    conductance_travel: sum of |dG| over the cell's pulses, siemens
    """

    before: Floats
    achieved: Floats
    set_pulses: Counts
    reset_pulses: Counts
    verify_reads: Counts
    set_energy: Floats
    reset_energy: Floats
    verify_energy: Floats
    conductance_travel: Floats

    @classmethod
    def empty(cls, before: Floats, count: int) -> CellLists:
        """Room for `count` cells that stood at `before` siemens."""
        return cls(
            before=before,
            achieved=np.empty(count),
            set_pulses=np.empty(count, np.int32),
            reset_pulses=np.empty(count, np.int32),
            verify_reads=np.empty(count, np.int32),
            set_energy=np.empty(count),
            reset_energy=np.empty(count),
            verify_energy=np.empty(count),
            conductance_travel=np.empty(count),
        )


class CellsOnDemand:
    """The lists of single cells of one write, made when they are first asked for.

    `replay` gives the same pulses again to a copy of the cells as they were: random numbers depend on counters alone.
    """

    def __init__(self, replay: Callable[[], CellLists]) -> None:
        self._replay = replay

    @classmethod
    def of(cls, lists: CellLists) -> CellsOnDemand:
        """Lists that are there already."""
        return cls(lambda: lists)

    @cached_property
    def lists(self) -> CellLists:
        """All lists of cells."""
        lists = self._replay()
        del self._replay  # and with it the cells as they were
        return lists


@dataclass(frozen=True, eq=False, repr=False)
class Written:
    """What one write did: programming, blind pulses or a parallel update, simulated or only expected.

    count: cells written
    listed: flat indices of the written cells; None: not listed
    touched: in their place, True at each of them in an array of all cells
    disturbed: flat indices of the cells that pulses of other cells moved
    row_work: (rows, column arrays, row_work.FIELDS) of each row of each array of the cells; None where all rows are
    driven at once, or nothing is known of rows
    array_rows: rows of one array
    array_sums: (row arrays, column arrays, row_work.SUMS) where there is no `row_work`
    on_demand: the lists of single cells; None: nothing is known of any

    Cell by cell (flat arrays over `cells`) there are `before`, `achieved`, `set_pulses` ... as in `CellLists`. All that
    asks for single cells raises MappingError where nothing is known of them.
    """

    count: int
    listed: Indices | None = None
    touched: NDArray[np.bool_] | None = None
    disturbed: Indices = field(default_factory=lambda: no_cells)
    row_work: Floats | None = None
    array_rows: int = 1
    array_sums: Floats | None = None
    on_demand: CellsOnDemand | None = None

    @property
    def work(self) -> Floats:
        """(rows, column arrays, row_work.FIELDS): what was done to each row of each array."""
        if self.row_work is None:
            raise MappingError("nothing is known of the single rows of this write; program row by row to know")
        return self.row_work

    @property
    def sums(self) -> Floats:
        """(row arrays, column arrays, row_work.SUMS): what was done to each array."""
        if self.array_sums is not None:
            return self.array_sums
        tops = np.arange(0, len(self.work), self.array_rows)
        result: Floats = np.add.reduceat(self.work[..., : row_work.SUMS], tops, axis=0)
        return result

    @property
    def squared_volts(self) -> float:
        """Sum of V^2 over all pulses."""
        return float(self.sums[..., row_work.COLUMN.squared_volts].sum())

    @cached_property
    def cells(self) -> Indices:
        """Flat indices of the written cells."""
        if self.listed is not None:
            return self.listed
        if self.touched is None:
            raise MappingError("this write was only expected and names no cells; simulate the chip to know them")
        return np.flatnonzero(self.touched)

    @property
    def lists(self) -> CellLists:
        """All lists of cells."""
        if self.on_demand is None:
            raise MappingError("this write was only expected and lists no cells; simulate the chip to know them")
        return self.on_demand.lists

    @property
    def before(self) -> Floats:
        """Siemens before the write."""
        return self.lists.before

    @property
    def achieved(self) -> Floats:
        """Siemens after it."""
        return self.lists.achieved

    @property
    def set_pulses(self) -> Counts:
        """SET pulses of each cell."""
        return self.lists.set_pulses

    @property
    def reset_pulses(self) -> Counts:
        """RESET pulses of each cell."""
        return self.lists.reset_pulses

    @property
    def verify_reads(self) -> Counts:
        """Verify reads of each cell."""
        return self.lists.verify_reads

    @property
    def set_energy(self) -> Floats:
        """Joule of each cell's SET pulses."""
        return self.lists.set_energy

    @property
    def reset_energy(self) -> Floats:
        """Joule of each cell's RESET pulses."""
        return self.lists.reset_energy

    @property
    def verify_energy(self) -> Floats:
        """Joule of each cell's verify reads."""
        return self.lists.verify_energy

    @property
    def conductance_travel(self) -> Floats:
        """Sum of |dG| over each cell's pulses, siemens."""
        return self.lists.conductance_travel

    @property
    def energy(self) -> Floats:
        """Joule of each cell: pulses and verify reads."""
        return self.set_energy + self.reset_energy + self.verify_energy

    @property
    def pulses(self) -> Counts:
        """SET and RESET pulses of each cell."""
        return self.set_pulses + self.reset_pulses

    @property
    def moved(self) -> Indices:
        """Flat indices of all cells whose conductance may have changed, written or disturbed."""
        return np.union1d(self.cells, self.disturbed) if self.disturbed.size else self.cells


def summed(parts: Floats) -> Floats:
    """The work of several parts of one write (parts, rows, column arrays, row_work.FIELDS) as that of one."""
    work: Floats = parts[0]
    for more in parts[1:]:
        work[..., : row_work.SUMS] += more[..., : row_work.SUMS]
        np.maximum(work[..., row_work.SUMS :], more[..., row_work.SUMS :], out=work[..., row_work.SUMS :])
    return work
