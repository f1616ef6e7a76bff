"""One compiled call per worker: drive the lines and read the tiles, as many vectors at a time as the cache holds."""

from __future__ import annotations

import numpy as np

from crossbar_sim.reading.compiled.drive import BLOCK, drive_lines
from crossbar_sim.reading.compiled.llvm.blocks import WIDE
from crossbar_sim.reading.compiled.settings import Results
from crossbar_sim.reading.compiled.tiles import read_group
from crossbar_sim.runtime.compiling import entry, part

GROUP_BYTES = 832 * 1024  # codes of the vectors that pass one panel of a tile: they stay in the second-level cache


@part
def vectors_per_pass(inputs, code_bytes, count):
    """As equal as possible, few enough for the cache, a multiple of every block."""
    most = max(GROUP_BYTES // (inputs * code_bytes), 4 * WIDE)
    passes = max(1, -(-count // most))
    return max(1, -(-count // (passes * WIDE))) * WIDE


@entry(nogil=True)
def read_vectors(x, first_read, drive, wanted, cells, sense, grid, results):
    """Read the vectors x (count, inputs), which are reads number first_read, first_read + 1, ...

    drive: Drive; wanted: Codes; cells: Currents or PackedLevels; sense: Sense; grid: Grid; results: Results. The lines
    are driven as in `drive_lines`, the tiles read as in `tiles.read_tiles` or `tiles.read_whole_tiles`.
    """
    count, inputs = x.shape
    row_tiles, width = len(sense.tile_scale), min(grid.tile_inputs, inputs)
    step = vectors_per_pass(inputs, wanted.kind.itemsize * (2 if wanted.squared and not wanted.summed else 1), count)
    rows = step + WIDE + 1  # one more, since the last few packed codes may reach beyond their row
    codes = np.empty((row_tiles, rows, width), wanted.kind.dtype)
    squares = np.empty((row_tiles if wanted.squared else 0, rows, 1 if wanted.summed else width), np.float32)
    largest = np.empty(step, np.float32)
    for start in range(0, count, step):
        stop = min(start + step, count)
        group = Results(
            results.output[start:stop],
            results.conduction[start // BLOCK : -(-stop // BLOCK)],
            results.peaks,
            results.clipped,
        )
        drive_lines(x[start:stop], drive, wanted, codes, squares, largest, group.conduction)
        read_group(codes, squares, largest, first_read + start, cells, sense, grid, group)
