"""Weights to conductances and back, and matrices to tiles."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbar_sim import DeviceModel, MappingError, SpecError
from crossbar_sim.hardware.adc_energy import survey_energy
from crossbar_sim.hardware.tile import TileSpec
from crossbar_sim.mapping.compiled import clamp
from crossbar_sim.mapping.encoding import to_conductance, to_weight
from crossbar_sim.mapping.layout import Layout
from crossbar_sim.mapping.tiles import column_scale, cut, tile_scale


def device(levels: int | None = None) -> DeviceModel:
    return DeviceModel.load("milo2021").replace(levels=levels)


def layout(inputs: int, outputs: int, **spec: object) -> Layout:
    return Layout(TileSpec(rows=16, columns=24, **spec), inputs, outputs)  # type: ignore[arg-type]


def encode(weight: np.ndarray, cell: DeviceModel, **spec: object) -> tuple[np.ndarray, np.ndarray]:
    """Conductances at a scale of 1, and the weights that they stand for."""
    where = layout(*weight.shape, **spec)
    limit = np.ones((where.row_tiles, where.outputs))
    conductance = to_conductance(weight, limit, cell, where)
    return conductance, to_weight(conductance, limit, cell, where)


@pytest.mark.parametrize(
    ("spec", "plus", "minus"),
    [
        ({}, [137.5e-6, 50e-6], [50e-6, 137.5e-6]),
        ({"mapping": "two_sided"}, [181.25e-6, 93.75e-6], [93.75e-6, 181.25e-6]),
        ({"mapping": "offset"}, [181.25e-6, 93.75e-6], None),
    ],
)
def test_where_half_of_the_window_stands(spec: dict, plus: list[float], minus: list[float] | None) -> None:
    """w = 0.5 and -0.5 in a 50-225 uS window: 137.5 and 50 uS one-sided; a quarter of the window about its middle."""
    g, weight = encode(np.array([[0.5, -0.5]]), device(), **spec)
    np.testing.assert_allclose(g[0, 0, :2], plus)
    if minus is None:
        assert g.shape == (1, 1, 3) and g[0, 0, 2] == pytest.approx(137.5e-6)  # the reference
    else:
        np.testing.assert_allclose(g[1, 0], minus)
    np.testing.assert_allclose(weight, [[0.5, -0.5]])


def test_neurosim_linear_card() -> None:
    """One cell per weight: w = 0.125 in 1-10 uS stands as 6.0625 uS (NeuroSim's linear mapping)."""
    g, _ = encode(np.array([[0.125]]), device().replace(g_min=1e-6, g_max=1e-5), mapping="offset")
    assert g[0, 0, 0] == pytest.approx(6.0625e-6)


def test_sixteen_levels_of_a_ratio_of_ten() -> None:
    """Round half to even on 16 levels per cell: the values CrossSim documents for W = linspace(-1, 1, 9)."""
    cell = device(16).replace(g_min=1e-5, g_max=1e-4)
    _, weights = encode(np.linspace(-1, 1, 9)[None], cell)
    np.testing.assert_allclose(np.abs(weights[0, 4:]), [0, 0.26667, 0.53333, 0.73333, 1], atol=1e-5)


def test_digits_of_a_sliced_weight() -> None:
    """w = 0.7 in two slices of 2 bits: round(0.7 * 15) = 10 = 2 + 2 * 4, so both slices stand at 2/3 of the window."""
    g, weight = encode(np.array([[0.7, -0.4]]), device(4), slices=2, slice_bits=2)
    fractions = (g[:, 0] - 50e-6) / 175e-6
    np.testing.assert_allclose(fractions[:, 0], [2 / 3, 0, 2 / 3, 0], atol=1e-12)
    np.testing.assert_allclose(fractions[:, 1], [0, 2 / 3, 0, 1 / 3], atol=1e-12)  # round(6) = 2 + 1 * 4
    np.testing.assert_allclose(weight, [[10 / 15, -6 / 15]])


MAPPINGS = ("differential", "two_sided", "offset")
SLICES = ({}, {"slices": 2, "slice_bits": 1}, {"slices": 4, "slice_bits": 2}, {"slices": 3, "slice_bits": 3})


@settings(deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(MAPPINGS),
    st.sampled_from(SLICES),
    st.sampled_from([None, 9]),
    st.integers(0, 999),
)
def test_map_then_unmap_is_the_identity_to_half_a_level(
    inputs: int, outputs: int, mapping: str, slices: dict, levels: int | None, seed: int
) -> None:
    weight = np.random.default_rng(seed).uniform(-1, 1, (inputs, outputs))
    cell = device(levels)
    g, back = encode(weight, cell, mapping=mapping, **slices)
    assert g.min() >= 50e-6 * (1 - 1e-12) and g.max() <= 225e-6 * (1 + 1e-12)
    if levels is None:
        half = 0.0
    else:
        codes = 2 ** (slices["slices"] * slices["slice_bits"]) - 1 if slices else levels - 1
        # two cells that move in opposite directions may be rounded apart at a tie
        half = {"differential": 0.5, "two_sided": 1.0, "offset": 1.0}[mapping] / codes
    np.testing.assert_allclose(back, weight, atol=half + 1e-12)


def test_weights_beyond_the_scale_are_clipped_and_nan_refused() -> None:
    g, _ = encode(np.array([[3.0]]), device())
    assert g[0, 0, 0] == pytest.approx(225e-6)
    with pytest.raises(MappingError, match="finite"):
        encode(np.array([[np.nan]]), device())


def test_a_scale_per_tile() -> None:
    spec = TileSpec(rows=2, columns=4, scale="tile")
    weight = np.array([[1.0, -3.0, 0.5], [0.0, 2.0, 0.0], [0.0, 0.0, 4.0]])
    np.testing.assert_array_equal(tile_scale(weight, spec), [[3.0, 0.5], [3.0, 4.0]])
    np.testing.assert_array_equal(column_scale(weight, "tile"), [1.0, 1.0, 1.0])


@pytest.mark.parametrize("unit", [1e-30, 0.1, 1.0, 1e6])
def test_zeros_get_the_scale_of_their_neighbours(unit: float) -> None:
    weight = unit * np.array([[1.0, 0.0, 3.0, 2.0], [-4.0, 0.0, 0.0, 1.0]])
    np.testing.assert_array_equal(column_scale(weight, "column"), unit * np.array([4.0, 3.0, 3.0, 2.0]))
    np.testing.assert_array_equal(column_scale(weight, "matrix"), unit * np.full(4, 4.0))
    one_output = TileSpec(rows=1, columns=2, scale="tile")
    np.testing.assert_array_equal(tile_scale(weight, one_output), unit * np.array([[1, 2, 3, 2], [4, 2, 3, 1]]))


@pytest.mark.parametrize("policy", ["column", "tile", "matrix"])
def test_a_matrix_of_zeros_is_scaled_like_a_new_layer(policy: Literal["column", "tile", "matrix"]) -> None:
    zeros = np.zeros((16, 3))
    limit = column_scale(zeros, policy) * tile_scale(zeros, TileSpec(rows=16, columns=24, scale=policy))
    np.testing.assert_array_equal(limit, np.full((1, 3), 0.25))


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(["column", "tile", "matrix"]), st.integers(0, 10_000))
def test_what_is_not_zero_keeps_its_scale(policy: Literal["column", "tile", "matrix"], seed: int) -> None:
    """Zeros elsewhere change no other scale, not by a bit."""
    generator = np.random.default_rng(seed)
    weight = generator.normal(size=(9, 7))
    pruned = weight * (generator.random(7) > 0.4)
    kept = pruned.any(axis=0)
    if not kept.any() or policy == "matrix":
        return
    one_output = TileSpec(rows=4, columns=2, scale=policy)
    for scale in (lambda w: column_scale(w, policy), lambda w: tile_scale(w, one_output)):
        np.testing.assert_array_equal(scale(pruned)[..., kept], scale(weight)[..., kept])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"slices": 2}, "go together"),
        ({"slice_bits": 2}, "go together"),
        ({"slices": 8, "slice_bits": 4}, "more than the 16 bits"),
        ({"columns": 6, "slices": 4, "slice_bits": 2}, "hold no output"),
        ({"columns": 2, "mapping": "offset", "slices": 2, "slice_bits": 1}, "references"),
    ],
)
def test_impossible_tiles_are_refused(spec: dict, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        TileSpec(**{"rows": 4, "columns": 8, **spec})


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 64), st.integers(2, 64), st.sampled_from(MAPPINGS))
def test_tiles_cover_the_matrix_once(inputs: int, outputs: int, rows: int, columns: int, mapping: str) -> None:
    covered = np.zeros((inputs, outputs), int)
    spec = TileSpec(rows=rows, columns=columns, mapping=mapping)  # type: ignore[arg-type]
    planes = np.zeros(Layout(spec, inputs, outputs).shape, int)
    for tile in cut("w", inputs, outputs, spec):
        covered[tile.inputs, tile.outputs] += 1
        planes[:, tile.inputs, tile.plane_columns] += 1
        assert 0 < tile.utilisation <= 1
        assert tile.cells_used <= rows * columns
    assert (covered == 1).all() and (planes == 1).all()


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


@pytest.mark.parametrize("inputs", [1, 4])
def test_clamp_is_numpys_and_finds_what_is_not_finite(inputs: int) -> None:
    """`largest` per weight, or per output; an infinite weight is clipped, NaN stays."""
    generator = np.random.default_rng(0)
    weight = generator.standard_normal((3, 4)).astype(np.float32)
    weight[0, 0] = np.inf
    largest = generator.uniform(0.1, 1.0, (3, inputs)).astype(np.float32)
    expected = np.clip(weight, -largest, largest)
    assert clamp(weight, largest)
    np.testing.assert_array_equal(weight, expected)
    weight[2, 3] = np.nan
    assert not clamp(weight, largest) and np.isnan(weight[2, 3])
