"""Cells side by side, in lanes: each round gives every cell that is not done one pulse.

Every loop over the lanes is without a branch, so that it vectorises. Now and then the cells that are done leave their
lanes to the next ones; when none wait any more, those that are left close up.

Lanes are float32. What a pulse's move loses in rounding is kept and added to the next one, and sums are carried over to
float64 every ROUNDS_PER_SUM rounds: conductances and sums agree with float64 arithmetic to some 1e-7.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.devices.pulse_response.compiled import exponential_move, linear_move, pulse_energy
from crossbar_sim.runtime.compiling import part
from crossbar_sim.runtime.counter_random import normal_pair

LANES, VECTOR = 512, 16  # loops run over whole vectors of lanes; those beyond the last cell are done
WIDTH = LANES + VECTOR  # numbers from row to row: rows a multiple of 4096 bytes apart would wait for each other
REFILL = 0.75  # of the lanes live: others enter
CHUNK = 4096  # cells that pass the lanes together, so that few lanes idle at the end
ROUNDS_PER_SUM = 32  # a sum of so many equal numbers is off by 1e-6 at most
ZERO = np.float32(0)
HALF = np.float32(0.5)
ONE = np.float32(1)
INFINITE = np.float32(np.inf)


class Registers(NamedTuple):
    """What the lanes hold, a row of WIDTH numbers each. The first SUMS are sums over the pulses of a cell.

    set_pulses, pulses: how many
    set_joule, reset_joule: of these
    seen: siemens that its verify reads saw, in all
    conductance_travel: siemens moved either way
    squared_volts: sum of V^2, kept only with a rising amplitude
    siemens: where the cell stands
    remainder: what rounding has taken from that
    goal: where it is led, siemens; infinite: as far as its pulses go
    device_to_device: its steps relative to the device's; 0: it is stuck
    most_pulses: that it may have
    run: with a rising amplitude, pulses of its polarity in a row before this one; -1: it had none
    rose: and whether these were SET pulses
    live: this round, whether the cell is not done
    move: mean move of its pulse this round, siemens
    voltage: of that pulse
    """

    set_pulses: int
    pulses: int
    set_joule: int
    reset_joule: int
    seen: int
    conductance_travel: int
    squared_volts: int
    siemens: int
    remainder: int
    goal: int
    device_to_device: int
    most_pulses: int
    run: int
    rose: int
    live: int
    move: int
    voltage: int


ROWS = len(Registers._fields)
AT = Registers(*range(0, ROWS * WIDTH, WIDTH))
"""Where each begins. One array for all, at fixed distances, needs no checks before vectors are used."""
COUNTS, SUMS = 2, AT.siemens // WIDTH


class Done(NamedTuple):
    """What is left of cells that are done, in float64, an entry per cell: `Registers` by the same names."""

    set_pulses: NDArray[np.float64]
    pulses: NDArray[np.float64]
    set_joule: NDArray[np.float64]
    reset_joule: NDArray[np.float64]
    seen: NDArray[np.float64]
    conductance_travel: NDArray[np.float64]
    squared_volts: NDArray[np.float64]
    siemens: NDArray[np.float64]


class Chunk(NamedTuple):
    """Cells that pass the lanes together, an entry per cell.

    counter: (2, cells) counters of the cell and of its first draw
    before: where it stands, siemens
    goal: where it is led, siemens; infinite: as far as its pulses go
    most_pulses: that it may have
    device_to_device: its steps relative to the device's; 0: it is stuck
    erased: a RESET pulse leads it to g_min first
    """

    counter: NDArray[np.uint32]
    before: NDArray[np.float64]
    goal: NDArray[np.float64]
    most_pulses: NDArray[np.float64]
    device_to_device: NDArray[np.float64]
    erased: NDArray[np.bool_]


class Lanes(NamedTuple):
    """Room for the cells of a chunk.

    numbers: (ROWS * WIDTH,) the registers, see AT
    counter: (2, WIDTH) counters of the cell and of its next draw
    place: (WIDTH,) number of the cell in its chunk, -1: no cell
    normal: (2, WIDTH) normal numbers of two pulses
    done: (SUMS + 1, cells of a chunk) what was done, in the order of `Done`
    """

    numbers: NDArray[np.float32]
    counter: NDArray[np.uint32]
    place: NDArray[np.int64]
    normal: NDArray[np.float32]
    done: NDArray[np.float64]


@part
def room_for(size):
    """Lanes for chunks of at most `size` cells."""
    padded = size + 8  # rows of `done` a multiple of 4096 bytes apart would wait for each other
    return Lanes(
        np.empty(ROWS * WIDTH, np.float32),
        np.empty((2, WIDTH), np.uint32),
        np.empty(WIDTH, np.int64),
        np.empty((2, WIDTH), np.float32),
        np.empty((SUMS + 1, padded)),
    )


@part
def done_cells(lanes, count):
    """What was done to the first `count` cells of a chunk."""
    done = lanes.done
    return Done(
        done[0, :count],
        done[1, :count],
        done[2, :count],
        done[3, :count],
        done[4, :count],
        done[5, :count],
        done[6, :count],
        done[7, :count],
    )


@part
def whole(count):
    """The lanes of so many cells, in whole vectors."""
    return (count + VECTOR - 1) // VECTOR * VECTOR


@part(error_model="numpy")
def _verify(cells, count, acceptance):
    """Read every cell that is not done; it is where it is close enough or has had its pulses. How many are not."""
    left = 0
    for i in range(count):
        live = cells[AT.live + i] > ZERO
        cells[AT.seen + i] += cells[AT.siemens + i] if live else ZERO
        far = abs(cells[AT.siemens + i] - cells[AT.goal + i]) > acceptance
        goes_on = live & far & (cells[AT.pulses + i] < cells[AT.most_pulses + i])
        cells[AT.live + i] = ONE if goes_on else ZERO
        left += 1 if goes_on else 0
    return left


@part
def _store_done(cells, i, place, done):
    """What was done to the cell of lane i."""
    for k in range(SUMS):
        done[k, place[i]] += cells[k * WIDTH + i]
    done[SUMS, place[i]] = np.float64(cells[AT.siemens + i]) + np.float64(cells[AT.remainder + i])


@part
def _refill(lanes, width, entered, chunk, law):
    """Cells that are done leave their lanes, and others of the chunk enter; how many have entered so far."""
    cells = lanes.numbers
    counter = lanes.counter
    place = lanes.place
    for i in range(width):
        if cells[AT.live + i] > ZERO:
            continue
        if place[i] >= 0:
            _store_done(cells, i, place, lanes.done)
            place[i] = -1
        if entered < chunk.before.size:
            place[i] = entered
            counter[0, i], counter[1, i] = chunk.counter[0, entered], chunk.counter[1, entered]
            for row in range(0, AT.siemens, WIDTH):
                cells[row + i] = ZERO
            before = chunk.before[entered]
            cells[AT.siemens + i] = np.float32(before)
            cells[AT.remainder + i] = np.float32(before - np.float64(cells[AT.siemens + i]))
            cells[AT.goal + i] = np.float32(chunk.goal[entered])
            cells[AT.most_pulses + i] = np.float32(chunk.most_pulses[entered])
            cells[AT.device_to_device + i] = np.float32(chunk.device_to_device[entered])
            cells[AT.run + i] = -ONE
            cells[AT.live + i] = ONE
            if chunk.erased[entered]:
                _erase(cells, i, law)
            entered += 1
    return entered


@part(error_model="numpy")
def _erase(cells, i, law):
    """One RESET pulse that leads the cell of lane i to g_min."""
    g, voltage = cells[AT.siemens + i], law.down.voltage
    after = law.g_min if cells[AT.device_to_device + i] > ZERO else g
    middle = HALF * (g + after)
    joule = pulse_energy(voltage, middle, law.access_resistance, INFINITE, law.down.width)
    cells[AT.reset_joule + i] = np.float32(joule)
    cells[AT.pulses + i] = ONE
    cells[AT.squared_volts + i] = voltage * voltage
    cells[AT.conductance_travel + i] = g - after
    cells[AT.siemens + i] = after
    cells[AT.remainder + i] = ZERO


@part
def _close_up(lanes, width):
    """Cells that are done leave for good, and the others move together; how many these are."""
    cells = lanes.numbers
    counter = lanes.counter
    place = lanes.place
    left = 0
    for i in range(width):
        if cells[AT.live + i] == ZERO:
            if place[i] >= 0:
                _store_done(cells, i, place, lanes.done)
            continue
        if left < i:
            for row in range(0, AT.move, WIDTH):
                cells[row + left] = cells[row + i]
            counter[0, left], counter[1, left] = counter[0, i], counter[1, i]
            place[left] = place[i]
        left += 1
    for i in range(left, width):
        cells[AT.live + i], place[i] = ZERO, -1
    return left


@part
def _carry_over(cells, place, width, done):
    """Add the sums so far, other than counts, to `done`, and begin again."""
    for i in range(width):
        for k in range(COUNTS, SUMS if place[i] >= 0 else 0):
            done[k, place[i]] += cells[k * WIDTH + i]
            cells[k * WIDTH + i] = ZERO


@part(error_model="numpy")
def draw_pairs(counter, count, draw, key, normal):
    """Two normal numbers for each cell from draw number `draw` of its write, counted from counter[1]."""
    k0, k1 = key
    for i in range(count):
        normal[0, i], normal[1, i] = normal_pair(counter[0, i], counter[1, i] + draw, k0, k1)


@part(error_model="numpy")
def _mean_moves(cells, count, law):
    """The mean move of each cell's next pulse, and its voltage."""
    g_min = law.g_min
    g_max = law.g_max
    up = law.up
    down = law.down
    for i in range(count):
        rising = cells[AT.siemens + i] < cells[AT.goal + i]
        distance = cells[AT.siemens + i] - g_min if rising else g_max - cells[AT.siemens + i]
        steps = up.steps if rising else down.steps
        cells[AT.move + i] = linear_move(steps, distance)
        cells[AT.voltage + i] = up.voltage if rising else down.voltage
    if up.steps.bulge != ZERO or down.steps.bulge != ZERO:
        for i in range(count):
            rising = cells[AT.siemens + i] < cells[AT.goal + i]
            distance = cells[AT.siemens + i] - g_min if rising else g_max - cells[AT.siemens + i]
            steps = up.steps if rising else down.steps
            cells[AT.move + i] += exponential_move(steps, distance, np.exp)


