"""Crossbar: the state of the cells that hold one matrix; it changes only by programming."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.counter_random import Key
from crossbar_sim.devices import DeviceModel
from crossbar_sim.devices.kernels import program_cells

Floats = NDArray[np.float64]


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

    Attributes: conductance (siemens), writes (program operations per cell), pulses (per cell).
    """

    def __init__(self, device: DeviceModel, shape: tuple[int, ...], key: Key) -> None:
        self.device = device
        self.key = key
        self.conductance = np.full(shape, device.g_min, dtype=np.float64)
        self.writes = np.zeros(shape, dtype=np.int64)
        self.pulses = np.zeros(shape, dtype=np.int64)

    def program(self, cells: NDArray[np.int64], target: Floats, sense_energy: float) -> Programming:
        """Program the cells with flat indices `cells` (each at most once) to `target` (siemens, same length).

        Every other cell stays bit-identical. `sense_energy` is the joule of sensing one verify read.
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
        sigma = law(target) if law is not None else np.full(count, -1.0)
        set_pulses, reset_pulses, verify_reads = np.empty((3, count), np.int32)
        achieved, set_energy, reset_energy, verify_energy = np.empty((4, count))
        conductance, writes = self.conductance.reshape(-1), self.writes.reshape(-1)
        program_cells(
            cells, writes[cells], conductance[cells], target, sigma, self.device.law(sense_energy),
            self.device.programming != "open_loop", self.device.programming == "erase_write_verify", self.key,
            achieved, set_pulses, reset_pulses, verify_reads, set_energy, reset_energy, verify_energy,
        )  # fmt: skip
        conductance[cells] = achieved
        writes[cells] += 1
        self.pulses.reshape(-1)[cells] += set_pulses + reset_pulses
        return Programming(
            cells, achieved, set_pulses, reset_pulses, verify_reads, set_energy, reset_energy, verify_energy
        )
