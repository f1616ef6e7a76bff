"""The numba kernels of the word lines: what a batch of vectors drives them with."""

from __future__ import annotations

import numpy as np
from numba import njit

from crossbar_sim.reading.microkernel import LANES, WIDE

BLOCK = 4  # vectors whose conduction is summed together
SMALLEST = np.float32(2.0**-126)  # a vector below the smallest normal float is read as zero: 1 / m would overflow
ZERO_CODE = 128  # a code is stored as an unsigned byte this far above it


@njit
def _largest(x):
    """max|x|, by the bits of the numbers, which grow with them; NaN if any is."""
    bits = x.view(np.int32)
    largest = np.int32(0)
    for k in range(bits.size):
        largest = max(largest, bits[k] & np.int32(0x7FFFFFFF))
    return np.array([largest], np.int32).view(np.float32)[0]


@njit
def _drive(x, input_scale, steps, full_drive, whole, codes):
    """codes = round(x s / m * steps) / steps (exact if steps is 0; `whole`: times steps) with m = max|x s|, or
    m = full_drive > 0, to which |x s| is clipped; returns m."""
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
        narrow = np.float32(1) if whole else np.float32(1) / wide
        for k in range(x.size):
            codes[k] = np.rint(codes[k] * inverse * wide) * narrow
    else:
        for k in range(x.size):
            codes[k] *= inverse
    return largest


@njit
def _bits_set(driven, steps, bits):
    """How many bits of the sizes of the codes (at most 15 bits) `driven` * steps are set; NaN where one is."""
    for k in range(driven.size):
        size = np.uint32(np.int32(np.rint(abs(driven[k]) * steps)))  # counted in parallel
        size -= (size >> np.uint32(1)) & np.uint32(0x5555)
        size = (size & np.uint32(0x3333)) + ((size >> np.uint32(2)) & np.uint32(0x3333))
        size = (size + (size >> np.uint32(4))) & np.uint32(0x0F0F)
        bits[k] = np.float32(np.int32((size + (size >> np.uint32(8))) & np.uint32(0x1F))) + np.float32(0) * driven[k]


@njit
def _conduction(line, line_conductance, code_value):
    drawn = 0.0
    for k in range(line.size):
        drawn += line[k] * line_conductance[k]
    return drawn * code_value * code_value


@njit
def _deal(driven, codes, b):
    """One vector's codes, to the row tiles that they drive; bytes are stored ZERO_CODE above the code."""
    tile_inputs = codes.shape[2]
    for t in range(codes.shape[0]):
        part = driven[t * tile_inputs : (t + 1) * tile_inputs]
        if codes.itemsize == 1:
            for k in range(part.size):
                codes[t, b, k] = np.int32(part[k]) + np.int32(ZERO_CODE)
        elif codes.itemsize == 2:
            for k in range(part.size):
                codes[t, b, k] = np.int32(part[k])
        else:
            for k in range(part.size):
                codes[t, b, k] = part[k]


@njit
def _sum(x, lanes):
    """Sum in LANES running sums, so that it vectorises and is the same on every processor."""
    lanes[:] = np.float32(0)
    whole = x.size // LANES * LANES
    for k in range(0, whole, LANES):
        for i in range(LANES):
            lanes[i] += x[k + i]
    for k in range(whole, x.size):
        lanes[k - whole] += x[k]
    total = np.float32(0)
    for i in range(LANES):
        total += lanes[i]
    return total


@njit(cache=True, nogil=True, fastmath={"contract"})
def drive_lines(
    x, input_scale, steps, full_drive, serial, whole, line_conductance, codes, squares, even, largest, conduction
):  # fmt: skip
    """Convert the vectors x (count, inputs) to codes on the word lines of every row tile.

    codes (row tiles, more than count + WIDE, tile inputs): round(x s / m * steps) / steps with m as in `_drive` (exact
    if steps is 0), times steps if `whole`; squares: theirs or, if `even`, their sum over the tile (no row tiles: not
    wanted); both zero beyond count. largest (count,): m; conduction (blocks of BLOCK vectors,): the sum of drive^2
    times the conductance of the line, siemens; with `serial` drives, one full drive per bit of the code that is set.
    """
    count, inputs = x.shape
    line, driven, square = np.zeros(inputs, np.float32), np.empty(inputs, np.float32), np.empty(inputs, np.float32)
    lanes = np.empty(LANES, np.float32)
    code_value = 1.0 / steps if whole and not serial else 1.0
    to_code = np.float32(1) if whole else np.float32(steps)
    codes[:, count : count + WIDE] = ZERO_CODE if codes.itemsize == 1 else 0
    squares[:, count : count + WIDE] = 0
    for block in range(conduction.size):
        line[:] = np.float32(0)
        for b in range(block * BLOCK, min((block + 1) * BLOCK, count)):
            largest[b] = _drive(x[b], input_scale, steps, full_drive, whole, driven)
            if serial:
                _bits_set(driven, to_code, square)
            else:
                for k in range(inputs):
                    square[k] = driven[k] * driven[k]
            for k in range(inputs):
                line[k] += square[k]
            _deal(driven, codes, b)
            if not even and squares.size > 0:
                _deal(square, squares, b)
            else:
                for t in range(len(squares)):
                    squares[t, b, 0] = _sum(square[t * codes.shape[2] : (t + 1) * codes.shape[2]], lanes)
        conduction[block] = _conduction(line, line_conductance, code_value)
