"""What the compiled stochastic update is given and what it fills, each part by its name."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class DrivenRows(NamedTuple):
    """The trains of some rows and of all columns.

    rows: (driven,) the rows of the cells
    trains: (driven, samples) a bit per slot, bit 31 the sign
    starts, listed: the columns that have a pulse, from `list_columns`
    slots: (samples,) of each train
    first_sample: number of the first sample, for random numbers
    first_line: number of the first row among all rows
    """

    rows: NDArray[np.int64]
    trains: NDArray[np.uint32]
    starts: NDArray[np.int64]
    listed: NDArray[np.uint32]
    slots: NDArray[np.int64]
    first_sample: int
    first_line: int


class UpdateRequest(NamedTuple):
    """What an update does with pulses.

    scheme: which cells of a weight take one: ONE_CELL, BOTH_CELLS or CELL_OF_THE_SIGN
    key: of the cells' random numbers
    clock: now, seconds
    tile_columns: each so many columns have sums of their own
    """

    scheme: int
    key: tuple[np.uint32, np.uint32]
    clock: float
    tile_columns: int


class UpdateResults(NamedTuple):
    """What an update leaves behind besides the cells; cells are (planes, rows, columns).

    touched: receives which cells took a pulse
    sums: (driven, column tiles, RESET joule and before) added to, the first columns of `row_work.RowWork`
    listing: the write is not counted, and the three lists below receive what each cell took; else they may be empty
    pulses, energy: (2, planes, rows, columns) how many and joule, SET first
    conductance_travel: siemens moved either way
    """

    touched: NDArray[np.bool_]
    sums: NDArray[np.float64]
    listing: bool
    pulses: NDArray[np.int32]
    energy: NDArray[np.float32]
    conductance_travel: NDArray[np.float64]


class Row(NamedTuple):
    """The cells of one row, planes side by side (width = planes * columns).

    siemens: (width,) where they stand
    factors: (width,) their steps relative to the device's; 0: stuck
    moved: (width,) siemens moved either way
    pulses, joule: (2 width,) taken so far, SET first
    """

    siemens: NDArray[np.float64]
    factors: NDArray[np.float32]
    moved: NDArray[np.float64]
    pulses: NDArray[np.int32]
    joule: NDArray[np.float64]
