"""Weights to conductances and back, and matrices to tiles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbar_sim import DeviceModel, MappingError
from crossbar_sim.adc_energy import survey_energy
from crossbar_sim.mapping import TileSpec, column_scale, cut, to_conductance, to_weight


def device(levels: int | None = None) -> DeviceModel:
    return DeviceModel.load("milo2021").replace(levels=levels)


def test_one_sided_differential_pair() -> None:
    """w = 0.5 in a 50-225 uS window stands as 137.5 / 50 uS."""
    g = to_conductance(np.array([[0.5, -0.5]]), np.ones(2), device())
    np.testing.assert_allclose(g[:, 0, 0], [137.5e-6, 50e-6])
    np.testing.assert_allclose(g[:, 0, 1], [50e-6, 137.5e-6])


def test_sixteen_levels_of_a_ratio_of_ten() -> None:
    """Round half to even on 16 levels per cell: the values CrossSim documents for W = linspace(-1, 1, 9)."""
    cell = device(16).replace(g_min=1e-5, g_max=1e-4)
    weights = to_weight(to_conductance(np.linspace(-1, 1, 9)[None], np.ones(9), cell), np.ones(9), cell)
    np.testing.assert_allclose(np.abs(weights[0, 4:]), [0, 0.26667, 0.53333, 0.73333, 1], atol=1e-5)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(["column", "matrix"]), st.integers(0, 999))
def test_map_then_unmap_is_the_identity(inputs: int, outputs: int, policy: str, seed: int) -> None:
    weight = np.random.default_rng(seed).standard_normal((inputs, outputs))
    scale = column_scale(weight, policy)  # type: ignore[arg-type]
    g = to_conductance(weight, scale, device())
    assert g.min() >= 50e-6 * (1 - 1e-12) and g.max() <= 225e-6 * (1 + 1e-12)
    np.testing.assert_allclose(to_weight(g, scale, device()), weight, atol=1e-12)


def test_weights_beyond_the_scale_are_clipped_and_nan_refused() -> None:
    g = to_conductance(np.array([[3.0]]), np.ones(1), device())
    assert g[0, 0, 0] == pytest.approx(225e-6)
    with pytest.raises(MappingError, match="finite"):
        to_conductance(np.array([[np.nan]]), np.ones(1), device())
    assert column_scale(np.array([[0.0, 2.0]]), "column").tolist() == [1.0, 2.0]


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 64), st.integers(2, 64))
def test_tiles_cover_the_matrix_once(inputs: int, outputs: int, rows: int, columns: int) -> None:
    covered = np.zeros((inputs, outputs), int)
    spec = TileSpec(rows=rows, columns=columns)
    for tile in cut("w", inputs, outputs, spec):
        covered[tile.inputs, tile.outputs] += 1
        assert 0 < tile.utilisation <= 1
        assert tile.cells_used <= rows * columns
    assert (covered == 1).all()


@pytest.mark.parametrize(
    ("bits", "nanometre", "rate", "picojoule"),
    [
        (8, 32, 1.28e9, 1.9292),
        (6, 22, 1.28e9, 0.5266),
        (12, 65, 1.28e9, 594.35),
        (8, 32, 1e6, 1.7137),
        (8, 32, 1e9, 1.7137),
    ],
)
def test_adc_energy_against_the_published_regression(
    bits: int, nanometre: float, rate: float, picojoule: float
) -> None:
    assert survey_energy(bits, nanometre * 1e-9, rate) == pytest.approx(picojoule * 1e-12, rel=1e-3)
