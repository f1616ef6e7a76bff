"""The numba kernels of the analog matrix-vector product: sum currents per tile, add noise, convert."""

from __future__ import annotations

import numpy as np

from crossbar_sim.reading.compiled.llvm.blocks import LANES, NARROW, PANEL, WIDE, deviate, read, read_whole
from crossbar_sim.reading.compiled.llvm.noise_block import draw
from crossbar_sim.runtime.compiling import part

PAIRS = PANEL // 2  # normal numbers come in pairs
LEAST_WORK = 1 << 20  # products that are worth a thread of their own


@part
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


@part
def _rows(left):
    """Of the next block of vectors, of which some are left."""
    return WIDE if left > WIDE // 2 + NARROW else NARROW


@part
def _start_columns(columns, to_code, to_current):
    for j in range(PANEL):
        columns[0, j], columns[1, j] = to_code[j], to_current[j]
        columns[2, j], columns[3, j] = np.float32(0), np.float32(0)


@part
def _note(columns, t, left, right, tile_outputs, unit, peaks, clipped):
    """Largest |current| and clipped conversions of one panel, to their tiles."""
    counts = columns.view(np.int32)
    for u in range(left // tile_outputs, (right - 1) // tile_outputs + 1):
        peak, over = np.float32(0), 0
        for j in range(max(left, u * tile_outputs) - left, min(right, (u + 1) * tile_outputs) - left):
            peak, over = max(peak, columns[2, j]), over + counts[3, j]
        peaks[t, u] = max(peaks[t, u], peak * unit)
        clipped[t, u] += over


@part
def _even_spread(squares, variance):
    """sigma of every tile and vector, LANES times, where only they differ."""
    spread = np.empty((squares.shape[0], squares.shape[1], LANES), np.float32)
    for t in range(spread.shape[0]):
        for b in range(spread.shape[1]):
            spread[t, b] = np.sqrt(squares[t, b, 0] * variance)
    return spread


@part
def _copy_panel(matrix, top, left, panel):
    for k in range(min(panel.shape[0], len(matrix) - top)):
        row, cells = panel[k], matrix[top + k, left : left + PANEL]
        for j in range(PANEL):
            row[j] = cells[j]


@part
def _scale(total, largest, output_scale, left, output):
    scale = output_scale[left : left + PANEL]
    for b in range(len(output)):
        row, y, m = total[b], output[b, left : left + PANEL], largest[b]
        for j in range(y.size):
            y[j] = row[j] * m * scale[j]


@part(inline="always")
def read_tiles(
    codes,
    squares,
    even,
    matrix,
    unit,
    variance,
    inputs,
    tile_outputs,
    adc_steps,
    ranges,
    tile_scale,
    output_scale,
    largest,
    key,
    first_read,
    output,
    peaks,
    clipped,
):
    """output = m output_scale * sum over row tiles of tile_scale ADC(codes @ matrix * unit + noise), one ADC per tile
    column.

    codes, squares, even, largest: as in `drive_lines`; matrix (inputs, outputs): currents in ampere at full drive (unit
    1) or, with whole codes, whole levels of `unit` ampere per code; variance (inputs, outputs) ampere^2, used with
    squares, the same everywhere if `even`; both padded to a multiple of PANEL columns; ranges (row tiles, column tiles)
    ampere, used if adc_steps > 0. peaks and clipped (row tiles, column tiles) receive the largest |current| and the
    clipped conversions.
    The noise of (vector b, row tile t, output j) has the counter (first_read + b, t, j).
    A panel of one tile's cells stays in the cache while the vectors pass it.
    """
    count, outputs = output.shape
    row_tiles, tile_inputs = len(codes), codes.shape[2]
    panels = matrix.shape[1] // PANEL
    noisy = squares.size > 0
    k0, k1 = key
    total = np.empty((count + WIDE, PANEL), np.float32)
    whole = matrix.itemsize < 4
    panel = np.empty((tile_inputs, PANEL), np.float32)
    sigmas, normals = np.empty((2, WIDE, PANEL), np.float32)
    columns = np.empty((4, PANEL), np.float32)
    to_code, to_current = np.zeros((2, row_tiles, panels * PANEL), np.float32)
    unit, limit = np.float32(unit), np.float32(adc_steps)
    _adc_columns(ranges, tile_scale, unit, adc_steps, tile_outputs, to_code, to_current)
    spread = _even_spread(squares if even else squares[:0], variance[0, 0])
    for p in range(panels):
        left, right = p * PANEL, min((p + 1) * PANEL, outputs)
        total[:] = np.float32(0)
        for t in range(row_tiles):
            top = t * tile_inputs
            depth = min(tile_inputs, inputs - top)
            if whole:
                _copy_panel(matrix, top, left, panel)
                weights, stride = panel.ctypes.data, 4 * PANEL
            else:
                weights, stride = matrix.ctypes.data + top * matrix.strides[0] + 4 * left, matrix.strides[0]
            _start_columns(columns, to_code[t, left:], to_current[t, left:])
            row = 0
            while row < count:
                rows = _rows(count - row)
                sigma, sigma_stride, apart = 0, 4 * PANEL, 2 * PANEL
                if noisy:
                    if even:
                        sigma, sigma_stride, apart = spread[t, row:].ctypes.data, 4 * LANES, 0
                    else:
                        sigma = sigmas.ctypes.data
                        deviate(
                            rows,
                            squares.ctypes.data + t * squares.strides[0] + row * squares.strides[1],
                            squares.strides[1],
                            variance.ctypes.data + top * variance.strides[0] + 4 * left,
                            variance.strides[0],
                            depth,
                            sigma,
                        )
                    first_pair = np.uint32((t * panels + p) * PAIRS)
                    draw(rows, np.uint32(first_read + row), first_pair, k0, k1, normals.ctypes.data)
                read(
                    rows,
                    codes.ctypes.data + t * codes.strides[0] + row * codes.strides[1],
                    codes.strides[1],
                    weights,
                    stride,
                    depth,
                    sigma,
                    sigma_stride,
                    apart,
                    normals.ctypes.data,
                    columns.ctypes.data,
                    limit,
                    total.ctypes.data + row * 4 * PANEL,
                    4 * PANEL,
                )
                row += rows
            _note(columns, t, left, right, tile_outputs, unit, peaks, clipped)
        _scale(total, largest, output_scale, left, output)


@part(inline="always")
def read_whole_tiles(
    codes,
    packed,
    start,
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
    """`read_tiles` of whole levels, packed as in `level_kernels.pack`, by the processor's products of whole numbers
    (only where microkernel.BYTE_PRODUCT); the same bits as `read_tiles`, as long as every sum is below 2^24."""
    count, outputs = output.shape
    row_tiles, tile_inputs = len(codes), codes.shape[2]
    panels, together = packed.shape[1], packed.shape[4]
    total = np.empty((count + WIDE, PANEL), np.float32)
    columns = np.empty((4, PANEL), np.float32)
    to_code, to_current = np.zeros((2, row_tiles, panels * PANEL), np.float32)
    unit, limit = np.float32(unit), np.float32(adc_steps)
    _adc_columns(ranges, tile_scale, unit, adc_steps, tile_outputs, to_code, to_current)
    for p in range(panels):
        left, right = p * PANEL, min((p + 1) * PANEL, outputs)
        total[:] = np.float32(0)
        for t in range(row_tiles):
            steps = -(-min(tile_inputs, inputs - t * tile_inputs) // together)
            _start_columns(columns, to_code[t, left:], to_current[t, left:])
            row = 0
            while row < count:
                rows = _rows(count - row)
                read_whole(
                    packed,
                    rows,
                    codes.ctypes.data + t * codes.strides[0] + row * codes.strides[1],
                    codes.strides[1],
                    packed.ctypes.data + t * packed.strides[0] + p * packed.strides[1],
                    steps,
                    start.ctypes.data + t * start.strides[0] + left * start.strides[1],
                    columns.ctypes.data,
                    limit,
                    total.ctypes.data + row * 4 * PANEL,
                    4 * PANEL,
                )
                row += rows
            _note(columns, t, left, right, tile_outputs, unit, peaks, clipped)
        _scale(total, largest, output_scale, left, output)
