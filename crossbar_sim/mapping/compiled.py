"""Compiled code between weights and cells: which cells must change, and what weights the cells stand for."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.runtime.compiling import entry, part

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
BLOCK = 16  # rows of a matrix that are transposed at a time


class Encoding(NamedTuple):
    """What conductances stand for weights.

    limit: (row tiles, outputs) the weight at the end of the window; one beyond it is clipped
    rows: inputs of one row tile
    g_min, window: siemens
    levels: of a cell; 0: continuous
    sides: cells of one slice: plane = slice * sides + side
    one_sided: each cell of a pair holds weights of one sign from g_min on, else about the middle of the window
    slices, slice_bits: cells or pairs that share the digits of a weight, and the bits of each
    level_siemens: of each level, where targets are numbers of levels; empty: they are siemens
    """

    limit: Floats
    rows: int
    g_min: float
    window: float
    levels: int
    sides: int
    one_sided: bool
    slices: int
    slice_bits: int
    level_siemens: Floats


class Decoding(NamedTuple):
    """What weights conductances stand for.

    limit: (row tiles, outputs) the weight at full scale
    rows: inputs of one row tile
    full: net siemens at full scale
    sides: cells of one slice
    slice_weights: (slices,) what full scale of each is worth
    """

    limit: Floats
    rows: int
    full: float
    sides: int
    slice_weights: Floats


class Places(NamedTuple):
    """Where the lines of a matrix are.

    row_of: (inputs,) row of each input
    column_of: (outputs,) column of each output; it counts up for `side_by_side` outputs at a time
    side_by_side: outputs in neighbouring columns
    reference_of: (outputs,) column subtracted from each output's; empty: none
    """

    row_of: Indices
    column_of: Indices
    side_by_side: int
    reference_of: Indices


class Targets(NamedTuple):
    """Where cells are led.

    target: (planes, inputs, columns) siemens, NaN where nothing was ever programmed, or numbers of levels, the last one
    of `Encoding.level_siemens` there; updated
    cells: receives the flat indices of the cells whose target differs from before
    goals: receives their new targets, siemens
    """

    target: NDArray[Any]
    cells: Indices
    goals: Floats


@part(error_model="numpy")
def _goals(weight, sign, limit, shift, encoding, goal):
    """Targets (outputs,) of one input's weights in one plane: |weight| or its digits at `shift` as shares of the
    window, on levels or not; siemens, or whole numbers of levels."""
    g_min = encoding.g_min
    window = encoding.window
    levels = encoding.levels
    slices = encoding.slices
    one_sided, slice_bits = encoding.one_sided, encoding.slice_bits
    codes, largest_digit = 2.0 ** (slices * slice_bits) - 1.0, np.int64(2**slice_bits) - 1
    steps = levels - 1
    coded = encoding.level_siemens.size > 0
    for j in range(goal.size):
        share = sign * weight[j] / limit[j]
        share = share if one_sided else 0.5 + 0.5 * share
        goal[j] = min(max(share, 0.0), 1.0)
    if levels > 0 and slices == 1:
        for j in range(goal.size):
            goal[j] = np.rint(goal[j] * steps)
            goal[j] = goal[j] if coded else goal[j] / steps
    elif levels > 0:
        for j in range(goal.size):
            goal[j] = np.int64(np.rint(goal[j] * codes)) >> shift & largest_digit
            goal[j] = goal[j] if coded else goal[j] / largest_digit
    for j in range(0 if coded else goal.size):
        goal[j] = g_min + window * goal[j]


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


@entry(nogil=True, error_model="numpy")
def retarget(begin, end, weight, encoding, places, targets):
    """Write the targets of `weight` (outputs, inputs) into `targets.target`; how many differ from before.

    Lines `begin` to `end`: those of input k in plane p are line p * inputs + k. The cells that differ go, plane by
    plane and input by input, into `targets.cells` from begin * outputs on. encoding: `Encoding`; places: `Places`;
    targets: `Targets`.
    """
    outputs, inputs = weight.shape
    target = targets.target
    cells = targets.cells
    goals = targets.goals
    siemens = encoding.level_siemens
    columns = target.shape[2]
    sides = encoding.sides
    width = places.side_by_side
    block, goal = np.empty((BLOCK, outputs), weight.dtype), np.empty(outputs)
    start = count = np.uint64(begin * outputs)
    line = begin
    while line < end:
        plane, top = line // inputs, line % inputs
        height = min(BLOCK, inputs - top, end - line)
        line += height
        for j in range(outputs):
            of_output = weight[j, top : top + height]
            for i in range(height):
                block[i, j] = of_output[i]
        sign, shift = 1.0 - 2.0 * (plane % sides), np.int64(encoding.slice_bits * (plane // sides))
        for i in range(height):
            k, row = top + i, places.row_of[top + i]
            _goals(block[i], sign, encoding.limit[k // encoding.rows], shift, encoding, goal)
            for left in range(0, outputs, width):
                column, new = places.column_of[left], goal[left : left + width]
                first, aimed = (plane * inputs + row) * columns + column, target[plane, row, column : column + new.size]
                changed = 0
                for j in range(new.size):
                    changed += new[j] != aimed[j]
                if changed > 0:
                    for j in range(new.size):
                        cells[count] = first + j
                        goals[count] = siemens[np.int64(new[j])] if siemens.size > 0 else new[j]
                        count += np.uint64(new[j] != aimed[j])
                    for j in range(new.size):
                        aimed[j] = new[j]
    return count - start


@entry
def retarget_one_side(weight, encoding, places, targets):
    """As `retarget` for pairs (two planes), moving one cell of each pair where the window allows it.

    The plus cell moves while the minus cell stays; where that would leave the window, the minus cell moves; where
    neither suffices, and at first, both go to the middle of what is possible.
    """
    outputs, inputs = weight.shape
    target = targets.target
    cells = targets.cells
    goals = targets.goals
    g_min = encoding.g_min
    window = encoding.window
    levels = encoding.levels
    columns = target.shape[2]
    coded, none = encoding.level_siemens.size > 0, encoding.level_siemens.size - 1
    count = 0
    unit = window / (levels - 1) if levels > 0 else window
    top = float(levels - 1) if levels > 0 else 1.0
    for k in range(inputs):
        t, row = k // encoding.rows, places.row_of[k]
        for j in range(outputs):
            column = places.column_of[j]
            net = min(max(weight[j, k] / encoding.limit[t, j], -1.0), 1.0) * top
            plus, minus = 1.0 * target[0, row, column], 1.0 * target[1, row, column]
            if coded:
                plus, minus = plus if plus != none else np.nan, minus if minus != none else np.nan
            else:
                plus, minus = (plus - g_min) / unit, (minus - g_min) / unit
            if levels > 0:
                net = np.rint(net)
                plus = np.rint(plus)
                minus = np.rint(minus)
            if 0.0 <= minus + net <= top:
                plus = minus + net
            elif 0.0 <= plus - net <= top:
                minus = plus - net
            else:
                plus = np.floor(0.5 * (top + net)) if levels > 0 else 0.5 * (top + net)
                minus = plus - net
            for plane in range(2):
                level = plus if plane == 0 else minus
                goal = g_min + unit * level
                new, near = (level, 0.0) if coded else (goal, 1e-12 * window)
                if not abs(new - target[plane, row, column]) <= near:
                    target[plane, row, column] = new
                    cells[count] = (plane * inputs + row) * columns + column
                    goals[count] = goal
                    count += 1
    return count


@entry(nogil=True, error_model="numpy")
def read_weights(begin, end, conductance, decoding, places, weight):
    """weight (outputs, inputs) = limit * net conductance / full, of conductances (planes, inputs, columns) siemens;
    inputs `begin` to `end`. decoding: `Decoding`; places: `Places`; planes as in `retarget`."""
    outputs = len(weight)
    sides = decoding.sides
    slice_weights = decoding.slice_weights
    row_of = places.row_of
    column_of = places.column_of
    reference_of = places.reference_of
    net, block = np.empty(outputs), np.empty((BLOCK, outputs), weight.dtype)
    for top in range(begin, end, BLOCK):
        height = min(BLOCK, end - top)
        for i in range(height):
            net[:] = 0.0
            for s in range(slice_weights.size):
                plus, minus = (
                    conductance[s * sides, row_of[top + i]],
                    conductance[s * sides + sides - 1, row_of[top + i]],
                )
                for j in range(outputs):
                    g = plus[column_of[j]]
                    if sides == 2:
                        g -= minus[column_of[j]]
                    if reference_of.size > 0:
                        g -= plus[reference_of[j]]
                    net[j] += slice_weights[s] * g
            for j in range(outputs):
                block[i, j] = decoding.limit[(top + i) // decoding.rows, j] * net[j] / decoding.full
        for j in range(outputs):
            for i in range(height):
                weight[j, top + i] = block[i, j]
