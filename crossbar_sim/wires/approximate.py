"""What other simulators compute instead of the exact wires: cheap, and wrong by a known amount (docs/physics/wires.md).

Nothing in the simulator uses them; they are here to be compared with `wires.effective_conductance`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def series_path(
    conductance: Floats,
    *,
    word_line_resistance: float,
    bit_line_resistance: float,
    driver_resistance: float = 0.0,
    sense_resistance: float = 0.0,
) -> Floats:
    """M_ji = 1 / (1 / G_ij + (j + 1) R_w + R_d + (rows - i) R_b + R_s): each cell alone in series with its own path.

    conductance (rows, columns) siemens; resistances in ohm; returns (columns, rows) siemens. It forgets that
    cells share the wires, so it misses most of the loss where many cells conduct at once.
    Source: the per-cell series resistance of NeuroSim's (Peng et al. 2021) array energy and of MNSIM 2.0.
    """
    rows, columns = conductance.shape
    along = word_line_resistance * np.arange(1, columns + 1) + driver_resistance
    down = bit_line_resistance * np.arange(rows, 0, -1) + sense_resistance
    path = along[None, :] + down[:, None]
    return np.ascontiguousarray((conductance / (1.0 + conductance * path)).T)


def cubic_columns(conductance: Floats, voltages: Floats, *, bit_line_resistance: float, full_voltage: float) -> Floats:
    """I_j = sum_i G_ij V_i (1 - c(a_j) (1 - (1 - d_i / n)^2)), c(a) = a / 2 - a^2 / 5 + a^3 / 20.

    a_j = n R_b sum_i G_ij |V_i| / V_full, n rows, d_i segments from row i to the last one. conductance (rows,
    columns) siemens; voltages (rows, vectors) volt; full_voltage, the largest that a driver gives. Returns
    (columns, vectors) ampere. Bit lines only; it depends on the inputs, so no matrix stands for it. A
    voltage drop is taken in proportion to the cell's own drive, although it does not depend on it:
    with inputs spread over 0 to V_full about half of the loss is missing.
    Source: the `ir_drop` option of aihwkit (Rasch et al., AICAS 2021), restated in volt and ohm.
    """
    rows = len(conductance)
    a = rows * bit_line_resistance * (conductance.T @ np.abs(voltages)) / full_voltage
    factor = a * (0.5 + a * (-0.2 + 0.05 * a))
    distance = np.arange(rows - 1, -1, -1) / rows
    dropped = conductance.T @ (voltages * (1.0 - (1.0 - distance[:, None]) ** 2))
    return conductance.T @ voltages - factor * dropped
