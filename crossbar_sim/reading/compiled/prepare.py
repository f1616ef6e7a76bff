"""Numba kernels between cells and reads: what reads of a matrix need, in both directions in one pass over its cells."""

from __future__ import annotations

import numpy as np

from crossbar_sim.devices.compiled import spread_of
from crossbar_sim.runtime.compiling import entry, part

BLOCK = 16  # inputs that are prepared, and put into the transposed matrix, together


@part
def _net_current(seen, first, last, row, read_voltage, net):
    """V (M+ - M-) or V M (columns,) on one row of a slice's planes, `first` and `last`."""
    plus = seen[first, row]
    minus = seen[last, row]
    pair = last > first
    for j in range(net.size):
        net[j] = np.float32(read_voltage * (plus[j] - minus[j] if pair else plus[j]))


@part(error_model="numpy")
def _noise_variance(cells, seen, noise, planes, row, work, variance):
    """Sum of V^2 min(M/G, 1)^2 sigma^2 (columns,) over a slice's planes, the first to the last, on one row; sigma by
    the law or, if it has no coefficients, as given. work (3, columns): for intermediate results."""
    relative, own, total = work
    first, last = planes
    total[:] = 0.0
    for plane in range(first, last + 1):
        g, m = cells.own[plane, row], seen[plane, row]
        if noise.spread.coefficients.size > 0:
            spread_of(g, noise.spread, relative, own)
            sigma = own
        else:
            sigma = noise.sigmas[plane, row]
        if cells.wired:
            for j in range(total.size):
                share = min(m[j] / g[j], 1.0) if g[j] > 0.0 else 1.0
                total[j] += share * share * (sigma[j] * sigma[j])
        else:
            for j in range(total.size):
                total[j] += sigma[j] * sigma[j]
    for j in range(total.size):
        variance[j] = np.float32(cells.read_voltage * cells.read_voltage * total[j])


@part
def _sum_lines(conductance, row, along, across):
    """Sum of all conductances of a row; they are added to those `across` (columns,). Halves are added to each other,
    since a sum waits for its last addend."""
    along[:] = 0.0
    for plane in range(len(conductance)):
        g = conductance[plane, row]
        for j in range(g.size):
            along[j] += g[j]
            across[j] += g[j]
    count = along.size
    while count > 1:
        half = (count + 1) // 2
        for j in range(count - half):
            along[j] += along[half + j]
        count = half
    return along[0]


@part
def _end_of_run(places, first):
    """End of the places that count up from the first one."""
    last = first + 1
    while last < places.size and places[last] == places[last - 1] + 1:
        last += 1
    return last


@part
def _fill(block, places, matrix):
    """matrix[i, places[j]] = block[i, j]."""
    first = 0
    while first < places.size:
        last, at = _end_of_run(places, first), places[first]
        for i in range(len(matrix)):
            line, values = matrix[i, at : at + last - first], block[i, first:last]
            for j in range(line.size):
                line[j] = values[j]
        first = last


@part
def _fill_transposed(block, places, matrix):
    """matrix[j, places[i]] = block[i, j]."""
    first = 0
    while first < places.size:
        last, at = _end_of_run(places, first), places[first]
        for j in range(block.shape[1]):
            line = matrix[j, at : at + last - first]
            for i in range(line.size):
                line[i] = block[first + i, j]
        first = last


@entry(nogil=True, error_model="numpy")
def prepare_reads(begin, end, cells, noise, places, forward, back, column_sums):
    """What forward and transposed reads need, from conductance G and M, the same as seen through wires forward and
    back; blocks `begin` to `end` of BLOCK inputs.

    cells: Conductances; noise: NoiseLaw; places: Places; forward, back: PreparedDirection. Input k is on row row_of[k].
    A pair of planes plus and minus (sides = 2) has current[k, c] = V (M+ - M-) and variance[k, c] =
    V^2 ((M+/G+)^2 sigma+^2 + (M-/G-)^2 sigma-^2) with sigma of the cells' read noise and M/G at most 1; a single plane
    has no minus. Without read noise the variances are left alone. Column j has c = places.forward[slice, j]; transposed
    it is line j, and input k has c = places.back[slice, k]. forward.line_conductance[k] are the conductances summed
    along each input, column_sums (blocks, columns) along each column of a block.
    """
    planes, inputs, columns = cells.own.shape
    sides, row_of = places.sides, places.row_of
    block, work = np.empty((BLOCK, columns), np.float32), np.empty((3, columns))
    noisy = noise.spread.coefficients.size > 0 or noise.sigmas.size > 0
    for b in range(begin, end):
        some = slice(b * BLOCK, min((b + 1) * BLOCK, inputs))
        column_sums[b] = 0.0
        for k in range(some.start, some.stop):
            forward.line_conductance[k] = _sum_lines(cells.own, row_of[k], work[0], column_sums[b])
        for s in range(planes // sides):
            first, last = s * sides, (s + 1) * sides - 1
            for of_noise in range(2 if noisy else 1):
                for transposed in range(2):
                    seen = cells.seen_back if transposed else cells.seen
                    for i in range(0 if transposed and cells.one_matrix else some.stop - some.start):
                        row = row_of[some.start + i]
                        if of_noise:
                            _noise_variance(cells, seen, noise, (first, last), row, work, block[i])
                        else:
                            _net_current(seen, first, last, row, cells.read_voltage, block[i])
                    if transposed:
                        matrix = back.variance if of_noise else back.current
                        _fill_transposed(block, places.back[s, some], matrix)
                    else:
                        matrix = forward.variance if of_noise else forward.current
                        _fill(block, places.forward[s], matrix[some])
