"""Compiled stochastic update: pulse trains on rows and columns, and what cells do where both have a pulse.

The columns that have a pulse are listed once per sample and slot, so that every row with a pulse finds them side by
side: its cells are gathered, pulsed in one vectorised pass, and put back.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from crossbar_sim.cells.compiled.row_work import COLUMN
from crossbar_sim.cells.compiled.single import single_update_law
from crossbar_sim.cells.compiled.update_arguments import Row
from crossbar_sim.devices.pulse_response.compiled import exponential_move, folded_pulse_energy, linear_move
from crossbar_sim.hardware.schemes.base import BOTH_CELLS, CELL_OF_THE_SIGN
from crossbar_sim.runtime.compiling import entry, part
from crossbar_sim.runtime.counter_random import bits_to_float, normal_pair, threefry

SLOTS = 31  # of a train, one bit each; bit 31 of its word is the sign
COUNTS_PER_SAMPLE = 32  # counter stride: one count per slot, or per two slots where trains are drawn
LANES = 256  # columns whose cells are pulsed together; the counter sets a pair of normal numbers aside for each
BLOCK = 32  # lanes are padded to whole blocks: loops over them have no remainder


@entry
def draw_trains(signal, chance, slots, key, first_sample, first_line, trains):
    """trains (samples, lines): in each of the first slots[s] bits a pulse with the probability |signal[s, k]|
    chance[s]; bit 31 is set where the signal is negative, unless there is no pulse.

    The two words of the counter (first_line + k, 32 (first_sample + s) + i) decide about the slots 2 i and 2 i + 1.
    """
    k0, k1 = key
    samples, lines = signal.shape
    for s in range(samples):
        words, limits = np.zeros(lines, np.uint32), np.empty(lines)
        for k in range(lines):
            limits[k] = abs(signal[s, k]) * chance[s] * 4294967296.0
        for pair in range((slots[s] + 1) // 2):
            both = np.uint32(2 * pair + 1 < slots[s])
            counter = np.uint32((first_sample + s) * COUNTS_PER_SAMPLE + pair)
            for k in range(lines):
                w0, w1 = threefry(np.uint32(first_line + k), counter, k0, k1)
                pulses = np.uint32(np.float64(w0) < limits[k]) | (both & np.uint32(np.float64(w1) < limits[k])) << 1
                words[k] |= np.uint32(pulses << np.uint32(2 * pair))
        for k in range(lines):
            negative = np.uint32((words[k] != 0) & (signal[s, k] < 0))
            trains[s, k] = words[k] | negative << np.uint32(SLOTS)


@entry
def list_columns(trains, slots, column_of, starts, listed):
    """listed[starts[s, slot] : starts[s, slot + 1]]: 2 column_of[j] + (1 where the signal is negative) of the lines j
    that have a pulse, in order; starts (samples, one more than the most slots); listed: room for every pulse and for
    one more."""
    at = 0
    for s in range(trains.shape[0]):
        starts[s, 0] = at
        for slot in range(slots[s]):
            for j in range(trains.shape[1]):
                word = trains[s, j]
                listed[at] = np.uint32(2 * column_of[j]) + (word >> np.uint32(SLOTS))
                at += (word >> np.uint32(slot)) & np.uint32(1)
            starts[s, slot + 1] = at


@part(inline="always")
def _exp(x):
    """exp(x) in float32 for |x| < 80, to about 1e-7, so that loops vectorise."""
    scaled = np.float32(x) * np.float32(1.44269504)
    whole = np.rint(scaled)
    f = (scaled - whole) * np.float32(0.69314718)
    p = np.float32(1 / 5040)
    p = p * f + np.float32(1 / 720)
    p = p * f + np.float32(1 / 120)
    p = p * f + np.float32(1 / 24)
    p = p * f + np.float32(1 / 6)
    p = p * f + np.float32(0.5)
    p = p * f + np.float32(1)
    p = p * f + np.float32(1)
    power: Any = bits_to_float((np.int32(whole) + np.int32(127)) << np.int32(23))  # type: ignore[call-arg]
    return p * power


@part
def _choose_cells(listed, negative, scheme, columns, least_held, g, cell, rising):
    """Which cells of a row (plane * columns + column) take the pulse of each listed column, and whether it is a SET;
    returns how many. With CELL_OF_THE_SIGN a cell above `least_held` siemens holds the weight, if it is the higher one
    of its pair: it is set away from zero and reset towards it."""
    count = listed.size
    for n in range(count):
        cell[n] = listed[n] >> np.uint32(1)
        rising[n] = (listed[n] & np.uint32(1)) != negative
    if scheme == BOTH_CELLS:
        for n in range(count):
            cell[count + n] = cell[n] + columns
            rising[count + n] = not rising[n]
        return 2 * count
    if scheme == CELL_OF_THE_SIGN:
        for n in range(count):
            plus, up = cell[n], rising[n]
            positive, other = g[plus], g[plus + columns]
            holds, other_holds = (
                (positive > least_held) & (positive >= other),
                (other > least_held) & (other > positive),
            )
            opposed = other_holds if up else holds
            cell[n] = plus + columns * np.uint32(opposed == up)
            rising[n] = not opposed
    return count


@part
def _draw_normals(pairs, first_pair, counter, k0, k1, low, high):
    """Pairs of normal numbers, the first of each pair apart from the second."""
    for n in range(pairs):
        low[n], high[n] = normal_pair(np.uint32(first_pair) + np.uint32(n), counter, k0, k1)


@part(error_model="numpy")
def _move(lanes, now, factors, rising, z, law, moved, joule):
    """One pulse per lane, in float32: how far it moves a cell that stands at `now`, both in windows, and joule; a cell
    without a factor is stuck. law: `UpdateLaw` in float32."""
    up = law.up
    down = law.down
    spread = law.cycle_to_cycle
    window_spread = law.window_spread
    least = law.least_factor
    base = law.base
    access = law.access_resistance
    compliance = law.compliance
    zero = np.float32(0)
    one = np.float32(1)
    half = np.float32(0.5)
    for n in range(lanes):
        rises, u = rising[n], now[n]
        distance = u if rises else one - u
        steps = up.steps if rises else down.steps
        mean = linear_move(steps, distance) + exponential_move(steps, distance, _exp)
        move = factors[n] * mean * max(one + spread * z[n], least)
        move += window_spread * z[n] if factors[n] > zero else zero
        move = min(max(move if rises else -move, min(u, zero) - u), max(u, one) - u)
        moved[n] = move
        middle = base + u + half * move
        energy = up.joule if rises else down.joule
        joule[n] = folded_pulse_energy(energy, middle, access, compliance if rises else one, one)


@part
def _settle(lanes, was, moved, g_min, g_max, after, far):
    """Where cells that were at `was` siemens end after moving so many windows, and how far that is, siemens."""
    for n in range(lanes):
        after[n] = was[n] + (g_max - g_min) * moved[n]
        after[n] = min(max(after[n], min(was[n], g_min)), max(was[n], g_max))
        far[n] = abs(after[n] - was[n])


@part
def _copy(source, target):
    for i in range(target.size):
        target[i] = source[i]


@part
def _find_row(number, state, row):
    """The cells of a row, before any pulse; a stuck cell has no factor."""
    present, stuck = state.present, state.stuck
    columns = present.shape[2]
    row.pulses[:] = 0
    row.joule[:] = 0.0
    row.moved[:] = 0.0
    for side in range(len(present)):
        here = slice(side * columns, (side + 1) * columns)
        factors = row.factors[here]
        _copy(present[side, number], row.siemens[here])
        if state.device_to_device.size > 0:
            _copy(state.device_to_device[side, number], factors)
        else:
            factors[:] = 1
        if stuck.size > 0:
            dead = stuck[side, number]
            for column in range(columns):
                factors[column] *= np.float32(not dead[column])


@part
def _total(counts):
    total = 0
    for i in range(counts.size):
        total += counts[i]
    return total


@part(fastmath={"reassoc"})
def _sum_singles(numbers):
    """Their sum, each rounded to float32."""
    total: Any = 0.0
    for i in range(numbers.size):
        total += np.float32(numbers[i])
    return total


@part
def _count_writes(row, number, side, state, clock, touched):
    """Count one write of every cell of a plane's row that took pulses, and leave it where it stands now."""
    planes, _, columns = state.conductance.shape
    here = slice(side * columns, (side + 1) * columns)
    up, down = row.pulses[here], row.pulses[(planes + side) * columns : (planes + side + 1) * columns]
    g, moved = row.siemens[here], row.moved[here]
    conductance, travel = state.conductance[side, number], state.conductance_travel[side, number]
    writes = state.writes[side, number]
    pulses = state.pulses[side, number]
    for column in range(columns):
        touched[column] = up[column] + down[column] > 0
    for column in range(columns):
        conductance[column] = g[column] if touched[column] else conductance[column]
    for column in range(columns):
        writes[column] += touched[column]
        pulses[column] += up[column] + down[column]
    for column in range(columns):
        travel[column] += moved[column]
    if state.written_at.size > 0:
        written_at = state.written_at[side, number]
        for column in range(columns):
            written_at[column] = clock if touched[column] else written_at[column]