@part(error_model="numpy")
def _raise_amplitude(cells, count, ispp):
    """A pulse after `run` others of its polarity is as many increments stronger."""
    for i in range(count):
        rising = cells[AT.siemens + i] < cells[AT.goal + i]
        same = (cells[AT.run + i] >= ZERO) & (rising == (cells[AT.rose + i] > ZERO))
        run = cells[AT.run + i] + ONE if same else ZERO
        start, stop = (ispp.set_start, ispp.set_stop) if rising else (ispp.reset_start, ispp.reset_stop)
        voltage = np.float32(min(start + run * ispp.increment, stop))
        live = cells[AT.live + i] > ZERO
        cells[AT.run + i], cells[AT.rose + i] = run, ONE if rising else ZERO
        cells[AT.move + i] *= np.float32(np.exp((voltage - cells[AT.voltage + i]) / ispp.growth_voltage))
        cells[AT.voltage + i] = voltage
        cells[AT.squared_volts + i] += voltage * voltage if live else ZERO


@part(error_model="numpy")
def _pulse(cells, count, normal, law):
    """One pulse to every cell that is not done: it moves and takes its energy."""
    g_min = law.g_min
    g_max = law.g_max
    access = law.access_resistance
    spread = law.cycle_to_cycle
    window_spread = law.window_spread
    least = law.least_factor
    set_width = law.up.width
    reset_width = law.down.width
    compliance = law.compliance_voltage
    for i in range(count):
        g = cells[AT.siemens + i]
        z = normal[i]
        factor = cells[AT.device_to_device + i]
        live, rising = cells[AT.live + i] > ZERO, cells[AT.siemens + i] < cells[AT.goal + i]
        size = factor * cells[AT.move + i] * max(ONE + spread * z, least) + window_spread * z
        move = (size if rising else -size) + cells[AT.remainder + i]
        free = g + move
        low, high = min(g, g_min), max(g, g_max)
        after = free if free > low else low
        after = after if after < high else high
        moves, inside = live & (factor > ZERO), after == free
        after = after if moves else g
        cells[AT.conductance_travel + i] += (abs(size) if inside else abs(after - g)) if moves else ZERO
        remainder = move - (after - g) if inside else ZERO
        cells[AT.remainder + i] = remainder if moves else cells[AT.remainder + i]
        width, limit = set_width if rising else reset_width, compliance if rising else INFINITE
        joule = pulse_energy(cells[AT.voltage + i], HALF * (g + after), access, limit, width, ONE)
        joule = joule if live else ZERO
        cells[AT.set_joule + i] += joule if rising else ZERO
        cells[AT.reset_joule + i] += ZERO if rising else joule
        cells[AT.set_pulses + i] += ONE if live & rising else ZERO
        cells[AT.pulses + i] += ONE if live else ZERO
        cells[AT.siemens + i] = after


