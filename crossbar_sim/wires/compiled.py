"""Numba kernels of the wires: one word line eliminated, a block of the bit lines swept, a whole array."""

from __future__ import annotations

import numpy as np

from crossbar_sim.runtime.compiling import entry, part

PIVOTS = 8  # pivots per sweep: so many rows are subtracted at once from every other row; written out in `sweep`


@entry(nogil=True, error_model="numpy")
def add_word_line(cells, segment, near, far, scale, admittance, currents):
    """Add scale times the conductances (siemens) that one word line puts between its bit lines; set its currents at
    1 volt.

    cells (columns,) siemens; segment, near, far: ohm, between neighbouring cells, from the left driver to the first
    and from the right driver to the last cell (infinite: no right driver). The lower triangle of admittance
    (columns, columns) is added to; currents (columns,) become those into grounded bit lines. With z_j the resistance
    seen from node j to the left and u_j the conductance to the right, K_jj = z_j / (1 + z_j (g_j + u_j)) and K_jk
    falls along the line by the divider 1 / (1 + R_w (g_k + u_k)). Only positive numbers are added, multiplied and
    divided: nothing cancels.
    """
    columns = cells.size
    if near == 0.0:  # then neither a segment nor the far end has resistance
        for j in range(columns):
            admittance[j, j] += scale * cells[j]
            currents[j] = cells[j]
        return
    left = np.empty(columns)  # resistance from the node to the left driver, its own cell left out
    right = np.empty(columns)  # conductance from the node to the right, its own cell left out
    divider = np.empty(columns)  # voltage of a node over that of its left neighbour
    left[0] = near
    for j in range(1, columns):
        left[j] = segment + left[j - 1] / (1.0 + left[j - 1] * cells[j - 1])
    right[columns - 1] = 1.0 / far
    for j in range(columns - 1, 0, -1):
        onwards = cells[j] + right[j]
        divider[j] = 1.0 / (1.0 + segment * onwards)
        right[j - 1] = onwards * divider[j]
    voltage = 1.0 / (1.0 + near * (cells[0] + right[0]))
    for j in range(columns):
        if j > 0:
            voltage *= divider[j]
        currents[j] = cells[j] * voltage
    if far < np.inf:  # the right driver's share, by the same law from the other end
        voltage = 1.0 / (1.0 + far * (cells[columns - 1] + 1.0 / left[columns - 1]))
        for j in range(columns - 1, -1, -1):
            currents[j] += cells[j] * voltage
            if j > 0:
                voltage /= 1.0 + segment * (cells[j - 1] + 1.0 / left[j - 1])
    coupling = np.empty(columns)  # g_j K_jk, k the row reached
    for k in range(columns):
        row, own = admittance[k], 1.0 + left[k] * (cells[k] + right[k])
        share = scale * cells[k]
        for j in range(k):
            coupling[j] *= divider[k]
            row[j] -= share * coupling[j]
        row[k] += share * (1.0 + left[k] * right[k]) / own
        coupling[k] = cells[k] * left[k] / own


@part(error_model="numpy", fastmath={"contract"}, inline="always")
def _subtract(row, length, factors, rows):
    """row <- row - sum_r factors[r] rows[r] in its first `length` elements, PIVOTS of them, written out so that it
    becomes one vectorised loop; all arrays are contiguous for the same reason."""
    f0 = factors[0]
    f1 = factors[1]
    f2 = factors[2]
    f3 = factors[3]
    f4 = factors[4]
    f5 = factors[5]
    f6 = factors[6]
    f7 = factors[7]
    r0 = rows[0]
    r1 = rows[1]
    r2 = rows[2]
    r3 = rows[3]
    r4 = rows[4]
    r5 = rows[5]
    r6 = rows[6]
    r7 = rows[7]
    for j in range(length):
        row[j] -= f0 * r0[j] + f1 * r1[j] + f2 * r2[j] + f3 * r3[j] + f4 * r4[j] + f5 * r5[j] + f6 * r6[j] + f7 * r7[j]


@part(error_model="numpy")
def _invert(pivots, first, count, inverse):
    """inverse <- (the block of `pivots` from column `first`)^-1, count rows, symmetric positive definite."""
    for r in range(count):
        for s in range(count):
            inverse[r, s] = pivots[r, first + s]
    for c in range(count):
        pivot = 1.0 / inverse[c, c]
        inverse[c, c] = 1.0
        for s in range(count):
            inverse[c, s] *= pivot
        for r in range(count):
            if r != c:
                weight = inverse[r, c]
                inverse[r, c] = 0.0
                for s in range(count):
                    inverse[r, s] -= weight * inverse[c, s]


