"""Cells: the state of the cells that hold one matrix; it changes only by programming."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from crossbar_sim.cells.compiled.arguments import CellState, Method, Request
from crossbar_sim.cells.compiled.program import MOST_PULSES
from crossbar_sim.cells.counting import COUNTS, Counting
from crossbar_sim.cells.writing import Write, no_lists, programming_method
from crossbar_sim.cells.written import CellLists, CellsOnDemand, Written, no_cells, summed
from crossbar_sim.devices import DeviceModel, FlickerNoise, relaxed
from crossbar_sim.devices.disturbance import disturbed, half_selected_pulses
from crossbar_sim.devices.pulse_law import record_of
from crossbar_sim.mapping.kept_targets import FirstTargets
from crossbar_sim.runtime.counter_random import Key, uniforms_at
from crossbar_sim.runtime.draws import DEVICE_TO_DEVICE_DRAW, FAULT_DRAW, LIFETIME_DRAW
from crossbar_sim.spec.errors import MappingError, SpecError

Floats = NDArray[np.float64]
no_flags = np.empty(0, np.bool_)
no_values = np.empty(0)
no_state = CellState(
    no_values, no_values, np.empty(0, np.uint16), np.empty(0, np.int32), no_values, no_values, no_flags, no_values
)
WRITTEN = ("conductance", "present", "writes", "pulses", "conductance_travel", "written_at")
PER_CELL = (*WRITTEN, "stuck", "lifetime", "device_to_device", "disturbed")
"""What cells at rest do not have."""


class Cells:
    """Cells of one device, any array shape; freshly formed cells stand at g_min.

    Per cell:
    conductance: siemens, as programmed
    present: siemens now; the same array for a device without retention
    writes, pulses: how many
    conductance_travel: sum of |dG| over all pulses, siemens
    written_at: clock of the last write; None where nothing depends on a cell's age
    stuck: no pulse moves it; lifetime: writes until it is stuck; device_to_device: its steps relative to the device's;
    disturbed: pulses of other cells that it felt (each None where the device has no such effect)

    Cells that were written once, all of them, may `rest`: they have none of these arrays until one is asked for; the
    same write of fresh cells then gives them all again.

    clock: seconds since the cells were made; samples: of pulsed outer products so far; version: of what reads see,
    raised by every write of cells, and by time where it changes reads.

    `array` (rows, columns) cuts the last two axes into separate arrays, for disturbance and for sums; None: one array.
    """

    def __init__(
        self, device: DeviceModel, shape: tuple[int, ...], key: Key, array: tuple[int, int] | None = None
    ) -> None:
        self.device = device
        self.key = key
        self.shape = shape
        self.clock = 0.0
        self.samples = 0
        self.version = 0
        self._laws: dict[float, NDArray[np.void]] = {}
        self._method = programming_method(device)
        if device.disturbance is not None and len(shape) < 2:
            raise MappingError(f"disturbance needs word and bit lines: at least two axes of cells, got {shape}")
        lines = shape if len(shape) > 1 else (1, *shape)
        self._lines = (lines[-2], lines[-1])
        self.array = self._lines if array is None else array
        self._first: FirstTargets | None = None
        self._form()

    def _form(self) -> None:
        """Freshly formed cells."""
        device, shape = self.device, self.shape
        self.conductance = np.full(shape, device.g_min, dtype=np.float64)
        self._of_writes, self._of_pulses = Counting(np.uint16, np.uint32), Counting(np.int32, np.int64)
        self.writes, self.pulses = self._of_writes.zeros(shape), self._of_pulses.zeros(shape)
        self.conductance_travel = np.zeros(shape, dtype=np.float64)
        self.written_at = np.zeros(shape, dtype=np.float64) if _ages(device) else None
        self.stuck: NDArray[np.bool_] | None = None
        self.lifetime: Floats | None = None
        self.device_to_device: Floats | None = None
        self.disturbed = None if device.disturbance is None else np.zeros(shape, dtype=np.int64)
        lrs, hrs = device.stuck_at_lrs or 0.0, device.stuck_at_hrs or 0.0
        if lrs + hrs > 0 or device.lifetime is not None:
            fate = self._born(FAULT_DRAW)
            self.stuck = fate < lrs + hrs
            self.conductance[fate < lrs] = device.g_max
        if device.lifetime is not None:
            self.lifetime = device.lifetime.writes(device.endurance, self._born(LIFETIME_DRAW))
        if device.device_to_device:
            self.device_to_device = device.device_to_device_factor(ndtri(self._born(DEVICE_TO_DEVICE_DRAW)))
        self.present = self.conductance if device.retention is None else self.conductance.copy()

    def rest(self, first: FirstTargets) -> None:
        """From now on keep nothing per cell, if these cells have taken one write in all, to the targets `first`, and
        nothing but writing ever moves them or wears them out; else nothing changes."""
        if self.version == 1 and self.samples == 0 and not (_ages(self.device) or self._has_consequences):
            self._first = first
            for name in PER_CELL:
                del vars(self)[name]

    @property
    def resting(self) -> bool:
        """Whether nothing is kept per cell."""
        return self._first is not None

    def awake(self) -> Cells:
        """These cells; while they rest, a copy that has all arrays, to look at once: no change of it reaches them."""
        if self._first is None:
            return self
        twin = copy.copy(self)
        twin._wake()
        return twin

    def _wake(self) -> None:
        """Fresh cells take the first write once more."""
        assert self._first is not None
        (cells, wanted), self._first = self._first.wanted(), None
        version = self.version
        self._form()
        self._write(self._request(cells, wanted), self._law(0.0), self._method, listing=False)
        self.version = version

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """What cells at rest are asked for, they have from then on."""
            if name in PER_CELL and vars(self).get("_first") is not None:
                self._wake()
                return vars(self)[name]
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    @property
    def writes_so_far(self) -> NDArray[np.integer]:
        """`writes`, to look at; cells at rest stay so."""
        return self.writes if self._first is None else np.broadcast_to(np.uint16(1), self.shape)

    def make_room(self, writes: int, pulses: int) -> None:
        """Let any cell take so many more."""
        self.writes = self._of_writes.room_for(self.writes, writes)
        self.pulses = self._of_pulses.room_for(self.pulses, pulses)

    def _born(self, draw: int) -> Floats:
        """One uniform number in (0, 1) per cell, the same for ever."""
        counters = np.full(math.prod(self.shape), draw, np.uint32)
        return uniforms_at(counters, self.key).reshape(self.shape)

    def program(self, cells: NDArray[np.int64], target: Floats, sense_energy: float, listing: bool = False) -> Written:
        """Program the cells with flat indices `cells` (each at most once) to `target` (siemens, same length).

        The write starts from the present conductance, and the cell's age from zero. Every other cell stays
        bit-identical, unless the device has a disturbance. `sense_energy` is the joule of sensing one verify read.
        A stuck cell stays where it is and still takes its pulses: in a write-verify loop the largest number allowed.
        Returns sums, and achieved conductances, pulses, verify reads and energies per cell, which are simulated again
        when they are asked for, unless `listing` has them kept.
        """
        if target.shape != cells.shape:
            raise MappingError(f"one target per cell: got {cells.shape} cells and {target.shape} targets")
        low, high = self.device.g_min * (1 - 1e-9), self.device.g_max * (1 + 1e-9)
        if cells.size and not (np.minimum.reduce(target) >= low and np.maximum.reduce(target) <= high):
            raise MappingError(
                f"target conductances must lie in [{self.device.g_min:g}, {self.device.g_max:g}] S, "
                f"got {target.min():g} to {target.max():g}; rescale the weights"
            )
        return self._write(self._request(cells, target), self._law(sense_energy), self._method, listing)

    def pulse(self, cells: NDArray[np.int64], counts: NDArray[np.int64], listing: bool = False) -> Written:
        """Blind pulses: |counts| per cell (flat indices `cells`, each at most once), SET where counts > 0, else RESET.

        No target, no verify read, no programming error: a cell ends where its pulses lead it, inside the window.
        Returns the same as `program`.
        """
        if counts.shape != cells.shape or (
            cells.size and not 0 < np.abs(counts).min() <= np.abs(counts).max() <= MOST_PULSES
        ):
            raise MappingError(f"one number of pulses per cell, not zero and at most {MOST_PULSES}; got {counts}")
        if self.device.incremental_amplitude is not None:
            raise SpecError(
                f"{self.device.name}: blind pulses have one voltage, but the device has incremental_amplitude; "
                "leave that out, or program with verify reads"
            )
        return self._write(self._request(cells, counts), self._law(0.0), None, listing)

    def _request(self, cells: NDArray[np.int64], wanted: NDArray[Any]) -> Request:
        return Request(cells, wanted, self.key, self.clock, self._lines[1], self.array[1])

    def _write(self, request: Request, law: NDArray[np.void], method: Method | None, listing: bool) -> Written:
        """Give the pulses; then fail the worn cells and disturb the others."""
        cells, count = request.cells, request.cells.size
        write = Write(request, law, method, self._lines[0])
        if count:
            self.version += 1
            self.make_room(writes=1, pulses=MOST_PULSES + 1)
        state = self.state if count else no_state
        before = np.empty(count)
        writes_before = np.empty(count, np.uint32)
        if not (listing or self._has_consequences):
            work = summed(write.run(state, before, writes_before, no_lists))
            on_demand = CellsOnDemand(partial(write.replay, state, before, writes_before))
            return Written(count, cells, row_work=work, array_rows=self.array[0], on_demand=on_demand)
        lists = CellLists.empty(before, count)
        work = summed(write.run(state, before, writes_before, lists))
        moved = self._consequences(cells, lists) if self._has_consequences else no_cells
        return Written(count, cells, None, moved, work, self.array[0], on_demand=CellsOnDemand.of(lists))

    @property
    def _has_consequences(self) -> bool:
        """Whether a write may wear cells out or disturb others."""
        return self.lifetime is not None or self.device.disturbance is not None

    def _consequences(self, cells: NDArray[np.int64], lists: CellLists) -> NDArray[np.int64]:
        """Fail the cells that this write wore out, and disturb others; the flat indices of those that moved."""
        moved = no_cells
        if self.lifetime is not None:
            self.wear_out(cells)
        if self.device.disturbance is not None:
            moved = self._disturb(cells, lists.set_pulses, lists.reset_pulses)
        lists.achieved[:] = self.conductance.reshape(-1)[cells]
        return moved

    @property
    def state(self) -> CellState:
        """All cells, flat."""
        stuck, factors = self.stuck, self.device_to_device
        written_at = self.written_at
        return CellState(
            self.conductance.reshape(-1),
            self.present.reshape(-1),
            self.writes.reshape(-1),
            self.pulses.reshape(-1),
            self.conductance_travel.reshape(-1),
            no_values if written_at is None else written_at.reshape(-1),
            no_flags if stuck is None else stuck.reshape(-1),
            no_values if factors is None else factors.reshape(-1),
        )

    @property
    def grid_state(self) -> CellState:
        """All cells, in their shape; empty arrays of as many axes where the device has no such effect."""
        none = (0,) * self.conductance.ndim
        return CellState(
            conductance=self.conductance,
            present=self.present,
            writes=self.writes,
            pulses=self.pulses,
            conductance_travel=self.conductance_travel,
            written_at=np.empty(none) if self.written_at is None else self.written_at,
            stuck=np.empty(none, np.bool_) if self.stuck is None else self.stuck,
            device_to_device=np.empty(none) if self.device_to_device is None else self.device_to_device,
        )

    def _law(self, sense_energy: float) -> NDArray[np.void]:
        """`DeviceModel.pulse_law`, worked out once."""
        law = self._laws.get(sense_energy)
        if law is None:
            law = self._laws[sense_energy] = record_of(self.device.pulse_law(sense_energy))
        return law

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """What differs from cell to cell, by name; what this device does not have is left out."""
        same = self.present is self.conductance  # which wakes them
        every = {name: vars(self)[name] for name in PER_CELL if not (same and name == "present")}
        return {name: array for name, array in every.items() if array is not None}

    def restore(self, arrays: Mapping[str, NDArray[Any]], clock: float, samples: int) -> None:
        """Become what other cells of this device were that had these arrays."""
        for name, array in self.arrays.items():
            if name not in COUNTS:
                array[...] = arrays[name]
        self.writes = self._of_writes.counted(arrays["writes"])
        self.pulses = self._of_pulses.counted(arrays["pulses"])
        self.clock, self.samples = clock, samples
        self.version += 1

    def restore_resting(self, first: FirstTargets, clock: float) -> None:
        """Become what other cells of this device were that rested after a first write to the targets `first`."""
        self.clock, self.version = clock, 1
        self.rest(first)

    def wear_out(self, cells: NDArray[np.int64]) -> None:
        """Mark the cells whose last write was their last: from now on they are stuck."""
        assert self.lifetime is not None and self.stuck is not None and self.device.lifetime is not None
        stuck = self.stuck.reshape(-1)
        worn = cells[~stuck[cells] & (self.writes.reshape(-1)[cells] >= self.lifetime.reshape(-1)[cells])]
        stuck[worn] = True
        if self.device.lifetime.stuck_at != "as_is":
            end = self.device.g_max if self.device.lifetime.stuck_at == "lrs" else self.device.g_min
            self.conductance.reshape(-1)[worn] = end
            self.present.reshape(-1)[worn] = end

    def _disturb(
        self, cells: NDArray[np.int64], set_pulses: NDArray[np.int32], reset_pulses: NDArray[np.int32]
    ) -> NDArray[np.int64]:
        """Move the half-selected cells, SET pulses up, then RESET pulses down; flat indices of those that moved."""
        device, law = self.device, self.device.disturbance
        assert law is not None and self.disturbed is not None
        present, before = self.present.reshape(-1), self.present.reshape(-1).copy()
        shape = self.conductance.shape
        up, down = (
            half_selected_pulses(shape, self.array, law.scheme, cells, pulses) for pulses in (set_pulses, reset_pulses)
        )
        factor = np.ones(before.size) if self.device_to_device is None else self.device_to_device.reshape(-1)
        now = before
        rise_share, fall_share = (factor * law.share(voltage) for voltage in (device.set_voltage, device.reset_voltage))
        rise = disturbed(now - device.g_min, device.steps(), rise_share, up) + device.g_min
        now = np.where(up > 0, np.maximum(np.minimum(rise, device.g_max), now), now)
        fall = device.g_max - disturbed(device.g_max - now, device.steps(reset=True), fall_share, down)
        now = np.where(down > 0, np.minimum(np.maximum(fall, device.g_min), now), now)
        if self.stuck is not None:
            now = np.where(self.stuck.reshape(-1), before, now)
        self.disturbed.reshape(-1)[:] += up + down
        moved = np.flatnonzero(now != before)
        if self.present is not self.conductance:
            self.conductance.reshape(-1)[moved] += now[moved] - before[moved]
        present[moved] = now[moved]
        return moved

    @property
    def wear_cycles(self) -> Floats:
        """Partial cycles per cell: sum of |dG| over all pulses / (2 window); a full SET and RESET is one."""
        return self.conductance_travel / (2 * self.device.window)

    @property
    def age(self) -> Floats:
        """Seconds since each cell's last write. SpecError where nothing depends on it: it is not kept then."""
        if self.written_at is None:
            raise SpecError(
                f"{self.device.name}: neither conductances nor read noise change with time, so ages of cells are not "
                "kept; give the device a retention law to know them"
            )
        return self.clock - self.written_at

    def wait(self, seconds: float) -> None:
        """Let time pass: conductances move along the device's retention law from each cell's last write.

        Cells never written and stuck cells stay, and cells younger than the law's earliest time. Raises SpecError
        for a negative time.
        """
        check_wait(seconds)
        self.clock += seconds
        self.version += self.device.retention is not None or self.device.noise_grows
        law = self.device.retention
        if law is None or seconds == 0:
            return
        age = self.age if self.device.heat is None else self.age * self.device.heat.acceleration
        moves = (self.writes > 0) & (age >= max(law.earliest, np.finfo(np.float64).tiny))
        if self.stuck is not None:
            moves &= ~self.stuck
        later = relaxed(law, self.conductance, np.maximum(age, law.earliest), self.key, self.writes)
        if law.law == "log_time":
            later = np.clip(later, self.device.g_min, self.device.g_max)
        self.present[...] = np.where(moves, later, self.conductance)

    def read_sigma(self) -> Floats:
        """Standard deviation of one read of each cell now, siemens: read noise and telegraph noise together."""
        device, sigma = self.device, np.zeros_like(self.present)
        if isinstance(device.read_noise, FlickerNoise):
            sigma = device.read_noise(self.present, self.age)
        elif device.read_noise is not None:
            sigma = device.read_noise(self.present)
        if device.telegraph_noise is not None:
            trapped = device.telegraph_noise.trapped(self.writes, self.key)
            sigma = np.hypot(sigma, np.where(trapped, device.telegraph_noise.sigma(self.present), 0.0))
        return sigma


def check_wait(seconds: float) -> None:
    """SpecError for a time that is negative or not finite."""
    if not isinstance(seconds, Real) or not 0 <= seconds < math.inf:
        raise SpecError(f"time only goes forward: wait zero or more seconds, got {seconds!r}")


def _ages(device: DeviceModel) -> bool:
    """Whether anything depends on the age of a cell."""
    return device.retention is not None or device.noise_grows
