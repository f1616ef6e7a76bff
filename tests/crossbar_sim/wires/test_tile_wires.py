"""Mapped matrices with wires: what reads see is the nodal solution of every tile, in both directions."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from crossbar_sim import Chip, Hardware
from crossbar_sim.chip.simulated import SimulatedMatrix
from crossbar_sim.mapping.tiles import Tile
from crossbar_sim.wires import tile as tile_wires
from crossbar_sim.wires.exact import effective_conductance
from tests.oracles.on_threads import on_threads
from tests.oracles.wires import Wires, ngspice_currents, nodal_terminals

RESISTANCES = {
    "word_line_resistance": 2.0,
    "bit_line_resistance": 3.0,
    "driver_resistance": 50.0,
    "sense_resistance": 20.0,
}


def wired(milo: Hardware, **changes: float | bool) -> Hardware:
    """Small tiles with wires, no noise, no converters."""
    tile = milo.tile.replace(**{"rows": 6, "columns": 8, **RESISTANCES, **changes})
    return milo.without("read_noise", "dac", "adc").replace(tile=tile)


def random_matrix(hardware: Hardware, outputs: int = 10, inputs: int = 15) -> SimulatedMatrix:
    weight = torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(0))
    return Chip(hardware).matrix("w", weight)


def laid_out(matrix: SimulatedMatrix, tile: Tile) -> np.ndarray:
    """Every cell of the physical tile, plus and minus side by side, the unused ones open: above and to the right."""
    pairs = matrix.cells.conductance[:, tile.inputs, tile.outputs]
    rows, outputs = pairs.shape[1:]
    cells = np.zeros((tile.rows, tile.columns))
    for k in range(rows):
        for j in range(outputs):
            cells[tile.rows - rows + k, 2 * j : 2 * j + 2] = pairs[:, k, j]
    return cells


def terminations(matrix: SimulatedMatrix, transposed: bool) -> tuple[Wires, bool]:
    """The wires of a tile read one way or the other, and whether bit lines are driven at their upper ends too."""
    spec = matrix.hardware.tile
    at_rows, at_columns = spec.driver_resistance, spec.sense_resistance
    if transposed:
        at_rows, at_columns = at_columns, at_rows
    segments = (spec.word_line_resistance, spec.bit_line_resistance)
    both = spec.double_sided
    return Wires(*segments, at_rows, at_columns, both and not transposed), both and transposed


def nodal_weights(matrix: SimulatedMatrix, transposed: bool) -> np.ndarray:
    """Weights (inputs, outputs) that reads see: every node of every tile, its terminals driven one after the other."""
    seen = np.zeros(matrix.cells.conductance.shape[1:])
    for tile in matrix.tiles:
        wires, tops = terminations(matrix, transposed)
        terminals = -nodal_terminals(laid_out(matrix, tile), wires, tops)
        # out of the columns per volt on the rows, or out of the rows per volt on the columns
        between = terminals[: tile.rows, tile.rows :] if transposed else terminals[tile.rows :, : tile.rows].T
        rows, outputs = seen[tile.inputs, tile.outputs].shape
        used = between[tile.rows - rows :, : 2 * outputs]
        seen[tile.inputs, tile.outputs] = used[:, 0::2] - used[:, 1::2]
    return seen * matrix.targets.scale / matrix.hardware.device.window


@pytest.mark.parametrize("double_sided", [False, True])
@pytest.mark.parametrize("ends", [(50.0, 20.0), (30.0, 30.0), (0.0, 500.0)])
def test_reads_both_ways_are_the_nodal_solution_of_the_tiles(
    milo: Hardware, ends: tuple[float, float], double_sided: bool
) -> None:
    changes = {"driver_resistance": ends[0], "sense_resistance": ends[1], "double_sided": double_sided}
    matrix = random_matrix(wired(milo, **changes))
    outputs, inputs = matrix.master.shape
    forward, back = matrix.read(torch.eye(inputs)), matrix.read(torch.eye(outputs), transposed=True)
    np.testing.assert_allclose(forward, nodal_weights(matrix, transposed=False), rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(back.T, nodal_weights(matrix, transposed=True), rtol=2e-5, atol=1e-6)
    assert (forward - matrix.weight().T).abs().max() > 1e-2 * matrix.weight().abs().max()


@pytest.mark.parametrize("double_sided", [False, True])
def test_what_is_seen_is_the_nodal_solution_to_a_dozen_digits(milo: Hardware, double_sided: bool) -> None:
    """In double precision, before reads round to single."""
    matrix = random_matrix(wired(milo, double_sided=double_sided))
    for transposed, seen in ((False, matrix.reads.seen.forward), (True, matrix.reads.seen.back)):
        weights = (seen[0] - seen[1]) * matrix.targets.scale / matrix.hardware.device.window
        np.testing.assert_allclose(weights, nodal_weights(matrix, transposed), atol=1e-11)


@pytest.mark.skipif(shutil.which("ngspice") is None, reason="needs ngspice (apt-get install ngspice)")
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("double_sided", [False, True])
def test_pairs_of_a_tile_equal_ngspice_both_ways(
    milo: Hardware, double_sided: bool, transposed: bool, tmp_path: Path
) -> None:
    """A whole tile of 24 rows by 20 columns that holds 17 inputs and 8 outputs."""
    matrix = random_matrix(wired(milo, rows=24, columns=20, double_sided=double_sided), outputs=8, inputs=17)
    (tile,) = matrix.tiles
    cells, (wires, tops) = laid_out(matrix, tile), terminations(matrix, transposed)
    drive = np.random.default_rng(3).uniform(-0.2, 0.2, 8 if transposed else 17)
    if transposed:  # each pair of bit lines is driven with opposite signs
        volts = np.zeros(20)
        volts[0:16:2], volts[1:16:2] = drive, -drive
        spice = ngspice_currents(cells, wires, volts, tmp_path, transposed=True, tops=tops)[7:]
        ours = (matrix.reads.seen.back[0] - matrix.reads.seen.back[1]) @ drive
    else:
        volts = np.concatenate([np.zeros(7), drive])
        columns = ngspice_currents(cells, wires, volts, tmp_path)
        spice = columns[0:16:2] - columns[1:16:2]
        ours = drive @ (matrix.reads.seen.forward[0] - matrix.reads.seen.forward[1])
    np.testing.assert_allclose(ours, spice, rtol=1e-6, atol=1e-6 * np.abs(spice).max())


def test_the_number_of_threads_changes_nothing(milo: Hardware) -> None:
    with on_threads(2):
        two = random_matrix(wired(milo)).reads.seen
    one = random_matrix(wired(milo)).reads.seen
    assert np.array_equal(one.forward, two.forward) and np.array_equal(one.back, two.back)


def test_only_tiles_with_changed_cells_are_solved_again(milo: Hardware, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = random_matrix(wired(milo, driver_resistance=20.0))
    solved: list[tuple[int, ...]] = []

    def counting(cells: np.ndarray, **wires: float) -> np.ndarray:
        solved.append(cells.shape)
        return effective_conductance(cells, **wires)

    before = matrix.read(torch.eye(15))
    monkeypatch.setattr(tile_wires, "effective_conductance", counting)
    with torch.no_grad():
        matrix.master[9, 13] *= -1  # in the last tile, which is 3 rows by 2 pairs
    assert matrix.program().count > 0
    changed = matrix.read(torch.eye(15)) != before
    assert solved == [(3, 4)]
    assert changed[12:, 8:].any() and not changed[:12].any() and not changed[:, :8].any()
    np.testing.assert_allclose(matrix.read(torch.eye(15)), nodal_weights(matrix, False), rtol=2e-5, atol=1e-6)


def test_without_wires_nothing_is_solved_and_nothing_copied(milo: Hardware, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_wires, "effective_conductance", None)
    matrix = random_matrix(wired(milo).without("wires"))
    conductance = matrix.cells.conductance
    assert matrix.reads.seen.forward is conductance and matrix.reads.seen.back is conductance
    current = (milo.device.read_voltage * (conductance[0] - conductance[1])).astype(np.float32)
    assert np.array_equal(matrix.path().programmed.current, current)


def test_gradients_pass_through_the_wires(milo: Hardware) -> None:
    matrix = random_matrix(wired(milo))
    x = torch.randn(4, 15, requires_grad=True)
    direction = torch.randn(4, 10)
    matrix(x).backward(direction)
    assert x.grad is not None
    expected = direction.double() @ torch.from_numpy(nodal_weights(matrix, transposed=True)).T
    torch.testing.assert_close(x.grad.double(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("drive", ["equal", "spread"])
def test_first_order_read_noise_against_drawing_every_cell(milo: Hardware, drive: str) -> None:
    """The variance through the effective matrix against exact networks whose cells are all drawn anew."""
    hardware = milo.without("levels", "programming_error").replace(
        tile=milo.tile.replace(rows=24, columns=16, word_line_resistance=1.0, bit_line_resistance=1.0)
    )
    law = hardware.device.read_noise
    assert law is not None
    matrix = random_matrix(hardware, outputs=8, inputs=24)
    generator = np.random.default_rng(1)
    drives = np.ones(24) if drive == "equal" else generator.uniform(-1, 1, 24)
    programmed = matrix.path().programmed
    assert programmed.variance is not None
    first_order = drives**2 @ programmed.variance.astype(float)
    pairs = matrix.cells.conductance
    cells = pairs.transpose(1, 2, 0).reshape(24, 16)
    sigma = law(cells)
    currents = []
    for _ in range(1500):
        drawn = np.maximum(cells + sigma * generator.standard_normal(cells.shape), 0)
        seen = effective_conductance(drawn, word_line_resistance=1.0, bit_line_resistance=1.0)
        currents.append(hardware.device.read_voltage * (seen[0::2] - seen[1::2]) @ drives)
    ratio = np.var(currents, axis=0).sum() / first_order.sum()
    without = drives**2 @ (hardware.device.read_voltage**2 * (sigma**2).reshape(24, 8, 2).sum(axis=2))

    assert 0.9 < ratio < 1.1  # sampling alone: one in a hundred
    assert without.sum() > 1.03 * first_order.sum()
