"""Numba kernel of blind pulses: a given number of identical pulses per cell, no target and no verify read."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from crossbar_sim.devices.kernels import DRAWS_PER_WRITE, _draw, mean_step, pulse_energy

MOST_PULSES = 1500  # of one train: pulses use the draws 1 to 751 of a write


@njit(cache=True, parallel=True)
def pulse_cells(
    cells, write_index, conductance, counts, stuck, pace, law, key, achieved, set_energy, reset_energy, swing
):  # fmt: skip
    """Give every cell in `cells` |counts| pulses, SET where counts > 0 and RESET where counts < 0.

    A pulse moves the cell by its mean step at the cell's state, times `pace`, with the spread of single pulses; no
    pulse leaves the window, and none moves a `stuck` cell. `law` is `DeviceModel.law`. Results go into the last four;
    swing: sum of |dG|, siemens.
    """
    g_min, g_max, spread, window_spread = law[0], law[1], law[2], law[3]
    up = (law[6], law[7], law[8], law[21], law[22])
    down = (law[9], law[10], law[11], law[24], law[25])
    k0, k1 = key
    for i in prange(cells.size):
        cell = np.uint32(cells[i])
        first = np.uint32(write_index[i] * DRAWS_PER_WRITE)
        g, rising = conductance[i], counts[i] > 0
        e_set, e_reset, moved = 0.0, 0.0, 0.0
        z0, z1 = np.float32(0), np.float32(0)
        for pulse in range(abs(counts[i])):
            if pulse % 2 == 0:
                z0, z1 = _draw(cell, first + np.uint32(1 + pulse // 2), k0, k1)
            z = z0 if pulse % 2 == 0 else z1
            mean = mean_step(up, g - g_min) if rising else mean_step(down, g_max - g)
            move = pace[i] * mean * max(1.0 + spread * z, law[27]) + window_spread * z
            after = g + move if rising else g - move
            after = min(max(after, min(g, g_min)), max(g, g_max))
            if stuck[i]:
                after = g
            if rising:
                e_set += pulse_energy(law[12], 0.5 * (g + after), law[16], law[17], law[14])
            else:
                e_reset += pulse_energy(law[13], 0.5 * (g + after), law[16], 0.0, law[15])
            moved += abs(after - g)
            g = after
        achieved[i] = g
        set_energy[i] = e_set
        reset_energy[i] = e_reset
        swing[i] = moved