@part
def _count_row(row, number, state, request, touched, sums):
    """Count the writes of a row's cells, which cells took pulses, and sums over them; see `UpdateResults`."""
    planes, _, columns = state.conductance.shape
    for side in range(planes):
        first, took = side * columns, touched[side, number]
        _count_writes(row, number, side, state, request.clock, took)
        for tile in range(len(sums)):
            left, right = tile * request.tile_columns, min((tile + 1) * request.tile_columns, columns)
            sums[tile, COLUMN.cells] += _total(took[left:right])
            for polarity in range(2):
                some = slice(polarity * planes * columns + first + left, polarity * planes * columns + first + right)
                sums[tile, COLUMN.set_pulses + polarity] += _total(row.pulses[some])
                sums[tile, COLUMN.set_joule + polarity] += _sum_singles(row.joule[some])


@part
def _list_row(row, number, results):
    """What the cells of a row took; see `UpdateResults`."""
    planes, _, columns = results.conductance_travel.shape
    for side in range(planes):
        _copy(row.moved[side * columns : (side + 1) * columns], results.conductance_travel[side, number])
        for polarity in range(2):
            own = slice((polarity * planes + side) * columns, (polarity * planes + side + 1) * columns)
            _copy(row.pulses[own], results.pulses[polarity, side, number])
            _copy(row.joule[own], results.energy[polarity, side, number])


