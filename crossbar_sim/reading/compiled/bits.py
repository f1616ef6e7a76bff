"""The numba kernels of bit-serial reads: codes of the vectors, their bits on the word lines, sums and conversions."""

from __future__ import annotations

import numpy as np

from crossbar_sim.reading.compiled.llvm.bit_blocks import (
    COLUMN_BYTES,
    COLUMNS,
    LINES,
    LOOKED_UP_BITS,
    PACKED_BITS,
    PACKING,
    TABLE_BYTES,
    VECTORS,
    add_up,
    read_looked_up,
    read_packed,
    tabulate,
)
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
def serial_codes(x, input_scale, steps, full_drive, codes, largest, bits_set):
    """codes = round(x s / m * steps), the fraction clipped to 1, with m = max|x s| or full_drive > 0.

    x (count, inputs); codes (blocks, inputs, 32 vectors) int16, zero beyond count; largest (count,): m, NaN if a code
    would be; bits_set (inputs,): the set bits of all codes are added. Returns whether any code is negative.
    """
    count, inputs = x.shape
    scaled, row = np.empty(inputs, np.float32), np.empty(inputs, np.int16)
    wide, one = np.float32(steps), np.float32(1)
    lowest = np.int16(0)
    codes[-1] = 0
    for b in range(count):
        m, unknown = np.float32(0), False
        for k in range(inputs):
            scaled[k] = x[b, k] * input_scale[k]
            m = max(m, abs(scaled[k]))
            unknown |= scaled[k] != scaled[k]
        if full_drive > 0:
            m = full_drive
        elif m == np.inf:
            unknown = True
        largest[b] = np.float32(np.nan) if unknown else m
        if unknown or m == 0:
            row[:] = 0
        else:
            for k in range(inputs):
                row[k] = np.int16(np.rint(min(max(scaled[k] / m, -one), one) * wide))
        for k in range(inputs):
            lowest = min(lowest, row[k])
            size = np.uint32(abs(np.int32(row[k])))  # its bits, counted in parallel
            size -= (size >> np.uint32(1)) & np.uint32(0x5555)
            size = (size & np.uint32(0x3333)) + ((size >> np.uint32(2)) & np.uint32(0x3333))
            size = (size + (size >> np.uint32(4))) & np.uint32(0x0F0F)
            bits_set[k] += (size + (size >> np.uint32(8))) & np.uint32(0x1F)
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
def converters(ranges, unit, steps, largest, to_code, same, unclipped):
    """Of every tile (grid): codes per unit of sum, up to which sum (at most `largest`) the code is the sum itself (-1:
    not even zero's neighbours) and up to which none is clipped."""
    limit = np.float32(steps)
    for t in range(ranges.shape[0]):
        for u in range(ranges.shape[1]):
            factor = limit / ranges[t, u] * np.float32(unit)
            to_code[t, u] = factor
            size = 0
            while size < largest and np.rint(np.float32(size + 1) * factor) == size + 1 and size + 1 <= limit:
                size += 1
            same[t, u] = size
            size = largest
            while size > 0 and np.rint(np.float32(size) * factor) > limit:
                size -= 1
            unclipped[t, u] = size


@part
def _set_columns(columns, to_code, same, unclipped, t, tiles):
    """What `bit_blocks` needs of four columns' converters; `tiles`: their column tiles."""
    columns[:] = 0
    factors = columns.view(np.float32)
    for c in range(tiles.size):
        u = tiles[c]
        factors[c, 0], columns[c, 2], columns[c, 3] = to_code[t, u], same[t, u], unclipped[t, u]


@part
def _note(columns, unit, t, tiles, peaks, clipped):
    """Largest |current| and clipped conversions of four columns, to their tiles."""
    for c in range(tiles.size):
        u = tiles[c]
        largest, count = np.int32(0), np.int32(0)
        for v in range(VECTORS):
            largest = max(largest, np.int32(columns[c, 32 + v]))
            count = np.int32(count + np.int32(columns[c, 64 + v]))
        peaks[t, u] = max(peaks[t, u], np.float32(largest) * unit)
        clipped[t, u] += count


@part
def _mirror(tables, offset):
    """The second half: the first half's sums with the other sign."""
    half = tables.size // 2
    for i in range(half):
        tables[half + i] = np.uint8(2 * offset) - tables[i]


@part
def _put(total, largest, steps, output_scale, sensed, first, output):
    for c in range(sensed.size):
        for b in range(len(output)):
            output[b, first + c] = total[c, b] * output_scale[sensed[c]] * (largest[b] / steps)


