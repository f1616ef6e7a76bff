"""Numba kernels of devices: spread laws, and programming by write-verify, open loop or blind pulses."""

from __future__ import annotations

import numpy as np
from numba import njit

from crossbar_sim.compiling import entry, part
from crossbar_sim.devices.lanes import (
    BLOCK,
    DRAWS_PER_WRITE,
    GOAL,
    LIVE,
    MOST,
    PACE,
    RESET_JOULE,
    RESETS,
    ROWS,
    SET_JOULE,
    SETS,
    SIEMENS,
    SQUARED,
    SWING,
    VERIFY_JOULE,
    WIDTH,
    draw_pairs,
    pulse_until_done,
    whole,
)

MOST_PULSES = 1500  # of one train: pulses use the draws 1 to 751 of a write


PILES = 256  # of cells with about as many pulses to come


@njit(error_model="numpy")
def pulse_energy(voltage, conductance, access_resistance, compliance_voltage, width):
    """E = V I t with I = V G / (1 + G R_access), limited to compliance_voltage * G (driver's view)."""
    current = voltage * conductance / (1.0 + conductance * access_resistance)
    if compliance_voltage > 0.0:
        current = min(current, compliance_voltage * conductance)
    return voltage * current * width


@part(inline="always")
def mean_step(steps, gone):
    """Mean move of one pulse at `gone` siemens from the end it starts at; `steps` as in `pulses.Steps`."""
    move = steps[0] + steps[1] * (steps[2] - gone)
    if steps[3] != 0.0:
        move += steps[3] * np.exp(-steps[4] * gone)
    return move


@part
def pulses_between(steps, gone, goal):
    """Pulses that lead along the mean curve from `gone` to `goal`, both in siemens from the starting end."""
    goal = min(goal, steps[5])
    if steps[3] != 0.0:
        pulses, move = 0.0, mean_step(steps, gone)
        while goal - gone > 0.5 * move:
            gone, pulses = gone + move, pulses + 1.0
            move = mean_step(steps, gone)
        return pulses
    if goal <= gone:
        return 0.0
    if steps[1] == 0.0:
        return (goal - gone) / steps[0]
    return np.log((steps[2] - gone) / (steps[2] - goal)) / -np.log1p(-steps[1])


@entry(error_model="numpy")
def polynomial(conductance, conductance_scale, coefficients, sigma_scale):
    """sigma_scale * max(sum_k c_k (G / conductance_scale)^k, 0) of many G in one pass."""
    sigma = np.full(conductance.size, coefficients[-1])
    for start in range(0, sigma.size, 1024):  # few enough to stay in the first-level cache
        some, of = sigma[start : start + 1024], conductance[start : start + 1024]
        for k in range(coefficients.size - 2, -1, -1):
            for i in range(some.size):
                some[i] = coefficients[k] + some[i] * (of[i] / conductance_scale)
        for i in range(some.size):
            some[i] = sigma_scale * max(some[i], 0.0)
    return sigma


@part
def _look(cells, state, was, counter):
    """Note the present conductance of cells, and the counters of this write: (cell, first draw)."""
    present, writes = state[1], state[2]
    for i in range(cells.size):
        was[i] = present[cells[i]]
        counter[0, i], counter[1, i] = np.uint32(cells[i]), np.uint32(writes[cells[i]] * DRAWS_PER_WRITE)


@part
def _order(expected, second, places):
    """Numbers of the cells by falling `expected`, to one part in PILES: those of `second` into places[1]; how many
    are in each."""
    piles, filled = np.zeros((2, PILES + 1), np.int64), np.zeros(2, np.int64)
    largest = 0.0
    for i in range(expected.size):
        largest = max(largest, expected[i])
    scale = PILES / (largest * (1.0 + 1e-9) + 1e-9)
    for i in range(expected.size):
        piles[second[i], PILES - np.int64(expected[i] * scale)] += 1
    for kind in (0, 1):
        for pile in range(PILES + 1):
            filled[kind], piles[kind, pile] = filled[kind] + piles[kind, pile], filled[kind]
    for i in range(expected.size):
        mine = PILES - np.int64(expected[i] * scale)
        places[second[i], piles[second[i], mine]] = i
        piles[second[i], mine] += 1
    return filled


