"""Bit-serial reads of cells on levels: every bit, slice and tile converted, put together as whole numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from crossbar_sim.reading.compiled import bits as bit_kernels
from crossbar_sim.reading.compiled.llvm import bit_blocks
from crossbar_sim.reading.compiled.llvm.bit_blocks import COLUMNS, LINES, LOOKED_UP_BITS, LOOKUP, PACKED_BITS, VECTORS
from crossbar_sim.reading.compiled.tiles import LEAST_WORK
from crossbar_sim.reading.mvm import Conversion, Programmed, Reading, Singles
from crossbar_sim.runtime.threads import in_parts

GROUP_BYTES = 640 * 1024  # of the drives of the vectors that pass at once: they stay in the second-level cache


@dataclass(frozen=True)
class SlicedLevels:
    """The cells of one read direction as bit-serial reads take them.

    levels: in units of `programmed.level`, as `bit_kernels.arrange` orders them, the largest `largest`; places (slices,
    columns): where each column is among the sensed; worth (slices,): what each slice counts for.
    """

    programmed: Programmed
    levels: NDArray[np.int8]
    largest: int
    places: NDArray[np.int64]
    worth: NDArray[np.float32]

    @classmethod
    def of(cls, programmed: Programmed, places: NDArray[np.int64], worth: NDArray[np.float64]) -> SlicedLevels | None:
        """None where a cell is off its level or sums could be too large."""
        if programmed.levels is None:
            return None
        largest = int(np.abs(programmed.levels).max(initial=0))
        if largest > bit_blocks.LARGEST_LEVEL or programmed.tile_inputs * largest > bit_blocks.LARGEST_SUM:
            return None
        slices, columns = places.shape
        groups = -(-programmed.tile_inputs // LINES) + 1  # one more, since the last table is read beyond its end
        shape = (slices, programmed.grid[0], -(-columns // COLUMNS), groups, COLUMNS, LINES)
        levels = np.zeros(shape, np.int8)
        bit_kernels.arrange(programmed.levels, places, programmed.tile_inputs, levels)
        return cls(programmed, levels, largest, places, worth.astype(np.float32))

    def suit(self, conversion: Conversion) -> bool:
        """Whether every conversion only rounds and clips, and all bits of one add up exactly in float32."""
        return conversion.transfer is None and 0 < conversion.adc_steps * conversion.dac_steps < 1 << 24


def read_bits(x: torch.Tensor, cells: SlicedLevels, conversion: Conversion, lookup: bool = LOOKUP) -> Reading:
    """y = m / steps output_scale * sum over row tiles, slices s and bits b of worth[s] 2^b ADC(bit b of codes @ G_s).

    The codes are round(x input_scale / m * steps) of x (vectors, inputs) float32, with m as in `mvm.read`; each bit
    drives its line fully, in the direction of the code's sign. Bit-identical for any number of threads and whether or
    not sums are looked up (`lookup`, which needs the processor's permutation of bytes). A NaN or infinity in x that no
    register clips makes its whole output row and the conduction NaN.
    """
    programmed, steps = cells.programmed, conversion.dac_steps
    vectors = x.detach().contiguous().numpy()
    (count, inputs), columns, grid = vectors.shape, cells.places.shape[1], programmed.grid
    to_code, same, unclipped = np.empty(grid, np.float32), np.empty(grid, np.int16), np.empty(grid, np.int16)
    unit = np.float32(programmed.level)
    bit_kernels.converters(
        conversion.ranges, unit, conversion.adc_steps, programmed.tile_inputs * cells.largest, to_code, same, unclipped
    )
    to_current = conversion.ranges / np.float32(conversion.adc_steps) * programmed.tile_scale
    work_done = count * inputs * programmed.current.shape[1] * steps.bit_length()
    least = max(1, columns * LEAST_WORK // max(work_done, 1) // COLUMNS)
    output, largest = np.empty((count, columns), np.float32), np.empty(count, np.float32)
    noted: list[tuple[Singles, NDArray[np.int64]]] = []
    bits_set = np.zeros(inputs, np.int64)
    step = _vectors_per_pass(inputs, steps.bit_length(), count, lookup)
    for start in range(0, count, step):
        part = slice(start, min(start + step, count))
        codes = np.empty((-(-(part.stop - start) // VECTORS), inputs, VECTORS), np.int16)
        negative = bit_kernels.serial_codes(
            vectors[part],
            programmed.input_scale,
            steps,
            np.float32(conversion.full_drive),
            codes,
            largest[part],
            bits_set,
        )
        drives: NDArray[Any]
        if lookup:
            drives, kernel = _table_drives(codes, programmed, steps, negative), bit_kernels.read_bits_looked_up
        else:
            drives, kernel = _packed_drives(codes, programmed, steps), bit_kernels.read_bits_packed
        settings: tuple[Any, ...] = (
            drives,
            cells.levels,
            cells.places,
            cells.worth,
            cells.largest,
            unit,
            inputs,
            programmed.tile_inputs,
            programmed.tile_outputs,
            conversion.adc_steps,
            to_code,
            same,
            unclipped,
            to_current,
            programmed.output_scale,
            largest[part],
            steps,
            output[part],
        )
        in_parts(_read_columns, -(-columns // COLUMNS), least, kernel, settings, grid, noted)
    conduction = float(bits_set @ programmed.line_conductance.astype(float))
    if np.isnan(largest).any():
        conduction = np.nan
    peaks, clipped = np.zeros(grid, np.float32), np.zeros(grid, np.int64)
    for largest_current, over in noted:
        peaks, clipped = np.maximum(peaks, largest_current), clipped + over
    return Reading(torch.from_numpy(output), conduction, peaks, clipped)


def _read_columns(
    begin: int,
    end: int,
    kernel: Callable[..., None],
    settings: tuple[Any, ...],
    grid: tuple[int, int],
    noted: list[tuple[Singles, NDArray[np.int64]]],
) -> None:
    """Groups of columns of one pass; notes their peaks and clipped conversions (grid)."""
    peaks, clipped = np.zeros(grid, np.float32), np.zeros(grid, np.int64)
    kernel(begin, end, *settings, peaks, clipped)
    noted.append((peaks, clipped))


def _vectors_per_pass(inputs: int, bits: int, count: int, lookup: bool) -> int:
    """As equal as possible, few enough for the cache, a multiple of every block."""
    vector = inputs * bits * 2 / (LINES if lookup else 1)  # bytes of its drives
    passes = max(1, -(-count // max(VECTORS, int(GROUP_BYTES / vector))))
    return max(1, -(-count // (passes * VECTORS))) * VECTORS


def _table_drives(codes: NDArray[np.int16], programmed: Programmed, steps: int, signed: bool) -> NDArray[np.uint16]:
    groups = -(-programmed.tile_inputs // LINES) * (2 if signed else 1)
    quads = -(-steps.bit_length() // LOOKED_UP_BITS)
    shape = (programmed.grid[0], len(codes), quads, groups, 2, VECTORS)
    drives = bit_kernels.aligned(2 * math.prod(shape)).view(np.uint16).reshape(shape)
    bit_kernels.drive_tables(codes, programmed.tile_inputs, drives)
    return drives


def _packed_drives(codes: NDArray[np.int16], programmed: Programmed, steps: int) -> NDArray[np.float32]:
    pairs = -(-steps.bit_length() // PACKED_BITS)
    shape = (programmed.grid[0], len(codes), pairs, programmed.tile_inputs, VECTORS)
    drives = bit_kernels.aligned(4 * math.prod(shape)).view(np.float32).reshape(shape)
    bit_kernels.drive_packed(codes, programmed.tile_inputs, drives)
    return drives