@entry(nogil=True)
def read_bits_looked_up(
    begin,
    end,
    drives,
    levels,
    places,
    worth,
    largest_level,
    unit,
    inputs,
    tile_inputs,
    tile_outputs,
    adc_steps,
    to_code,
    same,
    unclipped,
    to_current,
    output_scale,
    largest,
    dac_steps,
    output,
    peaks,
    clipped,
):
    """output = m / dac_steps output_scale * sum over row tiles t, slices s and bits b of
    worth[s] 2^b to_current[t] ADC(b-th bits of the codes @ levels[s, t] * unit), of the groups of COLUMNS columns
    `begin` to `end`.

    drives: as in `drive_tables`; levels: as in `arrange`, with a group more than the tile has; places (slices,
    columns): where each column is among the sensed; to_code, same, unclipped: as in `converters`, to_current: what one
    code adds (grid); largest (count,): m; peaks and clipped (grid) receive the largest |current| and the clipped
    conversions.
    """
    half = -(-tile_inputs // LINES)
    signs = drives.shape[3] // half
    offset = LINES * largest_level
    together = 255 // (2 * offset) if largest_level > 0 else 2 * half
    blocks, width, tile_of = drives.shape[1], output.shape[1], places // tile_outputs
    tables = aligned(2 * half * TABLE_BYTES)
    columns = np.empty((COLUMNS, COLUMN_BYTES // 2), np.int16)
    total, codes = np.zeros((2, COLUMNS, blocks * VECTORS), np.float32)
    limit, steps = np.float32(adc_steps), np.float32(dac_steps)
    for first in range(begin * COLUMNS, min(end * COLUMNS, width), COLUMNS):
        total[:] = np.float32(0)
        for t in range(drives.shape[0]):
            groups = -(-min(tile_inputs, inputs - t * tile_inputs) // LINES)
            for s in range(places.shape[0]):
                tiles = tile_of[s, first : first + COLUMNS]
                _set_columns(columns, to_code, same, unclipped, t, tiles)
                tabulate(levels[s, t, first // COLUMNS].ctypes.data, half, offset, tables.ctypes.data)
                if signs > 1:
                    _mirror(tables, offset)
                count = groups if signs == 1 else half + groups
                for block in range(blocks):
                    for q in range(drives.shape[2]):
                        read_looked_up(
                            drives.ctypes.data
                            + t * drives.strides[0]
                            + block * drives.strides[1]
                            + q * drives.strides[2],
                            tables.ctypes.data,
                            count,
                            together,
                            count * offset,
                            columns.ctypes.data,
                            limit,
                            np.float32(1 << (LOOKED_UP_BITS * q)),
                            codes.ctypes.data + 4 * VECTORS * block,
                            codes.strides[0],
                        )
                for c in range(tiles.size):
                    factor = to_current[t, tiles[c]] * worth[s]
                    row = 4 * VECTORS * blocks * c
                    add_up(codes.ctypes.data + row, factor, blocks, total.ctypes.data + row)
                _note(columns, unit, t, tiles, peaks, clipped)
        _put(total, largest, steps, output_scale, places[0, first : first + COLUMNS], first, output)


@entry(nogil=True)
def read_bits_packed(
    begin,
    end,
    drives,
    levels,
    places,
    worth,
    largest_level,
    unit,
    inputs,
    tile_inputs,
    tile_outputs,
    adc_steps,
    to_code,
    same,
    unclipped,
    to_current,
    output_scale,
    largest,
    dac_steps,
    output,
    peaks,
    clipped,
):
    """`read_bits_looked_up` on any processor, bit for bit; drives: as in `drive_packed`."""
    blocks, width, tile_of = drives.shape[1], output.shape[1], places // tile_outputs
    cells = np.empty((COLUMNS, tile_inputs), np.float32)
    columns = np.empty((COLUMNS, COLUMN_BYTES // 2), np.int16)
    total, codes = np.zeros((2, COLUMNS, blocks * VECTORS), np.float32)
    limit, steps = np.float32(adc_steps), np.float32(dac_steps)
    for first in range(begin * COLUMNS, min(end * COLUMNS, width), COLUMNS):
        total[:] = np.float32(0)
        for t in range(drives.shape[0]):
            depth = min(tile_inputs, inputs - t * tile_inputs)
            for s in range(places.shape[0]):
                tiles = tile_of[s, first : first + COLUMNS]
                _set_columns(columns, to_code, same, unclipped, t, tiles)
                for c in range(COLUMNS):
                    for k in range(depth):
                        cells[c, k] = levels[s, t, first // COLUMNS, k // LINES, c, k % LINES]
                for block in range(blocks):
                    for pair in range(drives.shape[2]):
                        read_packed(
                            cells.ctypes.data,
                            cells.strides[0],
                            drives.ctypes.data
                            + t * drives.strides[0]
                            + block * drives.strides[1]
                            + pair * drives.strides[2],
                            depth,
                            columns.ctypes.data,
                            limit,
                            np.float32(1 << (PACKED_BITS * pair)),
                            codes.ctypes.data + 4 * VECTORS * block,
                            codes.strides[0],
                        )
                for c in range(tiles.size):
                    factor = to_current[t, tiles[c]] * worth[s]
                    row = 4 * VECTORS * blocks * c
                    add_up(codes.ctypes.data + row, factor, blocks, total.ctypes.data + row)
                _note(columns, unit, t, tiles, peaks, clipped)
        _put(total, largest, steps, output_scale, places[0, first : first + COLUMNS], first, output)
