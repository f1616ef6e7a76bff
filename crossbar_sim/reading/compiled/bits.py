"""The numba kernels of bit-serial reads: codes of the vectors, their bits on the word lines, sums and conversions."""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import overload

from crossbar_sim.reading.compiled.converters import bits_set, dac_code, largest_of
from crossbar_sim.reading.compiled.llvm.adc import adc_code
from crossbar_sim.reading.compiled.llvm.bit_blocks import (
    CLIPPED_AT,
    COLUMN_BYTES,
    COLUMNS,
    FACTOR_AT,
    LINES,
    LOOKED_UP_BITS,
    PACKED_BITS,
    PACKING,
    PEAK_AT,
    SAME_AT,
    TABLE_BYTES,
    UNCLIPPED_AT,
    VECTORS,
    BitColumns,
    BitTotal,
    PackedBits,
    Tables,
    add_up,
    read_looked_up,
    read_packed,
    tabulate,
)
from crossbar_sim.reading.compiled.llvm.vector_code import address_of
from crossbar_sim.runtime.compiling import entry, part


@entry
def aligned(size):
    """Bytes whose rows of 64 are lines of the cache."""
    memory = np.empty(size + 64, np.uint8)
    first = -memory.ctypes.data % 64
    return memory[first : first + size]


@entry
def arrange(levels, places, tile_inputs, arranged):
    """arranged (slices, row tiles, columns / COLUMNS, groups, COLUMNS, LINES) = levels (inputs, sensed)."""
    for s in range(places.shape[0]):
        for k in range(levels.shape[0]):
            t, line = k // tile_inputs, k % tile_inputs
            group = arranged[s, t, :, line // LINES, :, line % LINES]
            for j in range(places.shape[1]):
                group[j // COLUMNS, j % COLUMNS] = levels[k, places[s, j]]


@entry(nogil=True)
def serial_codes(x, drive, codes, largest, bits_set_of):
    """codes = round(x s / m * steps), the fraction clipped to 1, with m = max|x s| or full_drive > 0.

    x (count, inputs); drive: Drive; codes (blocks, inputs, 32 vectors) int16, zero beyond count; largest (count,): m,
    NaN if a code would be; bits_set_of (inputs,): the set bits of all codes are added. Returns whether any code is
    negative.
    """
    count, inputs = x.shape
    row = np.empty(inputs, np.int16)
    wide = np.float32(drive.dac_steps)
    one = np.float32(1)
    full_drive = np.float32(drive.full_drive)
    lowest = np.int16(0)
    codes[-1] = 0
    for b in range(count):
        m = largest_of(x, b, drive.input_scale)
        unknown = m != m or (m == np.inf and not full_drive > 0)
        if full_drive > 0:
            m = full_drive
        largest[b] = np.float32(np.nan) if unknown else m
        if unknown or m == 0:
            row[:] = 0
        else:
            for k in range(inputs):
                fraction = min(max(x[b, k] * drive.input_scale[k] / m, -one), one)
                row[k] = np.int16(dac_code(fraction, wide))
        for k in range(inputs):
            lowest = min(lowest, row[k])
            bits_set_of[k] += bits_set(np.uint32(abs(np.int32(row[k]))))
        for k in range(inputs):
            codes[b // VECTORS, k, b % VECTORS] = row[k]
    return lowest < 0


@entry(nogil=True)
def drive_tables(codes, tile_inputs, drives):
    """What each bit of six word lines looks up.

    codes: as in `serial_codes`; drives (row tiles, blocks, bits / 4, groups of LINES, 2 pairs of bits, 32 vectors)
    uint16, a byte per bit: the bits of positive codes and, if there are groups enough, those of negative codes in the
    second half of the groups.
    """
    blocks, inputs = codes.shape[:2]
    groups = -(-tile_inputs // LINES)
    for t in range(drives.shape[0]):
        top = t * tile_inputs
        depth = min(tile_inputs, inputs - top)
        for block in range(blocks):
            for q in range(drives.shape[2]):
                for g in range(drives.shape[3]):
                    sign = np.int32(1) if g < groups else np.int32(-1)
                    first = g % groups * LINES
                    for pair in range(2):
                        indices = drives[t, block, q, g, pair]
                        indices[:] = 0
                        for i in range(max(0, min(LINES, depth - first))):
                            row = codes[block, top + first + i]
                            for v in range(VECTORS):
                                size = max(sign * np.int32(row[v]), np.int32(0))
                                two = (size >> np.int32(LOOKED_UP_BITS * q + 2 * pair)) & np.int32(3)
                                apart = (two | (two << np.int32(7))) & np.int32(0x0101)
                                indices[v] |= np.uint16(apart << np.int32(i))


@entry(nogil=True)
def drive_packed(codes, tile_inputs, drives):
    """drives (row tiles, blocks, pairs of bits, tile inputs, 32 vectors) float32: the sign of the code times its lower
    bit + PACKING * its upper bit; codes: as in `serial_codes`."""
    blocks, inputs = codes.shape[:2]
    for k in range(inputs):
        for block in range(blocks):
            row = codes[block, k]
            for pair in range(drives.shape[2]):
                packed = drives[k // tile_inputs, block, pair, k % tile_inputs]
                for v in range(VECTORS):
                    size = abs(np.int32(row[v]))
                    two = (size >> np.int32(PACKED_BITS * pair)) & np.int32(3)
                    number = (two & np.int32(1)) + np.int32(PACKING) * (two >> np.int32(1))
                    packed[v] = np.float32(number if row[v] > 0 else -number)


@entry
def converters(sense, unit, largest, found):
    """Of every tile (grid): codes per unit of sum, up to which sum (at most `largest`) the code is the sum itself (-1:
    not even zero's neighbours), up to which none is clipped, and what one code adds. sense: Sense; found: Converters.
    """
    limit = np.float32(sense.adc_steps)
    for t in range(sense.ranges.shape[0]):
        for u in range(sense.ranges.shape[1]):
            factor = limit / sense.ranges[t, u] * np.float32(unit)
            found.to_code[t, u] = factor
            size = 0
            while size < largest and adc_code(np.float32(size + 1), factor) == size + 1 and size + 1 <= limit:
                size += 1
            found.same[t, u] = size
            size = largest
            while size > 0 and adc_code(np.float32(size), factor) > limit:
                size -= 1
            found.unclipped[t, u] = size
            found.to_current[t, u] = sense.ranges[t, u] / limit * sense.tile_scale[t, u]


@part
def _set_columns(columns, converters, t, tiles):
    """What `bit_blocks` needs of four columns' converters; `tiles`: their column tiles."""
    columns[:] = 0
    factors = columns.view(np.float32)
    for c in range(tiles.size):
        u = tiles[c]
        factors[c, FACTOR_AT // 4] = converters.to_code[t, u]
        columns[c, SAME_AT // 2] = converters.same[t, u]
        columns[c, UNCLIPPED_AT // 2] = converters.unclipped[t, u]


@part
def _note_peaks(columns, unit, t, tiles, results):
    """Largest |current| and clipped conversions of four columns, to their tiles."""
    for c in range(tiles.size):
        u = tiles[c]
        largest, count = np.int32(0), np.int32(0)
        for v in range(VECTORS):
            largest = max(largest, np.int32(columns[c, PEAK_AT // 2 + v]))
            count = np.int32(count + np.int32(columns[c, CLIPPED_AT // 2 + v]))
        results.peaks[t, u] = max(results.peaks[t, u], np.float32(largest) * unit)
        results.clipped[t, u] += count


@part
def _mirror(tables, offset):
    """The second half: the first half's sums with the other sign."""
    half = tables.size // 2
    for i in range(half):
        tables[half + i] = np.uint8(2 * offset) - tables[i]


@part
def _finish(total, scaling, sensed, first, output):
    """The outputs of a group of columns, from their totals."""
    steps = np.float32(scaling.dac_steps)
    for c in range(sensed.size):
        for b in range(len(output)):
            output[b, first + c] = total[c, b] * scaling.output_scale[sensed[c]] * (scaling.largest[b] / steps)


def room_of(drives, cells, tile_inputs):
    """Memory for what `sum_bits` makes of the levels of a group of columns; compiled code only."""
    raise NotImplementedError


def sum_bits(drives, levels, depth, largest_level, room, columns, codes):
    """codes[c] += sum over the bits b of all vectors of 2^b ADC(b-th bits @ levels of column c), of one tile and slice.

    drives: of the tile, as in `drive_tables` or `drive_packed`; levels (groups, COLUMNS, LINES); depth: word lines in
    use; columns: BitColumns; codes (COLUMNS, vectors). Compiled code only: the type of the drives says how.
    """
    raise NotImplementedError


def _room_for_tables(drives, cells, tile_inputs):
    return aligned(2 * -(-tile_inputs // LINES) * TABLE_BYTES)


def _room_for_levels(drives, cells, tile_inputs):
    return np.empty((COLUMNS, tile_inputs), np.float32)


def _sum_looked_up(drives, levels, depth, largest_level, room, columns, codes):
    """By tables of the sums over six word lines."""
    half = len(levels) - 1
    signs = drives.shape[2] // half
    offset = LINES * largest_level
    at_once = 255 // (2 * offset) if largest_level > 0 else 2 * half
    groups = -(-depth // LINES)
    tabulate(address_of(levels), half, offset, address_of(room))
    if signs > 1:
        _mirror(room, offset)
    count = groups if signs == 1 else half + groups
    for block in range(drives.shape[0]):
        for q in range(drives.shape[1]):
            place = address_of(drives) + block * drives.strides[0] + q * drives.strides[1]
            read_looked_up(
                Tables(place, address_of(room), count, at_once, count * offset),
                columns,
                BitTotal(
                    address_of(codes) + 4 * VECTORS * block, codes.strides[0], np.float32(1 << (LOOKED_UP_BITS * q))
                ),
            )


def _sum_packed(drives, levels, depth, largest_level, room, columns, codes):
    """By float32 products of two bits at once."""
    for c in range(COLUMNS):
        for k in range(depth):
            room[c, k] = levels[k // LINES, c, k % LINES]
    for block in range(drives.shape[0]):
        for pair in range(drives.shape[1]):
            place = address_of(drives) + block * drives.strides[0] + pair * drives.strides[1]
            read_packed(
                PackedBits(address_of(room), room.strides[0], place, depth),
                columns,
                BitTotal(
                    address_of(codes) + 4 * VECTORS * block, codes.strides[0], np.float32(1 << (PACKED_BITS * pair))
                ),
            )


@overload(room_of)
def _room_by_drives(drives, cells, tile_inputs):
    return _room_for_tables if drives.dtype is types.uint16 else _room_for_levels


@overload(sum_bits)
def _sum_by_drives(drives, levels, depth, largest_level, room, columns, codes):
    return _sum_looked_up if drives.dtype is types.uint16 else _sum_packed


@entry(nogil=True)
def read_bits(begin, end, drives, cells, grid, converters, scaling, results):
    """output = m / dac_steps output_scale * sum over row tiles t, slices s and bits b of
    slice_weights[s] 2^b to_current[t] ADC(b-th bits of the codes @ levels[s, t] * unit), of the groups of COLUMNS
    columns `begin` to `end`.

    drives: as in `drive_tables` (sums are looked up) or in `drive_packed` (on any processor, bit for bit the same);
    cells: SlicedCells; grid: Grid; converters: Converters; scaling: Scaling; results: SerialResults.
    """
    blocks = drives.shape[1]
    width = results.output.shape[1]
    tile_of = cells.places // grid.tile_outputs
    room = room_of(drives, cells, grid.tile_inputs)
    columns = np.empty((COLUMNS, COLUMN_BYTES // 2), np.int16)
    total, codes = np.zeros((2, COLUMNS, blocks * VECTORS), np.float32)
    unit, adcs = np.float32(cells.unit), BitColumns(address_of(columns), np.float32(converters.adc_steps))
    for first in range(begin * COLUMNS, min(end * COLUMNS, width), COLUMNS):
        total[:] = np.float32(0)
        for t in range(drives.shape[0]):
            depth = min(grid.tile_inputs, grid.inputs - t * grid.tile_inputs)
            for s in range(cells.places.shape[0]):
                tiles = tile_of[s, first : first + COLUMNS]
                _set_columns(columns, converters, t, tiles)
                sum_bits(drives[t], cells.levels[s, t, first // COLUMNS], depth, cells.largest_level, room, adcs, codes)
                for c in range(tiles.size):
                    factor = converters.to_current[t, tiles[c]] * cells.slice_weights[s]
                    row = 4 * VECTORS * blocks * c
                    add_up(address_of(codes) + row, factor, blocks, address_of(total) + row)
                _note_peaks(columns, unit, t, tiles, results)
        _finish(total, scaling, cells.places[0, first : first + COLUMNS], first, results.output)
