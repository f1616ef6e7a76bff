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
from scipy.linalg import blas, lapack

from crossbar_sim.errors import WireError
from crossbar_sim.wires_kernels import eliminate_word_line

Floats = NDArray[np.float64]
LARGEST_RATIO = 100.0  # sense over bit-line resistance up to which `_invert` keeps a dozen digits


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

    Costs about 2 rows columns^3 floating-point operations. Raises WireError for what is not an array of finite,
    non-negative conductances, or not a finite, non-negative resistance.
    Source: Kirchhoff's current law at every node, block elimination along the bit lines; the network is that of
    badcrossbar (Joksas and Mehonic, SoftwareX 12, 100617, 2020), with which it agrees.
    """
    cells = _checked_cells(conductance)
    for name, value in (
        ("word_line_resistance", word_line_resistance), ("bit_line_resistance", bit_line_resistance),
        ("driver_resistance", driver_resistance), ("sense_resistance", sense_resistance),
    ):  # fmt: skip
        if not (math.isfinite(value) and value >= 0):
            raise WireError(f"{name} must be a finite number of ohm, zero or more; got {value!r}")
    rows, columns = cells.shape
    solved = np.zeros((columns, columns + rows), order="F")  # Y (its lower triangle counts) beside J
    admittance, currents = solved[:, :columns], solved[:, columns:]
    for i in range(rows):
        if i > 0 and bit_line_resistance > 0:
            if sense_resistance > LARGEST_RATIO * bit_line_resistance:
                _solve(bit_line_resistance, admittance, solved[:, : columns + i])
            else:
                _invert(bit_line_resistance, admittance, currents[:, :i])
        eliminate_word_line(cells[i], word_line_resistance, driver_resistance, double_sided, admittance, currents[:, i])
    if bit_line_resistance + sense_resistance > 0:
        _solve(bit_line_resistance + sense_resistance, admittance, currents)
    return np.ascontiguousarray(currents)


def _solve(resistance: float, admittance: Floats, right: Floats) -> None:
    """right <- (1 + R Y)^-1 right, in place."""
    _, solution, info = lapack.dposv(
        _one_plus(resistance, admittance), right, lower=True, overwrite_a=True, overwrite_b=True
    )
    _refuse_breakdown(info)
    if not np.shares_memory(solution, right):
        right[:] = solution


def _invert(resistance: float, admittance: Floats, currents: Floats) -> None:
    """Y <- (1 + R Y)^-1 Y = (1 - (1 + R Y)^-1) / R and J <- (1 + R Y)^-1 J, in place.

    Cheaper than solving for Y; the difference loses what of R Y lies below the rounding of 1, and that part
    matters only to resistances much larger than R further down the line.
    """
    factor, info = lapack.dpotrf(_one_plus(resistance, admittance), lower=True, overwrite_a=True)
    _refuse_breakdown(info)
    inverse, info = lapack.dpotri(factor, lower=True, overwrite_c=True)
    _refuse_breakdown(info)
    currents[:] = blas.dsymm(1.0, inverse, currents, lower=True)
    np.negative(inverse, out=admittance)
    np.einsum("ii->i", admittance)[:] += 1.0
    admittance /= resistance


def _one_plus(resistance: float, admittance: Floats) -> Floats:
    block = resistance * admittance
    np.einsum("ii->i", block)[:] += 1.0
    return block


def _refuse_breakdown(info: int) -> None:
    if info != 0:
        raise WireError("conductances times resistances are beyond what double precision can hold; check their units")


def _checked_cells(conductance: ArrayLike) -> Floats:
    cells = np.ascontiguousarray(conductance, dtype=np.float64)
    if cells.ndim != 2 or 0 in cells.shape:
        raise WireError(f"conductance must have the shape (rows, columns), each at least 1; got shape {cells.shape}")
    wrong = ~(np.isfinite(cells) & (cells >= 0))
    if wrong.any():
        i, j = (int(index) for index in np.argwhere(wrong)[0])
        raise WireError(
            f"conductance must be finite and zero or more siemens (0 for an open cell); "
            f"row {i}, column {j} is {float(cells[i, j])}, and {int(wrong.sum()) - 1} other cells are wrong too"
        )
    return cells
