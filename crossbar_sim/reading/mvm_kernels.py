"""The numba kernels of the analog matrix-vector product: sum currents per tile, add noise, convert."""

from __future__ import annotations

import numpy as np
from numba import njit

from crossbar_sim.counter_random import normal_pair
from crossbar_sim.reading import microkernel
from crossbar_sim.reading.microkernel import (
    multiply_narrow,
    multiply_wide,
    pack_quad,
    read_bytes_narrow,
    read_bytes_wide,
    read_narrow,
    read_wide,
)  # fmt: skip

PANEL = microkernel.PANEL
PAIRS = PANEL // 2  # normal numbers come in pairs
NARROW, WIDE, QUAD = microkernel.NARROW, microkernel.WIDE, microkernel.QUAD


@njit
def _largest(x):
    """max|x|, by the bits of the numbers, which grow with them; NaN if any is."""
    bits = x.view(np.int32)
    largest = np.int32(0)
    for k in range(bits.size):
        largest = max(largest, bits[k] & np.int32(0x7FFFFFFF))
    return np.array([largest], np.int32).view(np.float32)[0]


@njit(fastmath={"contract"})
def _adc_columns(ranges, tile_scale, unit, steps, tile_outputs, to_code, to_current):
    """Per row tile and column: codes per unit of sum, and what one code (without an ADC: one unit) adds, times the
    tile's scale."""
    row_tiles, column_tiles = ranges.shape
    for t in range(row_tiles):
        for u in range(column_tiles):
            start, stop = u * tile_outputs, min((u + 1) * tile_outputs, to_code.shape[1])
            if steps > 0:
                limit = np.float32(steps)
                to_code[t, start:stop] = limit / ranges[t, u] * unit
                to_current[t, start:stop] = ranges[t, u] / limit * tile_scale[t, u]
            else:
                to_current[t, start:stop] = unit * tile_scale[t, u]


