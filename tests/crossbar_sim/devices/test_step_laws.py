"""Soft bounds and exponential steps: against aihwkit's laws in units of weight, closed forms and their statistics."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from crossbar_sim import DeviceModel, SpecError
from crossbar_sim.cells.cells import Cells
from crossbar_sim.devices.pulse_response.exponential import ExponentialStep
from crossbar_sim.runtime.counter_random import stream_key
from peft_methods.ntk.device_pulses import DevicePulses

CONFIDENCE = 0.9999
CELLS = 20_000
DEVICES = ("gong2018_es", "gong2018_sb", "gong2022_om", "gong2022_hfo2")
QUIET = {"cycle_to_cycle": 0.0, "cycle_to_cycle_window": None, "device_to_device": None}
NO_ERROR = {
    "coefficients": [0.0],
    "conductance_scale": 1.0,
    "sigma_scale": 1.0,
    "source": "assumption",
    "kind": "assumed",
}
ASSUMED = {"source": "assumption", "kind": "assumed"}


def exponential_move(w: float, up: bool) -> float:
    """ReRamES as aihwkit states it: A, gamma, a, b; up_down weakens the steps down."""
    a = -0.5
    b = -0.5
    gamma = 5.0
    dw_min = 0.00135
    up_down = 0.259359
    z = 2 * a * w / 2 + b
    if up:
        return dw_min * max(1 + 1.18445 * math.exp(gamma * z), 0)
    return -dw_min * (1 - up_down) * max(1 + 0.081404 * math.exp(-gamma * z), 0)


def soft_bounds(dw_min: float, w_min: float, w_max: float) -> Callable[[float, bool], float]:
    return lambda w, up: dw_min * (1 - w / w_max) if up else -dw_min * (1 - w / w_min)


# the mean move of one pulse in units of weight, and the range of weights
PUBLISHED: dict[str, tuple[Callable[[float, bool], float], float, float]] = {
    "gong2018_es": (exponential_move, -1.0, 1.0),
    "gong2018_sb": (soft_bounds(0.002, -0.75, 1.25), -0.75, 1.25),
    "gong2022_om": (soft_bounds(0.0949, -1, 1), -1.0, 1.0),
    "gong2022_hfo2": (soft_bounds(0.4622, -1, 1), -1.0, 1.0),
}


def weights(name: str, pulses: int, up: bool, start: float) -> list[float]:
    """The weight after 0 ... pulses pulses, one at a time."""
    move, low, high = PUBLISHED[name]
    found = [start]
    for _ in range(pulses):
        found.append(min(max(found[-1] + move(found[-1], up), low), high))
    return found


def quiet(name: str) -> DeviceModel:
    return DeviceModel.load(name).replace(**QUIET)


def at(device: DeviceModel, name: str, weight: Any) -> Any:
    """Conductances (siemens) of weights."""
    _, low, high = PUBLISHED[name]
    return device.g_min + device.window * (np.asarray(weight) - low) / (high - low)


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("name", DEVICES)
def test_the_response_is_the_published_law_pulse_by_pulse(name: str, up: bool) -> None:
    device, (_, low, high) = quiet(name), PUBLISHED[name]
    expected = at(device, name, weights(name, 400, up, low if up else high))
    np.testing.assert_allclose(device.response(np.arange(401), reset=not up), expected, rtol=2e-5)


@pytest.mark.parametrize("start", [-0.7, 0.0, 0.6])
@pytest.mark.parametrize("name", DEVICES)
def test_pulsed_cells_follow_the_published_law(name: str, start: float) -> None:
    device, counts = quiet(name), np.array([1, -1, 7, -7, 300, -300])
    crossbar = Cells(device, (6,), stream_key(0, name))
    crossbar.conductance[:] = at(device, name, start)
    achieved = crossbar.pulse(np.arange(6), counts).achieved
    expected = at(device, name, [weights(name, abs(n), bool(n > 0), start)[-1] for n in counts])
    np.testing.assert_allclose(achieved, expected, rtol=2e-5)


@pytest.mark.parametrize(("name", "symmetry"), [("gong2018_sb", 0.375), ("gong2022_om", 0.5), ("gong2022_hfo2", 0.5)])
def test_soft_bounds_in_closed_form(name: str, symmetry: float) -> None:
    """1 - u shrinks by 1 - s / (1 - u0) with every pulse; at the symmetry point both steps are the nominal one."""
    device, pulses = quiet(name), np.arange(200)
    for reset, beyond in ((False, 1 - symmetry), (True, symmetry)):
        left = (1 - 1 / (device.full_swing_pulses * beyond)) ** pulses
        expected = device.g_min + device.window * (left if reset else 1 - left)
        np.testing.assert_allclose(device.response(pulses, reset), expected, rtol=1e-9)
    gone = device.window * symmetry
    assert device.steps()(np.array(gone)) == pytest.approx(device.pulse_step, rel=1e-12)
    assert device.steps(reset=True)(np.array(device.window - gone)) == pytest.approx(device.pulse_step, rel=1e-12)


def test_asymmetry_of_the_exponential_step() -> None:
    """At the weight 0 a pulse down moves 1.345 times as far as one up; at the upper end 9.6 times."""
    device = quiet("gong2018_es")
    for share, ratio in ((0.5, 1.345), (1.0, 9.61)):
        up, down = device.steps()(device.window * share), device.steps(reset=True)(device.window * (1 - share))
        assert down / up == pytest.approx(ratio, rel=1e-3)
        weight = 2 * share - 1
        assert down / up == pytest.approx(-exponential_move(weight, False) / exponential_move(weight, True), rel=1e-5)


def end_to_end(name: str) -> tuple[int, int]:
    """SET and RESET pulses of open-loop writes across the window."""
    device = quiet(name)
    crossbar = Cells(device, (2,), stream_key(0, name))
    crossbar.conductance[:] = device.g_min, device.g_max
    result = crossbar.program(np.arange(2), np.array([device.g_max, device.g_min]), 0.0)
    assert np.array_equal(result.achieved, [device.g_max, device.g_min])  # without any spread the write is exact
    return int(result.set_pulses[0]), int(result.reset_pulses[1])


def test_pulses_from_end_to_end() -> None:
    """Exponential: the integral of the step's inverse, P / k ln((e^k + B) / (1 + B)). Soft: to half a nominal step."""
    for count, (nominal, weight) in zip(
        end_to_end("gong2018_es"), ((1481.48, 1.18445), (2000.269, 12.0814)), strict=True
    ):
        assert count == pytest.approx(nominal / 5 * math.log((math.exp(5) + weight) / (1 + weight)), rel=0.003)
    for name in DEVICES[1:]:
        device = quiet(name)
        for count, reset in zip(end_to_end(name), (False, True), strict=True):
            left = math.log(2 * device.full_swing_pulses)
            assert count == round(left / -math.log1p(-device.steps(reset).rate))


