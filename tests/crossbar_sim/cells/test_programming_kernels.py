"""The programming kernels, which pulse many cells side by side, against one cell after the other."""

from __future__ import annotations

import numpy as np
import pytest

from crossbar_sim import DeviceModel
from crossbar_sim.cells.cells import Cells
from crossbar_sim.cells.compiled import row_work
from crossbar_sim.cells.compiled.lanes import CHUNK, LANES
from crossbar_sim.cells.written import Written
from crossbar_sim.devices import device_names
from crossbar_sim.runtime.counter_random import stream_key
from tests.oracles import writes as slow_writes
from tests.oracles.on_threads import on_threads

SENSE = 1.5e-12
FAULTS = {"stuck_at_lrs": 0.04, "stuck_at_hrs": 0.04, "device_to_device": 0.2}


def check(result: Written, slow: list[slow_writes.Slow]) -> None:
    """Counts to the last bit, and where a loop of verify reads ends; what pulses alone reach to a millionth of the
    window, joules to one of the largest."""

    def column(name: str) -> np.ndarray:
        return np.array([getattr(one, name) for one in slow])

    for mine, theirs in (("set_pulses", "sets"), ("reset_pulses", "resets"), ("verify_reads", "reads")):
        assert np.array_equal(getattr(result, mine), column(theirs))
    device = slow[0].device
    if result.verify_reads.any():
        np.testing.assert_allclose(result.achieved, column("g"), rtol=1e-13)
    for name, theirs in (("achieved", "g"), ("conductance_travel", "conductance_travel")):
        np.testing.assert_allclose(getattr(result, name), column(theirs), rtol=0.0, atol=1e-6 * device.window)
    for name in ("set_energy", "reset_energy", "verify_energy"):
        expected = column(name)
        np.testing.assert_allclose(getattr(result, name), expected, rtol=0.0, atol=1e-6 * expected.max())
        assert getattr(result, name).sum() == pytest.approx(expected.sum(), rel=2e-7)
    long_ramps = 1e-6 if device.programming == "erase_write_verify" else 1e-7  # of up to ROUNDS_PER_SUM equal numbers
    close = 1e-12 if device.incremental_amplitude is None else long_ramps
    assert result.squared_volts == pytest.approx(column("squared").sum(), rel=close)


def crossbar_of(device: DeviceModel, count: int) -> Cells:
    """Cells that stand anywhere, a little beyond the window too, after different numbers of writes."""
    crossbar, generator = Cells(device, (count,), stream_key(3, device.name)), np.random.default_rng(1)
    crossbar.conductance[:] = device.g_min + device.window * generator.uniform(0.0, 1.02, count)
    crossbar.present[:] = crossbar.conductance
    crossbar.writes[:] = generator.integers(0, 5, count)
    return crossbar


ISPP = {
    "set_start": 0.8,
    "set_stop": 1.4,
    "reset_start": 1.0,
    "reset_stop": 2.0,
    "increment": 0.1,
    "growth_voltage": 0.4,
    "source": "assumption",
    "kind": "assumed",
}
"""After an erase pulse, with compliance and an early stop of the rise."""


CASES = [
    *((name, 150) for name in device_names()),
    *(pytest.param(name, 100, marks=pytest.mark.whole) for name in device_names()),
    *(
        (f"{name} faulty", count)
        for name in ("milo2021", "wan2022_incremental", "gong2018_es")
        for count in (100, 2 * LANES + 37)
    ),
    ("milo2021 rising", 150),
    ("wan2022", CHUNK + 100),
]


@pytest.mark.parametrize(("name", "count"), CASES)
def test_every_device_programs_as_one_cell_after_the_other(name: str, count: int) -> None:
    device = DeviceModel.load(name.split()[0])
    if name.endswith("rising"):
        device = device.replace(incremental_amplitude=ISPP)
    if name.endswith("faulty"):
        device = device.replace(**FAULTS)
    crossbar, generator = crossbar_of(device, 2 * count), np.random.default_rng(2)
    cells = np.sort(generator.permutation(2 * count)[:count])
    goal = device.g_min + device.window * generator.random(count)
    before, writes = crossbar.present.copy(), crossbar.writes.copy()
    stuck = np.zeros(2 * count, bool) if crossbar.stuck is None else crossbar.stuck
    factor = np.ones(2 * count) if crossbar.device_to_device is None else crossbar.device_to_device
    result = crossbar.program(cells, goal, SENSE)
    slow = []
    for cell, target in zip(cells, goal, strict=True):
        one = slow_writes.Cell(cell, before[cell], writes[cell], factor[cell], bool(stuck[cell]))
        slow.append(slow_writes.program(device, one, target, crossbar.key, SENSE))
    check(result, slow)
    written = np.isin(np.arange(2 * count), cells)
    assert np.array_equal(crossbar.conductance[~written], before[~written])
    assert np.array_equal(crossbar.writes, writes + written)
    assert np.array_equal(crossbar.conductance[cells], result.achieved)
    assert np.array_equal(crossbar.pulses[cells], result.pulses)
    assert np.array_equal(crossbar.conductance_travel[cells], result.conductance_travel)


