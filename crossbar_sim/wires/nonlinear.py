"""Wires and cells whose current is not proportional to their voltage: Newton's method, one input vector at a time.

Reads of the simulator do not use it; it says what their linear cells leave out (docs/physics/wires.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossbar_sim.devices.current_voltage import CurrentVoltage
from crossbar_sim.spec.errors import WireError
from crossbar_sim.wires.exact import check_open_columns, check_resistances, checked_cells

Floats = NDArray[np.float64]
CLOSED = 1e-12  # of the largest input: how far a voltage loop may be from closing
LARGEST_STEPS, SMALLEST_DAMPING = 50, 2.0**-20


@dataclass(frozen=True)
class OperatingPoint:
    """Solution for one input vector: cell_voltages (rows, columns) volt, sensed currents (columns,) ampere; residuals,
    the largest voltage by which a loop did not close before each Newton step and at the end."""

    cell_voltages: Floats
    currents: Floats
    residuals: tuple[float, ...]


def nonlinear_currents(
    conductance: ArrayLike,
    voltages: ArrayLike,
    law: CurrentVoltage,
    *,
    word_line_resistance: float,
    bit_line_resistance: float,
    driver_resistance: float = 0.0,
    sense_resistance: float = 0.0,
    double_sided: bool = False,
    open_columns: int = 0,
) -> Floats:
    """Sensed currents (columns,) or (columns, vectors) ampere at voltages (rows,) or (rows, vectors) volt.

    `operating_point` of every vector; the other arguments and the errors are described there.
    """
    columns = np.asarray(voltages, dtype=np.float64)
    points = [
        operating_point(
            conductance,
            column,
            law,
            word_line_resistance=word_line_resistance,
            bit_line_resistance=bit_line_resistance,
            driver_resistance=driver_resistance,
            sense_resistance=sense_resistance,
            double_sided=double_sided,
            open_columns=open_columns,
        )
        for column in columns.reshape(len(columns), -1).T
    ]
    return np.stack([point.currents for point in points], axis=1).reshape(-1, *columns.shape[1:])


def operating_point(
    conductance: ArrayLike,
    voltages: ArrayLike,
    law: CurrentVoltage,
    *,
    word_line_resistance: float,
    bit_line_resistance: float,
    driver_resistance: float = 0.0,
    sense_resistance: float = 0.0,
    double_sided: bool = False,
    open_columns: int = 0,
) -> OperatingPoint:
    """Solve u + Z f(u) = V: the voltage of each cell is its driver's less what all currents f(u) drop in the wires.

    conductance (rows, columns) siemens and voltages (rows,) volt; resistances in ohm and sides as in
    `wires.effective_conductance`, each may be zero. Z f = f Z_w + Z_b f with the resistance matrices of one
    word line and one bit line. The law rises and Z is positive semidefinite, so the solution is unique. Newton's step
    d solves (1 + Z D) d = -(u + Z f(u) - V), D = diag(f'(u)), by conjugate gradients in the symmetric form
    (1 + sqrt(D) Z sqrt(D)); it is halved as long as the residual does not fall.
    Raises WireError for what `effective_conductance` refuses, for inputs or cell voltages beyond the law's largest, and
    if it does not converge. Source: Kirchhoff's laws; Newton's method.
    """
    cells = checked_cells(conductance)
    check_resistances(
        word_line_resistance=word_line_resistance,
        bit_line_resistance=bit_line_resistance,
        driver_resistance=driver_resistance,
        sense_resistance=sense_resistance,
    )
    check_open_columns(open_columns)
    drive = np.asarray(voltages, dtype=np.float64)
    rows, columns = cells.shape
    if drive.shape != (rows,):
        raise WireError(f"one voltage per word line: got shape {drive.shape} for {rows} rows")
    if not np.abs(drive).max() <= law.largest_voltage:
        raise WireError(
            f"the cells' law holds to {law.largest_voltage:g} V, and an input is {np.abs(drive).max():g} V; "
            "lower the inputs"
        )
    far = (1 + open_columns) * word_line_resistance + driver_resistance if double_sided else math.inf
    along = _line_resistances(columns, word_line_resistance, driver_resistance, far)
    down = _line_resistances(rows, bit_line_resistance, sense_resistance, math.inf)[::-1, ::-1]

    def dropped(currents: Floats) -> Floats:
        return currents @ along + down @ currents

    def open_loops(cell_voltages: Floats) -> Floats:
        return cell_voltages - drive[:, None] + dropped(law.current(cells, cell_voltages))

    def newton_step(root: Floats, loops: Floats) -> Floats:
        scaled = _conjugate_gradients(lambda x: x + root * dropped(root * x), -root * loops)
        return -loops - dropped(root * scaled)

    u = np.repeat(drive[:, None], columns, axis=1)
    loops = open_loops(u)
    residuals = [float(np.abs(loops).max())]
    while residuals[-1] > CLOSED * np.abs(drive).max():
        if len(residuals) > LARGEST_STEPS:
            raise WireError(
                f"Newton's method: after {LARGEST_STEPS} steps a loop is {residuals[-1]:.3g} V from closing"
            )
        step = newton_step(np.sqrt(np.maximum(law.slope(cells, u), 0.0)), loops)
        damping = 1.0
        while True:
            trial = open_loops(u + damping * step)
            if np.linalg.norm(trial) < np.linalg.norm(loops):
                break
            damping /= 2
            if damping < SMALLEST_DAMPING:
                raise WireError(f"Newton's method stands still, a loop {residuals[-1]:.3g} V from closing")
        u, loops = u + damping * step, trial
        residuals.append(float(np.abs(loops).max()))
    if np.abs(u).max() > law.largest_voltage:
        raise WireError(
            f"the cells' law holds to {law.largest_voltage:g} V, and inputs of both signs put {np.abs(u).max():g} V "
            "across a cell; lower the inputs"
        )
    return OperatingPoint(u, law.current(cells, u).sum(axis=0), tuple(residuals))


def _line_resistances(count: int, segment: float, end: float, far: float) -> Floats:
    """Z_jk (ohm): the voltage that 1 ampere out of node k takes from node j of a line fed from its first node and, if
    `far` (ohm, from the last node) is finite, its last one."""
    near = end + segment * np.arange(1, count + 1)
    if far == math.inf:
        return np.minimum.outer(near, near)
    total = near[-1] + far
    if total == 0:
        return np.zeros((count, count))
    return np.minimum.outer(near, near) * np.minimum.outer(total - near, total - near) / total


def _conjugate_gradients(apply: Callable[[Floats], Floats], right: Floats) -> Floats:
    """x with apply(x) = right for a symmetric positive definite `apply`, to a dozen digits."""
    x, rest = np.zeros_like(right), right.copy()
    direction, square = rest.copy(), float(np.vdot(rest, rest))
    enough = 1e-26 * square
    for _ in range(10 * right.size):
        if square <= enough:
            return x
        image = apply(direction)
        length = square / float(np.vdot(direction, image))
        x += length * direction
        rest -= length * image
        before, square = square, float(np.vdot(rest, rest))
        direction = rest + (square / before) * direction
    raise WireError("conjugate gradients did not converge: resistances times conductances are too large")
