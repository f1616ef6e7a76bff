"""The numba kernels that look for what makes reads cheaper, once per programming."""

from __future__ import annotations

import numpy as np

from crossbar_sim.reading.compiled.drive import ZERO_CODE
from crossbar_sim.reading.compiled.llvm.vector_code import PANEL
from crossbar_sim.runtime.compiling import entry

LARGEST_LEVEL = 1023  # that float32 currents tell apart


@entry
def whole_levels(current, level, levels):
    """levels = current / level, if every one is a whole number of at most LARGEST_LEVEL; the largest size, or -1."""
    largest = 0
    for k in range(current.shape[0]):
        for j in range(current.shape[1]):
            exact = current[k, j] / level
            whole = np.rint(exact)
            if not (abs(exact - whole) <= 1e-4 and abs(whole) <= LARGEST_LEVEL):
                return -1
            levels[k, j] = np.int16(whole)
            if abs(levels[k, j]) > largest:
                largest = abs(levels[k, j])
    return largest


@entry
def same_everywhere(matrix):
    """Whether all numbers of a matrix are equal."""
    for k in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            if matrix[k, j] != matrix[0, 0]:
                return False
    return True


@entry
def pack(levels, tile_inputs, packed, start):
    """packed (row tiles, panels, steps, PANEL, rows per step) = levels (inputs, columns), zero where a tile has no
    more rows; start (row tiles, columns) takes back that bytes of codes are ZERO_CODE too high."""
    rows_per_step = packed.shape[4]
    packed[:], start[:] = 0, 0
    for k in range(levels.shape[0]):
        t, row = k // tile_inputs, k % tile_inputs
        for p in range(packed.shape[1]):
            step = packed[t, p, row // rows_per_step]
            for j in range(PANEL):
                level = levels[k, p * PANEL + j]
                step[j, row % rows_per_step] = level
                if packed.itemsize == 1:
                    start[t, p * PANEL + j] -= ZERO_CODE * np.int32(level)
