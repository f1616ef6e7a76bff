"""The crossbar's state: only programming changes it, only where asked, and always the same way for a seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from crossbar_sim import DeviceModel, MappingError, SpecError
from crossbar_sim.cells.cells import Cells
from crossbar_sim.cells.written import Written
from crossbar_sim.runtime.counter_random import stream_key
from tests.oracles.on_threads import on_threads

DEVICES = ["milo2021", "wan2022"]
STAIRS = {
    "set_start": 0.8,
    "set_stop": 2.0,
    "reset_start": 1.0,
    "reset_stop": 2.0,
    "increment": 0.1,
    "growth_voltage": 0.4,
    "source": "assumption",
    "kind": "assumed",
}


def write(crossbar: Cells, target: np.ndarray, where: np.ndarray, sense: float = 1e-12) -> Written:
    cells = np.flatnonzero(where)
    return crossbar.program(cells, target.reshape(-1)[cells], sense)


def targets(device: DeviceModel, shape: tuple[int, ...], seed: int) -> np.ndarray:
    return device.g_min + device.window * np.random.default_rng(seed).random(shape)


@given(
    where=arrays(bool, (5, 7)), again=arrays(bool, (5, 7)), seed=st.integers(0, 2**31), name=st.sampled_from(DEVICES)
)
@settings(max_examples=40, deadline=None)
def test_writing_some_cells_leaves_the_others_bit_identical(
    where: np.ndarray, again: np.ndarray, seed: int, name: str
) -> None:
    device = DeviceModel.load(name)
    crossbar = Cells(device, (5, 7), stream_key(seed, "x"))
    first = write(crossbar, targets(device, (5, 7), 0), where)
    before = crossbar.conductance.copy()
    second = write(crossbar, targets(device, (5, 7), 1), again)
    assert np.array_equal(crossbar.conductance[~again], before[~again])
    assert np.array_equal(crossbar.writes, where.astype(int) + again)
    assert crossbar.pulses.sum() == first.pulses.sum() + second.pulses.sum()
    assert (crossbar.conductance >= 0).all()
    for result in (first, second):
        assert (result.energy >= 0).all() and (result.verify_reads >= 1).all()
        assert result.energy.sum() == pytest.approx(
            result.set_energy.sum() + result.reset_energy.sum() + result.verify_energy.sum()
        )


def test_a_full_set_and_reset_is_one_cycle_of_wear() -> None:
    device = DeviceModel.load("wu2018").replace(cycle_to_cycle_window=None)
    crossbar, everywhere = Cells(device, (5,), stream_key(0, "c")), np.ones(5, bool)
    for cycle in range(1, 4):
        write(crossbar, np.full(5, device.g_max), everywhere)
        np.testing.assert_allclose(crossbar.wear_cycles, cycle - 0.5, rtol=1e-6)
        write(crossbar, np.full(5, device.g_min), everywhere)
        np.testing.assert_allclose(crossbar.wear_cycles, cycle, rtol=1e-6)
    assert (crossbar.writes == 6).all()


def test_a_staircase_of_one_voltage_is_the_plain_loop() -> None:
    device = DeviceModel.load("wan2022")
    flat = dict.fromkeys(("set_start", "set_stop", "reset_start", "reset_stop"), device.set_voltage)
    stairs = {**STAIRS, **flat}
    goal = targets(device, (300,), 0)
    everywhere = np.ones(300, bool)
    plain, flat_stairs = (
        write(Cells(kind, (300,), stream_key(0, "flat")), goal, everywhere)
        for kind in (device, device.replace(incremental_amplitude=stairs))
    )
    for field in (
        "achieved",
        "set_pulses",
        "reset_pulses",
        "verify_reads",
        "set_energy",
        "reset_energy",
        "conductance_travel",
    ):
        assert np.array_equal(getattr(plain, field), getattr(flat_stairs, field))
    assert plain.squared_volts == pytest.approx(flat_stairs.squared_volts, rel=1e-12)


def test_staircases_that_make_no_sense_are_refused() -> None:
    with pytest.raises(SpecError, match="set_start .* must not lie above set_stop"):
        DeviceModel.load("wan2022").replace(incremental_amplitude={**STAIRS, "set_start": 3.0})
    with pytest.raises(SpecError, match="needs a verify read between pulses"):
        DeviceModel.load("wu2018").replace(incremental_amplitude=STAIRS)


@pytest.mark.parametrize("name", ["milo2021", "wu2018"])
def test_results_do_not_depend_on_threads_or_on_the_other_cells(name: str) -> None:
    device = DeviceModel.load(name)
    if name == "wu2018":
        device = device.replace(device_to_device=0.1, stuck_at_lrs=0.05, stuck_at_hrs=0.05)
    goal = targets(device, (40, 50), 0)
    outcomes = []
    for threads in (1, 2):
        crossbar = Cells(device, (40, 50), stream_key(5, "t"))
        with on_threads(threads):
            write(crossbar, goal, np.ones((40, 50), bool))
        outcomes.append(crossbar.conductance)
    alone = Cells(device, (40, 50), stream_key(5, "t"))
    where = np.zeros((40, 50), bool)
    where[7, 9] = True
    write(alone, goal, where)
    assert np.array_equal(outcomes[0], outcomes[1])
    assert alone.conductance[7, 9] == outcomes[0][7, 9]


def test_another_seed_or_write_gives_other_errors() -> None:
    device = DeviceModel.load("wan2022")
    goal, everywhere = targets(device, (100,), 0), np.ones(100, bool)
    one, other = (Cells(device, (100,), stream_key(seed, "s")) for seed in (0, 1))
    first = write(one, goal, everywhere).achieved
    assert not np.isclose(first, write(other, goal, everywhere).achieved, rtol=1e-12).any()
    assert not np.isclose(first, write(one, goal, everywhere).achieved, rtol=1e-12).any()


def test_a_larger_change_costs_more_and_no_cell_costs_nothing() -> None:
    device = DeviceModel.load("wan2022").replace(cycle_to_cycle=0.0)
    steps = np.linspace(0.05, 1, 20)
    crossbar = Cells(device, (20,), stream_key(0, "m"))
    result = write(crossbar, device.g_min + device.window * steps, np.ones(20, bool))
    assert (np.diff(result.pulses) >= 0).all() and (np.diff(result.energy) > 0).all()
    nothing = write(crossbar, np.full(20, device.g_max), np.zeros(20, bool))
    assert nothing.count == 0 and nothing.energy.sum() == 0


def test_open_loop_pulses_accumulate_cycle_to_cycle_spread() -> None:
    device = DeviceModel.load("wan2022").replace(programming="open_loop", programming_error=None)
    exact = {"coefficients": [0.0], "conductance_scale": 1.0, "sigma_scale": 1.0, "source": "test", "kind": "assumed"}
    device = device.replace(programming_error=exact)
    cells = 20_000
    crossbar = Cells(device, (cells,), stream_key(0, "open"))
    result = write(crossbar, np.full(cells, 0.5 * (device.g_min + device.g_max)), np.ones(cells, bool))
    count = result.pulses[0]
    assert (result.pulses == count).all() and (result.verify_reads == 0).all() and count == round(22.5 / 2)
    expected = device.pulse_step * device.cycle_to_cycle * np.sqrt(count)
    assert result.achieved.std() == pytest.approx(expected, rel=0.03)


def test_targets_outside_the_window_are_refused() -> None:
    device = DeviceModel.load("wan2022")
    with pytest.raises(MappingError, match="rescale the weights"):
        write(Cells(device, (2,), stream_key(0, "w")), np.full(2, 1e-3), np.ones(2, bool))
