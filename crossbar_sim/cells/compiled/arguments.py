"""What compiled writes are given and what they fill, each part by its name."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.runtime.counter_random import Key

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


class CellState(NamedTuple):
    """All cells of a matrix, flat, or for a parallel update (planes, rows, columns).

    A write changes the first six arrays and finds the last two.

    conductance: siemens, as programmed
    present: siemens, now
    writes: of each cell
    pulses: of each cell
    conductance_travel: sum of |dG| over all pulses, siemens
    written_at: clock of the last write, seconds; empty: nothing depends on it
    stuck: the cell takes its pulses and does not move; empty: none does
    device_to_device: the cell's steps relative to the device's; empty: all alike
    """

    conductance: Floats
    present: Floats
    writes: NDArray[np.integer]
    pulses: NDArray[np.integer]
    conductance_travel: Floats
    written_at: Floats
    stuck: NDArray[np.bool_]
    device_to_device: Floats


class Request(NamedTuple):
    """What is asked of which cells.

    cells: flat indices, each at most once
    wanted: the target of each, siemens, or its blind pulses, SET where positive
    key: of the cells' random numbers
    clock: now, seconds
    columns: the cells lie in rows of so many
    array_columns: and the rows are cut into arrays of so many columns
    """

    cells: Indices
    wanted: NDArray[Any]
    key: Key
    clock: float
    columns: int
    array_columns: int


class Method(NamedTuple):
    """How cells are led to their targets.

    error: the published spread of the final state around its target, `laws.Polynomial`; without coefficients the target
    is reached exactly. It contains what the stopping rule leaves; open-loop pulses add it to where they end
    ispp: `amplitude.AmplitudeSteps` of incremental step pulse programming, or None: pulses of one voltage
    closed_loop: there is a verify read before each pulse
    erase_first: a RESET pulse leads the cell to g_min before its loop
    """

    error: Any
    ispp: Any
    closed_loop: bool
    erase_first: bool


class Results(NamedTuple):
    """What a write leaves behind besides the cells.

    before: siemens of each cell of the request before the write
    writes_before: its writes so far
    work: (rows, column arrays, `row_work.FIELDS`), added to
    lists: `written.CellLists` of each cell of the request, or of none
    """

    before: Floats
    writes_before: NDArray[np.uint32]
    work: Floats
    lists: Any
