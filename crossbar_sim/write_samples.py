"""What writing one cell takes: the device's own programming kernel, run on a sample of level changes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from crossbar_sim.billing import Written
from crossbar_sim.counter_random import stream_key
from crossbar_sim.crossbar import Crossbar, Programming
from crossbar_sim.devices import DeviceModel
from crossbar_sim.hardware import Hardware

Floats = NDArray[np.float64]
Changes = dict[tuple[int | None, int], float]
"""Share of the writes by (level before, level after); None: a fresh cell at g_min."""

SAMPLE = 256  # cells per change of level
CONTINUOUS = 17  # levels that stand for a device without levels
TOP_QUANTILES = 64  # of a Gaussian maximum, for its mean


def level_count(device: DeviceModel) -> int:
    """Levels of the device; for a continuous one those that stand for it."""
    return CONTINUOUS if device.levels is None else device.levels


@cache
def gaussian_levels(weights: int, levels: int) -> tuple[float, ...]:
    """Share of the cells at each level if `weights` Gaussian weights share one scale, their largest magnitude.

    One cell of a pair is at level 0, the other at the level of |w| / max |w|; the largest is taken at its mean.
    """
    largest = _largest_gaussian(weights)
    edges = (np.arange(levels - 1) + 0.5) / (levels - 1) * largest
    below = np.concatenate([2 * norm.cdf(edges) - 1, [1.0]])
    shares = np.diff(below, prepend=0.0) / 2
    shares[0] += 0.5
    return tuple(shares.tolist())


@cache
def gaussian_drive(values: int) -> float:
    """Mean of (x / max |x|)^2 over a vector of that many Gaussian values."""
    if values == 1:
        return 1.0
    quantiles = (np.arange(TOP_QUANTILES) + 0.5) / TOP_QUANTILES
    largest = norm.ppf((quantiles ** (1 / values) + 1) / 2)
    inside = 1 - 2 * largest * norm.pdf(largest) / (2 * norm.cdf(largest) - 1)  # mean square below the largest
    return float(np.mean((1 + (values - 1) * inside / largest**2) / values))


def _largest_gaussian(values: int) -> float:
    quantiles = (np.arange(TOP_QUANTILES) + 0.5) / TOP_QUANTILES
    return float(np.mean(norm.ppf((quantiles ** (1 / values) + 1) / 2)))


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

    pulses, verify reads: per written cell; energies: joule per written cell.
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
    sample = _sample(hardware.device, hardware.adc.energy, pairs)
    device = hardware.device
    longer = device.reset_width - device.pulse_width
    times = sample.pulses * device.pulse_width + sample.reset_pulses * longer + sample.verify_reads * device.read_time

    def mean(values: NDArray[np.number]) -> float:
        return float(shares @ values.reshape(len(pairs), SAMPLE).mean(axis=1))

    each = np.repeat(shares / SAMPLE, SAMPLE)
    return CellWrite(
        mean(sample.set_pulses), mean(sample.reset_pulses), mean(sample.verify_reads),
        mean(sample.set_energy), mean(sample.reset_energy), mean(sample.verify_energy),
        *_distribution(sample.pulses.astype(np.float64), each), *_distribution(times, each),
    )  # fmt: skip


@cache
def _sample(device: DeviceModel, sense_energy: float, pairs: tuple[tuple[int | None, int], ...]) -> Programming:
    """SAMPLE cells for every pair: written to the first level (unless fresh), then to the second."""
    grid = np.linspace(0.0, 1.0, level_count(device))
    cells = np.arange(len(pairs) * SAMPLE)
    crossbar = Crossbar(device, (cells.size,), stream_key(0, "write sample"))

    def targets(levels: list[int]) -> Floats:
        return np.repeat(device.g_min + device.window * grid[levels], SAMPLE)

    used = np.repeat([before is not None for before, _ in pairs], SAMPLE)
    crossbar.program(cells[used], targets([before for before, _ in pairs if before is not None]), sense_energy)
    return crossbar.program(cells, targets([after for _, after in pairs]), sense_energy)


def _distribution(values: Floats, shares: Floats) -> tuple[Floats, Floats]:
    """Distinct values, ascending, and the share of each."""
    distinct, index = np.unique(values, return_inverse=True)
    return distinct, np.bincount(index, weights=shares).astype(np.float64)


def expected_largest(values: Floats, shares: Floats, changed: float, cells: int) -> float:
    """Mean of the largest of `cells` values, each 0 with probability 1 - changed, else drawn from the distribution."""
    below = 1 - changed + changed * np.minimum(np.cumsum(shares), 1.0)
    start = (1 - changed) ** cells
    return float(values @ np.diff(below**cells, prepend=start))


def expected_writing(
    hardware: Hardware, write: CellWrite, shape: tuple[int, int, int], changed: float, times: int
) -> Written:
    """`times` operations, each of which rewrites the share `changed` of the cells (sides, inputs, outputs).

    Row-parallel slots and seconds are those of the slowest cell in a row, on average; the tiles of a matrix work
    side by side, and the mean time of the largest stands for that of the slowest.
    """
    sides, inputs, outputs = shape
    tile = hardware.tile
    written = sides * inputs * outputs * changed * times
    full, rest = divmod(outputs, tile.outputs)
    widths = {tile.outputs: full, rest: 1 if rest else 0}
    widest, tallest = sides * min(outputs, tile.outputs), min(inputs, tile.rows)
    if hardware.programming_order == "row_parallel":
        slots = sum(
            inputs * count * expected_largest(write.slot_values, write.slot_shares, changed, sides * width)
            for width, count in widths.items() if count
        )  # fmt: skip
        seconds = tallest * expected_largest(write.time_values, write.time_shares, changed, widest)
    else:
        slots = sides * inputs * outputs * changed * write.pulses
        seconds = tallest * widest * changed * write.seconds
    return Written(
        round(written), round(written * write.set_pulses), round(written * write.reset_pulses),
        round(written * write.verify_reads), written * write.set_energy, written * write.reset_energy,
        written * write.verify_energy, times * slots, times * seconds,
    )  # fmt: skip
