"""Wires: the elimination against every node, against ngspice and badcrossbar, and against what physics demands."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbar_sim import WireError
from crossbar_sim.wires.exact import effective_conductance
from tests.oracles.wires import Wires, ngspice_currents, nodal_effective, nodal_terminals

RESISTANCES = ("word_line_resistance", "bit_line_resistance", "driver_resistance", "sense_resistance")
OHM = st.one_of(st.just(0.0), st.floats(1e-2, 1e3))
README_CELLS = 1 / np.array([[345, 903, 755, 257, 646], [652, 401, 508, 166, 454], [442, 874, 190, 244, 635]])
QUCS_CELLS = 1 / np.arange(10.0, 201.0, 10.0).reshape(5, 4)


def effective(cells: np.ndarray, wires: Wires) -> np.ndarray:
    return effective_conductance(cells, **asdict(wires))


def random_cells(rows: int, columns: int, seed: int = 0, open_share: float = 0.0) -> np.ndarray:
    """Between 1 and 100 uS, some of them open."""
    generator = np.random.default_rng(seed)
    cells = 10 ** generator.uniform(-6, -4, (rows, columns))
    cells[generator.random(cells.shape) < open_share] = 0.0
    return cells


def far_apart(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference, relative to the largest entry."""
    return float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-30))


@st.composite
def arrays(draw: st.DrawFn, largest: int = 40) -> tuple[np.ndarray, Wires]:
    cells = random_cells(
        draw(st.integers(1, largest)),
        draw(st.integers(1, largest)),
        draw(st.integers(0, 999)),
        draw(st.sampled_from([0.0, 0.3, 1.0])),
    )
    return cells, Wires(draw(OHM), draw(OHM), draw(OHM), draw(OHM), draw(st.booleans()), draw(st.integers(0, 9)))


@given(arrays())
@settings(max_examples=80, deadline=None)
def test_equals_the_network_with_every_node_explicit(case: tuple[np.ndarray, Wires]) -> None:
    assert far_apart(effective(*case), nodal_effective(*case)) < 1e-11


@given(arrays(12))
@settings(max_examples=40, deadline=None)
def test_open_columns_are_columns_of_open_cells(case: tuple[np.ndarray, Wires]) -> None:
    cells, wires = case
    padded = np.pad(cells, ((0, 0), (0, wires.open_columns)))
    ours = effective(padded, replace(wires, open_columns=0))
    assert far_apart(effective(cells, wires), ours[: cells.shape[1]]) < 1e-11


@given(arrays(12))
@settings(max_examples=40, deadline=None)
def test_reading_backwards_is_the_transpose(case: tuple[np.ndarray, Wires]) -> None:
    """Reciprocity: a voltage on a sense terminal drives through a row terminal what it would the other way round."""
    cells, wires = case
    rows = len(cells)
    terminals = nodal_terminals(cells, wires)
    assert far_apart(effective(cells, wires).T, -terminals[:rows, rows:]) < 1e-11


TERMINATIONS = [
    Wires(1.0, 1.0),
    Wires(0.35, 3.5, driver_resistance=50.0),
    Wires(2.0, 0.5, sense_resistance=200.0),
    Wires(1.0, 2.0, 30.0, 80.0),
]


@pytest.mark.skipif(shutil.which("ngspice") is None, reason="needs ngspice (apt-get install ngspice)")
@pytest.mark.parametrize("double_sided", [False, True])
@pytest.mark.parametrize("wires", TERMINATIONS)
@pytest.mark.parametrize("shape", [(8, 8), (13, 29), (32, 16)])
def test_equals_ngspice(shape: tuple[int, int], wires: Wires, double_sided: bool, tmp_path: Path) -> None:
    wires = replace(wires, double_sided=double_sided)
    cells = random_cells(*shape, seed=1, open_share=0.1)
    voltages = np.random.default_rng(2).uniform(-0.2, 0.2, len(cells))
    spice = ngspice_currents(cells, wires, voltages, tmp_path)
    np.testing.assert_allclose(effective(cells, wires) @ voltages, spice, rtol=1e-6, atol=1e-6 * np.abs(spice).max())


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ngspice") is None, reason="needs ngspice (apt-get install ngspice)")
@pytest.mark.parametrize(
    "wires",
    [pytest.param(Wires(1.0, 1.0), marks=pytest.mark.whole), Wires(1.0, 2.0, 30.0, 80.0, double_sided=True)],
)
def test_equals_ngspice_on_a_large_array(wires: Wires, tmp_path: Path) -> None:
    cells, voltages = random_cells(64, 64, seed=3), np.full(64, 0.2)
    spice = ngspice_currents(cells, wires, voltages, tmp_path)
    np.testing.assert_allclose(effective(cells, wires) @ voltages, spice, rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (16, 16), (24, 40)])
@pytest.mark.parametrize(("word_line", "bit_line"), [(1.0, 1.0), (0.5, 5.0), (5.0, 0.5)])
def test_equals_badcrossbar(shape: tuple[int, int], word_line: float, bit_line: float) -> None:
    badcrossbar = pytest.importorskip("badcrossbar", reason="needs badcrossbar (pip install badcrossbar)")
    cells = random_cells(*shape, seed=4)
    voltages = np.random.default_rng(5).random((shape[0], 3))
    solution = badcrossbar.compute(voltages, 1 / cells, r_i_word_line=word_line, r_i_bit_line=bit_line)
    ours = effective(cells, Wires(word_line, bit_line)) @ voltages
    np.testing.assert_allclose(ours.T, solution.currents.output, rtol=1e-9)


