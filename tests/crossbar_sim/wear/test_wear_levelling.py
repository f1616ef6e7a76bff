"""Wear levelling: the product stays, the worst cell's writes fall, and every move is written, billed and counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crossbar_sim import Chip, Hardware, SpecError
from crossbar_sim.chip.simulated import SimulatedMatrix
from crossbar_sim.hardware.wear_levelling import WearLevelling


def build(hardware: Hardware, levelling: WearLevelling | None = None, **tile: Any) -> SimulatedMatrix:
    spec = hardware.tile.replace(**{"rows": 8, "columns": 16, **tile})
    weight = torch.randn(12, 20, generator=torch.Generator().manual_seed(0))
    return Chip(hardware.replace(tile=spec, wear_levelling=levelling)).matrix("w", weight)


def wear_out_one_input(matrix: SimulatedMatrix, steps: int, seed: int = 0) -> None:
    """Rewrites the weights of input 3 and of nothing else."""
    generator = torch.Generator().manual_seed(seed)
    with matrix.ledger.phase("adapt/update"):
        for _ in range(steps):
            with torch.no_grad():
                matrix.master[:, 3] = torch.from_numpy(matrix.targets.scale).float() * (
                    torch.rand(12, generator=generator) - 0.5
                )
            matrix.program()


POLICIES = [WearLevelling(policy="row_swap", interval=5), WearLevelling(policy="periodic_remap", interval=10)]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda one: one.policy)
def test_the_worst_cell_is_written_less_and_the_product_stays(ideal: Hardware, policy: WearLevelling) -> None:
    fixed, levelled = build(ideal), build(ideal, policy)
    deployed = [matrix.cells.writes.sum() for matrix in (fixed, levelled)]
    for matrix in (fixed, levelled):
        wear_out_one_input(matrix, 120)
    x = torch.randn(6, 20, generator=torch.Generator().manual_seed(1))
    assert torch.equal(levelled.master, fixed.master)
    torch.testing.assert_close(levelled(x), x @ levelled.master.T, rtol=0, atol=2e-6)
    torch.testing.assert_close(levelled.weight(), levelled.master, rtol=0, atol=1e-6)
    y = torch.randn(6, 12, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(levelled.read(y, transposed=True), y @ levelled.master, rtol=0, atol=5e-6)
    assert fixed.cells.writes.max() > 90
    assert levelled.cells.writes.max() < 0.6 * fixed.cells.writes.max()
    assert levelled.cells.writes.sum() > fixed.cells.writes.sum()  # moves are writes
    for matrix, first in zip((fixed, levelled), deployed, strict=True):
        assert matrix.cells.writes.sum() - first == matrix.ledger.writes("adapt")
        assert matrix.cells.writes.sum() == matrix.ledger.writes()


@given(st.sampled_from(POLICIES), st.integers(1, 30), st.integers(0, 20))
def test_rows_stay_a_permutation_within_their_tile(
    ideal: Hardware, policy: WearLevelling, steps: int, seed: int
) -> None:
    matrix = build(ideal, policy.replace(interval=2))
    wear_out_one_input(matrix, steps, seed)
    for top in range(0, 20, 8):
        rows = matrix.targets.rows.row_of[top : top + 8]
        assert sorted(rows) == list(range(top, min(top + 8, 20)))


def test_levelling_with_wires_noise_and_references_still_reads_the_weights(milo_with_wires: Hardware) -> None:
    matrix = build(milo_with_wires, POLICIES[1], mapping="offset")
    wear_out_one_input(matrix, 11)
    assert not np.array_equal(matrix.targets.rows.row_of, np.arange(20))
    x = torch.randn(200, 20, generator=torch.Generator().manual_seed(1))
    exact = x @ matrix.master.T
    assert (matrix(x) - exact).std() < 0.25 * exact.std()


def test_moving_one_cell_of_a_pair_halves_the_writes(milo: Hardware) -> None:
    """Small changes of two-sided pairs: one write where there were two, and the same weights."""
    exact = milo.without("programming_error")
    both = build(exact, mapping="two_sided")
    one = build(exact, mapping="two_sided", pair_update="one_side")
    for matrix in (both, one):
        wear_out_one_input(matrix, 30)
        torch.testing.assert_close(matrix.weight(), matrix.master, rtol=0, atol=float(matrix.targets.scale.max()) / 8)
    assert one.ledger.writes("adapt") < 0.65 * both.ledger.writes("adapt")
    levels = (one.cells.conductance - exact.device.g_min) / exact.device.window * 8
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-9)
    assert levels.min() > -1e-9 and levels.max() < 8 + 1e-9


def test_one_side_needs_two_sided_pairs(milo: Hardware) -> None:
    with pytest.raises(SpecError, match="two_sided"):
        milo.tile.replace(pair_update="one_side")


def test_hardware_says_so(ideal: Hardware) -> None:
    levelled = ideal.replace(wear_levelling=POLICIES[0])
    assert "row_swap, interval 5" in str(levelled)
    assert Hardware.from_document(__import__("tomllib").loads(levelled.to_toml()), "here") == levelled
