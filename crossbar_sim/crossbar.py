"""Crossbar: the state of the cells that hold one matrix; it changes only by programming."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from crossbar_sim.counter_random import Key
from crossbar_sim.devices import DeviceModel, relaxed
from crossbar_sim.devices.kernels import program_cells, uniforms
from crossbar_sim.devices.pulse_kernels import MOST_PULSES, pulse_cells

Floats = NDArray[np.float64]
PACE_DRAW, LIFETIME_DRAW, FAULT_DRAW = 1021, 1022, 1023
"""Counters of what a cell is born with: within its first write, beyond those of the pulses."""
SLOWEST_PACE = 0.05


@dataclass(frozen=True)
class Programming:
    """What one programming operation did, cell by cell (flat arrays over the programmed cells)."""

    cells: NDArray[np.int64]
    achieved: Floats
    set_pulses: NDArray[np.int32]
    reset_pulses: NDArray[np.int32]
    verify_reads: NDArray[np.int32]
    set_energy: Floats
    reset_energy: Floats
    verify_energy: Floats

    @property
    def energy(self) -> Floats:
        """Joule per programmed cell: pulses and verify reads."""
        return self.set_energy + self.reset_energy + self.verify_energy

    @property
    def pulses(self) -> NDArray[np.int32]:
        """SET and RESET pulses per programmed cell."""
        return self.set_pulses + self.reset_pulses

    @property
    def count(self) -> int:
        """Cells programmed."""
        return int(self.cells.size)


class Crossbar:
    """Cells of one device, any array shape; freshly formed cells stand at g_min.

    Attributes: conductance (siemens), writes (program operations per cell), pulses (per cell). None where the
    device has no such effect: stuck (cells that no pulse moves), lifetime (writes until a cell is stuck), pace
    (the cell's step relative to the device's).
    """

    def __init__(self, device: DeviceModel, shape: tuple[int, ...], key: Key) -> None:
        self.device = device
        self.key = key
        self.conductance = np.full(shape, device.g_min, dtype=np.float64)
        self.writes = np.zeros(shape, dtype=np.int64)
        self.pulses = np.zeros(shape, dtype=np.int64)
        self.stuck: NDArray[np.bool_] | None = None
        self.lifetime: Floats | None = None
        self.pace: Floats | None = None
        lrs, hrs = device.stuck_at_lrs or 0.0, device.stuck_at_hrs or 0.0
        if lrs + hrs > 0 or device.lifetime is not None:
            fate = self._born(FAULT_DRAW)
            self.stuck = fate < lrs + hrs
            self.conductance[fate < lrs] = device.g_max
        if device.lifetime is not None:
            self.lifetime = device.lifetime.writes(device.endurance, self._born(LIFETIME_DRAW))
        if device.device_to_device:
            self.pace = np.maximum(1 + device.device_to_device * ndtri(self._born(PACE_DRAW)), SLOWEST_PACE)

    def _born(self, draw: int) -> Floats:
        """One uniform number in (0, 1) per cell, the same for ever."""
        return uniforms(self.conductance.size, draw, self.key).reshape(self.conductance.shape)

    def program(self, cells: NDArray[np.int64], target: Floats, sense_energy: float) -> Programming:
        """Program the cells with flat indices `cells` (each at most once) to `target` (siemens, same length).

        Every other cell stays bit-identical. `sense_energy` is the joule of sensing one verify read. A stuck cell
        stays where it is and still takes its pulses: in a write-verify loop the largest number allowed.
        Returns achieved conductances, pulses, verify reads and energies per cell.
        """
        if target.shape != cells.shape:
            raise ValueError(f"one target per cell: got {cells.shape} cells and {target.shape} targets")
        low, high = self.device.g_min * (1 - 1e-9), self.device.g_max * (1 + 1e-9)
        if cells.size and not (target.min() >= low and target.max() <= high):
            raise ValueError(
                f"target conductances must lie in [{self.device.g_min:g}, {self.device.g_max:g}] S, "
                f"got {target.min():g} to {target.max():g}; rescale the weights"
            )
        law, count = self.device.programming_error, cells.size
        sigma = law(target) if law is not None else np.full(count, -1.0 if self.device.programs_exactly else 0.0)
        stuck = np.zeros(count, np.bool_) if self.stuck is None else self.stuck.reshape(-1)[cells]
        pace = np.ones(count) if self.pace is None else self.pace.reshape(-1)[cells]
        set_pulses, reset_pulses, verify_reads = np.empty((3, count), np.int32)
        achieved, set_energy, reset_energy, verify_energy = np.empty((4, count))
        conductance, writes = self.conductance.reshape(-1), self.writes.reshape(-1)
        program_cells(
            cells, writes[cells], conductance[cells], target, sigma, stuck, pace, self.device.law(sense_energy),
            self.device.programming != "open_loop", self.device.programming == "erase_write_verify", self.key,
            achieved, set_pulses, reset_pulses, verify_reads, set_energy, reset_energy, verify_energy,
        )  # fmt: skip
        conductance[cells] = achieved
        writes[cells] += 1
        self.pulses.reshape(-1)[cells] += set_pulses + reset_pulses
        if self.lifetime is not None:
            self._wear_out(cells, stuck)
            achieved = conductance[cells]
        return Programming(
            cells, achieved, set_pulses, reset_pulses, verify_reads, set_energy, reset_energy, verify_energy
        )

    def pulse(self, cells: NDArray[np.int64], counts: NDArray[np.int64]) -> Programming:
        """Blind pulses: |counts| per cell (flat indices `cells`, each at most once), SET where counts > 0, else RESET.

        No target, no verify read, no programming error: a cell ends where its pulses lead it, inside the window.
        """
        if counts.shape != cells.shape or (
            cells.size and not 0 < np.abs(counts).min() <= np.abs(counts).max() <= MOST_PULSES
        ):
            raise ValueError(f"one number of pulses per cell, not zero and at most {MOST_PULSES}; got {counts}")
        stuck = np.zeros(cells.size, np.bool_) if self.stuck is None else self.stuck.reshape(-1)[cells]
        pace = np.ones(cells.size) if self.pace is None else self.pace.reshape(-1)[cells]
        achieved, set_energy, reset_energy = np.empty((3, cells.size))
        conductance, writes = self.conductance.reshape(-1), self.writes.reshape(-1)
        pulse_cells(
            cells, writes[cells], conductance[cells], counts, stuck, pace, self.device.law(0.0), self.key,
            achieved, set_energy, reset_energy,
        )  # fmt: skip
        conductance[cells] = achieved
        writes[cells] += 1
        self.pulses.reshape(-1)[cells] += np.abs(counts)
        if self.lifetime is not None:
            self._wear_out(cells, stuck)
            achieved = conductance[cells]
        set_pulses, reset_pulses = np.maximum(counts, 0).astype(np.int32), np.maximum(-counts, 0).astype(np.int32)
        none, no_energy = np.zeros(cells.size, np.int32), np.zeros(cells.size)
        return Programming(cells, achieved, set_pulses, reset_pulses, none, set_energy, reset_energy, no_energy)

    def _wear_out(self, cells: NDArray[np.int64], stuck: NDArray[np.bool_]) -> None:
        """Mark the cells whose last write was their last: from now on they are stuck."""
        assert self.lifetime is not None and self.stuck is not None and self.device.lifetime is not None
        worn = cells[~stuck & (self.writes.reshape(-1)[cells] >= self.lifetime.reshape(-1)[cells])]
        self.stuck.reshape(-1)[worn] = True
        if self.device.lifetime.stuck_at != "as_is":
            end = self.device.g_max if self.device.lifetime.stuck_at == "lrs" else self.device.g_min
            self.conductance.reshape(-1)[worn] = end

    def relaxed(self, seconds: float) -> Floats:
        """Conductances `seconds` after the last write of every cell, by the device's retention law; the state itself
        does not change. Cells never written and stuck cells stay."""
        later = relaxed(self.device.retention, self.conductance, seconds, self.key, self.writes)
        if self.device.retention is not None and self.device.retention.law == "log_time":
            later = np.clip(later, self.device.g_min, self.device.g_max)
        still = self.writes == 0 if self.stuck is None else (self.writes == 0) | self.stuck
        return np.where(still, self.conductance, later)
