"""Numba kernels of the pulsed outer product: pulse trains on rows and columns, and what cells do where they coincide.

The columns that have a pulse are listed once per sample and slot, so that every row with a pulse finds them side by
side: its cells are gathered, pulsed in one vectorised pass, and put back.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from crossbar_sim.runtime.compiling import entry, part
from crossbar_sim.runtime.counter_random import bits_to_float, normal_pair, threefry

SLOTS = 31  # of a train, one bit each; bit 31 of its word is the sign
COUNTS_PER_SAMPLE = 32  # counter stride: one count per slot, or per two slots where trains are drawn
LANES = 256  # columns whose cells are pulsed together; the counter sets a pair of normal numbers aside for each
BLOCK = 32  # lanes are padded to whole blocks: loops over them have no remainder
ONE_CELL, BOTH_CELLS, CELL_OF_THE_SIGN = 0, 1, 2


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
def _move(lanes, now, pace, rising, z, numbers, moved, joule):
    """One pulse per lane, in float32: how far it moves a cell that stands at `now`, both in windows, and joule; a cell
    without pace is stuck. numbers: `coincidence.pulse_law` from its fourth on."""
    up_step, up_rate, up_bulge, up_fall, up_joule = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    down_step, down_rate, down_bulge, down_fall, down_joule = numbers[5], numbers[6], numbers[7], numbers[8], numbers[9]
    spread, window_spread, least, base, access, limit = (
        numbers[10],
        numbers[11],
        numbers[12],
        numbers[13],
        numbers[14],
        numbers[15],
    )
    zero, one, half = np.float32(0), np.float32(1), np.float32(0.5)
    for n in range(lanes):
        up, u = rising[n], now[n]
        gone = u if up else one - u
        mean = (up_step if up else down_step) + (up_rate if up else down_rate) * gone
        mean += (up_bulge if up else down_bulge) * _exp((up_fall if up else down_fall) * gone)
        move = pace[n] * mean * max(one + spread * z[n], least)
        move += window_spread * z[n] if pace[n] > zero else zero
        move = min(max(move if up else -move, min(u, zero) - u), max(u, one) - u)
        moved[n] = move
        mid = base + u + half * move
        joule[n] = (up_joule if up else down_joule) * mid * min(one / (one + mid * access), limit if up else one)


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
def _find_row(row, present, pace, stuck, g, paces):
    """The cells of a row, before any pulse; a stuck cell has no pace."""
    columns = present.shape[2]
    for side in range(len(present)):
        here = slice(side * columns, (side + 1) * columns)
        speeds = paces[here]
        _copy(present[side, row], g[here])
        if pace.size > 0:
            _copy(pace[side, row], speeds)
        else:
            speeds[:] = 1
        if stuck.size > 0:
            dead = stuck[side, row]
            for column in range(columns):
                speeds[column] *= np.float32(not dead[column])


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
def _wear_row(up, down, swung, g, clock, conductance, writes, pulses, swing, written_at, touched):
    """Count one write of every cell of a row and plane that took pulses, `up` and `down`, and now stands at g."""
    for column in range(touched.size):
        touched[column] = up[column] + down[column] > 0
    for column in range(touched.size):
        conductance[column] = g[column] if touched[column] else conductance[column]
    for column in range(touched.size):
        writes[column] += touched[column]
        pulses[column] += up[column] + down[column]
    for column in range(touched.size):
        swing[column] += swung[column]
    for column in range(touched.size):
        written_at[column] = clock if touched[column] else written_at[column]


@part
def _count_row(row, g, taken, drawn, swung, clock, kept, touched, sums, tile_columns):
    """The wear of the cells of a row, which cells took pulses, and sums over them; see `pulse_coincidences`."""
    conductance, writes, pulses, swing, written_at = kept
    planes, _, columns = conductance.shape
    for side in range(planes):
        first = side * columns
        here, down_here = slice(first, first + columns), slice((planes + side) * columns, (planes + side + 1) * columns)
        _wear_row(
            taken[here],
            taken[down_here],
            swung[here],
            g[here],
            clock,
            conductance[side, row],
            writes[side, row],
            pulses[side, row],
            swing[side, row],
            written_at[side, row],
            touched[side, row],
        )
        for tile in range(len(sums)):
            left, right = tile * tile_columns, min((tile + 1) * tile_columns, columns)
            sums[tile, 0] += _total(touched[side, row, left:right])
            for polarity in range(2):
                some = slice(polarity * planes * columns + first + left, polarity * planes * columns + first + right)
                sums[tile, 1 + polarity] += _total(taken[some])
                sums[tile, 3 + polarity] += _sum_singles(drawn[some])


@part
def _list_row(row, taken, drawn, swung, pulses, energy, swing):
    """What the cells of a row took; see `pulse_coincidences`."""
    planes, _, columns = swing.shape
    for side in range(planes):
        _copy(swung[side * columns : (side + 1) * columns], swing[side, row])
        for polarity in range(2):
            own = slice((polarity * planes + side) * columns, (polarity * planes + side + 1) * columns)
            _copy(taken[own], pulses[polarity, side, row])
            _copy(drawn[own], energy[polarity, side, row])


@entry(nogil=True)
def pulse_coincidences(
    begin,
    end,
    rows,
    trains,
    starts,
    listed,
    slots,
    scheme,
    present,
    pace,
    stuck,
    law,
    key,
    first_sample,
    first_line,
    clock,
    kept,
    touched,
    sums,
    tile_columns,
    listing,
    pulses,
    energy,
    swing,
):
    """Give cells of rows number `begin` to `end` a pulse wherever their row and their column have one in the same
    slot, samples in order, each slot by slot; then count one write of every cell that took any, unless `listing`.

    rows (driven,): the driven rows of `present` (planes, rows, columns) siemens; trains (driven, samples): theirs;
    starts, listed: from `list_columns`; law: from `coincidence.pulse_law`; pace and stuck, of the cells, may be empty.
    kept: conductance, writes, pulses, swing and time of the write of all cells; touched (planes, rows, columns)
    receives which cells took a pulse, sums (driven, column tiles of tile_columns, 5) how many did, SET pulses, RESET
    pulses, and joule of both. `listing` does not count a write, but has pulses, energy (2, planes, rows, columns; SET
    first) and swing receive what each cell took; these may be empty otherwise.

    The normal numbers of a row have the counters (256 (line segments + segment) + i, 32 sample + slot); lines are
    counted from first_line, and a segment is LANES of the columns listed for the slot.
    """
    planes, _, columns = present.shape
    g_min, g_max, least_held, numbers = law[0], law[1], law[2], law[3:].astype(np.float32)
    noisy = numbers[10] != 0 or numbers[11] != 0
    uneven = pace.size > 0 or stuck.size > 0
    segments, width = (columns + LANES - 1) // LANES, planes * columns
    k0, k1 = key
    cell, rising = np.zeros(2 * LANES, np.uint32), np.zeros(2 * LANES, np.bool_)
    was, after, far = np.zeros(2 * LANES), np.zeros(2 * LANES), np.zeros(2 * LANES)
    now, moved, speed = np.zeros(2 * LANES, np.float32), np.zeros(2 * LANES, np.float32), np.ones(2 * LANES, np.float32)
    z, joule = np.zeros(2 * LANES, np.float32), np.zeros(2 * LANES, np.float32)
    g, paces, swung = np.empty(width), np.empty(width, np.float32), np.empty(width)
    taken, drawn = np.empty(2 * width, np.int32), np.empty(2 * width)
    for r in range(begin, end):
        taken[:], drawn[:], swung[:] = 0, 0.0, 0.0
        _find_row(rows[r], present, pace, stuck, g, paces)
        for s in range(trains.shape[1]):
            word = trains[r, s]
            negative = np.uint32(word >> np.uint32(SLOTS))
            for slot in range(slots[s]):
                if (word >> np.uint32(slot)) & np.uint32(1) == 0:
                    continue
                start, stop = starts[s, slot], starts[s, slot + 1]
                for segment in range((stop - start + LANES - 1) // LANES):
                    first = start + segment * LANES
                    count = _choose_cells(
                        listed[first : min(stop, first + LANES)],
                        negative,
                        scheme,
                        np.uint32(columns),
                        least_held,
                        g,
                        cell,
                        rising,
                    )
                    lanes = (count + BLOCK - 1) // BLOCK * BLOCK
                    for n in range(count):
                        was[n] = g[cell[n]]
                    if uneven:
                        for n in range(count):
                            speed[n] = paces[cell[n]]
                    if noisy:
                        pair = ((first_line + r) * segments + segment) * LANES
                        counter = np.uint32((first_sample + s) * COUNTS_PER_SAMPLE + slot)
                        _draw_normals(lanes // 2, pair, counter, k0, k1, z[: lanes // 2], z[lanes // 2 : lanes])
                    for n in range(lanes):
                        now[n] = (was[n] - g_min) * (1.0 / (g_max - g_min))
                    _move(lanes, now, speed, rising, z, numbers, moved, joule)
                    _settle(lanes, was, moved, g_min, g_max, after, far)
                    for n in range(count):
                        at = cell[n]
                        g[at] = after[n]
                        swung[at] += far[n]
                        polar = at if rising[n] else np.uint32(at + width)
                        taken[polar] += np.int32(1)
                        drawn[polar] += joule[n]
        for side in range(planes):
            _copy(g[side * columns : (side + 1) * columns], present[side, rows[r]])
        if listing:
            _list_row(rows[r], taken, drawn, swung, pulses, energy, swing)
        else:
            _count_row(rows[r], g, taken, drawn, swung, clock, kept, touched, sums[r], tile_columns)
