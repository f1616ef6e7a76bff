"""Cells that were written once rest: nothing is kept per cell, and who asks is told what those that kept it tell."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from crossbar_sim import Chip, Hardware, MappingError, map_model
from crossbar_sim.chip import simulated
from crossbar_sim.chip.simulated import SimulatedMatrix
from tests.crossbar_sim.chip.futures import DESIGNS, Net, future, live, with_a_past

NEVER = 1 << 60
RESTING = ("milo", "calibrated", "isaac", "neurram", "full chip", "ideal", "two-sided", "faulty")


def faulty() -> Hardware:
    milo = Hardware.load("milo2021_128x128")
    return milo.replace(device=milo.device.replace(stuck_at_lrs=0.02, stuck_at_hrs=0.03, device_to_device=0.2))


def two_sided() -> Hardware:
    milo = Hardware.load("milo2021_128x128")
    return milo.replace(tile=milo.tile.replace(mapping="two_sided", rows=20, columns=20))


MORE: dict[str, Callable[[], Hardware]] = {**DESIGNS, "faulty": faulty, "two-sided": two_sided}


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells rest however few they are."""
    monkeypatch.setattr(simulated, "LEAST_RESTING", 1)


def matrix_of(hardware: Hardware) -> SimulatedMatrix:
    weight = torch.randn(37, 45, generator=torch.Generator().manual_seed(0))
    return Chip(hardware).matrix("w", weight)


def said(matrix: SimulatedMatrix) -> list[Any]:
    """What reads, weights and wear of a matrix are, by the ways that let cells rest."""
    chip = matrix.chip
    assert isinstance(chip, Chip)
    x, gradient = (torch.randn(3, n, generator=torch.Generator().manual_seed(n)) for n in (45, 37))
    cells = matrix.cells.awake()
    parts = [matrix.read(x), matrix.read(gradient, transposed=True), matrix.weight()]
    arrays = {name: array.tobytes() for name, array in cells.arrays.items()}
    return [
        *(part.numpy().tobytes() for part in parts),
        arrays,
        chip.writes().tobytes(),
        chip.energy_by_tile(),
        matrix.targets.target.tobytes(),
        chip.ledger.rows(),
        (cells.clock, cells.version, cells.samples),
    ]


@pytest.mark.parametrize("design", RESTING)
def test_cells_at_rest_are_those_that_kept_everything(design: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated, "LEAST_RESTING", NEVER)
    kept = matrix_of(MORE[design]())
    monkeypatch.setattr(simulated, "LEAST_RESTING", 1)
    resting = matrix_of(MORE[design]())
    assert resting.cells.resting and not kept.cells.resting
    for _ in range(2):  # looking changes nothing
        assert said(resting) == said(kept)
        assert resting.cells.resting
    for matrix in (kept, resting):
        with torch.no_grad():
            matrix.master.mul_(-0.7)
        matrix.program()
    assert not resting.cells.resting
    assert said(resting) == said(kept)


@pytest.mark.parametrize("design", sorted(set(DESIGNS) - set(RESTING)))
def test_cells_that_age_wear_out_see_wires_or_move_do_not_rest(design: str, always: None) -> None:
    assert not matrix_of(DESIGNS[design]()).cells.resting


@pytest.mark.parametrize("design", DESIGNS)
def test_a_model_on_resting_cells_has_the_same_future(design: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated, "LEAST_RESTING", NEVER)
    expected = future(with_a_past(DESIGNS[design](), seed=3))
    monkeypatch.setattr(simulated, "LEAST_RESTING", 1)
    assert future(with_a_past(DESIGNS[design](), seed=3)) == expected


@pytest.mark.parametrize("how", ["deepcopy", "pickle", "file"])
@pytest.mark.parametrize("design", ["milo", "isaac"])
def test_resting_cells_travel_at_rest(how: str, design: str, always: None, tmp_path: Path) -> None:
    model = Net()
    chip = map_model(model, DESIGNS[design](), seed=3)
    twin: nn.Module = Net(seed=5)
    if how == "deepcopy":
        twin = copy.deepcopy(model)
    elif how == "pickle":
        twin = pickle.loads(pickle.dumps(model))
    else:
        chip.save(tmp_path)
        Chip.load(tmp_path, twin)
    for one in (model, twin):
        assert all(matrix.cells.resting for matrix in Chip.of(one).matrices.values())
    assert live(twin) == live(model)
    assert future(twin) == future(model)


def test_a_saved_chip_whose_cells_cannot_rest_is_refused(always: None, tmp_path: Path, milo: Hardware) -> None:
    from crossbar_sim.chip.saving import cells_facts, restore_cells

    matrix, worn = matrix_of(milo), matrix_of(DESIGNS["wearing out"]())
    facts, tensors = cells_facts(matrix.cells, rest=True)
    assert facts["resting"] and tensors == {}
    with pytest.raises(MappingError, match="w: its cells cannot be made again from their targets"):
        restore_cells(worn.cells, "w", facts, tensors, worn.targets.lend)


def test_marks_and_counts_of_writes_let_cells_rest(always: None, milo: Hardware) -> None:
    chip = Chip(milo)
    frozen, trained = (chip.matrix(name, torch.ones(20, 30)) for name in ("frozen", "trained"))
    mark = chip.mark_writes()
    with torch.no_grad():
        trained.master[0] *= -0.5
    count = trained.program().count
    since = chip.writes_since(mark)
    assert frozen.cells.resting and not since["frozen"].any() and not any(since["frozen"].strides)
    assert since["trained"].sum() == count and (chip.writes_since(mark, {"trained"})["trained"] == 0).all()
    assert chip.writes().sum() == chip.ledger.writes() and chip.writes().dtype == np.int64
    released = frozen.cells
    chip.release("frozen")
    again = chip.matrix("frozen", torch.ones(20, 30))
    assert again.cells is released and not released.resting and (released.writes == 2).all()


def test_what_failed_leaves_resting_cells_at_rest(always: None, milo: Hardware) -> None:
    chip = Chip(milo)
    cells = chip.matrix("w", torch.ones(20, 30)).cells
    chip.release("w")
    with pytest.raises(RuntimeError, match="stop"), chip.all_or_nothing():
        chip.matrix("w", torch.ones(20, 30))
        assert not cells.resting
        raise RuntimeError("stop")
    assert cells.resting and (cells.writes == 1).all()