@part(error_model="numpy")
def pulse_until_done(chunk, law, ispp, noisy, key, lanes):
    """Pulse all cells of a chunk until each is at its goal, as verify reads tell, or has had its most pulses.

    law: `PulseLaw` in float32; ispp: `amplitude.AmplitudeSteps` or None; not `noisy`: every pulse moves by its mean.
    lanes.done receives what was done.
    """
    cells = lanes.numbers
    counter = lanes.counter
    place = lanes.place
    normal = lanes.normal
    done = lanes.done
    count = chunk.before.size
    normal[:] = ZERO
    place[:] = -1
    done[:, :count] = 0.0
    width = whole(min(count, LANES))
    cells[AT.live : AT.live + width] = ZERO
    entered = 0
    left = 0
    turn = 0
    while left > 0 or entered < count:
        if turn % 2 == 0:  # two pulses share a draw
            if entered < count and left <= width * REFILL:
                entered = _refill(lanes, width, entered, chunk, law)
            elif entered == count and 2 * left <= width:
                width = whole(_close_up(lanes, width))
        if turn % ROUNDS_PER_SUM == ROUNDS_PER_SUM - 1:
            _carry_over(cells, place, width, done)
        left = _verify(cells, width, law.acceptance)
        if noisy and turn % 2 == 0:
            draw_pairs(counter, width, np.uint32(1), key, normal)
            for i in range(width):
                counter[1, i] += np.uint32(1)
        _mean_moves(cells, width, law)
        if ispp is not None:
            _raise_amplitude(cells, width, ispp)
        _pulse(cells, width, normal[turn % 2], law)
        turn += 1
    _close_up(lanes, width)
