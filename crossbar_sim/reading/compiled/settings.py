"""What the compiled code of reads is told, as named tuples: they cost compiled code nothing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.devices.laws import SpreadLaw
from crossbar_sim.runtime.counter_random import Key

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]


class Drive(NamedTuple):
    """How word lines are driven."""

    input_scale: Singles
    """(inputs,): digital factor of each input before its DAC."""
    dac_steps: int
    """Largest code of the DACs; 0: they are exact."""
    full_drive: float
    """The |input x input_scale| that drives a line fully; larger ones are clipped. 0: the largest of each vector."""
    serial: bool
    """Whether lines conduct as if driven fully once per bit of their code that is set."""
    line_conductance: Singles
    """(inputs,): siemens of all cells along each line."""


class Codes(NamedTuple):
    """In which form the tiles take the codes of the lines."""

    kind: Singles | NDArray[np.int16] | NDArray[np.uint8]
    """An empty array of the type that codes are stored in."""
    whole: bool
    """Whether they are whole numbers; if not, full drive is 1."""
    squared: bool
    """Whether their squares are needed too, for read noise."""
    summed: bool
    """Whether the sum of the squares over each tile is enough, since all cells have the same noise."""


class Sense(NamedTuple):
    """How column currents are converted and scaled."""

    adc_steps: int
    """Largest code of the ADCs; 0: they are exact."""
    ranges: Singles
    """(row tiles, column tiles): ampere at the largest code."""
    tile_scale: Singles
    """(row tiles, column tiles): digital factor of each tile's conversions before they are added up."""
    output_scale: Singles
    """(outputs,): digital factor of each sum of conversions."""


class Grid(NamedTuple):
    """How a matrix is cut into tiles."""

    inputs: int
    """Of the matrix."""
    tile_inputs: int
    """Inputs that share a tile."""
    tile_outputs: int
    """Outputs that share a tile."""


class Results(NamedTuple):
    """What a read fills in."""

    output: Singles
    """(vectors, outputs): the products."""
    conduction: NDArray[np.float64]
    """(blocks of vectors,): siemens, sum of squared drives times line conductance."""
    peaks: Singles
    """(row tiles, column tiles): largest |current| so far, ampere."""
    clipped: NDArray[np.int64]
    """(row tiles, column tiles): conversions clipped so far."""


class Currents(NamedTuple):
    """Cells as numbers of which each row is multiplied by its line's code."""

    matrix: Singles | NDArray[np.int16]
    """(inputs, outputs padded to whole panels): ampere at full drive, or whole levels (int16)."""
    unit: float
    """Ampere of one level at a code of 1; 1 for currents."""
    variance: Singles
    """(inputs, outputs padded): read-noise variance, ampere^2 at full drive; any one number without noise."""
    even: bool
    """Whether there is noise whose variance is the same everywhere."""
    key: Key
    """Of the random numbers of the read noise."""


class PackedLevels(NamedTuple):
    """Cells as whole levels in the order in which the processor multiplies bytes or 16-bit numbers."""

    levels: NDArray[np.int8] | NDArray[np.int16]
    """(row tiles, panels, steps, columns of a panel, rows of a step): as `levels.pack` orders them."""
    start: NDArray[np.int32]
    """(row tiles, outputs padded): where each column's sum begins."""
    unit: float
    """Ampere of one level at a code of 1."""


class SlicedCells(NamedTuple):
    """Cells of bit-serial reads as whole levels."""

    levels: NDArray[np.int8]
    """(slices, row tiles, groups of columns, groups of word lines, columns, word lines): as `bits.arrange` orders them,
    with a group of word lines more than the tile has."""
    places: NDArray[np.int64]
    """(slices, columns): where each column is among the sensed."""
    slice_weights: Singles
    """(slices,): what full scale of each slice counts for."""
    largest_level: int
    """Of any cell."""
    unit: float
    """Ampere of one level on a driven line."""


class Converters(NamedTuple):
    """The ADCs of bit-serial reads; arrays over the grid of tiles."""

    adc_steps: int
    """Largest code."""
    to_code: Singles
    """Codes per unit of sum."""
    same: NDArray[np.int16]
    """Up to which sum the code is the sum itself."""
    unclipped: NDArray[np.int16]
    """Up to which sum no code is clipped."""
    to_current: Singles
    """What one code adds, ampere times the tile's scale."""


class Scaling(NamedTuple):
    """From sums of codes to outputs."""

    output_scale: Singles
    """(sensed,): digital factor of each column."""
    largest: Singles
    """(vectors,): the input that drives a line fully."""
    dac_steps: int
    """Largest code of the DACs."""


class SerialResults(NamedTuple):
    """What a bit-serial read fills in."""

    output: Singles
    """(vectors, columns): the products."""
    peaks: Singles
    """(row tiles, column tiles): largest |current| so far, ampere."""
    clipped: NDArray[np.int64]
    """(row tiles, column tiles): conversions clipped so far."""


class Conductances(NamedTuple):
    """The cells of a matrix (planes, rows, columns) as reads are prepared from them."""

    own: Floats
    """Siemens of each cell."""
    seen: Floats
    """The same as forward reads see it through the wires; without wires the same array."""
    seen_back: Floats
    """The same as transposed reads see it."""
    one_matrix: bool
    """Whether both directions see the same."""
    wired: bool
    """Whether anything has resistance."""
    read_voltage: float
    """Volt at full drive."""


class NoiseLaw(NamedTuple):
    """Read noise of a cell: a polynomial of its conductance, or stated cell by cell."""

    spread: SpreadLaw
    """The polynomial; without coefficients `sigmas` hold."""
    sigmas: Floats
    """(planes, rows, columns): standard deviations, siemens; empty as well: there is no read noise."""


class Places(NamedTuple):
    """Where cells are, and where what is read of them goes."""

    sides: int
    """Planes of a slice: a pair, plus and minus, or one."""
    row_of: NDArray[np.int64]
    """(inputs,): the row of each input."""
    forward: NDArray[np.int64]
    """(slices, columns): among the sums that a forward read senses."""
    back: NDArray[np.int64]
    """(slices, inputs): among the sums that a transposed read senses."""


class PreparedDirection(NamedTuple):
    """What is made of the cells for one direction."""

    current: Singles
    """(lines, sensed): ampere at full drive."""
    variance: Singles
    """(lines, sensed): of the read noise, ampere^2 at full drive."""
    line_conductance: Singles
    """(lines,): siemens along each line; `prepare_reads` fills those of forward reads."""
