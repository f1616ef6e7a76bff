"""The numba kernels of the analog matrix-vector product: sum currents per tile, add noise, convert."""

from __future__ import annotations

import numpy as np
from numba.extending import overload

from crossbar_sim.reading.compiled.llvm.blocks import (
    NARROW,
    WIDE,
    Columns,
    Lines,
    Noise,
    Panel,
    WholePanel,
    deviate,
    read,
    read_whole,
)
from crossbar_sim.reading.compiled.llvm.noise_block import draw
from crossbar_sim.reading.compiled.llvm.vector_code import LANES, PANEL, address_of
from crossbar_sim.reading.compiled.settings import PackedLevels
from crossbar_sim.runtime.compiling import part

PAIRS = PANEL // 2  # normal numbers come in pairs
LEAST_WORK = 1 << 20  # products that are worth a thread of their own


@part
def _adc_columns(sense, unit, tile_outputs, to_code, to_current):
    """Per row tile and column: codes per unit of sum, and what one code (without an ADC: one unit) adds, times the
    tile's scale."""
    row_tiles, column_tiles = sense.tile_scale.shape
    for t in range(row_tiles):
        for u in range(column_tiles):
            start, stop = u * tile_outputs, min((u + 1) * tile_outputs, to_code.shape[1])
            if sense.adc_steps > 0:
                limit = np.float32(sense.adc_steps)
                to_code[t, start:stop] = limit / sense.ranges[t, u] * unit
                to_current[t, start:stop] = sense.ranges[t, u] / limit * sense.tile_scale[t, u]
            else:
                to_current[t, start:stop] = unit * sense.tile_scale[t, u]


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
def _note_peaks(columns, t, left, right, tile_outputs, unit, results):
    """Largest |current| and clipped conversions of one panel, to their tiles."""
    counts = columns.view(np.int32)
    for u in range(left // tile_outputs, (right - 1) // tile_outputs + 1):
        peak, over = np.float32(0), 0
        for j in range(max(left, u * tile_outputs) - left, min(right, (u + 1) * tile_outputs) - left):
            peak, over = max(peak, columns[2, j]), over + counts[3, j]
        results.peaks[t, u] = max(results.peaks[t, u], peak * unit)
        results.clipped[t, u] += over


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
        row = total[b]
        y = output[b, left : left + PANEL]
        m = largest[b]
        for j in range(y.size):
            y[j] = row[j] * m * scale[j]


def read_tiles(codes, squares, largest, first_read, cells, sense, grid, results):
    """output = m output_scale * sum over row tiles of tile_scale ADC(codes @ matrix * unit + noise), one ADC per tile
    column.

    codes, squares, largest: as in `drive_lines`; cells: Currents, whose matrix holds currents in ampere at full drive
    (unit 1) or, with whole codes, whole levels; its variance is used with squares, and the same everywhere if they are
    summed. sense: Sense, of which ranges are used if adc_steps > 0; grid: Grid; results: Results.
    The noise of (vector b, row tile t, output j) has the counter (first_read + b, t, j).
    A panel of one tile's cells stays in the cache while the vectors pass it.
    """
    count, outputs = results.output.shape
    row_tiles, tile_inputs = len(codes), codes.shape[2]
    matrix, variance = cells.matrix, cells.variance
    panels = matrix.shape[1] // PANEL
    noisy, summed = squares.size > 0, cells.even
    k0, k1 = cells.key
    total = np.empty((count + WIDE, PANEL), np.float32)
    whole = matrix.itemsize < 4
    panel = np.empty((tile_inputs, PANEL), np.float32)
    sigmas, normals = np.empty((2, WIDE, PANEL), np.float32)
    columns = np.empty((4, PANEL), np.float32)
    to_code, to_current = np.zeros((2, row_tiles, panels * PANEL), np.float32)
    unit, limit = np.float32(cells.unit), np.float32(sense.adc_steps)
    _adc_columns(sense, unit, grid.tile_outputs, to_code, to_current)
    spread = _even_spread(squares if summed else squares[:0], variance[0, 0])
    for p in range(panels):
        left, right = p * PANEL, min((p + 1) * PANEL, outputs)
        total[:] = np.float32(0)
        for t in range(row_tiles):
            top = t * tile_inputs
            depth = min(tile_inputs, grid.inputs - top)
            if whole:
                _copy_panel(matrix, top, left, panel)
                weights, stride = address_of(panel), 4 * PANEL
            else:
                weights, stride = address_of(matrix) + top * matrix.strides[0] + 4 * left, matrix.strides[0]
            _start_columns(columns, to_code[t, left:], to_current[t, left:])
            row = 0
            while row < count:
                rows = _rows(count - row)
                sigma = 0
                sigma_stride = 4 * PANEL
                apart = 2 * PANEL
                if noisy:
                    if summed:
                        sigma = address_of(spread[t, row:])
                        sigma_stride = 4 * LANES
                        apart = 0
                    else:
                        sigma = address_of(sigmas)
                        deviate(
                            rows,
                            Lines(
                                address_of(squares) + t * squares.strides[0] + row * squares.strides[1],
                                squares.strides[1],
                            ),
                            Panel(
                                address_of(variance) + top * variance.strides[0] + 4 * left, variance.strides[0], depth
                            ),
                            sigma,
                        )
                    first_pair = np.uint32((t * panels + p) * PAIRS)
                    draw(rows, np.uint32(first_read + row), first_pair, k0, k1, address_of(normals))
                read(
                    rows,
                    Lines(address_of(codes) + t * codes.strides[0] + row * codes.strides[1], codes.strides[1]),
                    Panel(weights, stride, depth),
                    Noise(sigma, sigma_stride, apart, address_of(normals)),
                    Columns(address_of(columns), limit),
                    Lines(address_of(total) + row * 4 * PANEL, 4 * PANEL),
                )
                row += rows
            _note_peaks(columns, t, left, right, grid.tile_outputs, unit, results)
        _scale(total, largest, sense.output_scale, left, results.output)


def read_whole_tiles(codes, squares, largest, first_read, cells, sense, grid, results):
    """`read_tiles` of whole levels without noise, packed as in `levels.pack`, by the processor's products of whole
    numbers (only where blocks.BYTE_PRODUCT); the same bits as `read_tiles`, as long as every sum is below 2^24."""
    count, outputs = results.output.shape
    row_tiles, tile_inputs = len(codes), codes.shape[2]
    packed, start = cells.levels, cells.start
    panels, rows_per_step = packed.shape[1], packed.shape[4]
    total = np.empty((count + WIDE, PANEL), np.float32)
    columns = np.empty((4, PANEL), np.float32)
    to_code, to_current = np.zeros((2, row_tiles, panels * PANEL), np.float32)
    unit, limit = np.float32(cells.unit), np.float32(sense.adc_steps)
    _adc_columns(sense, unit, grid.tile_outputs, to_code, to_current)
    for p in range(panels):
        left, right = p * PANEL, min((p + 1) * PANEL, outputs)
        total[:] = np.float32(0)
        for t in range(row_tiles):
            steps = -(-min(tile_inputs, grid.inputs - t * tile_inputs) // rows_per_step)
            _start_columns(columns, to_code[t, left:], to_current[t, left:])
            row = 0
            while row < count:
                rows = _rows(count - row)
                read_whole(
                    packed,
                    rows,
                    Lines(address_of(codes) + t * codes.strides[0] + row * codes.strides[1], codes.strides[1]),
                    WholePanel(
                        address_of(packed) + t * packed.strides[0] + p * packed.strides[1],
                        steps,
                        address_of(start) + t * start.strides[0] + left * start.strides[1],
                    ),
                    Columns(address_of(columns), limit),
                    Lines(address_of(total) + row * 4 * PANEL, 4 * PANEL),
                )
                row += rows
            _note_peaks(columns, t, left, right, grid.tile_outputs, unit, results)
        _scale(total, largest, sense.output_scale, left, results.output)


def read_group(codes, squares, largest, first_read, cells, sense, grid, results):
    """`read_tiles` of Currents or `read_whole_tiles` of PackedLevels; compiled code only."""
    raise NotImplementedError


@overload(read_group)
def _by_cells(codes, squares, largest, first_read, cells, sense, grid, results):
    return read_whole_tiles if cells.instance_class is PackedLevels else read_tiles
