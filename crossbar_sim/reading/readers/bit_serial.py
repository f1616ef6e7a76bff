"""Bit-serial reads of cells on levels: every bit, slice and tile converted, put together as whole numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from crossbar_sim.reading.compiled import bits as bit_kernels
from crossbar_sim.reading.compiled.llvm.bit_blocks import (
    COLUMNS,
    LARGEST_LEVEL,
    LARGEST_SUM,
    LINES,
    LOOKED_UP_BITS,
    LOOKUP,
    PACKED_BITS,
    VECTORS,
)
from crossbar_sim.reading.compiled.settings import (
    Converters as BitConverters,
)
from crossbar_sim.reading.compiled.settings import (
    Drive,
    Grid,
    Scaling,
    Sense,
    SerialResults,
    SlicedCells,
)
from crossbar_sim.reading.compiled.tiles import LEAST_WORK
from crossbar_sim.reading.programmed import Programmed
from crossbar_sim.reading.readers.base import Converters, Reader, Reading, Singles
from crossbar_sim.runtime.compiling import FixedArguments, SameTypes
from crossbar_sim.runtime.threads import in_parts

GROUP_BYTES = 640 * 1024
"""Of the drives of the vectors that pass at once: they stay in the second-level cache."""
LOOKED_UP, PACKED, CODES, ADCS = (
    SameTypes(kernel)
    for kernel in (bit_kernels.read_bits, bit_kernels.read_bits, bit_kernels.serial_codes, bit_kernels.converters)
)


@dataclass(frozen=True)
class SlicedLevels:
    """The cells of one read direction as bit-serial reads take them.

    levels: in units of `programmed.level`, as `bits.arrange` orders them, the largest `largest`; places (slices,
    columns): where each column is among the sensed; slice_weights (slices,): what each slice counts for.
    """

    programmed: Programmed
    levels: NDArray[np.int8]
    largest: int
    places: NDArray[np.int64]
    slice_weights: Singles

    @classmethod
    def of(
        cls, programmed: Programmed, places: NDArray[np.int64], slice_weights: NDArray[np.float64]
    ) -> SlicedLevels | None:
        """None where a cell is off its level or sums could be too large."""
        if programmed.levels is None:
            return None
        largest = int(np.abs(programmed.levels).max(initial=0))
        if largest > LARGEST_LEVEL or programmed.tile_inputs * largest > LARGEST_SUM:
            return None
        slices, columns = places.shape
        groups = -(-programmed.tile_inputs // LINES) + 1  # one more, since the last table is read beyond its end
        shape = (slices, programmed.grid[0], -(-columns // COLUMNS), groups, COLUMNS, LINES)
        levels = np.zeros(shape, np.int8)
        bit_kernels.arrange(programmed.levels, places, programmed.tile_inputs, levels)
        return cls(programmed, levels, largest, places, slice_weights.astype(np.float32))

    def suit(self, converters: Converters) -> bool:
        """Whether every conversion only rounds and clips, and all bits of one add up exactly in float32."""
        return converters.circuit is None and 0 < converters.adc_steps * converters.dac_steps < 1 << 24


class BitSerialReader(Reader):
    """y = m / steps output_scale * sum over row tiles, slices s and bits b of slice_weights[s] 2^b ADC(bit b of codes
    @ G_s).

    The codes are round(x input_scale / m * steps), with m as in `Reader`; each bit drives its line fully, in the
    direction of the code's sign. Bit-identical for any number of threads and whether or not sums are looked up
    (`lookup`, which needs the processor's permutation of bytes). A NaN or infinity in x that no register clips makes
    its whole output row and the conduction NaN.
    """

    def __init__(self, levels: SlicedLevels, converters: Converters, lookup: bool = LOOKUP) -> None:
        programmed = levels.programmed
        self._programmed = programmed
        self._lookup = lookup
        self._tiles = programmed.grid
        self._columns, self._bits = levels.places.shape[1], converters.dac_steps.bit_length()
        self._drive = Drive(programmed.input_scale, converters.dac_steps, 0.0, True, programmed.line_conductance)
        self._cells = SlicedCells(
            levels.levels, levels.places, levels.slice_weights, levels.largest, float(programmed.level)
        )
        self._adc_steps, self._largest_sum = converters.adc_steps, programmed.tile_inputs * levels.largest
        self._grid = Grid(len(programmed.current), programmed.tile_inputs, programmed.tile_outputs)
        kernel = LOOKED_UP if lookup else PACKED
        self._kernel = FixedArguments(kernel, made=(BitConverters, SerialResults))
        self._codes = FixedArguments(CODES)
        self._adcs = FixedArguments(ADCS, made=(BitConverters,))

    def read(self, x: torch.Tensor, full_drive: float, ranges: Singles, first_read: int) -> Reading:
        vectors = x.detach().contiguous().numpy()
        programmed = self._programmed
        drive = self._drive
        (count, inputs) = vectors.shape
        columns = self._columns
        grid = self._tiles
        if full_drive:
            drive = drive._replace(full_drive=full_drive)
        converters = self._converters(ranges)
        work = count * inputs * programmed.current.shape[1] * self._bits
        least = max(1, columns * LEAST_WORK // max(work, 1) // COLUMNS)
        output, largest = np.empty((count, columns), np.float32), np.empty(count, np.float32)
        bits_set = np.zeros(inputs, np.int64)
        peaks, clipped = np.zeros(grid, np.float32), np.zeros(grid, np.int64)
        step = self._vectors_per_pass(count)
        kernel = self._kernel.call
        for start in range(0, count, step):
            some = slice(start, min(start + step, count))
            drives = self._drives(vectors[some], drive, largest[some], bits_set)
            scaling = Scaling(programmed.output_scale, largest[some], drive.dac_steps)
            found: list[SerialResults] = []

            def read_columns(begin: int, end: int, *settings: object) -> None:
                part = SerialResults(output[some], np.zeros(grid, np.float32), np.zeros(grid, np.int64))  # noqa: B023
                kernel(begin, end, *settings, part)
                found.append(part)  # noqa: B023

            in_parts(read_columns, -(-columns // COLUMNS), least, drives, self._cells, self._grid, converters, scaling)
            for part in found:
                peaks, clipped = np.maximum(peaks, part.peaks), clipped + part.clipped
        conduction = float(bits_set @ programmed.line_conductance.astype(float))
        return Reading(torch.from_numpy(output), np.nan if np.isnan(largest).any() else conduction, peaks, clipped)

    def _converters(self, ranges: Singles) -> BitConverters:
        """What the ADCs make of every sum, by their ranges."""
        grid = self._tiles
        found = BitConverters(
            self._adc_steps,
            np.empty(grid, np.float32),
            np.empty(grid, np.int16),
            np.empty(grid, np.int16),
            np.empty(grid, np.float32),
        )
        programmed = self._programmed
        sense = Sense(self._adc_steps, ranges, programmed.tile_scale, programmed.output_scale)
        self._adcs.call(sense, self._cells.unit, self._largest_sum, found)
        return found

    def _drives(
        self, vectors: Singles, drive: Drive, largest: Singles, bits_set: NDArray[np.int64]
    ) -> NDArray[np.uint16] | NDArray[np.float32]:
        """What the lines are driven with, in the form that the kernel takes; also the vectors' largest inputs, and the
        set bits of all codes."""
        count, inputs = vectors.shape
        codes = np.empty((-(-count // VECTORS), inputs, VECTORS), np.int16)
        signed = self._codes.call(vectors, drive, codes, largest, bits_set)
        tile_inputs = self._grid.tile_inputs
        if self._lookup:
            groups = -(-tile_inputs // LINES) * (2 if signed else 1)
            shape = (self._tiles[0], len(codes), -(-self._bits // LOOKED_UP_BITS), groups, 2, VECTORS)
            places = bit_kernels.aligned(2 * math.prod(shape)).view(np.uint16).reshape(shape)
            bit_kernels.drive_tables(codes, tile_inputs, places)
            return places
        packed_shape = (self._tiles[0], len(codes), -(-self._bits // PACKED_BITS), tile_inputs, VECTORS)
        packed = bit_kernels.aligned(4 * math.prod(packed_shape)).view(np.float32).reshape(packed_shape)
        bit_kernels.drive_packed(codes, tile_inputs, packed)
        return packed

    def _vectors_per_pass(self, count: int) -> int:
        """As equal as possible, few enough for the cache, a multiple of every block."""
        vector = self._grid.inputs * self._bits * 2 / (LINES if self._lookup else 1)  # bytes of its drives
        passes = max(1, -(-count // max(VECTORS, int(GROUP_BYTES / vector))))
        return max(1, -(-count // (passes * VECTORS))) * VECTORS
