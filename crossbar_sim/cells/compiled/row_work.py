"""What a write did to each row of each array of cells: sums over its cells, and the most that one took."""

from __future__ import annotations

from typing import NamedTuple

from crossbar_sim.runtime.compiling import part


class RowWork(NamedTuple):
    """The columns of an array (rows, column arrays, FIELDS), sums first.

    cells: cells written
    set_pulses, reset_pulses: how many
    set_joule, reset_joule: of these
    verify_reads, verify_joule: how many, and theirs
    squared_volts: sum of V^2 over all pulses
    slots: most pulses of one cell, which are the word-line slots if the row shares them
    seconds: most seconds of pulses and verify reads of one cell
    """

    cells: int
    set_pulses: int
    reset_pulses: int
    set_joule: int
    reset_joule: int
    verify_reads: int
    verify_joule: int
    squared_volts: int
    slots: int
    seconds: int


FIELDS, SUMS = 10, 8
COLUMN = RowWork(*range(FIELDS))
"""Where each stands; the first SUMS are sums, the others maxima."""


@part(error_model="numpy")
def _locate(cell, rows, columns, array_columns):
    """(row, column array) of a cell, and the cell after the last of that array's row."""
    line, column = cell // columns, cell % columns
    array = column // array_columns
    return line % rows, array, cell - column + min((array + 1) * array_columns, columns)


@part(error_model="numpy")
def add_cells(request, cells, done, erased, method, law, work):
    """Add what was done to `cells` of a request to `work` (rows, column arrays, FIELDS).

    done: `lanes.Done` of the cells; erased: which had a RESET pulse first, without a verify read before it; law:
    `PulseLaw`.
    """
    set_square, reset_square = law.up.voltage * law.up.voltage, law.down.voltage * law.down.voltage
    i = 0
    while i < cells.size:
        row, array, last = _locate(cells[i], len(work), request.columns, request.array_columns)
        first = i
        all_sets = 0.0
        all_pulses = 0.0
        all_reads = 0.0
        most = 0.0
        longest = 0.0
        all_set_joule = 0.0
        all_reset_joule = 0.0
        all_seen = 0.0
        all_squared = 0.0
        while i < cells.size and cells[first] <= cells[i] < last:
            sets, pulses = done.set_pulses[i], done.pulses[i]
            resets, reads = pulses - sets, pulses + 1.0 - erased[i] if method.closed_loop else 0.0
            all_sets += sets
            all_pulses += pulses
            all_reads += reads
            all_set_joule += done.set_joule[i]
            all_reset_joule += done.reset_joule[i]
            all_seen += done.seen[i]
            all_squared += done.squared_volts[i]
            most = max(most, pulses)
            longest = max(longest, sets * law.up.width + resets * law.down.width + reads * law.read_time)
            i += 1
        all_resets = all_pulses - all_sets
        rising_amplitude = method.ispp is not None
        here = work[row, array]
        here[COLUMN.cells] += i - first
        here[COLUMN.set_pulses] += all_sets
        here[COLUMN.reset_pulses] += all_resets
        here[COLUMN.set_joule] += all_set_joule
        here[COLUMN.reset_joule] += all_reset_joule
        here[COLUMN.verify_reads] += all_reads
        here[COLUMN.verify_joule] += verify_joule(all_seen, all_reads, law)
        here[COLUMN.squared_volts] += (
            all_squared if rising_amplitude else all_sets * set_square + all_resets * reset_square
        )
        here[COLUMN.slots] = max(here[COLUMN.slots], most)
        here[COLUMN.seconds] = max(here[COLUMN.seconds], longest)


@part(inline="always")
def verify_joule(seen, reads, law):
    """Joule of `reads` verify reads that saw `seen` siemens in all; law: `PulseLaw`."""
    return law.read_voltage * law.read_voltage * law.read_time * seen + reads * law.sense_energy if reads > 0.0 else 0.0
