"""Numba kernel of programming: one cell at a time, pulse by pulse, with or without verify reads between."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from crossbar_sim.counter_random import normal_pair, threefry

DRAWS_PER_WRITE = 1024  # counter stride: pulses of one write use draws 1 to 751, draw 0 is the relaxation


@njit
def _draw(cell, draw, k0, k1):
    """`normal_pair`, compiled once instead of at each of its three places."""
    return normal_pair(cell, draw, k0, k1)


@njit
def pulse_energy(voltage, conductance, access_resistance, compliance_voltage, width):
    """E = V I t with I = V G / (1 + G R_access), limited to compliance_voltage * G (driver's view)."""
    current = voltage * conductance / (1.0 + conductance * access_resistance)
    if compliance_voltage > 0.0:
        current = min(current, compliance_voltage * conductance)
    return voltage * current * width


@njit(inline="always")
def mean_step(steps, gone):
    """Mean move of one pulse at `gone` siemens from the end it starts at; `steps` as in `pulses.Steps`."""
    move = steps[0] + steps[1] * (steps[2] - gone)
    if steps[3] != 0.0:
        move += steps[3] * np.exp(-steps[4] * gone)
    return move


@njit(inline="always")
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


@njit
def stair(stairs, nominal, rising, run):
    """Voltage of a pulse after `run` others of its polarity, and how many times as far it moves as a nominal one."""
    increment, growth, set_start, set_stop, reset_start, reset_stop = stairs
    start, stop = (set_start, set_stop) if rising else (reset_start, reset_stop)
    voltage = min(start + run * increment, stop)
    return voltage, np.exp((voltage - nominal) / growth)


@njit(cache=True)
def normals(counters, key):
    """Two standard normal numbers per cell; cell i uses counter (i, counters[i])."""
    z0, z1 = np.empty(counters.size), np.empty(counters.size)
    for i in range(counters.size):
        z0[i], z1[i] = normal_pair(np.uint32(i), counters[i], key[0], key[1])
    return z0, z1


@njit(cache=True)
def uniforms_at(counters, key):
    """One number in (0, 1) per cell; cell i uses counter (i, counters[i])."""
    numbers = np.empty(counters.size)
    for i in range(counters.size):
        word, _ = threefry(np.uint32(i), counters[i], key[0], key[1])
        numbers[i] = (float(word) + 0.5) * 2.0**-32
    return numbers


@njit(cache=True, parallel=True)
def program_cells(
    cells, write_index, conductance, target, sigma, stuck, pace, law, stairs, closed_loop, erase_first, key,
    achieved, set_pulses, reset_pulses, verify_reads, set_energy, reset_energy, verify_energy, squared_volts, swing,
):  # fmt: skip
    """Program every cell in `cells` from `conductance` to `target`; results go into the last nine arrays.

    `sigma` is the published spread of the final state around its target (negative: the target is reached
    exactly); it contains what the stopping rule leaves. Open-loop pulses add it to where they end. A `stuck`
    cell takes its pulses and does not move; `pace` multiplies the cell's steps. `law` is `DeviceModel.law`.
    `stairs` is None or the numbers of an incremental amplitude: None compiles into a kernel without it.
    `squared_volts` is the sum of V^2 over a cell's pulses, `swing` that of the conductance's moves, siemens.
    """
    g_min, g_max, spread, window_spread, acceptance, max_pulses = law[0], law[1], law[2], law[3], law[4], int(law[5])
    up = (law[6], law[7], law[8], law[21], law[22], law[23])
    down = (law[9], law[10], law[11], law[24], law[25], law[26])
    least = law[27]
    v_set, v_reset, set_width, reset_width = law[12], law[13], law[14], law[15]
    r_access, v_compliance, v_read, t_read, e_sense = law[16], law[17], law[18], law[19], law[20]
    k0, k1 = key
    for i in prange(cells.size):
        cell = np.uint32(cells[i])
        first = np.uint32(write_index[i] * DRAWS_PER_WRITE)
        g, goal = conductance[i], target[i]
        n_set, n_reset, n_reads = 0, 0, 0
        e_set, e_reset, e_verify = 0.0, 0.0, 0.0
        volts, fallen, begin = 0.0, 0.0, g
        if erase_first and g > g_min + acceptance:
            after = g if stuck[i] else g_min
            e_reset += pulse_energy(v_reset, 0.5 * (g + after), r_access, 0.0, reset_width)
            volts += v_reset * v_reset
            fallen += g - after
            g = after
            n_reset = 1
        if closed_loop:
            z0, z1 = np.float32(0), np.float32(0)
            run, rose = 0, False  # pulses of the present polarity so far, and that polarity
            while True:
                e_verify += v_read * v_read * g * t_read + e_sense
                n_reads += 1
                n_pulses = n_set + n_reset
                if abs(g - goal) <= acceptance or n_pulses >= max_pulses:
                    break
                if n_pulses % 2 == 0 or n_reads == 1:
                    z0, z1 = _draw(cell, first + np.uint32(1 + n_pulses // 2), k0, k1)
                z = z0 if n_pulses % 2 == 0 else z1
                rising = g < goal
                voltage = v_set if rising else v_reset
                mean = mean_step(up, g - g_min) if rising else mean_step(down, g_max - g)
                if stairs is not None:
                    run = run + 1 if n_reads > 1 and rising == rose else 0
                    rose = rising
                    voltage, stronger = stair(stairs, voltage, rising, run)
                    mean *= stronger
                    volts += voltage * voltage
                move = pace[i] * mean * max(1.0 + spread * z, least) + window_spread * z
                after = g + move if rising else g - move
                after = min(max(after, min(g, g_min)), max(g, g_max))
                if stuck[i]:
                    after = g
                if rising:
                    e_set += pulse_energy(voltage, 0.5 * (g + after), r_access, v_compliance, set_width)
                    n_set += 1
                else:
                    e_reset += pulse_energy(voltage, 0.5 * (g + after), r_access, 0.0, reset_width)
                    n_reset += 1
                    fallen += g - after
                g = after
            swing[i] = max(g - begin + 2.0 * fallen, 0.0)  # what rose is what fell and what remains
        else:
            start, rising = g, goal >= g
            if rising:
                count = pulses_between(up, g - g_min, goal - g_min)
            else:
                count = pulses_between(down, g_max - g, g_max - goal)
            for _ in range(int(np.rint(count))):
                if stuck[i]:
                    after = g
                elif rising:
                    after = min(g + pace[i] * mean_step(up, g - g_min), g_max)
                else:
                    after = max(g - pace[i] * mean_step(down, g_max - g), g_min)
                if rising:
                    e_set += pulse_energy(v_set, 0.5 * (g + after), r_access, v_compliance, set_width)
                    n_set += 1
                else:
                    e_reset += pulse_energy(v_reset, 0.5 * (g + after), r_access, 0.0, reset_width)
                    n_reset += 1
                    fallen += g - after
                g = after
            n_pulses = n_set + n_reset
            swing[i] = max(g - begin + 2.0 * fallen, 0.0)
            if n_pulses > 0 and not stuck[i]:
                z0, z1 = _draw(cell, first + np.uint32(1), k0, k1)
                root = np.sqrt(float(n_pulses))
                g = min(max(g + (spread * abs(g - start) / root + window_spread * root) * z0, g_min), g_max)
        if not stuck[i]:
            if sigma[i] >= 0.0:
                z0, z1 = _draw(cell, first, k0, k1)
                g = max((goal if closed_loop else g) + sigma[i] * z0, 0.0)
            else:
                g = goal
        achieved[i] = g
        set_pulses[i] = n_set
        reset_pulses[i] = n_reset
        verify_reads[i] = n_reads
        set_energy[i] = e_set
        reset_energy[i] = e_reset
        verify_energy[i] = e_verify
        squared_volts[i] = volts if stairs is not None else v_set * v_set * n_set + v_reset * v_reset * n_reset
