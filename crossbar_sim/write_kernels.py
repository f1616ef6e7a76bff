"""Numba kernel of the write bill: one pass over the programmed cells."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def row_slots(cells, set_pulses, reset_pulses, verify_reads, inputs, outputs, tile_outputs, serial, widths):
    """Word-line slots and seconds of every row in every column tile (rows, column tiles); a row without a programmed
    cell has 0 slots and -1 second.

    Cells of a row share their slots (the largest counts) or, `serial`, follow one another (the sum counts).
    widths: seconds of a SET pulse, of what a RESET pulse takes longer, and of a verify read.
    """
    column_tiles = (outputs + tile_outputs - 1) // tile_outputs
    slots = np.zeros((inputs, column_tiles), np.int64)
    seconds = np.full((inputs, column_tiles), -1.0)
    for i in range(cells.size):
        place = cells[i] % (inputs * outputs)
        row, tile = place // outputs, place % outputs // tile_outputs
        pulses = set_pulses[i] + reset_pulses[i]
        pulse_time = pulses * widths[0] + reset_pulses[i] * widths[1]
        time = pulse_time + verify_reads[i] * widths[2]
        if serial:
            slots[row, tile] += pulses
            seconds[row, tile] = max(seconds[row, tile], 0.0) + time
        else:
            slots[row, tile] = max(slots[row, tile], pulses)
            seconds[row, tile] = max(seconds[row, tile], time)
    return slots, seconds
