"""What programming did to each row of each array of a crossbar: sums over its cells, and the most that one took."""

from __future__ import annotations

from crossbar_sim.runtime.compiling import part

CELLS, SETS, RESETS, SET_JOULE, RESET_JOULE, READS, VERIFY_JOULE, SQUARED = range(8)
"""Sums: cells programmed, SET pulses, RESET pulses, joule of both, verify reads and their joule, V^2 of all pulses."""
SLOTS, LONGEST = range(8, 10)
"""Maxima: pulses of one cell, which are the word-line slots if the row shares them, and its seconds of pulses and
verify reads."""
SUMS, FIELDS = 8, 10


@part(error_model="numpy")
def _locate(cell, rows, columns, array_columns):
    """(row, column array) of a cell, and the cell after the last of that array's row."""
    line, column = cell // columns, cell % columns
    array = column // array_columns
    return line % rows, array, cell - column + min((array + 1) * array_columns, columns)


@part(error_model="numpy")
def add_cells(cells, done, erased, verified, rising, law, columns, array_columns, work):
    """Add what was done to cells (flat indices; rows of `columns`, cut into arrays of `array_columns`) to
    `work` (rows, column arrays, FIELDS). `verified`: a read before each pulse, unless an erasing one, and one after the
    last; `rising`: pulses of a rising amplitude; law: `DeviceModel.law`."""
    set_square, reset_square = law[12] * law[12], law[13] * law[13]
    set_seconds, reset_seconds, read_seconds = law[14], law[15], law[19]
    sets, pulses, set_joule, reset_joule, seen, _, squared, _ = done
    i = 0
    while i < cells.size:
        row, array, last = _locate(cells[i], len(work), columns, array_columns)
        first, all_sets, all_pulses, all_reads, most, longest = i, 0.0, 0.0, 0.0, 0.0, 0.0
        all_set_joule, all_reset_joule, all_seen, all_squared = 0.0, 0.0, 0.0, 0.0
        while i < cells.size and cells[first] <= cells[i] < last:
            resets, reads = pulses[i] - sets[i], pulses[i] + 1.0 - erased[i] if verified else 0.0
            all_sets, all_pulses, all_reads = all_sets + sets[i], all_pulses + pulses[i], all_reads + reads
            all_set_joule, all_reset_joule = all_set_joule + set_joule[i], all_reset_joule + reset_joule[i]
            all_seen, all_squared = all_seen + seen[i], all_squared + squared[i]
            most = max(most, pulses[i])
            longest = max(longest, sets[i] * set_seconds + resets * reset_seconds + reads * read_seconds)
            i += 1
        here = work[row, array]
        here[CELLS] += i - first
        here[SETS] += all_sets
        here[RESETS] += all_pulses - all_sets
        here[SET_JOULE] += all_set_joule
        here[RESET_JOULE] += all_reset_joule
        here[READS] += all_reads
        here[VERIFY_JOULE] += verify_joule(all_seen, all_reads, law)
        here[SQUARED] += all_squared if rising else all_sets * set_square + (all_pulses - all_sets) * reset_square
        here[SLOTS], here[LONGEST] = max(here[SLOTS], most), max(here[LONGEST], longest)


@part(inline="always")
def verify_joule(seen, reads, law):
    """Joule of verify reads that saw `seen` siemens in all; law: `DeviceModel.law`."""
    return law[18] * law[18] * law[19] * seen + reads * law[20] if reads > 0.0 else 0.0
