"""The pulsed outer product on a crossbar: cells take a pulse wherever trains on their row and their column coincide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.counter_random import stream_key
from crossbar_sim.crossbar import Crossbar, Programming
from crossbar_sim.devices import DeviceModel
from crossbar_sim.devices.coincidence import PulseTrains, pulse_law
from crossbar_sim.devices.coincidence_kernels import (
    BOTH_CELLS,
    CELL_OF_THE_SIGN,
    ONE_CELL,
    list_columns,
    pulse_coincidences,
    record_pulses,
)
from crossbar_sim.errors import SpecError
from crossbar_sim.hardware import Hardware
from crossbar_sim.threads import in_parts

LEAST_ROWS = 32
"""Rows of cells that are worth a thread of their own."""


@dataclass(frozen=True)
class Scheme:
    """What a coincidence does to a weight: `cells`, which of its cells take a pulse (ONE_CELL, BOTH_CELLS or
    CELL_OF_THE_SIGN of `coincidence_kernels`), and `share`, the mean move of the weight as a share of the largest."""

    cells: int
    share: float


def update_scheme(hardware: Hardware) -> Scheme:
    """How the weights of this hardware take the pulses of a parallel update.

    offset: the cell, SET up and RESET down, the references never; two_sided: both cells, in opposite directions;
    differential: one cell by the sign of the weight, as `mapping.pulsing` says, with one bit per weight of the
    controller's. Raises SpecError where there is no such update.
    """
    tile, device = hardware.tile, hardware.device
    check_device(device)
    for refused, reason, instead in (
        (tile.slices > 1, "a pulse cannot carry from one slice to the next", "slices = 1"),
        (tile.pair_update == "one_side", "pulses on all lines reach both cells of a pair", "pair_update = 'both'"),
        (tile.access == "passive", "half-selected cells are billed row by row only", "access = '1T1R'"),
        (hardware.accounting == "neurosim", "NeuroSim writes row after row", "accounting = 'physical'"),
    ):
        if refused:
            raise SpecError(
                f"{hardware.name}: no update of all rows and columns at once: {reason}; choose {instead}, or another "
                "update rule"
            )
    cells, steps = SCHEMES[tile.mapping]
    return Scheme(cells, steps / device.full_swing_pulses)


SCHEMES = {"offset": (ONE_CELL, 2.0), "two_sided": (BOTH_CELLS, 2.0), "differential": (CELL_OF_THE_SIGN, 1.0)}
"""By mapping: cells, and windows that the weight's full range has for each window that a cell moves."""


def check_device(device: DeviceModel) -> None:
    """SpecError where the pulses of a parallel update cannot be had from a device."""
    if device.incremental_amplitude is not None:
        raise SpecError(
            f"{device.name}: the pulses of a parallel update have one voltage, but the device has "
            "incremental_amplitude; leave that out, or use the update rule write_verify"
        )
    if device.disturbance is not None:
        raise SpecError(
            f"{device.name}: disturbance is stated for cells programmed row by row, not for all lines driven at once; "
            "leave it out, or use the update rule open_loop_pulses"
        )


def pulse_outer_product(
    crossbar: Crossbar, trains: PulseTrains, scheme: int, row_of: NDArray[np.int64], column_of: NDArray[np.int64],
    tile_rows: int,
) -> Programming:  # fmt: skip
    """Apply a batch to cells (planes, rows, columns), sample by sample and slot by slot: one write of every cell that
    takes pulses, however many.

    scheme: which cells a coincidence reaches, as in `Scheme`; row_of (inputs,), column_of (outputs,): where the lines
    of the trains are; each `tile_rows` inputs have columns of their own. Cells that take no pulse stay bit-identical.
    Where cells end does not depend on the number of threads, nor on how samples are cut into batches. Raises SpecError
    for devices whose pulses the parallel update cannot give.
    """
    check_device(crossbar.device)
    shape, inputs = crossbar.present.shape, trains.rows.shape[1]
    pace = np.empty((0, 0, 0)) if crossbar.pace is None else crossbar.pace
    stuck = np.empty((0, 0, 0), np.bool_) if crossbar.stuck is None else crossbar.stuck
    key = stream_key(int(crossbar.key[0]), str(int(crossbar.key[1])), "coincidences")
    before, law = crossbar.present.copy(), pulse_law(crossbar.device)
    done = Done(
        np.empty((2, *shape), np.int32), np.empty((2, *shape), np.float32), np.empty(shape),
        np.empty(shape[:2], np.int64),
    )  # fmt: skip
    starts = np.zeros((len(trains.slots), int(trains.slots.max(initial=0)) + 1), np.int64)
    listed = np.empty(1 + int(np.bitwise_count(trains.columns).sum(axis=(1, 2)).max()), np.uint32)
    for tile, top in enumerate(range(0, inputs, tile_rows)):
        list_columns(trains.columns[tile], trains.slots, column_of, starts, listed)
        rows = row_of[top : top + tile_rows]
        arguments = (
            rows, np.ascontiguousarray(trains.rows[:, top : top + tile_rows]), starts, listed, trains.slots, scheme,
            crossbar.present, pace, stuck, law, key, crossbar.samples, top, *done,
        )  # fmt: skip
        in_parts(pulse_coincidences, rows.size, LEAST_ROWS, *arguments)
    crossbar.samples += len(trains.slots)
    return _record(crossbar, before, done)


class Done(NamedTuple):
    """What the pulses of a batch did: pulses and joule (2, planes, rows, columns; SET first), siemens moved, and how
    many cells of each row (planes, rows) took any."""

    pulses: NDArray[np.int32]
    energy: NDArray[np.float32]
    swing: NDArray[np.float64]
    touched: NDArray[np.int64]


def _record(crossbar: Crossbar, before: NDArray[np.float64], done: Done) -> Programming:
    """Count the write and its wear; what it did, cell by cell."""
    columns, count, touched = before.shape[-1], int(done.touched.sum()), done.touched.reshape(-1)
    cells, set_pulses, reset_pulses = np.empty(count, np.int64), np.empty(count, np.int32), np.empty(count, np.int32)
    was, achieved, set_energy, reset_energy, swung = (np.empty(count) for _ in range(5))
    kept = (crossbar.conductance, crossbar.writes, crossbar.pulses, crossbar.swing, crossbar.written_at)
    arguments = (
        np.cumsum(touched) - touched, done.pulses.reshape(2, -1, columns), done.energy.reshape(2, -1, columns),
        done.swing.reshape(-1, columns), before.reshape(-1, columns), crossbar.present.reshape(-1, columns),
        crossbar.clock, tuple(state.reshape(-1, columns) for state in kept), cells, was, achieved, set_pulses,
        reset_pulses, set_energy, reset_energy, swung,
    )  # fmt: skip
    in_parts(record_pulses, touched.size, LEAST_ROWS, *arguments)
    if crossbar.lifetime is not None:
        crossbar.wear_out(cells)
        achieved = crossbar.conductance.reshape(-1)[cells]
    squared = crossbar.squared_volts(set_pulses, reset_pulses)
    return Programming(
        cells, was, achieved, set_pulses, reset_pulses, np.zeros(count, np.int32), set_energy, reset_energy,
        np.zeros(count), squared, swung, np.empty(0, np.int64),
    )  # fmt: skip
