"""Numba kernels of the write bill: one pass over the programmed cells, and over all cells of a passive array."""

from __future__ import annotations

import numpy as np

from crossbar_sim.compiling import entry, part


@part(error_model="numpy")
def _locate(cell, inputs, outputs, tile_outputs, here):
    """(row, column tile) of a cell, with the first cell of that tile's row and the one after its last; `here`: the
    same of the cell before, which most often is its neighbour."""
    if here[2] <= cell < here[3]:
        return here
    line, column = cell // outputs, cell % outputs
    tile = column // tile_outputs
    first, last = tile * tile_outputs, min((tile + 1) * tile_outputs, outputs)
    return line % inputs, tile, cell - column + first, cell - column + last


@entry
def write_totals(
    cells, set_pulses, reset_pulses, verify_reads, set_energy, reset_energy, verify_energy, inputs, outputs, tile_rows,
    tile_outputs, serial, widths,
):  # fmt: skip
    """SET pulses, RESET pulses and verify reads of all cells, their joule; word-line slots of all rows together, how
    many rows of a tile have a programmed cell, and seconds of the slowest tile, whose rows follow one another.

    Cells of a row share their slots (the largest counts) or, `serial`, follow one another (the sum counts).
    widths: seconds of a SET pulse, of what a RESET pulse takes longer, and of a verify read.
    """
    column_tiles = (outputs + tile_outputs - 1) // tile_outputs
    slots = np.zeros((inputs, column_tiles), np.int64)
    seconds = np.full((inputs, column_tiles), -1.0)
    sets, resets, reads = 0, 0, 0
    set_joule, reset_joule, verify_joule = 0.0, 0.0, 0.0
    here = (0, 0, 0, 0)
    for i in range(cells.size):
        sets += set_pulses[i]
        resets += reset_pulses[i]
        reads += verify_reads[i]
        set_joule += set_energy[i]
        reset_joule += reset_energy[i]
        verify_joule += verify_energy[i]
        here = _locate(cells[i], inputs, outputs, tile_outputs, here)
        row, tile = here[0], here[1]
        pulses = set_pulses[i] + reset_pulses[i]
        pulse_time = pulses * widths[0] + reset_pulses[i] * widths[1]
        time = pulse_time + verify_reads[i] * widths[2]
        if serial:
            slots[row, tile] += pulses
            seconds[row, tile] = max(seconds[row, tile], 0.0) + time
        else:
            slots[row, tile] = max(slots[row, tile], pulses)
            seconds[row, tile] = max(seconds[row, tile], time)
    rows, slowest = 0, 0.0
    for tile in range(column_tiles):
        for top in range(0, inputs, tile_rows):
            total = 0.0
            for row in range(top, min(top + tile_rows, inputs)):
                if seconds[row, tile] >= 0.0:
                    rows += 1
                    total += seconds[row, tile]
            slowest = max(slowest, total)
    return sets, resets, reads, set_joule, reset_joule, verify_joule, slots.sum(), rows, slowest


@entry
def half_selected(cells, set_pulses, reset_pulses, conductance, tile_rows, tile_outputs, serial, third):
    """Sum of pulses times conductance (siemens) of the cells that are not selected: of SET and of RESET pulses.

    conductance (planes, inputs, outputs). Per tile, with the slots of a row (the most pulses of its cells, or `serial`
    their sum): `third`: slots times the conductance of the tile; else slots times that of the row, and every cell's
    pulses times that of its bit line, less the selected cell itself.
    """
    planes, inputs, outputs = conductance.shape
    row_tiles, column_tiles = (inputs + tile_rows - 1) // tile_rows, (outputs + tile_outputs - 1) // tile_outputs
    rows = np.zeros((inputs, column_tiles))
    columns = np.zeros((row_tiles, planes, outputs))
    for plane in range(planes):
        for row in range(inputs):
            along = columns[row // tile_rows, plane]
            for u in range(column_tiles):
                total = 0.0
                for column in range(u * tile_outputs, min((u + 1) * tile_outputs, outputs)):
                    total += conductance[plane, row, column]
                    along[column] += conductance[plane, row, column]
                rows[row, u] += total
    slots = np.zeros((2, inputs, column_tiles), np.int64)
    other = np.zeros((2, row_tiles, column_tiles))
    for i in range(cells.size):
        place = cells[i] % (inputs * outputs)
        plane, row, column = cells[i] // (inputs * outputs), place // outputs, place % outputs
        t, u = row // tile_rows, column // tile_outputs
        g = conductance[plane, row, column]
        for kind in range(2):
            pulses = set_pulses[i] if kind == 0 else reset_pulses[i]
            if pulses == 0:
                continue
            slots[kind, row, u] = slots[kind, row, u] + pulses if serial else max(slots[kind, row, u], pulses)
            other[kind, t, u] += -pulses * g if third else pulses * (columns[t, plane, column] - 2 * g)
    totals = np.zeros((row_tiles, column_tiles))
    for row in range(inputs):
        for u in range(column_tiles):
            totals[row // tile_rows, u] += rows[row, u]
    for kind in range(2):
        for row in range(inputs):
            for u in range(column_tiles):
                t = row // tile_rows
                other[kind, t, u] += slots[kind, row, u] * (totals[t, u] if third else rows[row, u])
    sums = np.zeros(2)
    for kind in range(2):
        for value in other[kind].flat:
            sums[kind] += max(value, 0.0)
    return sums


@entry
def add_tile_work(
    cells, set_pulses, reset_pulses, verify_reads, set_energy, reset_energy, verify_energy, inputs, outputs, tile_rows,
    tile_outputs, work,
):  # fmt: skip
    """Add joule of SET, RESET and verify reads, numbers of verify reads and of pulses to `work` (5, row tiles, column
    tiles), each at the tile of its cell."""
    here = (0, 0, 0, 0)
    for i in range(cells.size):
        here = _locate(cells[i], inputs, outputs, tile_outputs, here)
        t, u = here[0] // tile_rows, here[1]
        work[0, t, u] += set_energy[i]
        work[1, t, u] += reset_energy[i]
        work[2, t, u] += verify_energy[i]
        work[3, t, u] += verify_reads[i]
        work[4, t, u] += set_pulses[i] + reset_pulses[i]


@part
def _ones(word):
    count = 0
    while word:
        word &= word - np.uint32(1)
        count += 1
    return count


@entry
def line_charges(rows, columns, slots):
    """Of pulse trains, rows (samples, inputs) and columns (row tiles, samples, outputs) with the sign in bit 31: pulses
    of all rows, rows with any, slots of all samples and phases, column pulses that would raise a single cell and those
    that would lower it, in all phases (one per sign of the rows)."""
    pulses = np.uint32(0x7FFFFFFF)
    row_pulses, driven, all_slots, rising, falling = 0, 0, 0, 0, 0
    for s in range(len(rows)):
        has = np.zeros(2, np.int64)
        for word in rows[s]:
            count = _ones(word & pulses)
            row_pulses += count
            if count > 0:
                driven += 1
                has[word >> np.uint32(31)] = 1
        all_slots += slots[s] * has.sum()
        for tile in range(len(columns)):
            up, down = 0, 0
            for word in columns[tile, s]:
                count = _ones(word & pulses)
                if word >> np.uint32(31) == 1:
                    up += count
                else:
                    down += count
            rising += up * has[0] + down * has[1]
            falling += down * has[0] + up * has[1]
    return row_pulses, driven, all_slots, rising, falling