@pytest.mark.parametrize(
    ("ohm", "currents"),
    [
        (0.0, [0.01172159, 0.00934187, 0.01546168, 0.02665921, 0.01006523]),
        (0.5, [0.01158503, 0.00919064, 0.01511568, 0.02583321, 0.00981179]),
        (5.0, [0.0105394, 0.00808144, 0.01261416, 0.02006851, 0.00800854]),
    ],
)
def test_published_currents_of_the_badcrossbar_readme(ohm: float, currents: list[float]) -> None:
    ours = effective(README_CELLS, Wires(ohm, ohm)) @ [1.5, 2.3, 1.7]
    np.testing.assert_allclose(ours, currents, atol=6e-9)


@pytest.mark.parametrize(
    ("wires", "currents"),
    [
        (Wires(1.0, 2.0), [0.0605702, 0.05932761, 0.05634874, 0.05335235]),
        (Wires(0.0, 0.0), [0.08882856, 0.08031746, 0.07352016, 0.06791667]),
    ],
)
def test_published_currents_of_a_qucs_simulation(wires: Wires, currents: list[float]) -> None:
    voltages = np.arange(5.0)
    np.testing.assert_allclose(effective(QUCS_CELLS, wires) @ voltages, currents, atol=6e-9)


@given(arrays(20))
@settings(max_examples=60, deadline=None)
def test_what_physics_demands(case: tuple[np.ndarray, Wires]) -> None:
    cells, wires = case
    ours = effective(cells, wires)
    assert ours.shape == cells.T.shape
    assert (ours >= 0).all()
    assert ours.sum() <= cells.sum() * (1 + 1e-12)
    for name in RESISTANCES:
        more = replace(wires, **{name: getattr(wires, name) + 10.0})
        assert effective(cells, more).sum() <= ours.sum() * (1 + 1e-12)
    other_units = replace(wires, **{name: getattr(wires, name) / 3 for name in RESISTANCES})
    assert far_apart(effective(3 * cells, other_units), 3 * ours) < 1e-12


@given(arrays(20))
@settings(max_examples=30, deadline=None)
def test_without_resistance_it_is_the_conductance_to_the_last_bit(case: tuple[np.ndarray, Wires]) -> None:
    cells, wires = case
    assert np.array_equal(effective(cells, Wires(0, 0, 0, 0, wires.double_sided)), cells.T)


def test_one_cell_is_a_series_circuit() -> None:
    ours = effective(np.array([[1e-3]]), Wires(1.0, 2.0, 30.0, 400.0))
    assert ours.item() == pytest.approx(1 / (1000 + 1 + 2 + 30 + 400), rel=1e-14)
    both = effective(np.array([[1e-3]]), Wires(1.0, 2.0, 30.0, 400.0, double_sided=True))
    assert both.item() == pytest.approx(1 / (1000 + 31 / 2 + 402), rel=1e-14)


@pytest.mark.parametrize("tiny", [1e-310, 1e-12, 1e-6])
@pytest.mark.parametrize("sense", [0.0, 1e3])
def test_small_resistances_lead_to_the_limit_of_zero(tiny: float, sense: float) -> None:
    cells = random_cells(20, 30)
    limit = effective(cells, Wires(0, 0, 5.0, sense))
    assert far_apart(effective(cells, Wires(tiny, tiny, 5.0, sense)), limit) < 1e-13 + 600 * tiny * 1e-3


@pytest.mark.parametrize("sense", [99.9, 100.1])
def test_both_ways_through_a_segment_agree(sense: float) -> None:
    """Up to a ratio of 100 the elimination inverts, beyond it solves."""
    cells, wires = random_cells(40, 40), Wires(1.0, 1.0, 0.0, sense)
    assert far_apart(effective(cells, wires), nodal_effective(cells, wires)) < 1e-12


MISTAKES = [
    (np.ones(3), {}, r"shape \(rows, columns\).*got shape \(3,\)"),
    (np.ones((0, 3)), {}, r"each at least 1; got shape \(0, 3\)"),
    (np.array([[1.0, -1.0]]), {}, r"row 0, column 1 is .*-1\.0"),
    (np.array([[1.0], [np.nan]]), {}, r"row 1, column 0 is .*nan"),
    (np.array([[np.inf]]), {}, "finite"),
    (np.ones((2, 2)), {"word_line_resistance": -1.0}, r"word_line_resistance must be.*zero or more; got -1\.0"),
    (np.ones((2, 2)), {"open_columns": -1}, r"open_columns must be a whole number of cells, zero or more; got -1"),
    (np.ones((2, 2)), {"word_line_resistance": 1e308, "driver_resistance": 1e308}, "beyond what double precision"),
    (np.ones((2, 2)), {"sense_resistance": np.nan}, "sense_resistance must be a finite number"),
]


@pytest.mark.parametrize(("cells", "changes", "message"), MISTAKES)
def test_mistakes_are_explained(cells: np.ndarray, changes: dict[str, float], message: str) -> None:
    with pytest.raises(WireError, match=message):
        effective_conductance(cells, **{"word_line_resistance": 1.0, "bit_line_resistance": 1.0, **changes})
