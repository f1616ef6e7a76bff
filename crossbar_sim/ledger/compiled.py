"""Numba kernels of the write bill: one pass over the programmed rows, and over all cells of a passive array."""

from __future__ import annotations

import numpy as np

from crossbar_sim.cells.compiled.row_work import COLUMN, SUMS
from crossbar_sim.runtime.compiling import entry, part


@entry
def write_totals(work, tile_rows, serial, set_width, longer, read_time):
    """Sums of `work` (rows, column tiles, row_work.FIELDS) over all rows; word-line slots of all rows together, how
    many rows of a tile have a programmed cell, and seconds of the slowest tile, whose rows follow one another.

    Cells of a row share their slots (the largest counts) or, `serial`, follow one another (the sum counts).
    Seconds: of a SET pulse, what a RESET pulse takes longer, and of a verify read.
    """
    sums = np.zeros(SUMS)
    slots = 0.0
    rows = 0
    slowest = 0.0
    for tile in range(work.shape[1]):
        for top in range(0, len(work), tile_rows):
            seconds = 0.0
            for row in work[top : top + tile_rows, tile]:
                if row[COLUMN.cells] == 0.0:
                    continue
                pulses = row[COLUMN.set_pulses] + row[COLUMN.reset_pulses]
                rows += 1
                slots += pulses if serial else row[COLUMN.slots]
                one_by_one = pulses * set_width + row[COLUMN.reset_pulses] * longer
                one_by_one += row[COLUMN.verify_reads] * read_time
                seconds += one_by_one if serial else row[COLUMN.seconds]
                for field in range(SUMS):
                    sums[field] += row[field]
            slowest = max(slowest, seconds)
    return sums, slots, rows, slowest


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
        plane = cells[i] // (inputs * outputs)
        row, column = place // outputs, place % outputs
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
    row_pulses = 0
    driven = 0
    all_slots = 0
    rising = 0
    falling = 0
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