@pytest.mark.parametrize("name", DEVICES)
def test_open_loop_trains_end_as_near_as_a_pulse_allows(name: str) -> None:
    device = quiet(name).replace(programming_error=NO_ERROR)
    generator = np.random.default_rng(0)
    start, goal = device.g_min + device.window * generator.uniform(0.15, 0.85, (2, 300))
    crossbar = Cells(device, (300,), stream_key(0, name))
    crossbar.conductance[:] = start
    result = crossbar.program(np.arange(300), goal, 0.0)
    up, down = device.steps()(goal - device.g_min), device.steps(reset=True)(device.g_max - goal)
    step = np.where(goal > start, up, down)
    assert (np.abs(result.achieved - goal) <= 0.85 * step).all()  # half a pulse along a curve that bends


@pytest.mark.parametrize("rising", [True, False])
@pytest.mark.parametrize(
    ("name", "spread"),
    [  # of one pulse at the weight 0, in units of weight
        ("gong2018_es", 5.0),
        ("gong2018_sb", 3.75 * 0.002),
        ("gong2022_om", 0.4158 * 0.0949),
        ("gong2022_hfo2", 0.2174 * 0.4622),
    ],
)
def test_spread_of_single_pulses(name: str, spread: float, rising: bool) -> None:
    """Exponential steps spread by 5 times themselves, backwards too; soft bounds by a fixed number of nominal steps."""
    device = DeviceModel.load(name).replace(device_to_device=None)
    move, low, high = PUBLISHED[name]
    crossbar = Cells(device, (CELLS,), stream_key(1, name, str(rising)))
    crossbar.conductance[:] = at(device, name, 0.0)
    result = crossbar.pulse(np.arange(CELLS), np.full(CELLS, 1 if rising else -1))
    moved = (result.achieved - result.before) / device.window * (high - low)
    mean = move(0.0, rising)
    sigma = spread * abs(mean) if name == "gong2018_es" else spread
    bounds = stats.chi2.interval(CONFIDENCE, CELLS - 1) / np.float64(CELLS - 1)
    assert bounds[0] < moved.var(ddof=1) / sigma**2 < bounds[1]
    assert abs(moved.mean() - mean) < stats.norm.ppf(CONFIDENCE) * sigma / np.sqrt(CELLS)
    backwards = (moved * mean < 0).mean()
    assert backwards == pytest.approx(stats.norm.cdf(-abs(mean) / sigma), abs=0.015)