@part
def _take(cells, place, count, first, was, goal, most, stuck, pace, block, counter):
    """Put the cells number place[: count] of `cells` into a block, with nothing done to them yet."""
    for row in range(0, ROWS, WIDTH):
        for k in range(whole(count)):
            block[row + k] = 0.0
    for k in range(count):
        i = place[k]
        block[SIEMENS + k], block[GOAL + k], block[MOST + k], block[LIVE + k] = was[i], goal[i], most[i], 1.0
        own = pace[cells[i]] if pace.size else 1.0
        block[PACE + k] = 0.0 if stuck.size and stuck[cells[i]] else own
        counter[0, k], counter[1, k] = first[0, i], first[1, i]


@part
def _report(done, start, stop, verified, erased, achieved, counts, joules, swing, squared):
    """What was done to the cells of a block, into the results from entry `start` to `stop`; with `verified` pulses
    there is a read before each, other than an erasing one, and one after the last."""
    for i in range(stop - start):
        achieved[start + i], swing[start + i] = done[SIEMENS + i], done[SWING + i]
        joules[0, start + i], joules[1, start + i] = done[SET_JOULE + i], done[RESET_JOULE + i]
        joules[2, start + i] = done[VERIFY_JOULE + i] if verified else 0.0
        sets, resets = int(done[SETS + i]), int(done[RESETS + i])
        counts[0, start + i], counts[1, start + i] = sets, resets
        counts[2, start + i] = sets + resets + 1 - erased[i] if verified else 0
        if squared.size:
            squared[start + i] = done[SQUARED + i]


@part
def _leave(cells, done, stuck, clock, state, achieved):
    """Leave the cells of a block as they are now, one write older; those that are stuck have not moved."""
    conductance, present, writes, pulses, moved, written_at = state
    for i in range(cells.size):
        cell = cells[i]
        if stuck.size and stuck[cell]:
            achieved[i] = present[cell]
        conductance[cell] = achieved[i]
        present[cell] = achieved[i]
        writes[cell] += 1
        pulses[cell] += np.int64(done[SETS + i] + done[RESETS + i])
        moved[cell] += done[SWING + i]
        written_at[cell] = clock


@part(error_model="numpy")
def _erase(block, count, law):
    """One RESET pulse that leads every cell to g_min."""
    voltage, width, access = law[13], law[15], law[16]
    for i in range(count):
        g = block[SIEMENS + i]
        after = law[0] if block[PACE + i] > 0.0 else g
        block[RESET_JOULE + i] = pulse_energy(voltage, 0.5 * (g + after), access, 0.0, width)
        block[RESETS + i], block[SQUARED + i] = 1.0, voltage * voltage
        block[SWING + i], block[SIEMENS + i] = g - after, after


@part(error_model="numpy")
def _aim(was, goal, law, direction, most, expected):
    """The open-loop train of each cell: which way, and as many pulses as the mean curve needs."""
    up = (law[6], law[7], law[8], law[21], law[22], law[23])
    down = (law[9], law[10], law[11], law[24], law[25], law[26])
    for i in range(was.size):
        rising = goal[i] >= was[i]
        gone, end = (was[i] - law[0], goal[i] - law[0]) if rising else (law[1] - was[i], law[1] - goal[i])
        pulses = np.rint(pulses_between(up if rising else down, gone, end))
        direction[i], most[i], expected[i] = np.inf if rising else -np.inf, pulses, pulses


@part(error_model="numpy")
def _expect(cells, was, goal, stuck, pace, law, erase_first, goals, most, erased, expected):
    """What a write-verify loop is to do; the pulses that it may need are for the order of the cells alone."""
    up, down = law[6] + law[7] * law[8], law[9] + law[10] * law[11]
    for i in range(was.size):
        erased[i] = erase_first and was[i] > law[0] + law[4]
        way = goal[i] - (law[0] if erased[i] else was[i])
        pulses = way / up if way > 0.0 else -way / down
        if pace.size:
            pulses /= pace[cells[i]]
        if stuck.size and stuck[cells[i]]:
            pulses = law[5]
        goals[i], most[i], expected[i] = goal[i], law[5], min(pulses, law[5])


@part(error_model="numpy")
def _end(done, was, goal, sigma, law, closed_loop, trained, relaxed):
    """Where the cells end: after an open-loop train as far beside its mean as trained[0] draws, then `sigma` (empty:
    exactly at the goal) around that or, in a closed loop, around the goal, as relaxed[0] draws, not below zero."""
    g_min, g_max, spread, window_spread = law[0], law[1], law[2], law[3]
    for i in range(was.size):
        g, pulses = done[SIEMENS + i], done[SETS + i] + done[RESETS + i]
        root = np.sqrt(max(pulses, 1.0))
        end = g + (spread * abs(g - was[i]) / root + window_spread * root) * np.float64(trained[0, i])
        end = min(max(end, g_min), g_max) if pulses > 0.0 else g
        done[SIEMENS + i] = goal[i] if closed_loop else end
    for i in range(sigma.size):
        done[SIEMENS + i] = max(done[SIEMENS + i] + sigma[i] * np.float64(relaxed[0, i]), 0.0)
    if sigma.size == 0:
        for i in range(was.size):
            done[SIEMENS + i] = goal[i]


