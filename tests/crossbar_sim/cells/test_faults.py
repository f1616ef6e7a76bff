"""Cells that no pulse moves: stuck from the start, or worn out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from crossbar_sim import DeviceModel, SpecError
from crossbar_sim.cells.cells import Cells
from crossbar_sim.runtime.counter_random import stream_key

CELLS = 50_000
LIFETIME = {"distribution": "weibull", "shape": 2.0, "source": "assumption", "kind": "assumed"}


def filled(device: DeviceModel, cells: int = CELLS, seed: int = 0) -> Cells:
    return Cells(device, (cells,), stream_key(seed, "faults"))


@pytest.mark.parametrize(("lrs", "hrs"), [(0.01, None), (None, 0.03), (0.1, 0.2)])
def test_stuck_cells_come_at_their_rates_and_stay(lrs: float | None, hrs: float | None) -> None:
    device = DeviceModel.load("milo2021").replace(stuck_at_lrs=lrs, stuck_at_hrs=hrs)
    crossbar = filled(device)
    assert crossbar.stuck is not None
    high = crossbar.conductance == device.g_max
    for found, rate in ((high.sum(), lrs or 0), ((crossbar.stuck & ~high).sum(), hrs or 0)):
        assert stats.binom.cdf(found, CELLS, rate) > 1e-5 and stats.binom.sf(found - 1, CELLS, rate) > 1e-5
    before, goal = crossbar.conductance.copy(), device.g_min + 0.5 * device.window
    result = crossbar.program(np.arange(CELLS), np.full(CELLS, goal), 1e-12)
    assert np.array_equal(crossbar.conductance[crossbar.stuck], before[crossbar.stuck])
    assert np.array_equal(result.achieved, crossbar.conductance)
    # the write-verify loop spends its largest number of pulses on them, one erase pulse included, and one more read
    assert (result.pulses[crossbar.stuck] == device.max_pulses).all()
    assert (result.pulses[~crossbar.stuck] < device.max_pulses).all()
    assert (result.verify_reads[crossbar.stuck] >= device.max_pulses).all()
    assert (crossbar.writes == 1).all()


def test_a_stuck_cell_at_its_target_costs_one_read() -> None:
    device = DeviceModel.load("wan2022").replace(stuck_at_lrs=1.0)
    result = filled(device, 10).program(np.arange(10), np.full(10, device.g_max), 1e-12)
    assert (result.pulses == 0).all() and (result.verify_reads == 1).all()


def test_open_loop_pulses_do_not_move_stuck_cells() -> None:
    device = DeviceModel.load("wu2018").replace(stuck_at_hrs=1.0)
    result = filled(device, 10).program(np.arange(10), np.full(10, device.g_max), 0.0)
    assert (result.achieved == device.g_min).all() and (result.set_pulses == 128).all()
    assert result.set_energy[0] == pytest.approx(128 * 1.6**2 * 1e-6 * 50e-9)


def test_the_map_belongs_to_the_seed_and_faults_leave_other_cells_alone() -> None:
    device = DeviceModel.load("wan2022")
    faulty = device.replace(stuck_at_lrs=0.05)
    one = filled(faulty)
    same = filled(faulty)
    other = filled(faulty, seed=1)
    assert one.stuck is not None and other.stuck is not None
    assert np.array_equal(one.stuck, same.stuck) and not np.array_equal(one.stuck, other.stuck)
    clean, goal = filled(device), np.full(CELLS, 20e-6)
    for crossbar in (clean, one):
        crossbar.program(np.arange(CELLS), goal, 0.0)
    assert np.array_equal(one.conductance[~one.stuck], clean.conductance[~one.stuck])


@pytest.mark.parametrize(
    ("distribution", "shape", "law"),
    [("weibull", 2.0, stats.weibull_min(2.0, scale=1e4)), ("log_normal", 0.5, stats.lognorm(0.5, scale=1e4))],
)
def test_lifetimes_follow_their_distribution(distribution: str, shape: float, law: stats.rv_continuous) -> None:
    lifetime = {**LIFETIME, "distribution": distribution, "shape": shape}
    crossbar = filled(DeviceModel.load("wan2022").replace(endurance=1e4, lifetime=lifetime))
    assert crossbar.lifetime is not None
    assert stats.kstest(crossbar.lifetime, law.cdf).pvalue > 1e-4


@pytest.mark.parametrize("stuck_at", ["as_is", "lrs", "hrs"])
def test_cells_wear_out_one_by_one(stuck_at: str) -> None:
    device = DeviceModel.load("wan2022").replace(endurance=6, lifetime={**LIFETIME, "stuck_at": stuck_at})
    crossbar, cells = filled(device, 2000), np.arange(2000)
    assert crossbar.lifetime is not None and crossbar.stuck is not None
    levels = np.linspace(device.g_min + 5e-6, device.g_max - 5e-6, 12)
    for write, goal in enumerate(np.tile(levels, 1), start=1):
        before, already = crossbar.conductance.copy(), crossbar.stuck.copy()
        result = crossbar.program(cells, np.full(2000, goal), 0.0)
        assert np.array_equal(crossbar.stuck, crossbar.lifetime <= write)
        assert np.array_equal(crossbar.conductance[already], before[already])
        assert np.array_equal(result.achieved, crossbar.conductance)
        if stuck_at != "as_is":
            end = device.g_max if stuck_at == "lrs" else device.g_min
            assert (crossbar.conductance[crossbar.stuck] == end).all()
    assert crossbar.stuck.mean() == pytest.approx(1 - np.exp(-4), abs=0.02)


def test_off_by_default() -> None:
    crossbar = filled(DeviceModel.load("milo2021"), 10)
    assert crossbar.stuck is None and crossbar.lifetime is None and crossbar.device_to_device is None


def test_rates_above_one_are_refused() -> None:
    with pytest.raises(SpecError, match="add up to more than 1"):
        DeviceModel.load("milo2021").replace(stuck_at_lrs=0.6, stuck_at_hrs=0.6)