@pytest.mark.parametrize(
    ("name", "spread", "logarithm"),
    [
        ("gong2018_es", 0.2, False),
        ("gong2018_sb", 0.3, False),
        ("gong2022_om", 0.7829, True),
        ("gong2022_hfo2", 0.7125, True),
    ],
)
def test_cells_differ_as_published(name: str, spread: float, logarithm: bool) -> None:
    factor = Cells(DeviceModel.load(name), (CELLS,), stream_key(2, name)).device_to_device
    assert factor is not None and (factor > 0).all()
    values, center = (np.log(factor), 0.0) if logarithm else (factor, 1.0)
    assert values.mean() == pytest.approx(center, abs=4 * spread / np.sqrt(CELLS))
    assert values.std() == pytest.approx(spread, rel=0.03)
    assert stats.kstest((values - center) / spread, "norm").pvalue > 1e-3


@given(
    weights_=st.tuples(st.floats(-0.8, 20), st.floats(-0.8, 20)),
    rates=st.tuples(st.floats(0, 8), st.floats(0, 8)),
    pulses=st.integers(3, 60),
    seed=st.integers(0, 2**31),
    law=st.sampled_from(["exponential", "soft_bounds"]),
)
@settings(max_examples=60)
def test_any_law_stays_in_the_window_and_more_pulses_move_farther(
    weights_: tuple[float, float], rates: tuple[float, float], pulses: int, seed: int, law: str
) -> None:
    own: dict[str, Any] = {"law": law, **ASSUMED}
    if law == "exponential":
        own |= {"set_weight": weights_[0], "reset_weight": weights_[1], "set_rate": rates[0], "reset_rate": rates[1]}
    device = DeviceModel.load("wu2018").replace(
        set_nonlinearity=None,
        reset_nonlinearity=None,
        levels=None,
        step_law=own,
        full_swing_pulses=pulses,
        pulses_may_reverse=True,
        cycle_to_cycle=1.0,
        device_to_device=0.5,
        device_to_device_distribution="log_normal",
    )
    draw = np.random.default_rng(seed)
    crossbar = Cells(device, (30,), stream_key(seed, "w"))
    for _ in range(2):
        programmed = crossbar.program(np.arange(30), device.g_min + device.window * draw.random(30), 0.0)
        pulsed = crossbar.pulse(np.arange(30), np.where(draw.random(30) < 0.5, -1, 1) * draw.integers(1, 9, 30))
        for result in (programmed, pulsed):
            assert (result.energy >= 0).all() and np.isfinite(result.energy).all()
        assert (crossbar.conductance >= device.g_min * (1 - 1e-12)).all()
        assert (crossbar.conductance <= device.g_max * (1 + 1e-12)).all()
    curve = device.response(np.arange(3 * pulses))
    assert (np.diff(curve) >= 0).all() and curve[0] == device.g_min


@pytest.mark.parametrize("name", DEVICES)
def test_pulse_training_predicts_with_the_same_steps(name: str) -> None:
    device, share = quiet(name), torch.linspace(0, 1, 11, dtype=torch.float64)
    up, down = DevicePulses(device, {}).steps(share)
    gone = share.numpy() * device.window
    np.testing.assert_allclose(up, np.minimum(device.steps()(gone) / device.window, 1 - share.numpy()))
    expected = np.minimum(device.steps(reset=True)(device.window - gone) / device.window, share.numpy())
    np.testing.assert_allclose(down, expected)


SOFT = {"law": "soft_bounds", **ASSUMED}
STEEP = {"law": "exponential", "set_weight": 1.0, "set_rate": 2.0, "reset_weight": 1.0, "reset_rate": 2.0, **ASSUMED}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step_law": SOFT}, "both state the pulse response"),
        ({"step_law": {**STEEP, "set_weight": -1.0}}, "the set step falls to 0"),
        ({"step_law": {**SOFT, "symmetry_point": 1.0}}, "less than 1"),
        ({"step_law": {**SOFT, "law": "hard_bounds"}}, "soft_bounds"),
        (
            {
                "step_law": STEEP,
                "set_nonlinearity": None,
                "reset_nonlinearity": None,
                "disturbance": {"scheme": "half", "growth_voltage": 0.1, **ASSUMED},
            },
            "in closed form",
        ),
    ],
)
def test_mistakes_are_explained(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        DeviceModel.load("wu2018").replace(**changes)


def test_the_laws_print() -> None:
    assert "symmetry point at 0.375" in str(DeviceModel.load("gong2018_sb"))
    assert "RESET 1 + 12.1 exp(-5 u)" in str(DeviceModel.load("gong2018_es"))
    law = DeviceModel.load("gong2018_es").step_law
    assert isinstance(law, ExponentialStep) and law.source == "gong2018"
