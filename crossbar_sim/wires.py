"""Wires: the exact effective conductance of an array whose word lines, bit lines and periphery have resistance.

    driver - R_d - R_w -+- R_w -+- R_w -+-          one word line per row, driven from the left
                        G       G       G           cells
                        +       +       +           bit lines run down, R_b per segment,
                       R_b     R_b     R_b          and end in R_s and a virtual ground

Word lines are eliminated first, node by node; bit lines then row by row, from the top down. Every step is written
in resistances, so that each of the four may be zero, exactly.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import lapack

from crossbar_sim.errors import WireError
from crossbar_sim.wires_kernels import eliminate_word_line

Floats = NDArray[np.float64]


def effective_conductance(
    conductance: ArrayLike, *, word_line_resistance: float, bit_line_resistance: float,
    driver_resistance: float = 0.0, sense_resistance: float = 0.0, double_sided: bool = False,
) -> Floats:  # fmt: skip
    """M such that the sensed currents are I = M V, exactly, for any voltages V on the word lines.

    conductance (rows, columns): siemens, 0 for an open cell. word_line_resistance, bit_line_resistance: ohm per
    segment between neighbouring cells, and between the first (last) cell and the periphery. driver_resistance,
    sense_resistance: ohm in series with each driver and each sense circuit. double_sided: word lines are
    driven at both ends by the same voltage. Returns (columns, rows) siemens.

    With a_i the currents that row i sends into grounded bit lines per volt, and S_i the conductance matrix its cells
    put between the bit lines, the row-by-row elimination is, from the top,

        Y = S_0,  J = [a_0];   Y <- S_i + (1 + R_b Y)^-1 Y,  J <- [(1 + R_b Y)^-1 J, a_i];
        M = (1 + (R_b + R_s) Y)^-1 J.

    Costs about 3.3 rows columns^3 floating-point operations. Raises WireError for what is not an array of finite,
    non-negative conductances, or not a finite, non-negative resistance.
    Source: Kirchhoff's current law at every node, block elimination along the bit lines.
    """
    cells = _checked_cells(conductance)
    for name, value in (
        ("word_line_resistance", word_line_resistance), ("bit_line_resistance", bit_line_resistance),
        ("driver_resistance", driver_resistance), ("sense_resistance", sense_resistance),
    ):  # fmt: skip
        if not (math.isfinite(value) and value >= 0):
            raise WireError(f"{name} must be a finite number of ohm, zero or more; got {value!r}")
    rows, columns = cells.shape
    solved = np.zeros((columns, columns + rows), order="F")  # Y beside J
    admittance = solved[:, :columns]
    for i in range(rows):
        if i > 0 and bit_line_resistance > 0:
            _through(bit_line_resistance, admittance, solved[:, : columns + i])
        eliminate_word_line(
            cells[i], word_line_resistance, driver_resistance, double_sided, admittance, solved[:, columns + i]
        )
    currents = solved[:, columns:]
    if bit_line_resistance + sense_resistance > 0:
        _through(bit_line_resistance + sense_resistance, admittance, currents)
    return np.ascontiguousarray(currents)


def _through(resistance: float, admittance: Floats, right: Floats) -> None:
    """right <- (1 + resistance admittance)^-1 right, in place: what lies behind a resistance on every bit line."""
    block = resistance * admittance
    np.einsum("ii->i", block)[:] += 1.0
    _, solution, info = lapack.dposv(block, right, lower=True, overwrite_a=True, overwrite_b=True)
    if info != 0:
        raise WireError(f"the elimination broke down at pivot {info}; check for conductances beyond 1e12 siemens")
    if solution is not right and not np.shares_memory(solution, right):
        right[:] = solution


def _checked_cells(conductance: ArrayLike) -> Floats:
    cells = np.ascontiguousarray(conductance, dtype=np.float64)
    if cells.ndim != 2 or 0 in cells.shape:
        raise WireError(f"conductance must have the shape (rows, columns), each at least 1; got shape {cells.shape}")
    wrong = ~(np.isfinite(cells) & (cells >= 0))
    if wrong.any():
        i, j = (int(index) for index in np.argwhere(wrong)[0])
        raise WireError(
            f"conductance must be finite and zero or more siemens (0 for an open cell); "
            f"row {i}, column {j} is {cells[i, j]!r}, and {int(wrong.sum()) - 1} other cells are wrong too"
        )
    return cells
