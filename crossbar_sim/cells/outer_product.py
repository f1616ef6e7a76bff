"""The pulsed outer product on a crossbar: cells take a pulse wherever trains on their row and their column coincide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.cells.cells import Crossbar
from crossbar_sim.cells.compiled import row_work
from crossbar_sim.cells.compiled.stochastic_update import (
    BOTH_CELLS,
    CELL_OF_THE_SIGN,
    ONE_CELL,
    list_columns,
    pulse_coincidences,
)
from crossbar_sim.cells.programming import CellLists, Programming
from crossbar_sim.cells.pulse_trains import PulseTrains, pulse_law
from crossbar_sim.devices import DeviceModel
from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.runtime.counter_random import stream_key
from crossbar_sim.runtime.threads import in_parts
from crossbar_sim.spec.errors import SpecError

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
    crossbar: Crossbar,
    trains: PulseTrains,
    scheme: int,
    row_of: NDArray[np.int64],
    column_of: NDArray[np.int64],
    tile_rows: int,
    tile_columns: int | None = None,
) -> PulsedCells:
    """Apply a batch to cells (planes, rows, columns), sample by sample and slot by slot: one write of every cell that
    takes pulses, however many.

    scheme: which cells a coincidence reaches, as in `Scheme`; row_of (inputs,), column_of (outputs,): where the lines
    of the trains are; each `tile_rows` inputs have columns of their own, and each `tile_columns` columns (None: all)
    sums of their own in the result. Cells that take no pulse stay bit-identical. Where cells end does not depend on the
    number of threads, nor on how samples are cut into batches. Raises SpecError for devices whose pulses the parallel
    update cannot give.
    """
    check_device(crossbar.device)
    inputs, columns = trains.rows.shape[1], crossbar.present.shape[2]
    width = columns if tile_columns is None else tile_columns
    before, first_sample, clock = crossbar.present.copy(), crossbar.samples, crossbar.clock
    key = stream_key(int(crossbar.key[0]), str(int(crossbar.key[1])), "coincidences")
    law = pulse_law(crossbar.device)
    pace = np.empty((0, 0, 0)) if crossbar.pace is None else crossbar.pace
    stuck = np.empty((0, 0, 0), np.bool_) if crossbar.stuck is None else crossbar.stuck
    kept = (crossbar.conductance, crossbar.writes, crossbar.pulses, crossbar.swing, crossbar.written_at)
    touched = np.empty(before.shape, np.bool_)
    sums = np.zeros((-(-inputs // tile_rows), -(-columns // width), row_work.SUMS))

    def pulse(present: NDArray[np.float64], listing: bool, done: Done) -> None:
        starts = np.zeros((len(trains.slots), int(trains.slots.max(initial=0)) + 1), np.int64)
        listed = np.empty(1 + int(np.bitwise_count(trains.columns).sum(axis=(1, 2)).max()), np.uint32)
        for tile, top in enumerate(range(0, inputs, tile_rows)):
            list_columns(trains.columns[tile], trains.slots, column_of, starts, listed)
            rows = row_of[top : top + tile_rows]
            of_rows = np.zeros((rows.size, sums.shape[1], row_work.RESET_JOULE + 1))
            arguments = (
                rows,
                np.ascontiguousarray(trains.rows[:, top : top + tile_rows].T),
                starts,
                listed,
                trains.slots,
                scheme,
                present,
                pace,
                stuck,
                law,
                key,
                first_sample,
                top,
                clock,
                kept,
                touched,
                of_rows,
                width,
                listing,
                *done,
            )
            in_parts(pulse_coincidences, rows.size, LEAST_ROWS, *arguments)
            if not listing:
                sums[tile, :, : of_rows.shape[2]] = of_rows.sum(axis=0)

    def again() -> CellLists:
        after, done, cells = before.copy(), Done.empty(before.shape), result.cells
        pulse(after, True, done)
        lists = CellLists.empty(before.reshape(-1)[cells], cells.size)
        lists.achieved[:], lists.swing[:] = after.reshape(-1)[cells], done.swing.reshape(-1)[cells]
        lists.counts[2], lists.joules[2] = 0, 0.0  # no verify reads
        for kind in range(2):
            lists.counts[kind] = done.pulses[kind].reshape(-1)[cells]
            lists.joules[kind] = done.energy[kind].reshape(-1)[cells]
        return lists

    pulse(crossbar.present, False, Done.empty((0, 0, 0)))
    crossbar.samples += len(trains.slots)
    device = crossbar.device
    square = device.set_voltage**2 * sums[..., row_work.SETS] + device.reset_voltage**2 * sums[..., row_work.RESETS]
    sums[..., row_work.SQUARED] = square
    result = PulsedCells(touched, sums, again)
    if crossbar.lifetime is not None:
        lists = result.lists  # made before cells are stuck
        crossbar.wear_out(result.cells)
        lists.achieved[:] = crossbar.conductance.reshape(-1)[result.cells]
    return result


class Done(NamedTuple):
    """What the pulses of a batch did: pulses and joule (2, planes, rows, columns; SET first), and siemens moved."""

    pulses: NDArray[np.int32]
    energy: NDArray[np.float32]
    swing: NDArray[np.float64]

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> Done:
        """Room for cells (planes, rows, columns)."""
        return cls(np.empty((2, *shape), np.int32), np.empty((2, *shape), np.float32), np.empty(shape))


class PulsedCells(Programming):
    """What a parallel update did; touched (planes, rows, columns): the cells that took pulses. There is no `work` of
    single rows, since all are driven at once."""

    def __init__(self, touched: NDArray[np.bool_], sums: NDArray[np.float64], again: Callable[[], CellLists]) -> None:
        self.touched, self._sums, self._again, self.disturbed = touched, sums, again, np.empty(0, np.int64)

    @property
    def sums(self) -> NDArray[np.float64]:
        return self._sums

    @cached_property
    def cells(self) -> NDArray[np.int64]:  # type: ignore[override]
        """Listed when it is first asked for."""
        return np.flatnonzero(self.touched)

    @property
    def count(self) -> int:
        return int(self._sums[..., row_work.CELLS].sum())

    def add_writes(self, counts: NDArray[np.int64]) -> None:
        counts += self.touched
