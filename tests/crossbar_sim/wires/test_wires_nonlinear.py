"""Networks of non-linear cells: against linear ones, ngspice, their own Jacobian, and Newton's convergence."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from crossbar_sim import DeviceModel, SpecError, WireError
from crossbar_sim.devices import CurrentVoltage
from crossbar_sim.wires.nonlinear import nonlinear_currents, operating_point
from tests.crossbar_sim.wires.test_wires import TERMINATIONS, arrays, effective
from tests.oracles.wires import Wires, ngspice_currents

MILO = DeviceModel.load("milo2021").current_voltage
assert MILO is not None
LINEAR = MILO.replace(quadratic=(0.0,), cubic=(0.0,))
STRONG = MILO.replace(quadratic=(0.0,), cubic=(2e-3,), largest_voltage=10.0)  # at 1 V 2 mA beside some 0.1 mA


def window_cells(rows: int, columns: int, seed: int = 0, open_share: float = 0.1) -> np.ndarray:
    generator = np.random.default_rng(seed)
    cells = generator.uniform(40e-6, 240e-6, (rows, columns))  # somewhat beyond the law's range
    cells[generator.random(cells.shape) < open_share] = 0.0
    return cells


@pytest.mark.parametrize(
    ("conductance", "c2", "c3"),
    [(62.5e-6, -2.384e-05, 9.320e-06), (110e-6, -6.524e-06, -1.710e-06), (225e-6, -1.602e-06, -3.351e-07)],
)
def test_coefficients_of_the_published_law(conductance: float, c2: float, c3: float) -> None:
    """By hand from the published polynomials in log10 G; taken to be straight at 225 uS."""
    ours = MILO.coefficients(np.array(conductance))
    np.testing.assert_allclose(ours, (c2, c3), rtol=2e-4)
    assert MILO.current(np.array(225e-6), np.array(0.2)) == pytest.approx(225e-6 * 0.2, rel=2e-3)


def test_the_law_goes_on_beyond_its_range_in_the_same_shape() -> None:
    volts = np.linspace(-0.5, 0.5, 11)
    for edge, beyond in ((50e-6, 5e-6), (225e-6, 300e-6)):
        at_edge, there = (MILO.current(np.array(g), volts) / g for g in (edge, beyond))
        np.testing.assert_allclose(there, at_edge, rtol=1e-12)
    assert not MILO.current(np.zeros(3), np.array([-0.5, 0.2, 0.5])).any()


def test_slope_is_the_derivative() -> None:
    conductance = np.array([20e-6, 60e-6, 150e-6])[:, None]
    volts, small = np.linspace(-0.5, 0.5, 21), 1e-5
    ascent = (MILO.current(conductance, volts + small) - MILO.current(conductance, volts - small)) / (2 * small)
    np.testing.assert_allclose(MILO.slope(conductance, volts), ascent, rtol=1e-7)


@given(arrays(12))
@settings(max_examples=40, deadline=None)
def test_linear_cells_give_the_effective_conductance(case: tuple[np.ndarray, Wires]) -> None:
    cells, wires = case
    volts = np.random.default_rng(len(cells)).uniform(-0.2, 0.2, (len(cells), 3))
    ours, exact = nonlinear_currents(cells, volts, LINEAR, **asdict(wires)), effective(cells, wires) @ volts
    np.testing.assert_allclose(ours, exact, atol=1e-11 * max(np.abs(exact).max(), 1e-30))


def polynomial(conductance: float) -> tuple[float, ...]:
    c2, c3 = MILO.coefficients(np.array(conductance))
    return conductance, float(c2), float(c3)


@pytest.mark.skipif(shutil.which("ngspice") is None, reason="needs ngspice (apt-get install ngspice)")
@pytest.mark.parametrize("double_sided", [False, True])
@pytest.mark.parametrize("wires", TERMINATIONS)
@pytest.mark.parametrize("shape", [(8, 8), (16, 10)])
def test_equals_ngspice(shape: tuple[int, int], wires: Wires, double_sided: bool, tmp_path: Path) -> None:
    wires = replace(wires, double_sided=double_sided)
    cells = window_cells(*shape)
    volts = np.random.default_rng(1).uniform(-0.2, 0.2, len(cells))
    spice = ngspice_currents(cells, wires, volts, tmp_path, polynomial=polynomial)
    ours = nonlinear_currents(cells, volts, MILO, **asdict(wires))
    np.testing.assert_allclose(ours, spice, rtol=1e-6, atol=1e-6 * np.abs(spice).max())
    assert np.abs(effective(cells, wires) @ volts - spice).max() > 1e-3 * np.abs(spice).max()


@pytest.mark.parametrize("wires", TERMINATIONS)
@pytest.mark.parametrize("law", [MILO, STRONG])
def test_small_changes_follow_the_network_of_slopes(law: CurrentVoltage, wires: Wires) -> None:
    """dI/dV of the whole array is the effective conductance of the cells' slopes."""
    cells, small = window_cells(9, 7, seed=3), 1e-5
    volts = np.random.default_rng(4).uniform(-0.2, 0.2, len(cells))
    point = operating_point(cells, volts, law, **asdict(wires))
    jacobian = effective(law.slope(cells, point.cell_voltages), wires)
    shifts = volts[:, None] + small * np.eye(len(cells)), volts[:, None] - small * np.eye(len(cells))
    up, down = (nonlinear_currents(cells, shifted, law, **asdict(wires)) for shifted in shifts)
    np.testing.assert_allclose((up - down) / (2 * small), jacobian, atol=1e-6 * jacobian.max())


