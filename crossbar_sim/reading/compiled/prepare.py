"""Numba kernels between cells and reads: what reads of a matrix need, in both directions in one pass over its cells."""

from __future__ import annotations

import numpy as np

from crossbar_sim.devices.compiled import spread_of
from crossbar_sim.runtime.compiling import entry, part

BLOCK = 16  # inputs that are prepared, and put into the transposed matrix, together


@part
def _net_current(seen, first, last, row, read_voltage, net):
    """V (M+ - M-) or V M (columns,) on one row of a slice's planes, `first` and `last`."""
    plus, minus, pair = seen[first, row], seen[last, row], last > first
    for j in range(net.size):
        net[j] = np.float32(read_voltage * (plus[j] - minus[j] if pair else plus[j]))


@part(error_model="numpy")
def _noise_variance(conductance, seen, wired, first, last, row, read_voltage, law, sigmas, rooms, variance):
    """Sum of V^2 min(M/G, 1)^2 sigma^2 (columns,) over a slice's planes, `first` and `last`, on one row; sigma by the
    law or, if it has no coefficients, as given. rooms (3, columns): for intermediate results."""
    relative, own, total = rooms
    total[:] = 0.0
    for plane in range(first, last + 1):
        g, m = conductance[plane, row], seen[plane, row]
        if law.coefficients.size > 0:
            spread_of(g, law, relative, own)
            sigma = own
        else:
            sigma = sigmas[plane, row]
        if wired:
            for j in range(total.size):
                share = min(m[j] / g[j], 1.0) if g[j] > 0.0 else 1.0
                total[j] += share * share * (sigma[j] * sigma[j])
        else:
            for j in range(total.size):
                total[j] += sigma[j] * sigma[j]
    for j in range(total.size):
        variance[j] = np.float32(read_voltage * read_voltage * total[j])


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
def _run(places, first):
    """End of the places that count up from the first one."""
    last = first + 1
    while last < places.size and places[last] == places[last - 1] + 1:
        last += 1
    return last


@part
def _put(block, places, matrix):
    """matrix[i, places[j]] = block[i, j]."""
    first = 0
    while first < places.size:
        last, at = _run(places, first), places[first]
        for i in range(len(matrix)):
            line, values = matrix[i, at : at + last - first], block[i, first:last]
            for j in range(line.size):
                line[j] = values[j]
        first = last


@part
def _put_transposed(block, places, matrix):
    """matrix[j, places[i]] = block[i, j]."""
    first = 0
    while first < places.size:
        last, at = _run(places, first), places[first]
        for j in range(block.shape[1]):
            line = matrix[j, at : at + last - first]
            for i in range(line.size):
                line[i] = block[first + i, j]
        first = last


@entry(nogil=True, error_model="numpy")
def prepare_reads(
    begin,
    end,
    conductance,
    seen,
    seen_back,
    alike,
    wired,
    sides,
    row_of,
    places,
    places_back,
    read_voltage,
    law,
    sigmas,
    current,
    variance,
    lines,
    current_back,
    variance_back,
    column_sums,
):
    """What forward and transposed reads need, from conductance G and M, the same as seen through wires forward and
    back; blocks `begin` to `end` of BLOCK inputs.

    All (planes, inputs, columns) siemens; not `wired`: M = G; `alike`: both M are one. Input k is on row row_of[k]. A
    pair of planes plus and minus (sides = 2) has current[k, c] = V (M+ - M-) and variance[k, c] =
    V^2 ((M+/G+)^2 sigma+^2 + (M-/G-)^2 sigma-^2) with sigma of the cells' read noise and M/G at most 1; a single plane
    has no minus. law: (scale, coefficients, sigma scale) of `laws.ConductancePolynomial`; without coefficients `sigmas`
    hold, and without both there is no read noise, and the variances are left alone. Column j has c = places[slice, j];
    transposed it is line j, and input k has c = places_back[slice, k]. lines[k] are the conductances summed along each
    input, column_sums (blocks, columns) along each column of a block.
    """
    planes, inputs, columns = conductance.shape
    block, rooms = np.empty((BLOCK, columns), np.float32), np.empty((3, columns))
    noisy = law.coefficients.size > 0 or sigmas.size > 0
    for b in range(begin, end):
        some = slice(b * BLOCK, min((b + 1) * BLOCK, inputs))
        column_sums[b] = 0.0
        for k in range(some.start, some.stop):
            lines[k] = _sum_lines(conductance, row_of[k], rooms[0], column_sums[b])
        for s in range(planes // sides):
            first, last = s * sides, (s + 1) * sides - 1
            for noise in range(2 if noisy else 1):
                for back in range(2):
                    cells = seen_back if back else seen
                    for i in range(0 if back and alike else some.stop - some.start):
                        row = row_of[some.start + i]
                        if noise:
                            _noise_variance(
                                conductance, cells, wired, first, last, row, read_voltage, law, sigmas, rooms, block[i]
                            )
                        else:
                            _net_current(cells, first, last, row, read_voltage, block[i])
                    if back:
                        _put_transposed(block, places_back[s, some], variance_back if noise else current_back)
                    else:
                        _put(block, places[s], (variance if noise else current)[some])
