"""Numba kernels between weights and cells: which cells must change, and what reads of the cells need."""

from __future__ import annotations

import numpy as np
from numba import njit

from crossbar_sim.compiling import entry, part

BLOCK = 32  # rows and columns of a matrix that are transposed together


@part(error_model="numpy")
def _fractions(weight, k, sign, limit, one_sided, slices, slice_bits, shift, levels, fraction):
    """How much of the window the cells of input k hold: of |weight| or of its digits at `shift`, on levels or not."""
    codes, base = 2.0 ** (slices * slice_bits) - 1.0, np.int64(2**slice_bits)
    steps = levels - 1
    for j in range(fraction.size):
        share = sign * weight[k, j] / limit[j]
        share = share if one_sided else 0.5 + 0.5 * share
        fraction[j] = min(max(share, 0.0), 1.0)
    if levels > 0 and slices == 1:
        for j in range(fraction.size):
            fraction[j] = np.rint(fraction[j] * steps) / steps
    elif levels > 0:
        for j in range(fraction.size):
            digit = (np.int64(np.rint(fraction[j] * codes)) >> shift) % base
            fraction[j] = digit / (base - 1)


@entry
def clamp(weight, largest):
    """Move weights (outputs, inputs) into -largest ... largest (outputs, inputs or 1), in place; whether they then are
    all finite."""
    finite, last = True, largest.shape[1] - 1
    for j in range(weight.shape[0]):
        for k in range(weight.shape[1]):
            limit = largest[j, min(k, last)]
            if weight[j, k] > limit:
                weight[j, k] = limit
            elif weight[j, k] < -limit:
                weight[j, k] = -limit
            finite = finite and np.isfinite(weight[j, k])
    return finite