@pytest.mark.parametrize("law", [MILO, STRONG])
@pytest.mark.parametrize("ohm", [1.0, 30.0])
def test_newton_converges_quadratically_in_a_few_steps(law: CurrentVoltage, ohm: float) -> None:
    cells = window_cells(32, 24, seed=5)
    volts = np.random.default_rng(6).uniform(-0.2, 0.2, 32)
    wires = Wires(ohm, ohm)
    residuals = np.array(operating_point(cells, volts, law, **asdict(wires)).residuals) / 0.2
    assert len(residuals) <= 8
    late = residuals[1:][residuals[1:] < 0.1]
    assert (late[1:] <= np.maximum(3 * late[:-1] ** 2, 1e-12)).all()


def test_without_wires_every_cell_has_its_whole_voltage() -> None:
    cells = window_cells(5, 4)
    volts = np.random.default_rng(7).uniform(-0.5, 0.5, (5, 6))
    expected = np.stack([MILO.current(cells, column[:, None]).sum(axis=0) for column in volts.T], axis=1)
    np.testing.assert_allclose(nonlinear_currents(cells, volts, MILO, **asdict(Wires(0.0, 0.0))), expected, rtol=1e-14)


MISTAKES = [
    (np.ones((2, 2)), [0.1, 0.6], r"law holds to 0\.5 V, and an input is 0\.6 V; lower the inputs"),
    (np.ones((2, 2)), [0.1, np.nan], r"an input is nan V"),
    (np.ones((2, 2)), [0.1], r"one voltage per word line: got shape \(1,\) for 2 rows"),
    (-np.ones((2, 2)), [0.1, 0.1], "zero or more siemens"),
    (window_cells(6, 1, open_share=0.0), [0.5, -0.5, -0.5, -0.5, -0.5, -0.5], "inputs of both signs put .* V across a"),
]


@pytest.mark.parametrize(("cells", "volts", "message"), MISTAKES)
def test_mistakes_are_explained(cells: np.ndarray, volts: list[float], message: str) -> None:
    with pytest.raises(WireError, match=message):
        nonlinear_currents(cells, volts, MILO, word_line_resistance=1.0, bit_line_resistance=1.0, sense_resistance=1e5)


def test_a_falling_law_is_refused() -> None:
    with pytest.raises(SpecError, match=r"the current falls with the voltage at .* µS, .*V; lower largest_voltage"):
        MILO.replace(largest_voltage=5.0)
    with pytest.raises(SpecError, match="conductance_low must not be above"):
        MILO.replace(conductance_low=1e-3)