@entry(nogil=True)
def program_cells(
    begin, end, cells, target, sigma, stuck, pace, law, stairs, closed_loop, erase_first, key, clock, state,
    before, achieved, counts, joules, swing, squared,
):  # fmt: skip
    """Program cells number `begin` to `end` of `cells` (flat indices) to `target`, siemens.

    `sigma` is the published spread of the final state around its target (empty: the target is reached exactly); it
    contains what the stopping rule leaves. Open-loop pulses add it to where they end. A `stuck` cell takes its pulses
    and does not move; `pace` multiplies the cell's steps (both per cell of the array, or empty: none, one). `law` is
    `DeviceModel.law`; `stairs` is None or the numbers of an incremental amplitude. state: conductance, present,
    writes, pulses, swing and written_at of all cells, updated.
    Results, per entry of `cells`: before and achieved, siemens; counts (3,) of SET pulses, RESET pulses, verify reads
    and their joules (3,); swing, siemens, and squared, the sum of V^2 (empty: not wanted).
    """
    block, done, places = np.empty(ROWS), np.empty(ROWS), np.empty((2, WIDTH), np.int64)
    first, counter = np.empty((2, WIDTH), np.uint32), np.empty((2, WIDTH), np.uint32)
    trained, relaxed = np.zeros((2, WIDTH), np.float32), np.zeros((2, WIDTH), np.float32)
    goals, most, expected, erased = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK), np.zeros(BLOCK, np.int64)
    for start in range(begin, end, BLOCK):
        stop = min(start + BLOCK, end)
        some, goal, was = cells[start:stop], target[start:stop], before[start:stop]
        _look(some, state, was, first)
        if closed_loop:
            _expect(some, was, goal, stuck, pace, law, erase_first, goals, most, erased, expected)
        else:
            _aim(was, goal, law, goals, most, expected)
        filled = _order(expected[: stop - start], erased, places)
        for kind in range(2):
            place, count = places[kind], filled[kind]
            _take(some, place, count, first, was, goals, most, stuck, pace, block, counter)
            if kind == 1:
                _erase(block, count, law)
            pulse_until_done(block, counter, place, count, kind, law, stairs, closed_loop, key, done)
        if not closed_loop:
            draw_pairs(first, stop - start, np.uint32(1), key[0], key[1], trained)
        if sigma.size:
            draw_pairs(first, stop - start, np.uint32(0), key[0], key[1], relaxed)
        _end(done, was, goal, sigma[start:stop], law, closed_loop, trained, relaxed)
        _report(done, start, stop, closed_loop, erased, achieved, counts, joules, swing, squared)
        _leave(some, done, stuck, clock, state, achieved[start:stop])


@entry(nogil=True)
def pulse_cells(
    begin, end, cells, trains, stuck, pace, law, key, clock, state, before, achieved, counts, joules, swing
):  # fmt: skip
    """Give cells number `begin` to `end` of `cells` |trains| blind pulses each, SET where trains > 0, else RESET.

    A pulse moves the cell by its mean step at the cell's state, times `pace`, with the spread of single pulses; no
    pulse leaves the window, and none moves a `stuck` cell. Arguments and results as in `program_cells`.
    """
    block, done, places = np.empty(ROWS), np.empty(ROWS), np.empty((2, WIDTH), np.int64)
    first, counter = np.empty((2, WIDTH), np.uint32), np.empty((2, WIDTH), np.uint32)
    direction, most, none = np.empty(BLOCK), np.empty(BLOCK), np.zeros(BLOCK, np.int64)
    for start in range(begin, end, BLOCK):
        stop = min(start + BLOCK, end)
        some, was = cells[start:stop], before[start:stop]
        _look(some, state, was, first)
        for i in range(stop - start):
            train = trains[start + i]
            direction[i], most[i] = np.inf if train > 0 else -np.inf, abs(train)
        _order(most[: stop - start], none, places)
        _take(some, places[0], stop - start, first, was, direction, most, stuck, pace, block, counter)
        pulse_until_done(block, counter, places[0], stop - start, 0, law, None, True, key, done)
        _report(done, start, stop, False, none, achieved, counts, joules, swing, most[:0])
        _leave(some, done, stuck, clock, state, achieved[start:stop])
