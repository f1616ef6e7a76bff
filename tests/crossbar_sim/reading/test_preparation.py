"""Cells that must change, and what reads need of the cells, against plain numpy; the same on any number of threads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from crossbar_sim import Chip, Hardware
from crossbar_sim.chip.simulated import SimulatedMatrix
from crossbar_sim.mapping import encoding
from crossbar_sim.mapping.kept_targets import KeptTargets
from crossbar_sim.mapping.layout import Layout
from crossbar_sim.reading import prepared as prepared_reads
from tests.oracles.on_threads import on_threads

SLICED = {"slices": 3, "slice_bits": 1}
WIRES = {"word_line_resistance": 2.0, "bit_line_resistance": 3.0, "driver_resistance": 50.0, "sense_resistance": 20.0}
ALIKE = {**WIRES, "sense_resistance": 50.0}  # one effective matrix for both directions


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Every block of inputs, and every line, is worth a thread."""
    monkeypatch.setattr(prepared_reads, "LEAST_CELLS", 1)
    monkeypatch.setattr(encoding, "LEAST_WEIGHTS", 1)
    with on_threads(request.param):
        yield request.param


def prepared(matrix: SimulatedMatrix, transposed: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """current and variance (lines, sensed) and line conductance (lines,) of one direction, cell by cell of numpy."""
    layout, rows = matrix.layout, matrix.targets.rows.row_of
    seen = (matrix.reads.seen.back if transposed else matrix.reads.seen.forward)[:, rows]
    conductance, sigma = matrix.cells.present[:, rows], matrix.cells.read_sigma()[:, rows]
    voltage, sides = matrix.hardware.device.read_voltage, layout.spec.sides
    cell_variance = np.minimum(seen / conductance, 1.0) ** 2 * sigma**2
    sums = np.zeros((2, layout.inputs, layout.columns, layout.spec.slices))
    for s in range(layout.spec.slices):
        sums[0, ..., s] = voltage * (seen[s * sides] - (seen[s * sides + 1] if sides == 2 else 0.0))
        sums[1, ..., s] = voltage**2 * cell_variance[s * sides : (s + 1) * sides].sum(axis=0)
    if transposed:
        sums = sums.transpose(0, 2, 1, 3)
    sensed = np.zeros((2, sums.shape[1], layout.sensed(transposed)))
    for s, places in enumerate(layout.places_back if transposed else layout.places):
        sensed[:, :, places] = sums[..., s]
    return sensed[0], sensed[1], conductance.sum(axis=(0, 1) if transposed else (0, 2))


NO_NOISE: dict = {"read_noise": None}
TRAPS = {"telegraph_noise": {"amplitude": 0.1, "cells": 0.4, "source": "assumption", "kind": "assumed"}}


@pytest.mark.parametrize("noise", [{}, TRAPS, NO_NOISE], ids=["by state", "with traps", "none"])
@pytest.mark.parametrize(
    "tile",
    [
        {},
        {"mapping": "two_sided"},
        {"mapping": "offset"},
        SLICED,
        {"mapping": "offset", **SLICED},
        WIRES,
        ALIKE,
        {"mapping": "offset", **WIRES},
        {**SLICED, **WIRES},
    ],
)
def test_both_directions_are_prepared_as_by_numpy(milo: Hardware, tile: dict, noise: dict, threads: int) -> None:
    """41 inputs, on permuted rows of tiles of 24, and 18 outputs, on tiles of 4 to 24."""
    hardware = milo.replace(tile=milo.tile.replace(**{"rows": 24, "columns": 24, **tile}))
    hardware = hardware.replace(device=hardware.device.replace(levels=2 if "slices" in tile else None, **noise))
    matrix = Chip(hardware).matrix("w", torch.randn(18, 41, generator=torch.Generator().manual_seed(0)))
    matrix.targets.rows.row_of = np.random.default_rng(0).permutation(41)
    matrix.cells.version += 1
    for transposed in (False, True):
        current, variance, lines = prepared(matrix, transposed)
        programmed = matrix.path(transposed).programmed
        np.testing.assert_array_equal(programmed.current, current.astype(np.float32))
        np.testing.assert_allclose(programmed.line_conductance, lines, rtol=1e-7)
        if noise is not NO_NOISE:
            assert programmed.variance is not None
            np.testing.assert_allclose(programmed.variance, variance, rtol=1e-6)


@pytest.mark.parametrize("levels", [None, 4])
@pytest.mark.parametrize("spec", [{}, {"mapping": "offset"}, {"slices": 3, "slice_bits": 2}])
def test_cells_that_differ_are_listed_plane_by_plane_and_input_by_input(
    milo: Hardware, spec: dict, levels: int | None, threads: int
) -> None:
    tile = milo.tile.replace(**{"rows": 24, "columns": 24, **spec})
    layout, device = Layout(tile, 41, 18), milo.device.replace(levels=levels)
    generator = np.random.default_rng(0)
    weight, limit = generator.uniform(-1, 1, (18, 41)), np.ones((layout.row_tiles, layout.outputs))
    rows = generator.permutation(41)
    kept = KeptTargets.nowhere(device, layout)
    encoding.retarget(weight, limit, device, layout, rows, kept)
    before = kept.siemens
    weight[generator.random(weight.shape) < 0.3] *= -0.5
    cells, goals = encoding.retarget(weight, limit, device, layout, rows, kept)
    target = kept.siemens
    aimed = encoding.to_conductance(weight.T, limit, device, layout)  # input k on row k
    np.testing.assert_array_equal(target[:, rows], aimed)
    of_input = np.arange(target.size).reshape(layout.shape)[:, rows].ravel()
    expected = of_input[(before[:, rows] != aimed).ravel()]
    assert 0 < len(expected) < target.size
    np.testing.assert_array_equal(cells, expected)
    np.testing.assert_array_equal(goals, target.ravel()[expected])
