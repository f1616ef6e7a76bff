"""The numba kernel of the analog matrix-vector product: drive, sum currents per tile, add noise, convert."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from crossbar_sim import microkernel
from crossbar_sim.counter_random import normal_pair
from crossbar_sim.microkernel import multiply_panel

BLOCK = microkernel.VECTORS  # vectors that share one pass over the conductances
PANEL = microkernel.PANEL
SMALLEST = np.float32(2.0**-126)  # a vector below the smallest normal float is read as zero: 1 / m would overflow


@njit(fastmath=True)  # a NaN may be overlooked here; it reaches the codes and `conduction` all the same
def _largest(x):
    largest = np.float32(0)
    for k in range(x.size):
        largest = max(largest, abs(x[k]))
    return largest


@njit
def _drive(x, input_scale, steps, codes):
    """codes = round(x s / m * steps) / steps with m = max|x s| (exact if steps is 0); returns m."""
    for k in range(x.size):
        codes[k] = x[k] * input_scale[k]
    largest = _largest(codes)
    inverse = np.float32(1) / largest if largest >= SMALLEST else np.float32(0)
    if steps > 0:
        wide = np.float32(steps)
        narrow = np.float32(1) / wide
        for k in range(x.size):
            codes[k] = np.rint(codes[k] * inverse * wide) * narrow
    else:
        for k in range(x.size):
            codes[k] *= inverse
    return largest


@njit(fastmath={"contract"})
def _convert(sums, full, steps, output):
    """Add the ADC's readings of sums to output; returns the largest |sum| and the clipped count."""
    peak = _largest(sums)
    over = 0
    if steps > 0:
        limit = np.float32(steps)
        to_code, to_current = limit / full, full / limit
        for j in range(sums.size):
            output[j] += min(max(np.rint(sums[j] * to_code), -limit), limit) * to_current
        if peak * to_code > limit:
            for j in range(sums.size):
                over += abs(np.rint(sums[j] * to_code)) > limit
    else:
        for j in range(sums.size):
            output[j] += sums[j]
    return peak, over


@njit
def _multiply(codes, matrix, top, bottom, sums):
    """sums (4, padded outputs) = codes[:, top:bottom] @ matrix[top:bottom]."""
    codes_address = codes.ctypes.data + 4 * top
    matrix_address = matrix.ctypes.data + top * matrix.strides[0]
    for left in range(0, matrix.shape[1], PANEL):
        multiply_panel(  # type: ignore[call-arg]
            codes_address, codes.strides[0], matrix_address + 4 * left, matrix.strides[0], bottom - top,
            sums.ctypes.data + 4 * left, sums.strides[0],
        )  # fmt: skip


@njit(fastmath={"contract"})
def _add_noise(sums, power, read, first_pair, pairs, k0, k1, normal):
    """sums[j] += sqrt(power[j]) z[j]; pair p of the counter gives outputs p and pairs + p."""
    for p in range(pairs):
        normal[p], normal[pairs + p] = normal_pair(read, np.uint32(first_pair + p), k0, k1)
    for j in range(sums.size):
        sums[j] += np.sqrt(power[j]) * normal[j]


@njit(cache=True, parallel=True, fastmath={"contract"})
def analog_read(
    x, input_scale, dac_steps, current, variance, noisy, line_conductance, tile_inputs, tile_outputs,
    adc_steps, ranges, output_scale, key, first_read, output, peaks, clipped, workers,
):  # fmt: skip
    """output = m output_scale * sum over row tiles of ADC(codes @ current + noise), one ADC per tile column.

    x (vectors, inputs); current (inputs, outputs) ampere at full drive; variance (inputs, outputs) ampere^2, both
    padded to a multiple of PANEL columns;
    ranges (row tiles, column tiles) ampere, used if adc_steps > 0. peaks and clipped (row tiles, column
    tiles) receive the largest |current| and the clipped conversions. Returns the sum of codes^2 times the
    conductance of their line, siemens.
    The blocks are shared among `workers` threads; the result does not depend on how many.
    The noise of (vector b, row tile t, output j) has the counter (first_read + b, t, j).
    """
    vectors, inputs = x.shape
    outputs = output_scale.size
    row_tiles, column_tiles = ranges.shape
    pairs = (outputs + 1) // 2
    k0, k1 = key
    blocks = (vectors + BLOCK - 1) // BLOCK
    block_peaks = np.zeros((blocks, row_tiles, column_tiles), np.float32)
    block_clipped = np.zeros((blocks, row_tiles, column_tiles), np.int64)
    conduction = np.zeros(blocks)
    for worker in prange(workers):
        codes = np.zeros((BLOCK, inputs), np.float32)
        squares = np.zeros((BLOCK, inputs), np.float32)
        line = np.zeros(inputs, np.float32)
        largest = np.zeros(BLOCK, np.float32)
        total = np.zeros((BLOCK, outputs), np.float32)
        sums = np.empty((BLOCK, current.shape[1]), np.float32)
        power = np.empty((BLOCK, current.shape[1]), np.float32)
        normal = np.empty(2 * pairs, np.float32)
        for block in range(worker * blocks // workers, (worker + 1) * blocks // workers):
            b0 = block * BLOCK
            count = min(BLOCK, vectors - b0)
            line[:] = np.float32(0)
            total[:] = np.float32(0)
            codes[count:] = np.float32(0)
            squares[count:] = np.float32(0)
            for b in range(count):
                largest[b] = _drive(x[b0 + b], input_scale, dac_steps, codes[b])
                for k in range(inputs):
                    squares[b, k] = codes[b, k] * codes[b, k]
                    line[k] += squares[b, k]
            drawn = 0.0
            for k in range(inputs):
                drawn += line[k] * line_conductance[k]
            conduction[block] = drawn
            for t in range(row_tiles):
                top, bottom = t * tile_inputs, min((t + 1) * tile_inputs, inputs)
                _multiply(codes, current, top, bottom, sums)
                if noisy:
                    _multiply(squares, variance, top, bottom, power)
                    for b in range(count):
                        read = np.uint32(first_read + b0 + b)
                        _add_noise(sums[b, :outputs], power[b, :outputs], read, t * pairs, pairs, k0, k1, normal)
                for u in range(column_tiles):
                    left, right = u * tile_outputs, min((u + 1) * tile_outputs, outputs)
                    for b in range(count):
                        peak, over = _convert(sums[b, left:right], ranges[t, u], adc_steps, total[b, left:right])
                        block_peaks[block, t, u] = max(block_peaks[block, t, u], peak)
                        block_clipped[block, t, u] += over
            for b in range(count):
                for j in range(outputs):
                    output[b0 + b, j] = total[b, j] * largest[b] * output_scale[j]
    for block in range(blocks):
        for t in range(row_tiles):
            for u in range(column_tiles):
                peaks[t, u] = max(peaks[t, u], block_peaks[block, t, u])
                clipped[t, u] += block_clipped[block, t, u]
    return conduction.sum()