@pytest.mark.parametrize("name", [n for n in device_names() if DeviceModel.load(n).incremental_amplitude is None])
def test_every_device_takes_blind_pulses_as_one_cell_after_the_other(name: str) -> None:
    count, device = LANES + 20, DeviceModel.load(name).replace(**FAULTS)
    crossbar, generator = crossbar_of(device, count), np.random.default_rng(4)
    trains = generator.integers(1, 12, count) * generator.choice([-1, 1], count)
    before, writes = crossbar.present.copy(), crossbar.writes.copy()
    assert crossbar.stuck is not None and crossbar.device_to_device is not None
    result = crossbar.pulse(np.arange(count), trains)
    factor, stuck = crossbar.device_to_device, crossbar.stuck
    slow = []
    for cell in range(count):
        one = slow_writes.Cell(cell, before[cell], writes[cell], factor[cell], bool(stuck[cell]))
        slow.append(slow_writes.train(device, one, trains[cell], crossbar.key))
    check(result, slow)


def work_of_rows(result: Written, device: DeviceModel, shape: tuple[int, int, int], width: int) -> np.ndarray:
    """The obvious twin of `Written.work`, from the lists of cells."""
    _, row, column = np.unravel_index(result.cells, shape)
    at, work = (row, column // width), np.zeros((shape[1], -(-shape[2] // width), row_work.FIELDS))
    seconds = result.set_pulses * device.pulse_width + result.reset_pulses * device.reset_width
    squared = result.set_pulses * device.set_voltage**2 + result.reset_pulses * device.reset_voltage**2
    sums = {
        row_work.COLUMN.cells: np.ones(result.count),
        row_work.COLUMN.set_pulses: result.set_pulses,
        row_work.COLUMN.reset_pulses: result.reset_pulses,
        row_work.COLUMN.set_joule: result.set_energy,
        row_work.COLUMN.reset_joule: result.reset_energy,
        row_work.COLUMN.verify_reads: result.verify_reads,
        row_work.COLUMN.verify_joule: result.verify_energy,
        row_work.COLUMN.squared_volts: squared,
    }
    for field, values in sums.items():
        np.add.at(work[..., field], at, values)
    np.maximum.at(work[..., row_work.COLUMN.slots], at, result.pulses)
    np.maximum.at(work[..., row_work.COLUMN.seconds], at, seconds + result.verify_reads * device.read_time)
    return work


@pytest.mark.parametrize("name", ["wan2022", "milo2021", "gong2018_es"])
@pytest.mark.parametrize("order", ["as they lie", "shuffled"])
def test_work_of_rows_is_the_sum_over_their_cells(name: str, order: str) -> None:
    """Of a matrix of nine arrays, in several parts, of which none ends with a row."""
    device = DeviceModel.load(name)
    shape = (2, 70, 90)
    array = (32, 40)
    generator = np.random.default_rng(5)
    cells = generator.permutation(np.prod(shape))[:9000]
    if order == "as they lie":
        cells.sort()
    goal = device.g_min + device.window * generator.random(cells.size)

    def programmed(listing: bool, threads: int) -> Written:
        with on_threads(threads):
            crossbar = Cells(device, shape, stream_key(3, name), array)
            return crossbar.program(cells, goal, SENSE, listing)

    result, listed = programmed(False, 1), programmed(True, 2)
    assert np.array_equal(result.work, listed.work)
    for kept, again in zip(listed.lists, result.lists, strict=True):
        assert np.array_equal(kept, again)
    expected = work_of_rows(listed, device, shape, array[1])
    np.testing.assert_allclose(result.work, expected, rtol=1e-12)
    np.testing.assert_allclose(result.sums[:, :, row_work.COLUMN.set_pulses].sum(), listed.set_pulses.sum())
    assert result.sums.shape == (3, 3, row_work.SUMS)