@entry
def retarget(
    weight, limit, rows, g_min, window, levels, sides, one_sided, slices, slice_bits, row_of, column_of, target,
    cells, goals,
):  # fmt: skip
    """Write the target conductances of `weight` into `target`; return how many differ from before.

    weight (inputs, outputs); limit (row tiles, outputs), row tiles of `rows` inputs; target (planes, inputs,
    columns) siemens, NaN where nothing was ever programmed, plane = slice * sides + side; levels per cell (0:
    continuous); row_of (inputs,), column_of (outputs,). The flat indices of the cells that differ and their new
    targets go, plane by plane and input by input, into `cells` and `goals`, which have one entry more than target. A
    weight beyond its limit is clipped.
    """
    inputs, outputs = weight.shape
    columns = target.shape[2]
    fraction = np.empty(outputs)
    count = 0
    for plane in range(slices * sides):
        sign = 1.0 - 2.0 * (plane % sides)
        shift = np.int64(slice_bits * (plane // sides))
        for k in range(inputs):
            _fractions(weight, k, sign, limit[k // rows], one_sided, slices, slice_bits, shift, levels, fraction)
            aimed, first = target[plane, row_of[k]], (plane * inputs + row_of[k]) * columns
            for j in range(outputs):
                goal, column = g_min + window * fraction[j], column_of[j]
                cells[count], goals[count] = first + column, goal
                count += goal != aimed[column]
                aimed[column] = goal
    return count


@entry
def retarget_one_side(weight, limit, rows, g_min, window, levels, row_of, column_of, target, cells, goals):
    """As `retarget` for pairs (two planes), moving one cell of each pair where the window allows it.

    The plus cell moves while the minus cell stays; where that would leave the window, the minus cell moves; where
    neither suffices, and at first, both go to the middle of what is possible.
    """
    outputs, inputs = weight.shape
    columns = target.shape[2]
    count = 0
    unit = window / (levels - 1) if levels > 0 else window
    top = float(levels - 1) if levels > 0 else 1.0
    for k in range(inputs):
        t, row = k // rows, row_of[k]
        for j in range(outputs):
            column = column_of[j]
            net = min(max(weight[j, k] / limit[t, j], -1.0), 1.0) * top
            plus, minus = (target[0, row, column] - g_min) / unit, (target[1, row, column] - g_min) / unit
            if levels > 0:
                net, plus, minus = np.rint(net), np.rint(plus), np.rint(minus)
            if 0.0 <= minus + net <= top:
                plus = minus + net
            elif 0.0 <= plus - net <= top:
                minus = plus - net
            else:
                plus = np.floor(0.5 * (top + net)) if levels > 0 else 0.5 * (top + net)
                minus = plus - net
            for plane in range(2):
                goal = g_min + unit * (plus if plane == 0 else minus)
                if not abs(goal - target[plane, row, column]) <= 1e-12 * window:
                    target[plane, row, column] = goal
                    cells[count] = (plane * inputs + row) * columns + column
                    goals[count] = goal
                    count += 1
    return count


@entry(nogil=True, error_model="numpy")
def read_weights(
    begin, end, conductance, limit, rows, full, sides, slice_weights, row_of, column_of, reference_of, weight
):  # fmt: skip
    """weight (outputs, inputs) = limit * net conductance / full, of conductances (planes, inputs, columns) siemens;
    inputs `begin` to `end`.

    limit (row tiles, outputs), row tiles of `rows` inputs; planes as in `retarget`; slice_weights (slices,): what full
    scale of each is worth; reference_of (outputs,): column subtracted from each output's, empty: none; full: siemens.
    """
    outputs = len(weight)
    for top in range(begin, end, BLOCK):
        for first in range(0, outputs, BLOCK):
            for k in range(top, min(top + BLOCK, end)):
                row, t = row_of[k], k // rows
                for j in range(first, min(first + BLOCK, outputs)):
                    net = 0.0
                    for s in range(slice_weights.size):
                        g = conductance[s * sides, row, column_of[j]]
                        if sides == 2:
                            g -= conductance[s * sides + 1, row, column_of[j]]
                        if reference_of.size > 0:
                            g -= conductance[s * sides, row, reference_of[j]]
                        net += slice_weights[s] * g
                    weight[j, k] = limit[t, j] * net / full


@njit(cache=True)
def prepare_reads(
    conductance, seen, seen_back, wired, sides, row_of, places, places_back, read_voltage, sigmas,
    current, variance, current_back, variance_back, lines, lines_back,
):  # fmt: skip
    """What reads of both directions need, from conductance G and, as seen through wires forward and back, M.

    All three (planes, inputs, columns) siemens; not `wired`: M = G. A pair of planes plus and minus (sides = 2) has
    current[k, c] = V (M+ - M-) and variance[k, c] = V^2 ((M+/G+)^2 sigma+^2 + (M-/G-)^2 sigma-^2) with the
    `sigmas` of the cells' read noise (planes, inputs, columns) and M/G at most 1; a single plane has no minus.
    row_of (inputs,): the row of each input; places (slices, columns) and places_back (slices, inputs) say where a
    column of current and of current_back lies;
    lines[k] and lines_back[c] are the conductances summed along each word line and each column's bit lines.
    Empty sigmas: no read noise, the variances are left alone.
    """
    planes, inputs, columns = conductance.shape
    lines[:] = 0.0
    lines_back[:] = 0.0
    for s in range(planes // sides):
        for k in range(inputs):
            k_back, row = places_back[s, k], row_of[k]
            for j in range(columns):
                c = places[s, j]
                first = s * sides
                plus = conductance[first, row, j]
                minus, seen_minus, seen_back_minus = 0.0, 0.0, 0.0
                if sides == 2:
                    minus = conductance[first + 1, row, j]
                    seen_minus, seen_back_minus = seen[first + 1, row, j], seen_back[first + 1, row, j]
                current[k, c] = np.float32(read_voltage * (seen[first, row, j] - seen_minus))
                current_back[j, k_back] = np.float32(read_voltage * (seen_back[first, row, j] - seen_back_minus))
                lines[k] += plus + minus
                lines_back[j] += plus + minus
                if sigmas.size > 0:
                    total, total_back = 0.0, 0.0
                    for plane in range(first, first + sides):
                        g = conductance[plane, row, j]
                        sigma = sigmas[plane, row, j]
                        share, share_back = 1.0, 1.0
                        if wired and g > 0.0:
                            share, share_back = (
                                min(seen[plane, row, j] / g, 1.0),
                                min(seen_back[plane, row, j] / g, 1.0),
                            )
                        total += share * share * (sigma * sigma)
                        total_back += share_back * share_back * (sigma * sigma)
                    variance[k, c] = np.float32(read_voltage * read_voltage * total)
                    variance_back[j, k_back] = np.float32(read_voltage * read_voltage * total_back)
