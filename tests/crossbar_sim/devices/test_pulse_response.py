"""The pulse-response curve: identities, NeuroSim's table of labels, its spread and its energy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from crossbar_sim import DeviceModel, SpecError
from crossbar_sim.cells.cells import Cells
from crossbar_sim.cells.written import Written
from crossbar_sim.devices.pulse_response.labelled import curvature, label_of, labelled_steps
from crossbar_sim.runtime.counter_random import stream_key

CONFIDENCE = 0.9999
ANALOG = ["jo2010", "wu2018", "woo2016", "park2013", "choi2018"]
NO_SPREAD = {"cycle_to_cycle_window": None, "device_to_device": None}
NO_ERROR = {
    "coefficients": [0.0],
    "conductance_scale": 1.0,
    "sigma_scale": 1.0,
    "source": "assumption",
    "kind": "assumed",
}
labels = st.one_of(st.none(), st.floats(0.01, 8), st.floats(-8, -0.01))


def sweep(device: DeviceModel, reset: bool = False, cells: int = 1, seed: int = 0) -> Written:
    """One open-loop write across the whole window."""
    crossbar = Cells(device, (cells,), stream_key(seed, "sweep"))
    crossbar.conductance[:] = device.g_max if reset else device.g_min
    return crossbar.program(np.arange(cells), np.full(cells, device.g_min if reset else device.g_max), 0.0)


@pytest.mark.parametrize(  # label, A / P_max: spot values of NeuroSim's table of 900 labels
    ("label", "a"),
    [(0.01, 126.268958), (0.04, 31.566827), (0.5, 2.519877), (0.61, 2.063266), (0.63, 1.997332)],
)
def test_labels_follow_neurosims_table(label: float, a: float) -> None:
    assert curvature(label) == pytest.approx(a, abs=1.5e-6, rel=2e-5)
    assert curvature(-label) == -curvature(label)
    assert label_of(curvature(label)) == pytest.approx(label, rel=1e-6)


@pytest.mark.parametrize("name", ANALOG)
def test_the_curve_is_that_of_the_manual(name: str) -> None:
    """Equations 8.1 to 8.3 of the manual, whose P runs backwards for depression; P = 0 -> g_min, P_max -> g_max."""
    device = DeviceModel.load(name)
    for label, most, reset in (
        (device.set_nonlinearity, device.full_swing_pulses, False),
        (device.reset_nonlinearity, device.reset_pulses_full_swing, True),
    ):
        assert label is not None
        p, a = np.arange(most + 1), curvature(label) * most
        b = device.window / (1 - np.exp(-most / a))
        manual = b * (1 - np.exp(-p / a)) + device.g_min
        if reset:
            manual = (-b * (1 - np.exp((p - most) / a)) + device.g_max)[::-1]
        curve = device.response(p, reset)
        np.testing.assert_allclose(curve, manual, rtol=1e-9)
        ends = (device.g_max, device.g_min) if reset else (device.g_min, device.g_max)
        assert (curve[0], curve[-1]) == pytest.approx(ends, rel=1e-12)


@given(label=labels, pulses=st.integers(2, 300))
@settings(max_examples=60, deadline=None)
def test_steps_add_up_to_the_curve(label: float | None, pulses: int) -> None:
    step, rate, reach = labelled_steps(label, pulses, 1.0)[:3]
    device = DeviceModel.load("wu2018").replace(set_nonlinearity=label, full_swing_pulses=pulses)
    x = 0.0
    for done in range(1, pulses + 1):
        x += step + rate * (reach - x)
        assert device.g_min + x * device.window == pytest.approx(device.response(np.array([done]))[0], rel=1e-6)


@given(set_label=labels, reset_label=labels, seed=st.integers(0, 2**31), loop=st.sampled_from(["open", "closed"]))
@settings(max_examples=60, deadline=None)
def test_cells_stay_in_the_window_and_energy_is_positive(
    set_label: float | None, reset_label: float | None, seed: int, loop: str
) -> None:
    device = DeviceModel.load("wu2018").replace(
        set_nonlinearity=set_label,
        reset_nonlinearity=reset_label,
        device_to_device=0.3,
        verify_acceptance=0.2e-6,
        programming="open_loop" if loop == "open" else "write_verify",
    )
    crossbar, draw = Cells(device, (30,), stream_key(seed, "w")), np.random.default_rng(seed)
    for _ in range(3):
        target = device.g_min + device.window * draw.random(30)
        result = crossbar.program(np.arange(30), target, 1e-12)
        assert (result.energy >= 0).all() and np.isfinite(result.energy).all()
        assert (crossbar.conductance >= device.g_min * (1 - 1e-12)).all()
        assert (crossbar.conductance <= device.g_max * (1 + 1e-12)).all()


@given(label=labels, steps=st.integers(2, 30))
@settings(max_examples=30, deadline=None)
def test_a_farther_target_takes_more_pulses_and_energy(label: float | None, steps: int) -> None:
    device = DeviceModel.load("wu2018").replace(set_nonlinearity=label, **NO_SPREAD)
    target = device.g_min + device.window * np.linspace(0, 1, steps)
    result = Cells(device, (steps,), stream_key(0, "m")).program(np.arange(steps), target, 0.0)
    assert (np.diff(result.pulses) >= 0).all() and (np.diff(result.energy) >= 0).all()
    assert result.pulses[0] == 0 and result.energy[0] == 0
    assert np.array_equal(result.achieved, target)  # without any spread the target is reached exactly


@pytest.mark.parametrize("name", ANALOG)
def test_a_full_sweep_takes_the_stated_pulses(name: str) -> None:
    device = DeviceModel.load(name).replace(**NO_SPREAD, programming_error=NO_ERROR)
    up, down = sweep(device), sweep(device, reset=True)
    assert (up.set_pulses[0], up.reset_pulses[0]) == (device.full_swing_pulses, 0)
    assert (down.set_pulses[0], down.reset_pulses[0]) == (0, device.reset_pulses_full_swing)
    assert (up.achieved[0], down.achieved[0]) == pytest.approx((device.g_max, device.g_min), rel=1e-9)


@pytest.mark.parametrize("fraction", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("name", ANALOG)
def test_open_loop_spread_is_that_of_neurosim(name: str, fraction: float) -> None:
    """sigma = c (g_max - g_min) sqrt(n) after n pulses, around the curve; the mean lies on the curve."""
    cells, device = 20_000, DeviceModel.load(name).replace(cycle_to_cycle_window=0.002)
    goal = device.response(np.array([round(fraction * device.full_swing_pulses)]))
    crossbar = Cells(device, (cells,), stream_key(1, name))
    result = crossbar.program(np.arange(cells), np.full(cells, goal[0]), 0.0)
    sigma = 0.002 * device.window * np.sqrt(result.pulses[0])
    if fraction < 1:
        inside = (goal[0] - device.g_min) / sigma > 4 and (device.g_max - goal[0]) / sigma > 4
        assert inside or name == "park2013"
        if not inside:
            return
        low, high = stats.chi2.interval(CONFIDENCE, cells - 1) / np.float64(cells - 1)
        assert low < result.achieved.var(ddof=1) / sigma**2 < high
        assert abs(result.achieved.mean() - goal[0]) < stats.norm.ppf(CONFIDENCE) * sigma / np.sqrt(cells)
    else:  # at the end of the window half of the distribution is cut off
        below = device.g_max - result.achieved
        assert (below == 0).mean() == pytest.approx(0.5, abs=0.02)
        assert np.sqrt((below[below > 0] ** 2).mean()) == pytest.approx(sigma, rel=0.03)


def test_neurosims_spread_card() -> None:
    """MLP NeuroSim: 3.5 % per pulse, 16 pulses: 14 % of the window."""
    device = DeviceModel.load("jo2010")
    assert device.cycle_to_cycle_window * np.sqrt(16) == pytest.approx(0.14)


def test_slow_and_fast_cells() -> None:
    cells = 20_000
    device = DeviceModel.load("wu2018").replace(
        device_to_device=0.1, cycle_to_cycle_window=None, set_nonlinearity=None, programming_error=NO_ERROR
    )
    target = np.full(cells, device.g_min + 64 * device.pulse_step)
    crossbar = Cells(device, (cells,), stream_key(0, "d2d"))
    moved = crossbar.program(np.arange(cells), target, 0.0).achieved - device.g_min
    assert moved.mean() == pytest.approx(64 * device.pulse_step, rel=0.005)
    assert moved.std() == pytest.approx(0.1 * 64 * device.pulse_step, rel=0.03)
    assert crossbar.device_to_device is not None
    np.testing.assert_allclose(moved, crossbar.device_to_device * 64 * device.pulse_step, rtol=1e-6)


# device, joule of one pulse at g_max, joule of a full sweep at the arithmetic mean conductance: V^2 G t
PULSE_ENERGY = [
    ("jo2010", 118e-12, 6.19e-9),
    ("wu2018", 1.28e-12, 90.1e-12),
    ("woo2016", 4.79e-9, 117e-9),
    ("park2013", 174e-12, 5.0e-9),
    ("choi2018", 1.54e-9, 50e-9),
]


@pytest.mark.parametrize(("name", "pulse", "whole"), PULSE_ENERGY)
def test_energies_of_the_published_pulses(name: str, pulse: float, whole: float) -> None:
    device = DeviceModel.load(name)
    assert device.set_voltage**2 * device.g_max * device.pulse_width == pytest.approx(pulse, rel=0.005)
    straight = device.replace(set_nonlinearity=None, **NO_SPREAD)
    assert sweep(straight).set_energy[0] == pytest.approx(whole, rel=0.01)


def test_taox_hfox_full_sweep() -> None:
    """128 x 1.6 V x 50 ns from 1 to 10 uS: 90.1 pJ; the slight bend of label 0.04 adds little."""
    assert sweep(DeviceModel.load("wu2018").replace(**NO_SPREAD)).set_energy[0] == pytest.approx(90.1e-12, rel=0.006)


def test_separate_widths_and_counts() -> None:
    device = DeviceModel.load("wu2018").replace(reset_pulse_width=100e-9, reset_nonlinearity=None, **NO_SPREAD)
    assert sweep(device, reset=True).reset_energy[0] == pytest.approx(2 * 90.1e-12, rel=0.001)


@pytest.mark.parametrize("label", [0.0, 0.001, 9.5])
def test_labels_out_of_range_are_refused(label: float) -> None:
    with pytest.raises(SpecError, match="set_nonlinearity must lie between 0.01 and 8"):
        DeviceModel.load("wu2018").replace(set_nonlinearity=label)
