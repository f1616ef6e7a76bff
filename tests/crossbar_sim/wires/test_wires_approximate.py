"""The cheap laws are what they say, and as wrong as docs/physics/wires.md says (its table is executed)."""

from __future__ import annotations

import numpy as np
import pytest

from crossbar_sim.wires.approximate import cubic_columns, series_path
from crossbar_sim.wires.exact import effective_conductance


def test_a_single_cell_is_its_own_path() -> None:
    wires = {
        "word_line_resistance": 2.0,
        "bit_line_resistance": 3.0,
        "driver_resistance": 50.0,
        "sense_resistance": 7.0,
    }
    cell = np.array([[1e-4]])
    assert series_path(cell, **wires) == pytest.approx(effective_conductance(cell, **wires))
    lonely = np.zeros((5, 7))
    lonely[2, 4] = 1e-4  # two cells up from the last row, five segments from the driver
    np.testing.assert_allclose(series_path(lonely, **wires), effective_conductance(lonely, **wires), rtol=1e-12)


def test_series_path_misses_the_shared_current() -> None:
    cells = np.random.default_rng(0).uniform(1e-6, 1e-4, (128, 128))
    wires = {"word_line_resistance": 1.0, "bit_line_resistance": 1.0}
    loss = 1 - effective_conductance(cells, **wires).sum() / cells.sum()
    assert loss > 0.3
    assert 1 - series_path(cells, **wires).sum() / cells.sum() < 0.05 * loss


@pytest.mark.parametrize(("rows", "ohm", "loss"), [(128, 0.35, 0.0046), (128, 3.5, 0.045), (512, 0.35, 0.073)])
def test_cubic_is_right_for_equal_inputs_and_half_of_it_for_spread_ones(rows: int, ohm: float, loss: float) -> None:
    """One bit line of cells up to 5 uS, averaged over many columns; aihwkit's own reference point is 0.35 ohm."""
    generator = np.random.default_rng(0)
    cells = 5e-6 * generator.random((rows, 64))
    exact = effective_conductance(cells, word_line_resistance=0.0, bit_line_resistance=ohm)
    lost = []
    for volts in (np.ones((rows, 1)), generator.random((rows, 64))):
        ideal = (cells.T @ volts).sum()
        cubic = cubic_columns(cells, volts, bit_line_resistance=ohm, full_voltage=1.0).sum()
        assert 1 - (exact @ volts).sum() / ideal == pytest.approx(loss, rel=0.1)
        lost.append((1 - cubic / ideal) / (1 - (exact @ volts).sum() / ideal))
    assert lost[0] == pytest.approx(1.0, abs=0.02)
    assert lost[1] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("rows", "ohm", "exact_loss", "cubic_loss"),
    [(128, 0.35, 0.00510, 0.00264), (128, 3.5, 0.0513, 0.0244), (512, 0.35, 0.0683, 0.0373)],
)
def test_losses_noted_for_single_columns_are_among_ours(
    rows: int, ohm: float, exact_loss: float, cubic_loss: float
) -> None:
    """Evaluated independently for one random column each, cells up to 5 uS: within three of our standard deviations."""
    generator = np.random.default_rng(0)
    lost = []
    for _ in range(100):
        column, volts = 5e-6 * generator.random((rows, 1)), generator.random((rows, 1))
        exact = effective_conductance(column, word_line_resistance=0.0, bit_line_resistance=ohm) @ volts
        cubic = cubic_columns(column, volts, bit_line_resistance=ohm, full_voltage=1.0)
        ideal = (column.T @ volts).item()
        lost.append((1 - exact.item() / ideal, 1 - cubic.item() / ideal))
    mean, spread = np.mean(lost, axis=0), np.std(lost, axis=0)
    assert (np.abs(mean - (exact_loss, cubic_loss)) < 3 * spread).all()
