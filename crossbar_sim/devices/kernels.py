"""Numba kernel of closed-loop programming: one cell at a time, pulse by pulse, with verify reads between."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from crossbar_sim.counter_random import normal_pair

DRAWS_PER_WRITE = 1024  # counter stride: pulses of one write use draws 1.., draw 0 is the relaxation


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


@njit(cache=True, parallel=True)
def program_cells(
    cells, write_index, conductance, target, sigma, law, closed_loop, erase_first, key,
    achieved, set_pulses, reset_pulses, verify_reads, set_energy, reset_energy, verify_energy,
):  # fmt: skip
    """Program every cell in `cells` from `conductance` to `target`; results go into the last seven arrays.

    `sigma` is the published spread of the final state around its target (negative: the target is reached
    exactly); it contains what the stopping rule leaves. Open-loop pulses add it to where they end. `law` holds
    in order
    g_min, g_max, step, cycle-to-cycle spread, acceptance, max pulses, set voltage, reset voltage, pulse
    width, access resistance, compliance voltage (0 = none), read voltage, read time, sense energy.
    """
    g_min, g_max, step, spread, acceptance = law[0], law[1], law[2], law[3], law[4]
    max_pulses, v_set, v_reset, width = int(law[5]), law[6], law[7], law[8]
    r_access, v_compliance, v_read, t_read, e_sense = law[9], law[10], law[11], law[12], law[13]
    k0, k1 = key
    for i in prange(cells.size):
        cell = np.uint32(cells[i])
        first = np.uint32(write_index[i] * DRAWS_PER_WRITE)
        g, goal = conductance[i], target[i]
        n_set, n_reset, n_reads = 0, 0, 0
        e_set, e_reset, e_verify = 0.0, 0.0, 0.0
        if erase_first and g > g_min + acceptance:
            e_reset += pulse_energy(v_reset, 0.5 * (g + g_min), r_access, 0.0, width)
            g = g_min
            n_reset = 1
        if closed_loop:
            z0, z1 = np.float32(0), np.float32(0)
            while True:
                e_verify += v_read * v_read * g * t_read + e_sense
                n_reads += 1
                n_pulses = n_set + n_reset
                if abs(g - goal) <= acceptance or n_pulses >= max_pulses:
                    break
                if n_pulses % 2 == 0 or n_reads == 1:
                    z0, z1 = _draw(cell, first + np.uint32(1 + n_pulses // 2), k0, k1)
                z = z0 if n_pulses % 2 == 0 else z1
                move = step * max(1.0 + spread * z, 0.0)
                if g < goal:
                    after = min(g + move, g_max)
                    e_set += pulse_energy(v_set, 0.5 * (g + after), r_access, v_compliance, width)
                    n_set += 1
                else:
                    after = max(g - move, g_min)
                    e_reset += pulse_energy(v_reset, 0.5 * (g + after), r_access, 0.0, width)
                    n_reset += 1
                g = after
        else:
            count = int(np.rint(abs(goal - g) / step))
            mean = 0.5 * (g + goal)
            if goal >= g:
                e_set += count * pulse_energy(v_set, mean, r_access, v_compliance, width)
                n_set += count
            else:
                e_reset += count * pulse_energy(v_reset, mean, r_access, 0.0, width)
                n_reset += count
            z0, z1 = _draw(cell, first + np.uint32(1), k0, k1)
            g = min(max(goal + step * spread * np.sqrt(float(count)) * z0, g_min), g_max)
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
