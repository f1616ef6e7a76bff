"""What writing one cell takes: the device's own programming kernel, run on a sample of level changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.cells.cells import Cells
from crossbar_sim.cells.written import Written
from crossbar_sim.counting.weight_levels import level_count
from crossbar_sim.devices import DeviceModel
from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.ledger.write_costs import WriteCounts, half_select_factor
from crossbar_sim.mapping.layout import Layout
from crossbar_sim.runtime.counter_random import stream_key
from crossbar_sim.spec.arrays import Floats
from crossbar_sim.spec.errors import SpecError

Changes = dict[tuple[int | None, int], float]
"""Share of the writes by (level before, level after); None: a fresh cell at g_min."""

SAMPLE = 256  # cells per change of level


def neighbours(levels: tuple[float, ...], device: DeviceModel) -> Changes:
    """A rewritten cell goes to the next level, up or down alike; in a continuous device it stays near where it is."""
    if device.levels is None:
        return {(level, level): share for level, share in enumerate(levels) if share > 0}
    changes: Changes = {}
    for level, share in enumerate(levels):
        reachable = [other for other in (level - 1, level + 1) if 0 <= other < len(levels)]
        for other in reachable:
            if share > 0:
                changes[level, other] = share / len(reachable)
    return changes


def fresh(levels: tuple[float, ...]) -> Changes:
    """The first write of cells that end at these levels."""
    return {(None, level): share for level, share in enumerate(levels) if share > 0}


@dataclass(frozen=True)
class CellWrite:
    """Expected cost of one cell write, and how pulses and seconds are distributed (values ascending, their shares).

    pulses, verify reads: per written cell; energies: joule, squared_volts: sum of V^2 over the pulses of one.
    """

    set_pulses: float
    reset_pulses: float
    verify_reads: float
    set_energy: float
    reset_energy: float
    verify_energy: float
    slot_values: Floats
    slot_shares: Floats
    time_values: Floats
    time_shares: Floats
    squared_volts: float

    @property
    def seconds(self) -> float:
        """Mean time of one write."""
        return float(self.time_values @ self.time_shares)

    @property
    def pulses(self) -> float:
        """Mean pulses of one write."""
        return self.set_pulses + self.reset_pulses


def cell_write(hardware: Hardware, changes: Changes) -> CellWrite:
    """The expected write under a distribution of level changes; the same numbers on every call."""
    pairs = tuple(changes)
    shares = np.array([changes[pair] for pair in pairs])
    shares = shares / shares.sum()
    sample = _sample(hardware.device, level_count(hardware), hardware.adc.energy, pairs)
    device = hardware.device
    longer = device.reset_width - device.pulse_width
    times = sample.pulses * device.pulse_width + sample.reset_pulses * longer + sample.verify_reads * device.read_time

    def mean(values: NDArray[np.number]) -> float:
        return float(shares @ values.reshape(len(pairs), SAMPLE).mean(axis=1))

    each = np.repeat(shares / SAMPLE, SAMPLE)
    return CellWrite(
        mean(sample.set_pulses),
        mean(sample.reset_pulses),
        mean(sample.verify_reads),
        mean(sample.set_energy),
        mean(sample.reset_energy),
        mean(sample.verify_energy),
        *_distribution(sample.pulses.astype(np.float64), each),
        *_distribution(times, each),
        sample.squared_volts / sample.count,
    )


@cache
def _sample(
    device: DeviceModel, levels: int, sense_energy: float, pairs: tuple[tuple[int | None, int], ...]
) -> Written:
    """SAMPLE cells for every pair: written to the first level (unless fresh), then to the second."""
    grid = np.linspace(0.0, 1.0, levels)
    cells = np.arange(len(pairs) * SAMPLE)
    crossbar = Cells(device, (cells.size, 1), stream_key(0, "write sample"), array=(1, 1))

    def targets(chosen: list[int]) -> Floats:
        return np.repeat(device.g_min + device.window * grid[chosen], SAMPLE)

    used = np.repeat([before is not None for before, _ in pairs], SAMPLE)
    crossbar.program(cells[used], targets([before for before, _ in pairs if before is not None]), sense_energy)
    return crossbar.program(cells, targets([after for _, after in pairs]), sense_energy, listing=True)


def _distribution(values: Floats, shares: Floats) -> tuple[Floats, Floats]:
    """Distinct values, ascending, and the share of each."""
    distinct, index = np.unique(values, return_inverse=True)
    return distinct, np.bincount(index, weights=shares).astype(np.float64)


def expected_largest(values: Floats, shares: Floats, changed: float, cells: int) -> float:
    """Mean of the largest of `cells` values, each 0 with probability 1 - changed, else drawn from the distribution."""
    below = 1 - changed + changed * np.minimum(np.cumsum(shares), 1.0)
    start = (1 - changed) ** cells
    return float(values @ np.diff(below**cells, prepend=start))


def expected_writing(hardware: Hardware, write: CellWrite, layout: Layout, changed: float, times: int) -> WriteCounts:
    """`times` operations, each of which rewrites the share `changed` of a matrix's cells.

    Row-parallel slots and seconds are those of the slowest cell in a row, on average; the tiles of a matrix work
    side by side, and the mean time of the largest stands for that of the slowest. SpecError for NeuroSim's
    accounting, which needs the rows of every single write.
    """
    if hardware.accounting == "neurosim":
        raise SpecError(
            "accounting = 'neurosim' counts rows of simulated writes; estimate with accounting = 'physical'"
        )
    planes, inputs, columns = layout.shape
    device, tile = hardware.device, hardware.tile
    written = planes * inputs * columns * changed * times
    full, narrow = divmod(columns, tile.plane_columns)
    widths = {tile.plane_columns: full, narrow: 1 if narrow else 0}
    widest, tallest = planes * min(columns, tile.plane_columns), min(inputs, tile.rows)
    if hardware.programming_order == "row_parallel":
        slots = sum(
            inputs * count * expected_largest(write.slot_values, write.slot_shares, changed, planes * width)
            for width, count in widths.items()
            if count
        )
        seconds = tallest * expected_largest(write.time_values, write.time_shares, changed, widest)
        rows = times * sum(inputs * count * (1 - (1 - changed) ** (planes * width)) for width, count in widths.items())
    else:
        slots = planes * inputs * columns * changed * write.pulses
        seconds = tallest * widest * changed * write.seconds
        rows = written
    squared = device.set_voltage**2 * write.set_pulses + device.reset_voltage**2 * write.reset_pulses
    if device.incremental_amplitude is not None:
        squared = write.squared_volts
    counts = WriteCounts(
        cells=round(written),
        set_pulses=round(written * write.set_pulses),
        reset_pulses=round(written * write.reset_pulses),
        verify_reads=round(written * write.verify_reads),
        word_line_slots=round(times * slots),
        rows=round(rows),
        set_energy=written * write.set_energy,
        reset_energy=written * write.reset_energy,
        verify_cell_energy=written * max(write.verify_energy - write.verify_reads * hardware.adc.energy, 0.0),
        squared_volts=written * squared,
        time=times * seconds,
    )
    return counts if tile.access == "1T1R" else _with_half_selected(hardware, counts, write, layout)


def _with_half_selected(hardware: Hardware, counts: WriteCounts, write: CellWrite, layout: Layout) -> WriteCounts:
    """Every cell that a pulse leaves half-selected stands at the middle of the window, an approximation."""
    device, tile = hardware.device, hardware.tile
    planes, inputs, columns = layout.shape
    middle = 0.5 * (device.g_min + device.g_max)
    rows, lines = min(inputs, tile.rows), planes * min(columns, tile.plane_columns)
    squared_time = device.set_voltage**2 * device.pulse_width * counts.set_pulses
    squared_time += device.reset_voltage**2 * device.reset_width * counts.reset_pulses
    pulses = max(counts.set_pulses + counts.reset_pulses, 1)
    per_slot = rows * lines - pulses / max(counts.word_line_slots, 1)
    if tile.half_select == "V/2":
        per_slot = (
            lines - pulses / max(counts.word_line_slots, 1) + (rows - 1) * pulses / max(counts.word_line_slots, 1)
        )
    others = counts.word_line_slots * max(per_slot, 0.0) * middle
    energy = half_select_factor(tile.half_select, tile.selector_nonlinearity) * squared_time / pulses * others
    return replace(counts, half_select_energy=energy)
