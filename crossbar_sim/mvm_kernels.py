"""The numba kernel of the analog matrix-vector product: drive, sum currents per tile, add noise, convert."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from crossbar_sim import microkernel
from crossbar_sim.counter_random import normal_pair
from crossbar_sim.microkernel import multiply_panel

BLOCK = microkernel.VECTORS  # vectors that share one pass over the conductances
PANEL = microkernel.PANEL
PAIRS = PANEL // 2  # normal numbers come in pairs
GROUP = 64  # vectors that pass one panel of conductances before the next is loaded
SMALLEST = np.float32(2.0**-126)  # a vector below the smallest normal float is read as zero: 1 / m would overflow


@njit(fastmath=True)  # a NaN may be overlooked here; it reaches the codes and `conduction` all the same
def _largest(x):
    largest = np.float32(0)
    for k in range(x.size):
        largest = max(largest, abs(x[k]))
    return largest


@njit
def _drive(x, input_scale, steps, full_drive, codes):
    """codes = round(x s / m * steps) / steps (exact if steps is 0) with m = max|x s|, or m = full_drive > 0, to which
    |x s| is clipped; returns m."""
    for k in range(x.size):
        codes[k] = x[k] * input_scale[k]
    if full_drive > 0:
        largest = full_drive
        for k in range(x.size):
            if abs(codes[k]) > full_drive:
                codes[k] = full_drive if codes[k] > 0 else -full_drive
    else:
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
def _convert(sums, full, steps, scale, output):
    """Add the ADC's readings of sums, times scale, to output; returns the largest |sum| and the clipped count."""
    peak = _largest(sums)
    over = 0
    if steps > 0:
        limit = np.float32(steps)
        to_code, to_current = limit / full, full / limit * scale
        for j in range(sums.size):
            output[j] += min(max(np.rint(sums[j] * to_code), -limit), limit) * to_current
        if peak * to_code > limit:
            for j in range(sums.size):
                over += abs(np.rint(sums[j] * to_code)) > limit
    else:
        for j in range(sums.size):
            output[j] += sums[j] * scale
    return peak, over


@njit(fastmath={"contract"})
def _add_noise(sums, power, read, first_pair, k0, k1, normal):
    """sums[j] += sqrt(power[j]) z[j] for one panel; pair i of the counter gives columns i and PAIRS + i."""
    low, high = normal[:PAIRS], normal[PAIRS:]
    for i in range(PAIRS):
        low[i], high[i] = normal_pair(read, np.uint32(first_pair) + np.uint32(i), k0, k1)
    for j in range(PANEL):
        sums[j] += np.sqrt(power[j]) * normal[j]