@entry(nogil=True, error_model="numpy", fastmath={"contract"})
def sweep(matrix, right, others):
    """A -> -A^-1 and B -> A^-1 B in place, A symmetric positive definite.

    matrix (columns, columns): A, of which only the lower triangle is read and written; right (columns, at least
    others): B in its first columns. Gauss-Jordan without exchange of rows, PIVOTS pivots at a time.
    """
    columns = len(matrix)
    pivots = np.zeros((PIVOTS, columns))  # rows of A
    product = np.zeros((PIVOTS, columns))  # (their own block)^-1 times them; in the own block minus that inverse
    before = np.zeros((PIVOTS, others))  # rows of B
    inverse, factors = np.zeros((PIVOTS, PIVOTS)), np.zeros(PIVOTS)
    for first in range(0, columns, PIVOTS):
        last = min(first + PIVOTS, columns)
        count = last - first
        for r in range(count):
            for j in range(first + r + 1):
                pivots[r, j] = matrix[first + r, j]
            for j in range(first + r + 1, columns):
                pivots[r, j] = matrix[j, first + r]
        _invert(pivots, first, count, inverse)
        for r in range(PIVOTS):
            target = product[r]
            for j in range(columns):
                target[j] = 0.0
            if r < count:
                for s in range(count):
                    weight, source = inverse[r, s], pivots[s]
                    for j in range(columns):
                        target[j] += weight * source[j]
                for s in range(count):
                    target[first + s] = -inverse[r, s]
        for i in range(columns):
            if i < first or i >= last:
                for r in range(count):
                    factors[r] = pivots[r, i]
                    if i >= last:
                        matrix[i, first + r] = 0.0
                _subtract(matrix[i], i + 1, factors, product)
        for r in range(PIVOTS):
            if r >= count:
                before[r] = 0.0
            else:
                for j in range(others):
                    before[r, j] = right[first + r, j]
                for j in range(first + r + 1):
                    matrix[first + r, j] = product[r, j]
                for j in range(others):
                    right[first + r, j] = 0.0
        for i in range(columns):
            for r in range(PIVOTS):
                factors[r] = product[r, i]
            _subtract(right[i], others, factors, before)


@entry(nogil=True, error_model="numpy")
def eliminate(cells, segment, near, far, below, sense, keep_digits):
    """The effective conductance (columns, rows) siemens by the recursion in `wires`.

    cells (rows, columns) siemens; segment, near, far as in `add_word_line`; below, sense: ohm of a bit-line segment
    and of each sense circuit. Without keep_digits `below` must be more than zero and what is kept is A = 1 + R_b Y:
    since (1 + R_b Y)^-1 Y = (1 - A^-1) / R_b, A <- 2 - A^-1 + R_b S_i. The difference loses what of R_b Y lies below
    the rounding of 1, and that part matters only to resistances much larger than R_b further down the line. With
    keep_digits Y itself is kept, as further right-hand sides, in half as much time again.
    """
    rows, columns = cells.shape
    offset = columns if keep_digits else 0
    matrix, right = np.zeros((columns, columns)), np.zeros((columns, offset + rows))  # A; Y if kept, and J
    admittance = np.zeros((columns, columns)) if keep_digits else matrix
    for i in range(rows + 1):
        resistance = below if i < rows else below + sense
        if i > 0 and resistance > 0.0:
            for j in range(columns):
                for k in range(j + 1):
                    one = 1.0 if j == k else 0.0
                    if keep_digits:
                        matrix[j, k] = one + resistance * admittance[j, k]
                        right[j, k] = right[k, j] = admittance[j, k]
                    elif i == rows:
                        matrix[j, k] = one + resistance / below * (matrix[j, k] - one)
            sweep(matrix, right, offset + i)
            if keep_digits:
                for j in range(columns):
                    for k in range(j + 1):
                        admittance[j, k] = right[j, k]
        if i < rows:
            add_word_line(cells[i], segment, near, far, 1.0 if keep_digits else below, admittance, right[:, offset + i])
            if not keep_digits:
                for j in range(columns):
                    matrix[j, j] += 1.0 if i == 0 else 2.0
    return right[:, offset:].copy()
