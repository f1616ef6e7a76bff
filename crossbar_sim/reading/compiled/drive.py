"""The numba kernels of the word lines: what a batch of vectors drives them with."""

from __future__ import annotations

import numpy as np

from crossbar_sim.reading.compiled.converters import SMALLEST, bits_set, dac_code, largest_of
from crossbar_sim.reading.compiled.llvm.blocks import WIDE
from crossbar_sim.reading.compiled.llvm.vector_code import LANES
from crossbar_sim.runtime.compiling import part

BLOCK = 4  # vectors whose conduction is summed together
ZERO_CODE = 128  # a code is stored as an unsigned byte this far above it


@part
def _encode(x, input_scale, top, limit, inverse, steps, narrow, codes):
    """codes = round(x s inverse steps) narrow (x s inverse if steps is 0) of one vector x from input `top` on, with
    |x s| clipped to `limit`."""
    wide, first = np.float32(steps), np.uint64(top)
    for k in range(min(codes.size, input_scale.size - top)):
        i = first + np.uint64(k)
        value = x[i] * input_scale[i]
        if abs(value) > limit:
            value = limit if value > 0 else -limit
        code = value * inverse
        if steps > 0:
            code = dac_code(code, wide) * narrow
        codes[k] = code


@part
def _count_bits(driven, steps, counts):
    """How many bits of the sizes of the codes (at most 15 bits) `driven` * steps are set; NaN where one is."""
    for k in range(driven.size):
        size = np.uint32(np.int32(np.rint(abs(driven[k]) * steps)))
        counts[k] = np.float32(np.int32(bits_set(size))) + np.float32(0) * driven[k]


@part
def _store(driven, codes, t, b, depth):
    """Codes of one vector on the lines of one tile; bytes are stored ZERO_CODE above the code."""
    if codes.itemsize == 1:
        for k in range(depth):
            codes[t, b, k] = np.int32(driven[k]) + np.int32(ZERO_CODE)
    elif codes.itemsize == 2:
        for k in range(depth):
            codes[t, b, k] = np.int32(driven[k])
    else:
        for k in range(depth):
            codes[t, b, k] = driven[k]


@part
def _sum(x, count, lanes):
    """Sum of the first `count` in LANES running sums, so that it vectorises and is the same on every processor."""
    lanes[:] = 0
    whole = count // LANES * LANES
    for k in range(0, whole, LANES):
        for i in range(LANES):
            lanes[i] += x[k + i]
    for k in range(whole, count):
        lanes[k - whole] += x[k]
    total = lanes[0]
    for i in range(1, LANES):
        total += lanes[i]
    return total


@part(inline="always")
def drive_lines(x, drive, wanted, codes, squares, largest, conduction):
    """Convert the vectors x (count, inputs) to codes on the word lines of every row tile.

    drive: Drive; wanted: Codes; codes (row tiles, more than count + WIDE, tile inputs): round(x s / m * steps) / steps
    (exact if steps is 0; times steps if they are whole) with m = max|x s|, or m = full_drive > 0, to which |x s| is
    clipped; squares: theirs or, if `summed`, their sum over the tile (no row tiles: not wanted); both zero beyond
    count. largest (at least count,): m; conduction (blocks of BLOCK vectors,): the sum of drive^2 times the conductance
    of the line, siemens; with `serial` drives, one full drive per bit of the code that is set.
    """
    (count, inputs), (row_tiles, _, width) = x.shape, codes.shape
    steps, full_drive = drive.dac_steps, np.float32(drive.full_drive)
    line = np.empty(inputs, np.float32)
    driven = np.empty(width, np.float32)
    square = np.empty(width, np.float32)
    drawn = np.empty(inputs)
    lanes = np.empty(LANES, np.float32)
    wide_lanes = np.empty(LANES)
    limit = full_drive if full_drive > 0 else np.float32(np.inf)
    narrow = np.float32(1) if wanted.whole or steps == 0 else np.float32(1) / np.float32(steps)
    code_value = 1.0 / steps if wanted.whole and not drive.serial else 1.0
    to_code = np.float32(1) if wanted.whole else np.float32(steps)
    codes[:, count : count + WIDE] = ZERO_CODE if codes.itemsize == 1 else 0
    squares[:, count : count + WIDE] = 0
    for block in range(conduction.size):
        line[:] = np.float32(0)
        for b in range(block * BLOCK, min((block + 1) * BLOCK, count)):
            largest[b] = full_drive if full_drive > 0 else largest_of(x, b, drive.input_scale)
            inverse = np.float32(1) / largest[b] if largest[b] >= SMALLEST else np.float32(0)
            for t in range(row_tiles):
                top = np.uint64(t * width)
                depth = min(width, inputs - t * width)
                _encode(x[b], drive.input_scale, t * width, limit, inverse, steps, narrow, driven)
                _store(driven, codes, t, b, depth)
                if drive.serial:
                    _count_bits(driven, to_code, square)
                else:
                    for k in range(depth):
                        square[k] = driven[k] * driven[k]
                for k in range(depth):
                    line[top + np.uint64(k)] += square[k]
                if wanted.summed:
                    squares[t, b, 0] = _sum(square, depth, lanes)
                elif len(squares) > 0:
                    for k in range(depth):
                        squares[t, b, k] = square[k]
        for k in range(inputs):
            drawn[k] = line[k] * drive.line_conductance[k]
        conduction[block] = _sum(drawn, inputs, wide_lanes) * code_value * code_value
