"""Cells side by side, in lanes: each round gives every cell that is not done one pulse.

Every loop over the lanes is without a branch, so that it vectorises. Now and then the cells that are done leave their
lanes to the next ones; when none wait any more, those that are left close up.

Lanes are float32. What a pulse's move loses in rounding is kept and added to the next one, and sums are put away in
float64 every BANK rounds: conductances and sums agree with float64 arithmetic to some 1e-7.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from crossbar_sim.runtime.compiling import part
from crossbar_sim.runtime.counter_random import normal_pair

LANES, VECTOR = 512, 16  # loops run over whole vectors of lanes; those beyond the last cell are done
WIDTH = LANES + VECTOR  # numbers from row to row: rows a multiple of 4096 bytes apart would wait for each other
REFILL = 0.75  # of the lanes live: others enter
CHUNK = 4096  # cells that pass the lanes together, so that few lanes idle at the end
BANK = 32  # rounds: a sum of so many equal numbers is off by 1e-6 at most
ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)

SETS, PULSES, SET_JOULE, RESET_JOULE, SEEN, SWING, SQUARED = range(0, 7 * WIDTH, WIDTH)
"""Where in the lanes the sums of their cells begin: SET pulses, pulses, their joule, the conductances that verify reads
saw, siemens moved either way, and V^2 (only with a rising amplitude). One array for all, at fixed distances, needs no
checks before vectors are used."""
SIEMENS, REST = range(7 * WIDTH, 9 * WIDTH, WIDTH)
"""The conductance, and what rounding has taken from it."""
GOAL, PACE, MOST, RUN, ROSE = range(9 * WIDTH, 14 * WIDTH, WIDTH)
"""Where it is led (infinite: as far as its pulses go), its steps relative to the device's (0: it is stuck) and its most
pulses; with a rising amplitude the pulses of the present polarity before this one (-1: it had none), and that
polarity."""
LIVE, STEP, VOLT = range(14 * WIDTH, 17 * WIDTH, WIDTH)
"""Of this round: whether the cell is not done, the mean move of its pulse, siemens, and its voltage."""
ROWS = 17 * WIDTH
COUNTS, SUMS = 2, SIEMENS // WIDTH
DONE = SUMS + 1
"""What is left of a cell that is done, as rows over the cells of a chunk: its sums, in the order above, of which the
first are counts, and its siemens."""


@part
def whole(count):
    """The lanes of so many cells, in whole vectors."""
    return (count + VECTOR - 1) // VECTOR * VECTOR


@part(error_model="numpy")
def _verify(cells, count, acceptance):
    """Read every cell that is not done; it is where it is close enough or has had its pulses. How many are not."""
    left = 0
    for i in range(count):
        live = cells[LIVE + i] > ZERO
        cells[SEEN + i] += cells[SIEMENS + i] if live else ZERO
        far = abs(cells[SIEMENS + i] - cells[GOAL + i]) > acceptance
        goes_on = live & far & (cells[PULSES + i] < cells[MOST + i])
        cells[LIVE + i] = ONE if goes_on else ZERO
        left += 1 if goes_on else 0
    return left


@part
def _put_away(cells, i, place, done):
    """What was done to the cell of lane i."""
    for k in range(SUMS):
        done[k, place[i]] += cells[k * WIDTH + i]
    done[SUMS, place[i]] = np.float64(cells[SIEMENS + i]) + np.float64(cells[REST + i])


@part
def _change(cells, counter, place, lanes, entered, chunk, law, done):
    """Cells that are done leave their lanes, and others of the chunk enter; how many have entered so far.

    chunk: (cell, draw) counters, siemens, goal, most pulses, pace and whether it is erased first, of its cells.
    """
    first, was, goal, most, pace, erased = chunk
    for i in range(lanes):
        if cells[LIVE + i] > ZERO:
            continue
        if place[i] >= 0:
            _put_away(cells, i, place, done)
            place[i] = -1
        if entered < was.size:
            place[i] = entered
            counter[0, i], counter[1, i] = first[0, entered], first[1, entered]
            for row in range(0, SIEMENS, WIDTH):
                cells[row + i] = ZERO
            cells[SIEMENS + i] = np.float32(was[entered])
            cells[REST + i] = np.float32(was[entered] - np.float64(cells[SIEMENS + i]))
            cells[GOAL + i], cells[MOST + i] = np.float32(goal[entered]), np.float32(most[entered])
            cells[PACE + i], cells[RUN + i], cells[LIVE + i] = np.float32(pace[entered]), -ONE, ONE
            if erased[entered]:
                _erase(cells, i, law)
            entered += 1
    return entered


@part(error_model="numpy")
def _erase(cells, i, law):
    """One RESET pulse that leads the cell of lane i to g_min."""
    g, voltage = cells[SIEMENS + i], law[13]
    after = law[0] if cells[PACE + i] > ZERO else g
    cells[RESET_JOULE + i] = np.float32(pulse_energy(voltage, HALF * (g + after), law[16], ZERO, law[15]))
    cells[PULSES + i], cells[SQUARED + i] = ONE, voltage * voltage
    cells[SWING + i], cells[SIEMENS + i], cells[REST + i] = g - after, after, ZERO


@part
def _close_up(cells, counter, place, lanes, done):
    """Cells that are done leave for good, and the others move together; how many these are."""
    left = 0
    for i in range(lanes):
        if cells[LIVE + i] == ZERO:
            if place[i] >= 0:
                _put_away(cells, i, place, done)
            continue
        if left < i:
            for row in range(0, STEP, WIDTH):
                cells[row + left] = cells[row + i]
            counter[0, left], counter[1, left], place[left] = counter[0, i], counter[1, i], place[i]
        left += 1
    for i in range(left, lanes):
        cells[LIVE + i], place[i] = ZERO, -1
    return left


@part
def _bank(cells, place, lanes, done):
    """Put the sums so far, other than counts, into `done`, and begin again."""
    for i in range(lanes):
        for k in range(COUNTS, SUMS if place[i] >= 0 else 0):
            done[k, place[i]] += cells[k * WIDTH + i]
            cells[k * WIDTH + i] = ZERO


@njit(error_model="numpy")
def pulse_energy(voltage, conductance, access_resistance, compliance_voltage, width):
    """E = V I t with I = V G / (1 + G R_access), limited to compliance_voltage * G (driver's view)."""
    current = voltage * conductance / (1.0 + conductance * access_resistance)
    if compliance_voltage > 0.0:
        current = min(current, compliance_voltage * conductance)
    return voltage * current * width


@part(error_model="numpy")
def draw_pairs(counter, count, draw, k0, k1, normal):
    """Two normal numbers for each cell from draw number `draw` of its write, counted from counter[1]."""
    for i in range(count):
        normal[0, i], normal[1, i] = normal_pair(counter[0, i], counter[1, i] + draw, k0, k1)


@part(error_model="numpy")
def mean_steps(cells, count, up, down, g_min, g_max, v_set, v_reset):
    """STEP and VOLT of each cell's next pulse; `up` and `down` as in `pulses.Steps`."""
    for i in range(count):
        rising = cells[SIEMENS + i] < cells[GOAL + i]
        gone = cells[SIEMENS + i] - g_min if rising else g_max - cells[SIEMENS + i]
        first, rate = up[0] if rising else down[0], up[1] if rising else down[1]
        reach = up[2] if rising else down[2]
        cells[STEP + i] = first + rate * (reach - gone)
        cells[VOLT + i] = v_set if rising else v_reset
    if up[3] != ZERO or down[3] != ZERO:
        for i in range(count):
            rising = cells[SIEMENS + i] < cells[GOAL + i]
            gone = cells[SIEMENS + i] - g_min if rising else g_max - cells[SIEMENS + i]
            bulge, fall = up[3] if rising else down[3], up[4] if rising else down[4]
            cells[STEP + i] += bulge * np.exp(-fall * gone)


@part(error_model="numpy")
def _raise_amplitude(cells, count, stairs):
    """A pulse after RUN others of its polarity is as many stairs stronger."""
    increment, growth, set_start, set_stop, reset_start, reset_stop = stairs
    for i in range(count):
        rising = cells[SIEMENS + i] < cells[GOAL + i]
        same = (cells[RUN + i] >= ZERO) & (rising == (cells[ROSE + i] > ZERO))
        run = cells[RUN + i] + ONE if same else ZERO
        start, stop = (set_start, set_stop) if rising else (reset_start, reset_stop)
        voltage = np.float32(min(start + run * increment, stop))
        live = cells[LIVE + i] > ZERO
        cells[RUN + i], cells[ROSE + i] = run, ONE if rising else ZERO
        cells[STEP + i] *= np.float32(np.exp((voltage - cells[VOLT + i]) / growth))
        cells[VOLT + i] = voltage
        cells[SQUARED + i] += voltage * voltage if live else ZERO


@part(error_model="numpy")
def _pulse(cells, count, normal, law):
    """One pulse to every cell that is not done: it moves and takes its energy."""
    g_min, g_max, spread, window_spread, least = law[0], law[1], law[2], law[3], law[27]
    set_width, reset_width, access = law[14], law[15], law[16]
    compliance = law[17] if law[17] > ZERO else np.float32(np.inf)
    for i in range(count):
        g, z = cells[SIEMENS + i], normal[i]
        live, rising = cells[LIVE + i] > ZERO, cells[SIEMENS + i] < cells[GOAL + i]
        size = cells[PACE + i] * cells[STEP + i] * max(ONE + spread * z, least) + window_spread * z
        move = (size if rising else -size) + cells[REST + i]
        free = g + move
        low, high = min(g, g_min), max(g, g_max)
        after = free if free > low else low
        after = after if after < high else high
        moves, inside = live & (cells[PACE + i] > ZERO), after == free
        after = after if moves else g
        cells[SWING + i] += (abs(size) if inside else abs(after - g)) if moves else ZERO
        cells[REST + i] = (move - (after - g) if inside else ZERO) if moves else cells[REST + i]
        middle, voltage, width = HALF * (g + after), cells[VOLT + i], set_width if rising else reset_width
        current = voltage * middle / (ONE + middle * access)
        limit = compliance * middle
        current = limit if rising & (limit < current) else current
        joule = voltage * current * width if live else ZERO
        cells[SET_JOULE + i] += joule if rising else ZERO
        cells[RESET_JOULE + i] += ZERO if rising else joule
        cells[SETS + i] += ONE if live & rising else ZERO
        cells[PULSES + i] += ONE if live else ZERO
        cells[SIEMENS + i] = after


@part(error_model="numpy")
def pulse_until_done(chunk, law, stairs, noisy, key, cells, done):
    """Pulse all cells of a chunk until each is at its goal, as verify reads tell, or has had its most pulses.

    chunk: counters (2,) of the cell and of its first draw, siemens, goal, most pulses, pace (0: it is stuck) and
    whether it is erased first, of each; law: `DeviceModel.law` in float32; stairs: None or the numbers of a rising
    amplitude; not `noisy`: every pulse moves by its mean. cells: room for the lanes; done (DONE, CHUNK) receives what
    was done.
    """
    up = (law[6], law[7], law[8], law[21], law[22])
    down = (law[9], law[10], law[11], law[24], law[25])
    count = chunk[1].size
    normal, counter, place = np.zeros((2, WIDTH), np.float32), np.empty((2, WIDTH), np.uint32), np.full(WIDTH, -1)
    done[:, :count] = 0.0
    lanes = whole(min(count, LANES))
    cells[LIVE : LIVE + lanes] = ZERO
    entered, left, turn = 0, 0, 0
    while left > 0 or entered < count:
        if turn % 2 == 0:  # two pulses share a draw
            if entered < count and left <= lanes * REFILL:
                entered = _change(cells, counter, place, lanes, entered, chunk, law, done)
            elif entered == count and 2 * left <= lanes:
                lanes = whole(_close_up(cells, counter, place, lanes, done))
        if turn % BANK == BANK - 1:
            _bank(cells, place, lanes, done)
        left = _verify(cells, lanes, law[4])
        if noisy and turn % 2 == 0:
            draw_pairs(counter, lanes, np.uint32(1), key[0], key[1], normal)
            for i in range(lanes):
                counter[1, i] += np.uint32(1)
        mean_steps(cells, lanes, up, down, law[0], law[1], law[12], law[13])
        if stairs is not None:
            _raise_amplitude(cells, lanes, stairs)
        _pulse(cells, lanes, normal[turn % 2], law)
        turn += 1
    _close_up(cells, counter, place, lanes, done)
