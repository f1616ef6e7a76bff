"""The stochastic update, a pulsed outer product: cells take a pulse wherever trains on both of their lines have one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.cells.cells import Cells
from crossbar_sim.cells.compiled.arguments import CellState
from crossbar_sim.cells.compiled.row_work import COLUMN, SUMS
from crossbar_sim.cells.compiled.stochastic_update import list_columns, update_rows
from crossbar_sim.cells.compiled.update_arguments import DrivenRows, UpdateRequest, UpdateResults
from crossbar_sim.cells.pulse_trains import PulseTrains
from crossbar_sim.cells.update_law import UpdateLaw, update_law
from crossbar_sim.cells.written import CellLists, CellsOnDemand, Written
from crossbar_sim.devices import DeviceModel
from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.runtime.counter_random import stream_key
from crossbar_sim.runtime.threads import in_parts
from crossbar_sim.spec.errors import SpecError

LEAST_ROWS = 32
"""Rows of cells that are worth a thread of their own."""


@dataclass(frozen=True)
class PulseOnWeight:
    """What a pulse on both lines does to a weight.

    cells: which of its cells take it, as in `Scheme.pulsed`
    share: the mean move of the weight as a share of the largest
    """

    cells: int
    share: float


def update_scheme(hardware: Hardware) -> PulseOnWeight:
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
    return PulseOnWeight(tile.scheme.pulsed, tile.scheme.update_range / device.full_swing_pulses)


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
    cells: Cells,
    trains: PulseTrains,
    scheme: int,
    row_of: NDArray[np.int64],
    column_of: NDArray[np.int64],
    tile_rows: int,
    tile_columns: int | None = None,
) -> Written:
    """Apply a batch to cells (planes, rows, columns), sample by sample and slot by slot: one write of every cell that
    takes pulses, however many.

    scheme: which cells a pulse on both lines reaches, as in `PulseOnWeight`; row_of (inputs,), column_of (outputs,):
    where the lines of the trains are; each `tile_rows` inputs have columns of their own, and each `tile_columns`
    columns (None: all) sums of their own in the result. Cells that take no pulse stay bit-identical. Where cells end
    does not depend on the number of threads, nor on how samples are cut into batches. Raises SpecError for devices
    whose pulses the parallel update cannot give.
    """
    device = cells.device
    check_device(device)
    columns = cells.present.shape[2]
    key = stream_key(int(cells.key[0]), str(int(cells.key[1])), "coincidences")
    request = UpdateRequest(scheme, key, cells.clock, columns if tile_columns is None else tile_columns)
    update = ParallelUpdate(trains, row_of, column_of, tile_rows, request, update_law(device), cells.samples)
    cells.make_room(writes=1, pulses=int(trains.slots.sum()))
    before, touched = cells.present.copy(), np.empty(cells.present.shape, np.bool_)
    sums = update.run(cells.grid_state, UpdateResults(touched, no_sums, False, *no_lists))
    cells.samples += len(trains.slots)
    cells.version += 1
    squared = device.set_voltage**2 * sums[..., COLUMN.set_pulses]
    sums[..., COLUMN.squared_volts] = squared + device.reset_voltage**2 * sums[..., COLUMN.reset_pulses]
    on_demand = CellsOnDemand(partial(update.replay, cells.grid_state, before, touched))
    count = int(sums[..., COLUMN.cells].sum())
    result = Written(count, touched=touched, array_sums=sums, on_demand=on_demand)
    if cells.lifetime is not None:
        lists = result.lists  # made before cells are stuck
        cells.wear_out(result.cells)
        lists.achieved[:] = cells.conductance.reshape(-1)[result.cells]
    return result


class ListsOfAll(NamedTuple):
    """What every cell took: pulses and joule (2, planes, rows, columns; SET first), and siemens moved either way."""

    pulses: NDArray[np.int32]
    energy: NDArray[np.float32]
    conductance_travel: NDArray[np.float64]

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> ListsOfAll:
        """Room for cells (planes, rows, columns)."""
        return cls(np.empty((2, *shape), np.int32), np.empty((2, *shape), np.float32), np.empty(shape))


no_lists, no_sums = ListsOfAll.empty((0, 0, 0)), np.empty((0, 0, 0))


@dataclass(frozen=True)
class ParallelUpdate:
    """One batch of trains on cells; arguments as of `pulse_outer_product`."""

    trains: PulseTrains
    row_of: NDArray[np.int64]
    column_of: NDArray[np.int64]
    tile_rows: int
    request: UpdateRequest
    law: UpdateLaw
    first_sample: int

    def run(self, state: CellState, results: UpdateResults) -> NDArray[np.float64]:
        """Change `state`, fill `results`; the sums (row tiles, column tiles, SUMS), without squared volts."""
        trains, inputs = self.trains, self.trains.rows.shape[1]
        starts = np.zeros((len(trains.slots), int(trains.slots.max(initial=0)) + 1), np.int64)
        listed = np.empty(1 + int(np.bitwise_count(trains.columns).sum(axis=(1, 2)).max()), np.uint32)
        column_tiles = -(-state.present.shape[2] // self.request.tile_columns)
        sums = np.zeros((-(-inputs // self.tile_rows), column_tiles, SUMS))
        for tile, top in enumerate(range(0, inputs, self.tile_rows)):
            list_columns(trains.columns[tile], trains.slots, self.column_of, starts, listed)
            rows = self.row_of[top : top + self.tile_rows]
            of_rows = np.zeros((rows.size, column_tiles, COLUMN.reset_joule + 1))
            row_trains = np.ascontiguousarray(trains.rows[:, top : top + self.tile_rows].T)
            driven = DrivenRows(rows, row_trains, starts, listed, trains.slots, self.first_sample, top)
            into = results._replace(sums=of_rows)
            in_parts(update_rows, rows.size, LEAST_ROWS, driven, self.request, state, self.law, into)
            sums[tile, :, : of_rows.shape[2]] = of_rows.sum(axis=0)
        return sums

    def replay(self, state: CellState, before: NDArray[np.float64], touched: NDArray[np.bool_]) -> CellLists:
        """What the update did to each cell that it touched, of cells like those of `state` that stood at `before`."""
        after, all_cells = before.copy(), ListsOfAll.empty(before.shape)
        self.run(state._replace(present=after), UpdateResults(touched, no_sums, True, *all_cells))
        cells = np.flatnonzero(touched)
        lists = CellLists.empty(before.reshape(-1)[cells], cells.size)
        lists.achieved[:] = after.reshape(-1)[cells]
        lists.conductance_travel[:] = all_cells.conductance_travel.reshape(-1)[cells]
        lists.verify_reads[:] = 0
        lists.verify_energy[:] = 0.0
        lists.set_pulses[:], lists.reset_pulses[:] = (pulses.reshape(-1)[cells] for pulses in all_cells.pulses)
        lists.set_energy[:], lists.reset_energy[:] = (energy.reshape(-1)[cells] for energy in all_cells.energy)
        return lists
