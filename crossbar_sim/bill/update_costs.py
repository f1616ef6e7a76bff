"""What the pulsed outer product costs: cells conduct as their pulses say, lines are charged as their trains say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.bill.write_costs import WriteCounts
from crossbar_sim.crossbar import Programming
from crossbar_sim.devices.coincidence import PulseTrains
from crossbar_sim.devices.coincidence_kernels import SLOTS
from crossbar_sim.hardware import Hardware
from crossbar_sim.mapping.layout import Layout

SIGN = np.uint32(1 << SLOTS)


def count_update(hardware: Hardware, result: Programming, trains: PulseTrains, layout: Layout) -> WriteCounts:
    """Counts of one batch: every row and column of every tile is driven at once, samples follow one another.

    A sample has a phase for the rows with a positive input and one for those with a negative one, if there are any,
    since a column carries one polarity for all rows at a time. Each phase has the sample's slots, each as long as the
    longer pulse. A row's line is charged in every slot in which its train has a pulse; a column's in every phase too,
    to the voltage of the pulse that its cells would take (of a pair, one column for SET and one for RESET).
    """
    device, rows = hardware.device, trains.rows
    pulsed = (rows & ~SIGN) != 0
    negative = (rows & SIGN) != 0
    phases = (pulsed & ~negative).any(axis=1).astype(np.int64) + (pulsed & negative).any(axis=1)
    set_square, reset_square = device.set_voltage**2, device.reset_voltage**2
    column_pulses = np.bitwise_count(trains.columns & ~SIGN).astype(np.int64)
    if layout.spec.sides == 2:
        squared = (set_square + reset_square) * float(column_pulses.sum(axis=(0, 2)) @ phases)
    else:
        squared = _charged(trains, pulsed, negative, column_pulses, set_square, reset_square)
    slot_time = max(device.pulse_width, device.reset_width)
    return WriteCounts(
        result.count, int(result.set_pulses.sum()), int(result.reset_pulses.sum()), 0,
        int(np.bitwise_count(rows & ~SIGN).sum()) * layout.column_tiles, int(pulsed.sum()) * layout.column_tiles,
        float(result.set_energy.sum()), float(result.reset_energy.sum()), 0.0, squared,
        slot_time * float(trains.slots @ phases),
    )  # fmt: skip


def _charged(
    trains: PulseTrains, pulsed: NDArray[np.bool_], negative: NDArray[np.bool_], column_pulses: NDArray[np.int64],
    set_square: float, reset_square: float,
) -> float:  # fmt: skip
    """Sum of V^2 over the columns of single cells: SET where the signs of input and error differ, else RESET."""
    error_negative = (trains.columns & SIGN) != 0
    total = 0.0
    for phase in (False, True):
        active = (pulsed & (negative == phase)).any(axis=1)
        rising = np.where(error_negative != phase, set_square, reset_square)
        total += float((column_pulses * rising)[:, active].sum())
    return total