@njit
def _note(columns, t, left, right, tile_outputs, unit, peaks, clipped):
    """Largest |current| and clipped conversions of one panel, to their tiles."""
    peak, over = columns[2], columns[3].view(np.int32)
    for u in range(left // tile_outputs, (right - 1) // tile_outputs + 1):
        start, stop = max(left, u * tile_outputs) - left, min(right, (u + 1) * tile_outputs) - left
        peaks[t, u] = max(peaks[t, u], _largest(peak[start:stop]) * unit)
        for j in range(start, stop):
            clipped[t, u] += over[j]


@njit(fastmath={"contract"})
def _normals(first_read, rows, first_pair, k0, k1, low, high):
    """One normal number per vector and column of a panel: pair i of the counter gives columns i and PAIRS + i."""
    for i in range(rows * PAIRS):
        read, pair = np.uint32(first_read) + np.uint32(i // PAIRS), np.uint32(first_pair) + np.uint32(i % PAIRS)
        low[i], high[i] = normal_pair(read, pair, k0, k1)


@njit
def _root(power):
    for j in range(power.size):
        power[j] = np.sqrt(power[j])


@njit
def _even_spread(squares, variance, spread):
    """sigma of every column, where only the vectors differ."""
    for r in range(len(squares)):
        sigma = np.sqrt(squares[r, 0] * variance)
        for j in range(PANEL):
            spread[r * PANEL + j] = sigma


@njit
def _copy_panel(matrix, top, left, panel):
    for k in range(min(panel.shape[0], len(matrix) - top)):
        row, part = panel[k], matrix[top + k, left : left + PANEL]
        for j in range(PANEL):
            row[j] = part[j]


@njit
def _scale(total, largest, output_scale, left, output):
    scale = output_scale[left : left + PANEL]
    for b in range(len(output)):
        row, part, m = total[b], output[b, left : left + PANEL], largest[b]
        for j in range(part.size):
            part[j] = row[j] * m * scale[j]


@njit(cache=True, nogil=True, fastmath={"contract"})
def read_tiles(
    codes, squares, even, matrix, unit, variance, inputs, tile_outputs, adc_steps, ranges, tile_scale, output_scale,
    largest, key, first_read, output, peaks, clipped,
):  # fmt: skip
    """output = m output_scale * sum over row tiles of tile_scale ADC(codes @ matrix * unit + noise), one ADC per tile
    column.

    codes, squares, even, largest: as in `drive_lines`; matrix (inputs, outputs): currents in ampere at full drive (unit
    1) or, with whole codes, whole levels of `unit` ampere per code; variance (inputs, outputs) ampere^2, used with
    squares, the same everywhere if `even`; both padded to a multiple of PANEL columns; ranges (row tiles, column tiles)
    ampere, used if adc_steps > 0. peaks and clipped (row tiles, column tiles) receive the largest |current| and the
    clipped conversions.
    The noise of (vector b, row tile t, output j) has the counter (first_read + b, t, j).
    A panel of one tile's conductances stays in the first-level cache while the vectors pass it.
    """
    count, outputs = output.shape
    row_tiles, tile_inputs = len(codes), codes.shape[2]
    panels = matrix.shape[1] // PANEL
    noisy = squares.size > 0
    k0, k1 = key
    total = np.empty((count + WIDE, PANEL), np.float32)
    panel = np.empty((tile_inputs, PANEL), np.float32)
    spread = np.empty((tile_inputs if noisy and not even else 0, PANEL), np.float32)
    noise = np.empty(2 * WIDE * PANEL, np.float32)
    columns = np.empty((4, PANEL), np.float32)
    to_code, to_current = np.zeros((2, row_tiles, panels * PANEL), np.float32)
    unit, limit = np.float32(unit), np.float32(adc_steps)
    _adc_columns(ranges, tile_scale, unit, adc_steps, tile_outputs, to_code, to_current)
    codes_at, squares_at, panel_at, spread_at = (
        codes.ctypes.data, squares.ctypes.data, panel.ctypes.data, spread.ctypes.data,
    )  # fmt: skip
    total_at, columns_at, noise_at = total.ctypes.data, columns.ctypes.data, noise.ctypes.data if noisy else 0
    for p in range(panels):
        left, right = p * PANEL, min((p + 1) * PANEL, outputs)
        total[:] = np.float32(0)
        for t in range(row_tiles):
            top = t * tile_inputs
            depth = min(tile_inputs, inputs - top)
            _copy_panel(matrix, top, left, panel)
            if noisy and not even:
                _copy_panel(variance, top, left, spread)
            for j in range(PANEL):
                columns[0, j], columns[1, j] = to_code[t, left + j], to_current[t, left + j]
                columns[2, j], columns[3, j] = np.float32(0), np.float32(0)
            row = 0
            while row < count:
                rows = WIDE if count - row > 2 * NARROW else NARROW
                if noisy:
                    power = squares_at + t * squares.strides[0] + row * squares.strides[1]
                    sigma, normal = noise[: rows * PANEL], noise[rows * PANEL : 2 * rows * PANEL]
                    if even:
                        _even_spread(squares[t, row : row + rows], variance[0, 0], sigma)
                    else:
                        if rows == WIDE:
                            multiply_wide(power, squares.strides[1], spread_at, 4 * PANEL, depth, noise_at)
                        else:
                            multiply_narrow(power, squares.strides[1], spread_at, 4 * PANEL, depth, noise_at)
                        _root(sigma)
                    low, high = normal[: rows * PAIRS], normal[rows * PAIRS :]
                    _normals(first_read + row, rows, (t * panels + p) * PAIRS, k0, k1, low, high)
                drive, sums = codes_at + t * codes.strides[0] + row * codes.strides[1], total_at + row * 4 * PANEL
                if rows == WIDE:
                    read_wide(
                        drive,
                        codes.strides[1],
                        panel_at,
                        4 * PANEL,
                        depth,
                        noise_at,
                        columns_at,
                        limit,
                        sums,
                        4 * PANEL,
                    )
                else:
                    read_narrow(
                        drive,
                        codes.strides[1],
                        panel_at,
                        4 * PANEL,
                        depth,
                        noise_at,
                        columns_at,
                        limit,
                        sums,
                        4 * PANEL,
                    )
                row += rows
            _note(columns, t, left, right, tile_outputs, unit, peaks, clipped)
        _scale(total, largest, output_scale, left, output)


@njit
def _copy_bytes(levels, top, left, depth, last, quads, start):
    """A panel of levels (depth, PANEL), four rows to a word; start takes back that codes are ZERO_CODE too high."""
    start[:] = 0
    whole = depth // QUAD
    source = levels.ctypes.data + top * levels.strides[0] + left
    for q in range(whole):
        place = source + QUAD * q * levels.strides[0]
        pack_quad(place, levels.strides[0], quads.ctypes.data + 4 * PANEL * q, start.ctypes.data)
    if whole * QUAD < depth:
        last[:] = 0
        for i in range(depth - whole * QUAD):
            for j in range(PANEL):
                last[i, j] = levels[top + whole * QUAD + i, left + j]
        pack_quad(last.ctypes.data, PANEL, quads.ctypes.data + 4 * PANEL * whole, start.ctypes.data)


@njit(cache=True, nogil=True)
def read_byte_tiles(
    codes,
    levels,
    unit,
    inputs,
    tile_outputs,
    adc_steps,
    ranges,
    tile_scale,
    output_scale,
    largest,
    output,
    peaks,
    clipped,
):
    """`read_tiles` of whole levels by the processor's product of bytes (only where microkernel.BYTE_PRODUCT); the same
    bits as `read_tiles`, as long as every sum is below 2^24."""
    count, outputs = output.shape
    row_tiles, tile_inputs = len(codes), codes.shape[2]
    panels = levels.shape[1] // PANEL
    total = np.empty((count + WIDE, PANEL), np.float32)
    quads = np.empty(((tile_inputs + QUAD - 1) // QUAD, PANEL, QUAD), np.int8)
    last, start = np.empty((QUAD, PANEL), np.int8), np.empty(PANEL, np.int32)
    columns = np.empty((4, PANEL), np.float32)
    to_code, to_current = np.zeros((2, row_tiles, panels * PANEL), np.float32)
    unit, limit = np.float32(unit), np.float32(adc_steps)
    _adc_columns(ranges, tile_scale, unit, adc_steps, tile_outputs, to_code, to_current)
    codes_at, quads_at, start_at = codes.ctypes.data, quads.ctypes.data, start.ctypes.data
    total_at, columns_at = total.ctypes.data, columns.ctypes.data
    for p in range(panels):
        left, right = p * PANEL, min((p + 1) * PANEL, outputs)
        total[:] = np.float32(0)
        for t in range(row_tiles):
            top = t * tile_inputs
            depth = min(tile_inputs, inputs - top)
            steps = (depth + QUAD - 1) // QUAD
            _copy_bytes(levels, top, left, depth, last, quads, start)
            for j in range(PANEL):
                columns[0, j], columns[1, j] = to_code[t, left + j], to_current[t, left + j]
                columns[2, j], columns[3, j] = np.float32(0), np.float32(0)
            row = 0
            while row < count:
                drive, sums = codes_at + t * codes.strides[0] + row * codes.strides[1], total_at + row * 4 * PANEL
                if count - row > 2 * NARROW:
                    read_bytes_wide(
                        drive,
                        codes.strides[1],
                        quads_at,
                        4 * PANEL,
                        steps,
                        start_at,
                        columns_at,
                        limit,
                        sums,
                        4 * PANEL,
                    )
                    row += WIDE
                else:
                    read_bytes_narrow(
                        drive,
                        codes.strides[1],
                        quads_at,
                        4 * PANEL,
                        steps,
                        start_at,
                        columns_at,
                        limit,
                        sums,
                        4 * PANEL,
                    )
                    row += NARROW
            _note(columns, t, left, right, tile_outputs, unit, peaks, clipped)
        _scale(total, largest, output_scale, left, output)


@njit(cache=True)
def whole_levels(current, level, levels):
    """levels = current / level, if every one is a whole number of at most 7 bits and a sign; whether they are."""
    for k in range(current.shape[0]):
        for j in range(current.shape[1]):
            exact = current[k, j] / level
            whole = np.rint(exact)
            if not (abs(exact - whole) <= 1e-4 and abs(whole) <= 127):
                return False
            levels[k, j] = np.int8(whole)
    return True


@njit(cache=True)
def same_everywhere(matrix):
    """Whether all numbers of a matrix are equal."""
    for k in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            if matrix[k, j] != matrix[0, 0]:
                return False
    return True
