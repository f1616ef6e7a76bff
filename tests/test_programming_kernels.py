"""The programming kernels, which pulse whole blocks of cells at a time, against one cell after the other."""

from __future__ import annotations

import numpy as np
import pytest

from crossbar_sim import DeviceModel
from crossbar_sim.counter_random import stream_key
from crossbar_sim.crossbar import Crossbar, Programming
from crossbar_sim.devices import device_names
from crossbar_sim.devices.lanes import BLOCK
from tests import slow_writes

SENSE = 1.5e-12
FAULTS = {"stuck_at_lrs": 0.04, "stuck_at_hrs": 0.04, "device_to_device": 0.2}


def check(result: Programming, slow: list[slow_writes.Slow], squared: bool = True) -> None:
    """Counts and conductances to the last bit, sums of joules to rounding."""

    def column(name: str) -> np.ndarray:
        return np.array([getattr(one, name) for one in slow])

    for mine, theirs in (("set_pulses", "sets"), ("reset_pulses", "resets"), ("verify_reads", "reads")):
        assert np.array_equal(getattr(result, mine), column(theirs))
    np.testing.assert_allclose(result.achieved, column("g"), rtol=1e-13)
    for name in ("set_energy", "reset_energy", "verify_energy", "swing"):
        np.testing.assert_allclose(getattr(result, name), column(name), rtol=1e-12, atol=1e-40)
    assert result.squared_volts == pytest.approx(column("squared").sum(), rel=1e-12)


def crossbar_of(device: DeviceModel, count: int) -> Crossbar:
    """Cells that stand anywhere, a little beyond the window too, after different numbers of writes."""
    crossbar, generator = Crossbar(device, (count,), stream_key(3, device.name)), np.random.default_rng(1)
    crossbar.conductance[:] = device.g_min + device.window * generator.uniform(0.0, 1.02, count)
    crossbar.present[:] = crossbar.conductance
    crossbar.writes[:] = generator.integers(0, 5, count)
    return crossbar


STAIRS = {
    "set_start": 0.8, "set_stop": 1.4, "reset_start": 1.0, "reset_stop": 2.0, "increment": 0.1, "growth_voltage": 0.4,
    "source": "assumption", "kind": "assumed",
}  # fmt: skip
"""After an erase pulse, with compliance and an early stop of the staircase."""


@pytest.mark.parametrize("count", [100, 2 * BLOCK + 37])
@pytest.mark.parametrize(
    "name", [*device_names(), "milo2021 faulty", "wan2022_incremental faulty", "gong2018_es faulty"]
)
def test_every_device_programs_as_one_cell_after_the_other(name: str, count: int) -> None:
    if count > BLOCK and not name.endswith("faulty"):
        count = 150
    device = DeviceModel.load(name.split()[0])
    if name.endswith("rising"):
        device = device.replace(incremental_amplitude=STAIRS)
    if name.endswith("faulty"):
        device = device.replace(**FAULTS)
    crossbar, generator = crossbar_of(device, 2 * count), np.random.default_rng(2)
    cells = np.sort(generator.permutation(2 * count)[:count])
    goal = device.g_min + device.window * generator.random(count)
    before, writes = crossbar.present.copy(), crossbar.writes.copy()
    stuck = np.zeros(2 * count, bool) if crossbar.stuck is None else crossbar.stuck
    pace = np.ones(2 * count) if crossbar.pace is None else crossbar.pace
    result = crossbar.program(cells, goal, SENSE)
    slow = [
        slow_writes.program(
            device, before[cell], target, cell, writes[cell], crossbar.key, SENSE, pace[cell], bool(stuck[cell])
        )
        for cell, target in zip(cells, goal, strict=True)
    ]  # fmt: skip
    check(result, slow)
    written = np.isin(np.arange(2 * count), cells)
    assert np.array_equal(crossbar.conductance[~written], before[~written])
    assert np.array_equal(crossbar.writes, writes + written)
    assert np.array_equal(crossbar.conductance[cells], result.achieved)
    assert np.array_equal(crossbar.pulses[cells], result.pulses)
    assert np.array_equal(crossbar.swing[cells], result.swing)


@pytest.mark.parametrize("name", [n for n in device_names() if DeviceModel.load(n).incremental_amplitude is None])
def test_every_device_takes_blind_pulses_as_one_cell_after_the_other(name: str) -> None:
    count, device = BLOCK + 20, DeviceModel.load(name).replace(**FAULTS)
    crossbar, generator = crossbar_of(device, count), np.random.default_rng(4)
    trains = generator.integers(1, 12, count) * generator.choice([-1, 1], count)
    before, writes = crossbar.present.copy(), crossbar.writes.copy()
    assert crossbar.stuck is not None and crossbar.pace is not None
    result = crossbar.pulse(np.arange(count), trains)
    slow = [
        slow_writes.train(
            device, before[cell], trains[cell], cell, writes[cell], crossbar.key, crossbar.pace[cell],
            bool(crossbar.stuck[cell]),
        )
        for cell in range(count)
    ]  # fmt: skip
    check(result, slow)