@entry(nogil=True)
def update_rows(begin, end, driven, request, state, law, results):
    """Give cells of rows number `begin` to `end` a pulse wherever their row and their column have one in the same
    slot, samples in order, each slot by slot; then count one write of every cell that took any, unless listing.

    driven: `DrivenRows`; request: `UpdateRequest`; state: `CellState` of cells (planes, rows, columns), updated; law:
    `UpdateLaw`; results: `UpdateResults`.

    The normal numbers of a row have the counters (256 (line segments + segment) + i, 32 sample + slot); lines are
    counted from first_line, and a segment is LANES of the columns listed for the slot.
    """
    present = state.present
    trains = driven.trains
    starts = driven.starts
    slots = driven.slots
    planes, _, columns = present.shape
    g_min = law.g_min
    g_max = law.g_max
    small = single_update_law(law)
    noisy = small.cycle_to_cycle != 0 or small.window_spread != 0
    uneven = state.device_to_device.size > 0 or state.stuck.size > 0
    segments, width = (columns + LANES - 1) // LANES, planes * columns
    k0, k1 = request.key
    cell, rising = np.zeros(2 * LANES, np.uint32), np.zeros(2 * LANES, np.bool_)
    was = np.zeros(2 * LANES)
    after = np.zeros(2 * LANES)
    far = np.zeros(2 * LANES)
    now = np.zeros(2 * LANES, np.float32)
    moved = np.zeros(2 * LANES, np.float32)
    factor = np.ones(2 * LANES, np.float32)
    z, joule = np.zeros(2 * LANES, np.float32), np.zeros(2 * LANES, np.float32)
    row = Row(
        np.empty(width),
        np.empty(width, np.float32),
        np.empty(width),
        np.empty(2 * width, np.int32),
        np.empty(2 * width),
    )
    g = row.siemens
    row_moved = row.moved
    row_pulses = row.pulses
    row_joule = row.joule
    for r in range(begin, end):
        number = driven.rows[r]
        _find_row(number, state, row)
        for s in range(trains.shape[1]):
            word = trains[r, s]
            negative = np.uint32(word >> np.uint32(SLOTS))
            for slot in range(slots[s]):
                if (word >> np.uint32(slot)) & np.uint32(1) == 0:
                    continue
                start, stop = starts[s, slot], starts[s, slot + 1]
                for segment in range((stop - start + LANES - 1) // LANES):
                    first = start + segment * LANES
                    listed = driven.listed[first : min(stop, first + LANES)]
                    count = _choose_cells(
                        listed, negative, request.scheme, np.uint32(columns), law.least_held, g, cell, rising
                    )
                    lanes = (count + BLOCK - 1) // BLOCK * BLOCK
                    for n in range(count):
                        was[n] = g[cell[n]]
                    if uneven:
                        for n in range(count):
                            factor[n] = row.factors[cell[n]]
                    if noisy:
                        pair = ((driven.first_line + r) * segments + segment) * LANES
                        counter = np.uint32((driven.first_sample + s) * COUNTS_PER_SAMPLE + slot)
                        _draw_normals(lanes // 2, pair, counter, k0, k1, z[: lanes // 2], z[lanes // 2 : lanes])
                    for n in range(lanes):
                        now[n] = (was[n] - g_min) * (1.0 / (g_max - g_min))
                    _move(lanes, now, factor, rising, z, small, moved, joule)
                    _settle(lanes, was, moved, g_min, g_max, after, far)
                    for n in range(count):
                        at = cell[n]
                        g[at] = after[n]
                        row_moved[at] += far[n]
                        polar = at if rising[n] else np.uint32(at + width)
                        row_pulses[polar] += np.int32(1)
                        row_joule[polar] += joule[n]
        for side in range(planes):
            _copy(g[side * columns : (side + 1) * columns], present[side, number])
        if results.listing:
            _list_row(row, number, results)
        else:
            _count_row(row, number, state, request, results.touched, results.sums[r])
