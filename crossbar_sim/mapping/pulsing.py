"""Blind pulses on differential pairs: which cell of a pair takes the pulses that raise or lower its weight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.devices import DeviceModel
from crossbar_sim.spec.errors import MappingError


def pulsed_cells(
    pulses: NDArray[np.integer], conductance: NDArray[np.float64], device: DeviceModel
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cells (flat, ascending) and signed pulses per cell, SET > 0, for |pulses| per weight (outputs, inputs).

    A weight moves away from zero by SET pulses on the cell of its sign and towards zero by RESET pulses on the same
    cell; one that stands less than half a mean pulse above g_min counts as zero. A train does not go past zero.
    conductance (2, inputs, outputs) siemens. The controller must know one bit per weight: its sign.
    """
    wanted = np.asarray(pulses, np.int64).T
    if wanted.shape != conductance.shape[1:]:
        raise MappingError(f"pulses must have the shape of the weights, {conductance.shape[:0:-1]}, got {pulses.shape}")
    holds = conductance > device.g_min + 0.5 * device.pulse_step
    plus = holds[0] & (conductance[0] >= conductance[1])
    minus = holds[1] & (conductance[1] > conductance[0])
    counts = np.zeros(conductance.shape, np.int64)
    counts[0] = np.where(wanted > 0, np.where(minus, 0, wanted), np.where(plus, wanted, 0))
    counts[1] = np.where(wanted < 0, np.where(plus, 0, -wanted), np.where(minus, -wanted, 0))
    cells = np.flatnonzero(counts)
    return cells, counts.reshape(-1)[cells]