@njit(cache=True, fastmath={"contract"})
def read_blocks(
    x, input_scale, dac_steps, full_drive, current, variance, noisy, line_conductance, tile_inputs, tile_outputs,
    adc_steps, ranges, tile_scale, output_scale, key, first_read, output, peaks, clipped, conduction,
    first_block, last_block,
):  # fmt: skip
    """output = m output_scale * sum over row tiles of tile_scale ADC(codes @ current + noise), one ADC per tile column,
    for the blocks of vectors first_block <= block < last_block.

    x (vectors, inputs); current (inputs, outputs) ampere at full drive; variance (inputs, outputs) ampere^2, both
    padded to a multiple of PANEL columns; ranges (row tiles, column tiles) ampere, used if adc_steps > 0. peaks and
    clipped (row tiles, column tiles) receive the largest |current| and the clipped conversions, conduction (blocks,)
    the sum of codes^2 times the conductance of their line, siemens.
    The noise of (vector b, row tile t, output j) has the counter (first_read + b, t, j).
    A panel of one tile's conductances stays in the first-level cache while a group of vectors passes it.
    """
    vectors, inputs = x.shape
    outputs = output_scale.size
    row_tiles = ranges.shape[0]
    panels = current.shape[1] // PANEL
    k0, k1 = key
    codes = np.zeros((GROUP, inputs), np.float32)
    squares = np.zeros((GROUP, inputs), np.float32)
    line = np.zeros(inputs, np.float32)
    largest = np.zeros(GROUP, np.float32)
    total = np.zeros((GROUP, outputs), np.float32)
    sums = np.empty((BLOCK, PANEL), np.float32)
    power = np.empty((BLOCK, PANEL), np.float32)
    normal = np.empty(PANEL, np.float32)
    for first in range(first_block, last_block, GROUP // BLOCK):
        b0 = first * BLOCK
        count = min(GROUP, last_block * BLOCK - b0, vectors - b0)
        group_blocks = (count + BLOCK - 1) // BLOCK
        total[:] = np.float32(0)
        codes[count:] = np.float32(0)
        squares[count:] = np.float32(0)
        for block in range(group_blocks):
            line[:] = np.float32(0)
            for b in range(block * BLOCK, min((block + 1) * BLOCK, count)):
                largest[b] = _drive(x[b0 + b], input_scale, dac_steps, full_drive, codes[b])
                for k in range(inputs):
                    squares[b, k] = codes[b, k] * codes[b, k]
                    line[k] += squares[b, k]
            drawn = 0.0
            for k in range(inputs):
                drawn += line[k] * line_conductance[k]
            conduction[first + block] = drawn
        for t in range(row_tiles):
            top = t * tile_inputs
            depth = min(tile_inputs, inputs - top)
            for panel in range(panels):
                left, right = panel * PANEL, min((panel + 1) * PANEL, outputs)
                corner = top * current.strides[0] + 4 * left
                for block in range(group_blocks):
                    row = block * BLOCK
                    offset = row * codes.strides[0] + 4 * top
                    multiply_panel(  # type: ignore[call-arg]
                        codes.ctypes.data + offset, codes.strides[0], current.ctypes.data + corner,
                        current.strides[0], depth, sums.ctypes.data, sums.strides[0],
                    )  # fmt: skip
                    height = min(BLOCK, count - row)
                    if noisy:
                        multiply_panel(
                            squares.ctypes.data + offset, squares.strides[0], variance.ctypes.data + corner,
                            variance.strides[0], depth, power.ctypes.data, power.strides[0],
                        )  # fmt: skip
                        for b in range(height):
                            read = np.uint32(first_read + b0 + row + b)
                            _add_noise(sums[b], power[b], read, (t * panels + panel) * PAIRS, k0, k1, normal)
                    for u in range(left // tile_outputs, (right - 1) // tile_outputs + 1):
                        start, stop = max(left, u * tile_outputs), min(right, (u + 1) * tile_outputs)
                        for b in range(height):
                            peak, over = _convert(
                                sums[b, start - left : stop - left], ranges[t, u], adc_steps, tile_scale[t, u],
                                total[row + b, start:stop],
                            )  # fmt: skip
                            peaks[t, u] = max(peaks[t, u], peak)
                            clipped[t, u] += over
        for b in range(count):
            for j in range(outputs):
                output[b0 + b, j] = total[b, j] * largest[b] * output_scale[j]


@njit(cache=True, parallel=True)
def read_in_parallel(
    x, input_scale, dac_steps, full_drive, current, variance, noisy, line_conductance, tile_inputs, tile_outputs,
    adc_steps, ranges, tile_scale, output_scale, key, first_read, output, peaks, clipped, conduction, workers,
):  # fmt: skip
    """`read_blocks` for all blocks, shared among `workers` threads; the result does not depend on how many.

    peaks and clipped have one more dimension in front, the worker.
    """
    blocks = conduction.size
    for worker in prange(workers):
        read_blocks(
            x, input_scale, dac_steps, full_drive, current, variance, noisy, line_conductance, tile_inputs,
            tile_outputs, adc_steps, ranges, tile_scale, output_scale, key, first_read, output, peaks[worker],
            clipped[worker], conduction, worker * blocks // workers, (worker + 1) * blocks // workers,
        )  # fmt: skip
