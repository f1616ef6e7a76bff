"""One compiled call per worker: drive the lines and read the tiles, as many vectors at a time as the cache holds."""

from __future__ import annotations

import numpy as np

from crossbar_sim.reading.compiled.drive import BLOCK, drive_lines
from crossbar_sim.reading.compiled.llvm.blocks import WIDE
from crossbar_sim.reading.compiled.tiles import read_tiles, read_whole_tiles
from crossbar_sim.runtime.compiling import entry, part

GROUP_BYTES = 832 * 1024  # codes of the vectors that pass one panel of a tile: they stay in the second-level cache


@part
def vectors_per_pass(inputs, code_bytes, count):
    """As equal as possible, few enough for the cache, a multiple of every block."""
    most = max(GROUP_BYTES // (inputs * code_bytes), 4 * WIDE)
    passes = max(1, -(-count // most))
    return max(1, -(-count // (passes * WIDE))) * WIDE


@entry(nogil=True)
def read_vectors(
    x,
    input_scale,
    dac_steps,
    full_drive,
    serial,
    line_conductance,
    unit,
    tile_inputs,
    tile_outputs,
    adc_steps,
    ranges,
    tile_scale,
    output_scale,
    output,
    conduction,
    peaks,
    clipped,
    whole,
    matrix,
    noisy,
    even,
    variance,
    key,
    first_read,
):
    """`read_tiles` of the vectors x (count, inputs) as `drive_lines` converts them, which are reads number first_read,
    first_read + 1, ...; conduction (blocks of BLOCK vectors,)."""
    (count, inputs), row_tiles, width = x.shape, len(ranges), min(tile_inputs, x.shape[1])
    step = vectors_per_pass(inputs, 8 if noisy and not even else 4, count)
    codes = np.empty((row_tiles, step + WIDE, width), np.float32)
    squares = np.empty((row_tiles if noisy else 0, step + WIDE, 1 if even else width), np.float32)
    largest = np.empty(step, np.float32)
    for start in range(0, count, step):
        stop = min(start + step, count)
        m = largest[: stop - start]
        drive_lines(
            x[start:stop],
            input_scale,
            dac_steps,
            np.float32(full_drive),
            serial,
            whole,
            line_conductance,
            codes,
            squares,
            even,
            m,
            conduction[start // BLOCK : -(-stop // BLOCK)],
        )
        read_tiles(
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
            m,
            key,
            first_read + start,
            output[start:stop],
            peaks,
            clipped,
        )


@entry(nogil=True)
def read_levels(
    x,
    input_scale,
    dac_steps,
    full_drive,
    serial,
    line_conductance,
    unit,
    tile_inputs,
    tile_outputs,
    adc_steps,
    ranges,
    tile_scale,
    output_scale,
    output,
    conduction,
    peaks,
    clipped,
    packed,
    packed_start,
    kind,
):
    """`read_vectors` of packed whole levels without read noise, by `read_whole_tiles`; codes are stored like `kind`."""
    (count, inputs), row_tiles = x.shape, len(ranges)
    step = vectors_per_pass(inputs, kind.itemsize, count)
    rows = step + WIDE + 1  # one more, since the last few codes may reach beyond their row
    codes = np.empty((row_tiles, rows, min(tile_inputs, inputs)), kind.dtype)
    no_squares, largest = np.empty((0, rows, 1), np.float32), np.empty(step, np.float32)
    for start in range(0, count, step):
        stop = min(start + step, count)
        m = largest[: stop - start]
        drive_lines(
            x[start:stop],
            input_scale,
            dac_steps,
            np.float32(full_drive),
            serial,
            True,
            line_conductance,
            codes,
            no_squares,
            False,
            m,
            conduction[start // BLOCK : -(-stop // BLOCK)],
        )
        read_whole_tiles(
            codes,
            packed,
            packed_start,
            unit,
            inputs,
            tile_outputs,
            adc_steps,
            ranges,
            tile_scale,
            output_scale,
            m,
            output[start:stop],
            peaks,
            clipped,
        )
