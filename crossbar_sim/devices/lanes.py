"""A block of cells side by side: each round gives every cell that is not done one pulse.

Every loop runs over the cells without a branch, so that it vectorises. The cells stand in the order of the pulses that
they are expected to need, the most first, so that the block gets shorter from its end; cells that are done before stay
where they are, untouched, until they are half of the block, when the others close up.
"""

from __future__ import annotations

import numpy as np

from crossbar_sim.compiling import part
from crossbar_sim.counter_random import normal_pair

BLOCK = 512
LANES = 16  # loops run over whole vectors of cells; those beyond the last cell are done
WIDTH = BLOCK + 8  # numbers from row to row: rows a multiple of 4096 bytes apart would wait for each other
DRAWS_PER_WRITE = 1024  # counter stride: pulses of one write use draws 1 to 751, draw 0 is the relaxation

SIEMENS, SETS, RESETS, SET_JOULE, RESET_JOULE, VERIFY_JOULE, SWING, SQUARED = range(0, 8 * WIDTH, WIDTH)
"""Where in a block the numbers of its cells begin: the conductance, and what was done to the cell; the sum of V^2 only
with a rising amplitude. One array for all, at fixed distances, needs no checks before vectors are used."""
GOAL, PACE, MOST, RUN, ROSE = range(8 * WIDTH, 13 * WIDTH, WIDTH)
"""Where it is led (infinite: as far as its pulses go), its steps relative to the device's (0: it is stuck) and its most
pulses; with a rising amplitude the pulses of the present polarity before this one, and that polarity."""
LIVE, STEP, VOLT = range(13 * WIDTH, 16 * WIDTH, WIDTH)
"""Of this round: whether the cell is not done, the mean move of its pulse, siemens, and its voltage."""
ROWS = 16 * WIDTH


@part
def whole(count):
    """The lanes of so many cells."""
    return (count + LANES - 1) // LANES * LANES


@part(error_model="numpy")
def _verify(cells, count, acceptance, read_voltage, read_time, sense):
    """Read every cell that is not done; it is where it is close enough or has had its pulses. How many are not."""
    left = 0
    for i in range(count):
        live = cells[LIVE + i] > 0.0
        joule = read_voltage * read_voltage * cells[SIEMENS + i] * read_time + sense
        cells[VERIFY_JOULE + i] += joule if live else 0.0
        far = abs(cells[SIEMENS + i] - cells[GOAL + i]) > acceptance
        goes_on = live & far & (cells[SETS + i] + cells[RESETS + i] < cells[MOST + i])
        cells[LIVE + i] = 1.0 if goes_on else 0.0
        left += 1 if goes_on else 0
    return left


@part
def _shorten(cells, place, count, done):
    """Put what was done to the cells at the end of the block that are done into their columns of `done`."""
    left = count
    while left > 0 and cells[LIVE + left - 1] == 0.0:
        left -= 1
    for row in range(0, GOAL, WIDTH):
        for i in range(left, count):
            done[row + place[i]] = cells[row + i]
    return left


@part
def _close_up(cells, counter, place, count, keep, done):
    """The same for all cells that are done; the others move together."""
    left, gone = 0, 0
    for i in range(count):
        keep[0, left], keep[1, gone] = i, i
        left, gone = left + int(cells[LIVE + i]), gone + 1 - int(cells[LIVE + i])
    for row in range(0, GOAL, WIDTH):
        for k in range(gone):
            done[row + place[keep[1, k]]] = cells[row + keep[1, k]]
    for row in range(0, LIVE + WIDTH, WIDTH):
        for k in range(left):
            cells[row + k] = cells[row + keep[0, k]]
    for k in range(left, count):
        cells[LIVE + k] = 0.0
    for k in range(left):
        counter[0, k], counter[1, k], place[k] = counter[0, keep[0, k]], counter[1, keep[0, k]], place[keep[0, k]]
    return left


@part(error_model="numpy")
def draw_pairs(counter, count, draw, k0, k1, normal):
    """Two normal numbers for each cell from draw number `draw` of its write."""
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
    if up[3] != 0.0 or down[3] != 0.0:
        for i in range(count):
            rising = cells[SIEMENS + i] < cells[GOAL + i]
            gone = cells[SIEMENS + i] - g_min if rising else g_max - cells[SIEMENS + i]
            bulge, fall = up[3] if rising else down[3], up[4] if rising else down[4]
            cells[STEP + i] += bulge * np.exp(-fall * gone)


