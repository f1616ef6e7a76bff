"""Crossbar: the state of the cells that hold one matrix; it changes only by programming."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from crossbar_sim.cells.compiled import row_work
from crossbar_sim.cells.compiled.program import MOST_PULSES, program_cells, pulse_cells
from crossbar_sim.cells.programming import CellLists, Programming, together
from crossbar_sim.devices import DeviceModel, FlickerNoise, relaxed
from crossbar_sim.devices.disturbance import disturbed, half_selected_pulses
from crossbar_sim.devices.laws import NO_SPREAD
from crossbar_sim.runtime.counter_random import Key, uniforms_at
from crossbar_sim.runtime.draws import DEVICE_TO_DEVICE_DRAW, FAULT_DRAW, LIFETIME_DRAW
from crossbar_sim.runtime.threads import side_by_side
from crossbar_sim.spec.errors import SpecError

Floats = NDArray[np.float64]
LEAST_CELLS, MOST_PARTS = 4096, 8
"""Written cells that are worth a thread of their own; into how many parts a write is cut at most. Sums are added up
part by part, however many threads there are."""
NOTHING, NEVER, NOBODY = np.empty(0), np.empty(0, np.bool_), np.empty(0, np.int64)
NO_LISTS = CellLists.empty(NOTHING, 0).results


class Crossbar:
    """Cells of one device, any array shape; freshly formed cells stand at g_min.

    Attributes: conductance (siemens, as programmed), present (siemens, now: the same array for a device without
    retention), writes (program operations per cell), pulses (per cell), swing (sum of |dG| over all pulses, siemens),
    clock (seconds since the cells were made), written_at (clock of each cell's last write), samples (of pulsed outer
    products so far). None where the device has no such effect: stuck (cells that no pulse moves), lifetime (writes
    until a cell is stuck), pace (the cell's step relative to the device's), disturbed (pulses of other cells that each
    cell felt).

    `array` (rows, columns) cuts the last two axes into separate arrays, for disturbance and for sums; None: one array.
    """

    def __init__(
        self, device: DeviceModel, shape: tuple[int, ...], key: Key, array: tuple[int, int] | None = None
    ) -> None:
        self.device = device
        self.key = key
        self.conductance = np.full(shape, device.g_min, dtype=np.float64)
        self.writes = np.zeros(shape, dtype=np.int64)
        self.pulses = np.zeros(shape, dtype=np.int64)
        self.swing = np.zeros(shape, dtype=np.float64)
        self.clock = 0.0
        self.samples = 0
        self.written_at = np.zeros(shape, dtype=np.float64)
        self.stuck: NDArray[np.bool_] | None = None
        self.lifetime: Floats | None = None
        self.pace: Floats | None = None
        self.disturbed: NDArray[np.int64] | None = None
        self._laws: dict[float, Floats] = {}
        if device.disturbance is not None:
            if len(shape) < 2:
                raise ValueError(f"disturbance needs word and bit lines: at least two axes of cells, got {shape}")
            self.disturbed = np.zeros(shape, dtype=np.int64)
        lines = shape if len(shape) > 1 else (1, *shape)
        self._lines = (lines[-2], lines[-1])
        self._array = self._lines if array is None else array
        lrs, hrs = device.stuck_at_lrs or 0.0, device.stuck_at_hrs or 0.0
        if lrs + hrs > 0 or device.lifetime is not None:
            fate = self._born(FAULT_DRAW)
            self.stuck = fate < lrs + hrs
            self.conductance[fate < lrs] = device.g_max
        if device.lifetime is not None:
            self.lifetime = device.lifetime.writes(device.endurance, self._born(LIFETIME_DRAW))
        if device.device_to_device:
            self.pace = device.pace(ndtri(self._born(DEVICE_TO_DEVICE_DRAW)))
        self.present = self.conductance if device.retention is None else self.conductance.copy()

    def _born(self, draw: int) -> Floats:
        """One uniform number in (0, 1) per cell, the same for ever."""
        counters = np.full(self.conductance.size, draw, np.uint32)
        return uniforms_at(counters, self.key).reshape(self.conductance.shape)

    def program(
        self, cells: NDArray[np.int64], target: Floats, sense_energy: float, listing: bool = False
    ) -> Programming:
        """Program the cells with flat indices `cells` (each at most once) to `target` (siemens, same length).

        The write starts from the present conductance, and the cell's age from zero. Every other cell stays
        bit-identical, unless the device has a disturbance. `sense_energy` is the joule of sensing one verify read.
        A stuck cell stays where it is and still takes its pulses: in a write-verify loop the largest number allowed.
        Returns sums, and achieved conductances, pulses, verify reads and energies per cell, which are simulated again
        when they are asked for, unless `listing` has them kept.
        """
        if target.shape != cells.shape:
            raise ValueError(f"one target per cell: got {cells.shape} cells and {target.shape} targets")
        low, high = self.device.g_min * (1 - 1e-9), self.device.g_max * (1 + 1e-9)
        if cells.size and not (np.minimum.reduce(target) >= low and np.maximum.reduce(target) <= high):
            raise ValueError(
                f"target conductances must lie in [{self.device.g_min:g}, {self.device.g_max:g}] S, "
                f"got {target.min():g} to {target.max():g}; rescale the weights"
            )
        law, stairs = self.device.programming_error, self.device.incremental_amplitude
        error = NO_SPREAD
        if not self.device.programs_exactly:
            error = (1.0, np.zeros(1), 1.0) if law is None else law.numbers
        closed_loop = self.device.programming != "open_loop"
        erase_first = self.device.programming == "erase_write_verify"
        numbers = None if stairs is None else stairs.numbers
        how = error, numbers, closed_loop, erase_first
        return self._give_pulses(program_cells, cells, target, self._law(sense_energy), how, listing)

    def pulse(self, cells: NDArray[np.int64], counts: NDArray[np.int64], listing: bool = False) -> Programming:
        """Blind pulses: |counts| per cell (flat indices `cells`, each at most once), SET where counts > 0, else RESET.

        No target, no verify read, no programming error: a cell ends where its pulses lead it, inside the window.
        Returns the same as `program`.
        """
        if counts.shape != cells.shape or (
            cells.size and not 0 < np.abs(counts).min() <= np.abs(counts).max() <= MOST_PULSES
        ):
            raise ValueError(f"one number of pulses per cell, not zero and at most {MOST_PULSES}; got {counts}")
        if self.device.incremental_amplitude is not None:
            raise SpecError(
                f"{self.device.name}: blind pulses have one voltage, but the device has incremental_amplitude; "
                "leave that out, or program with verify reads"
            )
        return self._give_pulses(pulse_cells, cells, counts, self._law(0.0), (), listing)

    def _give_pulses(
        self,
        kernel: Any,
        cells: NDArray[np.int64],
        wanted: NDArray[Any],
        law: Floats,
        how: tuple[Any, ...],
        listing: bool,
    ) -> Programming:
        """Run one of the kernels of `devices.kernels` on the cells; fail the worn ones, disturb the others."""
        count, (rows, columns), (array_rows, array_columns) = cells.size, self._lines, self._array
        fixed = (cells, wanted, *self._own, law, self.key, self.clock)
        parts = max(1, min(count // LEAST_CELLS, MOST_PARTS))

        def run(
            state: tuple[NDArray[Any], ...], before: Floats, writes: NDArray[np.uint32], lists: tuple[NDArray[Any], ...]
        ) -> Floats:
            work = np.zeros((parts, rows, -(-columns // array_columns), row_work.FIELDS))
            results = (state, columns, array_columns, before, writes)

            def pulse(part: int) -> None:
                begin, end = count * part // parts, count * (part + 1) // parts
                kernel(begin, end, *fixed, *results, work[part], lists, *how)

            side_by_side(pulse, parts)
            return work

        def again() -> CellLists:
            state, lists = tuple(np.zeros_like(array) for array in self._state), CellLists.empty(before, count)
            state[1][cells], state[2][cells] = before, writes
            run(state, np.empty_like(before), np.empty_like(writes), lists.results)
            return lists

        before, writes = np.empty(count), np.empty(count, np.uint32)
        lists = CellLists.empty(before, count) if listing or self._outlived else None
        work = together(run(self._state, before, writes, NO_LISTS if lists is None else lists.results))
        disturbed = NOBODY
        if lists is not None and self._outlived:
            disturbed = self._aftermath(cells, lists)
        return Programming(cells, work, array_rows, disturbed, again if lists is None else lambda: lists)

    @property
    def _outlived(self) -> bool:
        """Whether a write has consequences after its pulses."""
        return self.lifetime is not None or self.device.disturbance is not None

    def _aftermath(self, cells: NDArray[np.int64], lists: CellLists) -> NDArray[np.int64]:
        """Fail the cells that this write wore out, and disturb others; the flat indices of those that moved."""
        moved = NOBODY
        if self.lifetime is not None:
            self.wear_out(cells)
        if self.device.disturbance is not None:
            moved = self._disturb(cells, lists.counts[0], lists.counts[1])
        lists.achieved[:] = self.conductance.reshape(-1)[cells]
        return moved

    @property
    def _state(self) -> tuple[NDArray[Any], ...]:
        """What a write changes, flat."""
        return (
            self.conductance.reshape(-1),
            self.present.reshape(-1),
            self.writes.reshape(-1),
            self.pulses.reshape(-1),
            self.swing.reshape(-1),
            self.written_at.reshape(-1),
        )

    @property
    def _own(self) -> tuple[NDArray[np.bool_], Floats]:
        """Stuck cells and paces, flat; empty where the device has no such effect."""
        stuck = NEVER if self.stuck is None else self.stuck.reshape(-1)
        return stuck, NOTHING if self.pace is None else self.pace.reshape(-1)

    def _law(self, sense_energy: float) -> Floats:
        """`DeviceModel.law`, worked out once."""
        law = self._laws.get(sense_energy)
        if law is None:
            law = self._laws[sense_energy] = self.device.law(sense_energy)
        return law

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
            half_selected_pulses(shape, self._array, law.scheme, cells, pulses) for pulses in (set_pulses, reset_pulses)
        )
        pace = np.ones(before.size) if self.pace is None else self.pace.reshape(-1)
        now = before
        set_law, reset_law = device.steps(), device.steps(reset=True)
        rise = disturbed(now - device.g_min, set_law, pace * law.share(device.set_voltage), up) + device.g_min
        now = np.where(up > 0, np.maximum(np.minimum(rise, device.g_max), now), now)
        fall = device.g_max - disturbed(device.g_max - now, reset_law, pace * law.share(device.reset_voltage), down)
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
        return self.swing / (2 * self.device.window)

    @property
    def age(self) -> Floats:
        """Seconds since each cell's last write."""
        return self.clock - self.written_at

    def wait(self, seconds: float) -> None:
        """Let time pass: conductances move along the device's retention law from each cell's last write.

        Cells never written and stuck cells stay, and cells younger than the law's earliest time. Raises ValueError
        for a negative time.
        """
        if not (np.isfinite(seconds) and seconds >= 0):
            raise ValueError(f"time only goes forward: wait zero or more seconds, got {seconds!r}")
        self.clock += seconds
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
