"""Numba kernels of the pulsed outer product: pulse trains on rows and columns, and what cells do where they coincide.

The columns that have a pulse are listed once per sample and slot, so that every row with a pulse finds them side by
side: its cells are gathered, pulsed in one vectorised pass, and put back.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from crossbar_sim.counter_random import bits_to_float, normal_pair, threefry

SLOTS = 31  # of a train, one bit each; bit 31 of its word is the sign
COUNTS_PER_SAMPLE = 32  # counter stride: one count per slot, or per two slots where trains are drawn
LANES = 256  # columns whose cells are pulsed together; the counter sets a pair of normal numbers aside for each
BLOCK = 32  # lanes are padded to whole blocks: loops over them have no remainder
ONE_CELL, BOTH_CELLS, CELL_OF_THE_SIGN = 0, 1, 2


@njit(cache=True)
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


@njit(cache=True)
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


@njit(inline="always")
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


@njit
def _choose_cells(listed, first, count, negative, scheme, columns, least_held, g, cell, rising):
    """Which cells of a row (plane * columns + column) take the pulse of each listed column, and whether it is a SET;
    returns how many. With CELL_OF_THE_SIGN a cell above `least_held` siemens holds the weight, if it is the higher one
    of its pair: it is set away from zero and reset towards it."""
    for n in range(count):
        entry = listed[first + n]
        plus = np.uint32(entry >> np.uint32(1))
        up = (entry & np.uint32(1)) != negative
        if scheme == CELL_OF_THE_SIGN:
            positive, other = g[plus], g[plus + columns]
            holds, other_holds = (
                (positive > least_held) & (positive >= other),
                (other > least_held) & (other > positive),
            )
            opposed = other_holds if up else holds
            cell[n] = plus + columns * np.uint32(opposed == up)
            rising[n] = not opposed
        else:
            cell[n] = plus
            rising[n] = up
            if scheme == BOTH_CELLS:
                cell[count + n] = plus + columns
                rising[count + n] = not up
    return 2 * count if scheme == BOTH_CELLS else count


@njit
def _draw_normals(pairs, first_pair, counter, k0, k1, low, high):
    """Pairs of normal numbers, the first of each pair apart from the second."""
    for n in range(pairs):
        low[n], high[n] = normal_pair(np.uint32(first_pair) + np.uint32(n), counter, k0, k1)


@njit(error_model="numpy")
def _move(lanes, now, pace, rising, z, numbers, moved, joule):
    """One pulse per lane, in float32: how far it moves a cell that stands at `now`, both in windows, and joule; a cell
    without pace is stuck. numbers: `coincidence.pulse_law` from its fourth on."""
    up_step, up_rate, up_bulge, up_fall, up_joule = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    down_step, down_rate, down_bulge, down_fall, down_joule = numbers[5], numbers[6], numbers[7], numbers[8], numbers[9]
    spread, window_spread, least, base, access, limit = (
        numbers[10], numbers[11], numbers[12], numbers[13], numbers[14], numbers[15],
    )  # fmt: skip
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


@njit
def _copy(source, target):
    for i in range(target.size):
        target[i] = source[i]


@njit
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


@njit
def _leave_row(row, g, taken, drawn, swung, present, pulses, energy, swing, touched):
    """The cells of a row after all pulses, and what they took."""
    planes, _, columns = present.shape
    for side in range(planes):
        here = slice(side * columns, (side + 1) * columns)
        _copy(g[here], present[side, row])
        _copy(swung[here], swing[side, row])
        for polarity in range(2):
            part = slice((polarity * planes + side) * columns, (polarity * planes + side + 1) * columns)
            _copy(taken[part], pulses[polarity, side, row])
            _copy(drawn[part], energy[polarity, side, row])
        up, down, count = pulses[0, side, row], pulses[1, side, row], 0
        for column in range(columns):
            count += up[column] + down[column] > 0
        touched[side, row] = count


@njit(cache=True, nogil=True)
def pulse_coincidences(
    begin, end, rows, trains, starts, listed, slots, scheme, present, pace, stuck, law, key, first_sample, first_line,
    pulses, energy, swing, touched,
):  # fmt: skip
    """Give cells of rows number `begin` to `end` a pulse wherever their row and their column have one in the same
    slot; samples in order, each slot by slot.

    rows (driven,): the driven rows of `present` (planes, rows, columns) siemens; trains (samples, driven): theirs;
    starts, listed: from `list_columns`; law: from `coincidence.pulse_law`; pace and stuck, of the cells, may be empty.
    pulses, energy (2, planes, rows, columns; SET first) and swing receive what the cells of the driven rows took,
    touched (planes, rows) how many cells took any pulse.

    The normal numbers of a row have the counters (256 (line segments + segment) + i, 32 sample + slot); lines are
    counted from first_line, and a segment is LANES of the columns listed for the slot.
    """
    planes, _, columns = present.shape
    g_min, g_max, window, least_held = law[0], law[1], law[1] - law[0], law[2]
    numbers = law[3:].astype(np.float32)
    noisy = numbers[10] != 0 or numbers[11] != 0
    segments, width = (columns + LANES - 1) // LANES, planes * columns
    k0, k1 = key
    cell, rising = np.zeros(2 * LANES, np.uint32), np.zeros(2 * LANES, np.bool_)
    now, speed = np.zeros(2 * LANES, np.float32), np.zeros(2 * LANES, np.float32)
    z, moved = np.zeros(2 * LANES, np.float32), np.zeros(2 * LANES, np.float32)
    joule = np.zeros(2 * LANES, np.float32)
    g, paces, swung = np.empty(width), np.empty(width, np.float32), np.empty(width)
    taken, drawn = np.empty(2 * width, np.int32), np.empty(2 * width)
    for r in range(begin, end):
        taken[:], drawn[:], swung[:] = 0, 0.0, 0.0
        _find_row(rows[r], present, pace, stuck, g, paces)
        for s in range(trains.shape[0]):
            word = trains[s, r]
            negative = np.uint32(word >> np.uint32(SLOTS))
            for slot in range(slots[s]):
                if (word >> np.uint32(slot)) & np.uint32(1) == 0:
                    continue
                start, stop = starts[s, slot], starts[s, slot + 1]
                for segment in range((stop - start + LANES - 1) // LANES):
                    first = start + segment * LANES
                    count = _choose_cells(
                        listed, first, min(stop - first, LANES), negative, scheme, np.uint32(columns), least_held,
                        g, cell, rising,
                    )  # fmt: skip
                    lanes = (count + BLOCK - 1) // BLOCK * BLOCK
                    for n in range(count):
                        now[n] = (g[cell[n]] - g_min) * (1.0 / window)
                        speed[n] = paces[cell[n]]
                    if noisy:
                        pair = ((first_line + r) * segments + segment) * LANES
                        counter = np.uint32((first_sample + s) * COUNTS_PER_SAMPLE + slot)
                        _draw_normals(lanes // 2, pair, counter, k0, k1, z[: lanes // 2], z[lanes // 2 : lanes])
                    _move(lanes, now, speed, rising, z, numbers, moved, joule)
                    for n in range(count):
                        at = cell[n]
                        before = g[at]
                        after = before + window * moved[n]
                        after = min(max(after, min(before, g_min)), max(before, g_max))
                        g[at] = after
                        polar = at if rising[n] else np.uint32(at + width)
                        taken[polar] += np.int32(1)
                        drawn[polar] += joule[n]
                        swung[at] += abs(after - before)
        _leave_row(rows[r], g, taken, drawn, swung, present, pulses, energy, swing, touched)


@njit(cache=True, nogil=True)
def record_pulses(
    begin, end, first, pulses, energy, swing, before, present, clock, kept, cells, was, achieved, set_pulses,
    reset_pulses, set_energy, reset_energy, swung,
):  # fmt: skip
    """Count one write of every cell of lines `begin` to `end` that took pulses, and list these cells (flat indices,
    ascending) and what they did.

    All (lines, columns), pulses and energy (2, lines, columns); kept: conductance, writes, pulses, swing and time of
    the write. first (lines,): where the cells of each line begin in the last eight arrays.
    """
    conductance, writes, all_pulses, all_swing, written_at = kept
    columns = swing.shape[1]
    for line in range(begin, end):
        at = first[line]
        for column in range(columns):
            up, down = pulses[0, line, column], pulses[1, line, column]
            if up + down > 0:
                cells[at] = line * columns + column
                was[at], achieved[at] = before[line, column], present[line, column]
                set_pulses[at], reset_pulses[at] = up, down
                set_energy[at], reset_energy[at] = energy[0, line, column], energy[1, line, column]
                swung[at] = swing[line, column]
                at += 1
                conductance[line, column] = present[line, column]
                writes[line, column] += 1
                all_pulses[line, column] += up + down
                all_swing[line, column] += swing[line, column]
                written_at[line, column] = clock
