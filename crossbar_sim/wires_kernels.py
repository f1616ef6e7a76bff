"""Numba kernel of the wires: one word line eliminated."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def eliminate_word_line(cells, segment, driver, double_sided, admittance, currents):
    """Add the conductances (siemens) that one word line puts between its bit lines; set its currents at 1 volt.

    cells (columns,) siemens; segment, driver: ohm; admittance (columns, columns) is added to; currents (columns,)
    become those into grounded bit lines. With z_j the resistance seen from node j to the left and u_j the
    conductance to the right, K_jj = z_j / (1 + z_j (g_j + u_j)) and K_jk falls along the line by the divider
    1 / (1 + R_w (g_k + u_k)). Only positive numbers are added, multiplied and divided: nothing cancels.
    """
    columns = cells.size
    feed = segment + driver
    if feed == 0.0:
        for j in range(columns):
            admittance[j, j] += cells[j]
            currents[j] = cells[j]
        return
    left = np.empty(columns)  # resistance from the node to the left driver, its own cell left out
    right = np.empty(columns)  # conductance from the node to the right, its own cell left out
    divider = np.empty(columns)  # voltage of a node over that of its left neighbour
    left[0] = feed
    for j in range(1, columns):
        left[j] = segment + left[j - 1] / (1.0 + left[j - 1] * cells[j - 1])
    right[columns - 1] = 1.0 / feed if double_sided else 0.0
    for j in range(columns - 1, 0, -1):
        onwards = cells[j] + right[j]
        divider[j] = 1.0 / (1.0 + segment * onwards)
        right[j - 1] = onwards * divider[j]
    voltage = 1.0 / (1.0 + feed * (cells[0] + right[0]))
    for j in range(columns):
        if j > 0:
            voltage *= divider[j]
        currents[j] = cells[j] * voltage
    if double_sided:  # the right driver's share, by the same law from the other end
        voltage = 1.0 / (1.0 + feed * (cells[columns - 1] + 1.0 / left[columns - 1]))
        for j in range(columns - 1, -1, -1):
            currents[j] += cells[j] * voltage
            if j > 0:
                voltage /= 1.0 + segment * (cells[j - 1] + 1.0 / left[j - 1])
    for j in range(columns):
        own = 1.0 + left[j] * (cells[j] + right[j])
        admittance[j, j] += cells[j] * (1.0 + left[j] * right[j]) / own
        coupling = cells[j] * left[j] / own
        for k in range(j + 1, columns):
            coupling *= divider[k]
            admittance[k, j] -= cells[k] * coupling
            admittance[j, k] = admittance[k, j]
