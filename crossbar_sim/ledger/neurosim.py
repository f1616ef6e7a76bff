"""NeuroSim's bill for the same writes, to compare with: harmonic mean of conductance, doubled squares of the voltages,
rows one after the other, no verify reads, no drivers.

Source: the weight-update estimate of DNN+NeuroSim V2.1 (Peng et al., IEEE TCAD 40, 2306, 2021) for 1T1R arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from crossbar_sim.cells.written import Written
from crossbar_sim.hardware.architecture import WriteCircuits
from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.spec.arrays import Floats, Integers

DOUBLED = 2.0
"""Its write voltage is sqrt(V_LTP^2 + V_LTD^2), so every V^2 is twice the physical one."""


@dataclass(frozen=True)
class NeurosimWrites:
    """Joule and pulses as NeuroSim counts them; slots: pulses of all rows."""

    set_energy: float
    reset_energy: float
    line_energy: float
    set_pulses: int
    reset_pulses: int
    slots: int


def cell_pulses(before: Floats, after: Floats, window: float, levels: float) -> Integers:
    """p = ceil(|G_new - G_old| / dG), dG = window / levels; 0 for cells that move by less than dG."""
    steps = np.abs(after - before) * levels / window
    return np.where(steps >= 1 - 1e-9, np.ceil(steps - 1e-9), 0).astype(np.int64)


def cell_write_energy(before: Floats, after: Floats, voltage: float, width: float, pulses: Integers) -> Floats:
    """Joule per cell: 2 V^2 / R t p, R the mean of the resistances before and after (siemens, volt, seconds)."""
    conductance = 2.0 * before * after / np.where(before + after > 0, before + after, 1.0)
    return DOUBLED * voltage**2 * conductance * width * pulses


def row_pulses(set_pulses: Integers, reset_pulses: Integers) -> tuple[int, int]:
    """SP and RP: pulses of all rows, a row as slow as its slowest cell; arrays (rows, columns)."""
    return int(set_pulses.max(axis=1).sum()), int(reset_pulses.max(axis=1).sum())


def line_write_energy(
    set_pulses: Integers,
    reset_pulses: Integers,
    columns: int,
    voltage: float,
    circuits: WriteCircuits,
) -> float:
    """Joule of the lines of one 1T1R array, pulses per cell given as (rows, columns) for SET and RESET.

    C_word V_gate^2 (SP + RP) + 2 V^2 [C_source (n - n_set) SP + C_bit n_set SP + C_source n_reset RP
    + C_bit (n - n_reset) RP], n_set = floor(SET cells / SET rows); a row with both counts as a SET row. Farad, volt.
    """
    slots_set, slots_reset = row_pulses(set_pulses, reset_pulses)
    set_rows = (set_pulses > 0).any(axis=1)
    reset_rows = (reset_pulses > 0).any(axis=1) & ~set_rows
    n_set = int((set_pulses > 0).sum()) // max(int(set_rows.sum()), 1)
    n_reset = int((reset_pulses[reset_rows] > 0).sum()) // max(int(reset_rows.sum()), 1)
    squared = DOUBLED * voltage**2
    bit_line, source_line = circuits.bit_line_capacitance, circuits.source_line_capacitance
    lines = (source_line * (columns - n_set) + bit_line * n_set) * slots_set
    lines += (source_line * n_reset + bit_line * (columns - n_reset)) * slots_reset
    gates = circuits.word_line_capacitance * circuits.word_line_voltage**2 * (slots_set + slots_reset)
    return gates + squared * lines


def neurosim_writes(hardware: Hardware, result: Written, shape: tuple[int, ...]) -> NeurosimWrites:
    """The bill of one programming operation on cells of `shape` (planes, inputs, columns), tile by tile."""
    device, tile = hardware.device, hardware.tile
    circuits = hardware.write_circuits
    assert circuits is not None
    levels = device.full_swing_pulses
    pulses = cell_pulses(result.before, result.achieved, device.window, levels)
    rising = result.achieved > result.before
    set_energy = cell_write_energy(
        result.before, result.achieved, device.set_voltage, device.pulse_width, np.where(rising, pulses, 0)
    )
    reset_energy = cell_write_energy(
        result.before, result.achieved, device.reset_voltage, device.reset_width, np.where(rising, 0, pulses)
    )
    per_cell = np.zeros((2, *shape), np.int64)
    per_cell[0].reshape(-1)[result.cells] = np.where(rising, pulses, 0)
    per_cell[1].reshape(-1)[result.cells] = np.where(rising, 0, pulses)
    lines, slots = [], 0
    for top in range(0, shape[1], tile.rows):
        for left in range(0, shape[2], tile.plane_columns):
            array = per_cell[:, :, top : top + tile.rows, left : left + tile.plane_columns]
            up, down = (side.transpose(1, 2, 0).reshape(side.shape[1], -1) for side in array)
            slots += sum(row_pulses(up, down))
            lines.append(line_write_energy(up, down, tile.columns, device.set_voltage, circuits))
    return NeurosimWrites(
        float(set_energy.sum()),
        float(reset_energy.sum()),
        math.fsum(lines),
        int(per_cell[0].sum()),
        int(per_cell[1].sum()),
        slots,
    )