@part(error_model="numpy")
def _raise_amplitude(cells, count, stairs, first_round):
    """A pulse after RUN others of its polarity is as many stairs stronger."""
    increment, growth, set_start, set_stop, reset_start, reset_stop = stairs
    for i in range(count):
        rising = cells[SIEMENS + i] < cells[GOAL + i]
        same = (not first_round) and rising == (cells[ROSE + i] > 0.0)
        run = cells[RUN + i] + 1.0 if same else 0.0
        start, stop = (set_start, set_stop) if rising else (reset_start, reset_stop)
        voltage = min(start + run * increment, stop)
        live = cells[LIVE + i] > 0.0
        cells[RUN + i], cells[ROSE + i] = run, 1.0 if rising else 0.0
        cells[STEP + i] *= np.exp((voltage - cells[VOLT + i]) / growth)
        cells[VOLT + i] = voltage
        cells[SQUARED + i] += voltage * voltage if live else 0.0


@part(error_model="numpy")
def _pulse(cells, count, normal, law):
    """One pulse to every cell that is not done: it moves and takes its energy."""
    g_min, g_max, spread, window_spread, least = law[0], law[1], law[2], law[3], law[27]
    set_width, reset_width, access = law[14], law[15], law[16]
    compliance = law[17] if law[17] > 0.0 else np.inf
    for i in range(count):
        g, z = cells[SIEMENS + i], np.float64(normal[i])
        live, rising = cells[LIVE + i] > 0.0, cells[SIEMENS + i] < cells[GOAL + i]
        move = cells[PACE + i] * cells[STEP + i] * max(1.0 + spread * z, least) + window_spread * z
        after = g + move if rising else g - move
        low, high = min(g, g_min), max(g, g_max)
        after = after if after > low else low
        after = after if after < high else high
        after = after if live & (cells[PACE + i] > 0.0) else g
        middle, voltage, width = 0.5 * (g + after), cells[VOLT + i], set_width if rising else reset_width
        current = voltage * middle / (1.0 + middle * access)
        limit = compliance * middle
        current = limit if rising & (limit < current) else current
        joule = voltage * current * width if live else 0.0
        one = 1.0 if live else 0.0
        cells[SET_JOULE + i] += joule if rising else 0.0
        cells[RESET_JOULE + i] += 0.0 if rising else joule
        cells[SETS + i] += one if rising else 0.0
        cells[RESETS + i] += 0.0 if rising else one
        cells[SWING + i] += abs(after - g)
        cells[SIEMENS + i] = after


@part(error_model="numpy")
def pulse_until_done(cells, counter, place, count, before, law, stairs, noisy, key, done):
    """Pulse the first `count` cells of a block until each is at its GOAL, as verify reads tell, or has had its MOST.

    counter (2, WIDTH): each cell's number, and the first counter of its write; place: its column in `done`, which
    receives its numbers; before: pulses that each of them has had. `law` is `DeviceModel.law`; `stairs` None or the
    numbers of a rising amplitude; not `noisy`: every pulse moves by its mean.
    """
    up = (law[6], law[7], law[8], law[21], law[22])
    down = (law[9], law[10], law[11], law[24], law[25])
    normal, keep = np.empty((2, WIDTH), np.float32), np.empty((2, WIDTH), np.int64)
    if not noisy:
        normal[:] = np.float32(0)
    pulse = before
    while count > 0:
        left = _verify(cells, whole(count), law[4], law[18], law[19], law[20])
        count = _shorten(cells, place, count, done)
        fresh = pulse % 2 == 0 or pulse == before
        if fresh and 2 * left <= count:
            count = _close_up(cells, counter, place, count, keep, done)
        lanes = whole(count)
        if noisy and fresh:
            draw_pairs(counter, lanes, np.uint32(1 + pulse // 2), key[0], key[1], normal)  # two pulses share a draw
        mean_steps(cells, lanes, up, down, law[0], law[1], law[12], law[13])
        if stairs is not None:
            _raise_amplitude(cells, lanes, stairs, pulse == before)
        _pulse(cells, lanes, normal[pulse % 2], law)
        pulse += 1
