"""Wires: the exact effective conductance of an array whose word lines, bit lines and periphery have resistance.

    driver - R_d - R_w -+- R_w -+- R_w -+-          one word line per row, driven from the left
                        G       G       G           cells
                        +       +       +           bit lines run down, R_b per segment,
                       R_b     R_b     R_b          and end in R_s and a virtual ground

Word lines are eliminated first, node by node; bit lines then row by row, from the top down (`wires.compiled`). Every
step is written in resistances, so that each of the four may be zero, exactly.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossbar_sim.spec.errors import WireError
from crossbar_sim.wires.compiled import eliminate

Floats = NDArray[np.float64]
LARGEST_RATIO = 100.0  # sense over bit-line resistance up to which `eliminate` has a dozen digits left


def effective_conductance(
    conductance: ArrayLike,
    *,
    word_line_resistance: float,
    bit_line_resistance: float,
    driver_resistance: float = 0.0,
    sense_resistance: float = 0.0,
    double_sided: bool = False,
    open_columns: int = 0,
) -> Floats:
    """M such that the sensed currents are I = M V, exactly, for any voltages V on the word lines.

    conductance (rows, columns): siemens, 0 for an open cell. word_line_resistance, bit_line_resistance: ohm per
    segment between neighbouring cells, and between the first (last) cell and the periphery. driver_resistance,
    sense_resistance: ohm in series with each driver and each sense circuit. double_sided: word lines are
    driven at both ends by the same voltage; the right driver then sits open_columns segments further right, past
    cells that do not conduct. Returns (columns, rows) siemens.

    With a_i the currents that row i sends into grounded bit lines per volt, and S_i the conductance matrix its cells
    put between the bit lines, the row-by-row elimination is, from the top,

        Y = S_0,  J = [a_0];   Y <- S_i + (1 + R_b Y)^-1 Y,  J <- [(1 + R_b Y)^-1 J, a_i];
        M = (1 + (R_b + R_s) Y)^-1 J.

    Costs about 2 rows columns^3 floating-point operations. An array with more columns than rows is solved with the
    two exchanged: resistors are reciprocal, so M^T belongs to the array seen from its bit lines. Driven at both ends
    it is not (what is driven twice would have to be sensed twice) and is solved as it stands. Raises WireError for
    what is not an array of finite, non-negative conductances, or not a finite, non-negative resistance.
    Source: Kirchhoff's current law at every node, block elimination along the bit lines; the network is that of
    badcrossbar (Joksas and Mehonic, SoftwareX 12, 100617, 2020), with which it agrees.
    """
    cells = checked_cells(conductance)
    check_resistances(
        word_line_resistance=word_line_resistance,
        bit_line_resistance=bit_line_resistance,
        driver_resistance=driver_resistance,
        sense_resistance=sense_resistance,
    )
    check_open_columns(open_columns)
    if cells.shape[0] < cells.shape[1] and not double_sided:
        turned = np.ascontiguousarray(cells.T[::-1, ::-1])
        seen = _eliminate(
            turned, bit_line_resistance, sense_resistance, math.inf, word_line_resistance, driver_resistance
        )
        return np.ascontiguousarray(seen.T[::-1, ::-1])
    far = (1 + open_columns) * word_line_resistance + driver_resistance if double_sided else math.inf
    return _eliminate(cells, word_line_resistance, driver_resistance, far, bit_line_resistance, sense_resistance)


def _eliminate(cells: Floats, segment: float, driver: float, far: float, below: float, sense: float) -> Floats:
    """The effective conductance (columns, rows)."""
    keep_digits = sense > LARGEST_RATIO * below or below == 0
    near = float(segment + driver)  # floats all: each further type of an argument would be compiled anew
    seen: Floats = eliminate(cells, float(segment), near, float(far), float(below), float(sense), bool(keep_digits))
    if not np.isfinite(seen).all():
        raise WireError("conductances times resistances are beyond what double precision can hold; check their units")
    return seen


def check_resistances(**resistances: float) -> None:
    """WireError unless each is a finite number of ohm, zero or more."""
    for name, value in resistances.items():
        if not (math.isfinite(value) and value >= 0):
            raise WireError(f"{name} must be a finite number of ohm, zero or more; got {value!r}")


def check_open_columns(open_columns: int) -> None:
    """WireError unless it is a number of cells."""
    if not (isinstance(open_columns, int | np.integer) and open_columns >= 0):
        raise WireError(f"open_columns must be a whole number of cells, zero or more; got {open_columns!r}")


def checked_cells(conductance: ArrayLike) -> Floats:
    """The conductances (rows, columns) as an array; WireError unless each is finite and zero or more."""
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
