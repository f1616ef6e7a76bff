"""Numba kernels between weights and cells: which cells must change, and what reads of the cells need."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def retarget(weight, scale, g_min, window, levels, target, cells, goals):
    """Write the target conductances of `weight` into `target`; return how many differ from before.

    weight (outputs, inputs); scale (outputs,); target (2, inputs, outputs) siemens, NaN where nothing was
    ever programmed; levels per cell (0: continuous). The flat indices of the cells that differ and their
    new targets go, in ascending order, into `cells` and `goals` (at least as long as target). A weight
    beyond its scale is clipped.
    """
    outputs, inputs = weight.shape
    steps = levels - 1
    count = 0
    for side in range(2):
        sign = 1.0 - 2.0 * side
        for k in range(inputs):
            for j in range(outputs):
                fraction = min(max(sign * weight[j, k] / scale[j], 0.0), 1.0)
                if levels > 0:
                    fraction = np.rint(fraction * steps) / steps
                goal = g_min + window * fraction
                if goal != target[side, k, j]:
                    target[side, k, j] = goal
                    cells[count] = (side * inputs + k) * outputs + j
                    goals[count] = goal
                    count += 1
    return count


@njit(cache=True)
def prepare_reads(
    conductance, seen, seen_back, wired, read_voltage, sigmas,
    current, variance, current_back, variance_back, lines, pairs,
):  # fmt: skip
    """What reads of both directions need, from conductance G and, as seen through wires forward and back, M.

    All three (2, inputs, outputs) siemens; not `wired`: M = G. current[k, j] = V (M+ - M-), variance[k, j] =
    V^2 ((M+/G+)^2 sigma+^2 + (M-/G-)^2 sigma-^2) with the `sigmas` of the cells' read noise (2, inputs, outputs) and
    M/G at most 1; the same transposed; lines[k] and pairs[j] are the conductances summed along each word line and
    each pair of bit lines. Empty sigmas: no read noise, the variances are left alone.
    """
    inputs, outputs = conductance.shape[1:]
    lines[:] = 0.0
    pairs[:] = 0.0
    for k in range(inputs):
        for j in range(outputs):
            plus, minus = conductance[0, k, j], conductance[1, k, j]
            current[k, j] = np.float32(read_voltage * (seen[0, k, j] - seen[1, k, j]))
            current_back[j, k] = np.float32(read_voltage * (seen_back[0, k, j] - seen_back[1, k, j]))
            lines[k] += plus + minus
            pairs[j] += plus + minus
            if sigmas.size > 0:
                total, total_back = 0.0, 0.0
                for side in range(2):
                    g = conductance[side, k, j]
                    sigma = sigmas[side, k, j]
                    share, share_back = 1.0, 1.0
                    if wired and g > 0.0:
                        share, share_back = min(seen[side, k, j] / g, 1.0), min(seen_back[side, k, j] / g, 1.0)
                    total += share * share * (sigma * sigma)
                    total_back += share_back * share_back * (sigma * sigma)
                variance[k, j] = np.float32(read_voltage * read_voltage * total)
                variance_back[j, k] = np.float32(read_voltage * read_voltage * total_back)
