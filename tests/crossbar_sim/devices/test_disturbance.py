"""Half-select disturbance: who feels whose pulses, how far they move, and that nothing happens when it is off."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbar_sim import Chip, DeviceModel, Hardware, MappingError, SpecError
from crossbar_sim.cells.cells import Cells
from crossbar_sim.devices.disturbance import half_selected_pulses
from crossbar_sim.runtime.counter_random import stream_key

HALF = {"scheme": "half", "growth_voltage": 0.2, "source": "assumption", "kind": "assumed"}
THIRD = {**HALF, "scheme": "third"}


def naive_felt(shape, array, scheme, cells, pulses):  # type: ignore[no-untyped-def]
    """Pulse by pulse, cell by cell."""
    where = list(np.ndindex(shape))
    felt = np.zeros(len(where), np.int64)
    for cell, count in zip(cells, pulses, strict=True):
        felt[cell] = 0  # what came before is overwritten
        *side, row, column = where[cell]
        for other, (*other_side, r, c) in enumerate(where):
            same_array = (r // array[0], c // array[1]) == (row // array[0], column // array[1])
            on_line = r == row or (c == column and other_side == side)
            if other != cell and same_array and (scheme == "third" or on_line):
                felt[other] += count
    return felt


@given(
    scheme=st.sampled_from(["half", "third"]),
    sides=st.integers(1, 2),
    rows=st.integers(1, 5),
    columns=st.integers(1, 5),
    array=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_who_feels_whose_pulses(
    scheme: str, sides: int, rows: int, columns: int, array: tuple[int, int], seed: int
) -> None:
    draw, shape = np.random.default_rng(seed), (sides, rows, columns)
    cells = np.flatnonzero(draw.random(shape).reshape(-1) < 0.5)
    pulses = draw.integers(0, 9, cells.size).astype(np.int32)
    fast = half_selected_pulses(shape, array, scheme, cells, pulses)
    assert np.array_equal(fast, naive_felt(shape, array, scheme, cells, pulses))


@pytest.mark.parametrize("label", [None, 1.5])
@pytest.mark.parametrize("scheme", [HALF, THIRD])
def test_weak_pulses_add_up(scheme: dict[str, object], label: float | None) -> None:
    """One cell is written; its neighbours take a share of every step, as a loop over the pulses says."""
    device = DeviceModel.load("wu2018").replace(disturbance=scheme, cycle_to_cycle_window=None, set_nonlinearity=label)
    crossbar = Cells(device, (2, 3), stream_key(0, "d"))
    result = crossbar.program(np.array([0]), np.array([device.g_max]), 0.0)
    pulses = int(result.set_pulses[0])
    lost = device.set_voltage * (1 / 2 if scheme is HALF else 2 / 3)
    share, slope = np.exp(-lost / 0.2), device.response(np.arange(2.0))
    g = device.g_min
    for _ in range(pulses):  # the step is linear in the state: through two points of the mean curve
        step_here, top = slope[1] - slope[0], device.response(np.array([pulses - 1.0, pulses]))
        at_top = top[1] - top[0]
        g += share * (step_here + (at_top - step_here) * (g - device.g_min) / (top[0] - device.g_min))
    neighbours = [1, 2, 3] if scheme is HALF else [1, 2, 3, 4, 5]
    moved = crossbar.conductance.reshape(-1)
    np.testing.assert_allclose(moved[neighbours], g, rtol=1e-9)
    assert sorted(result.disturbed) == neighbours and (np.delete(moved, [0, *neighbours]) == device.g_min).all()
    assert device.g_min < g < device.g_max
    assert crossbar.disturbed is not None and crossbar.writes.sum() == 1
    assert crossbar.pulses.sum() == pulses and (crossbar.disturbed.reshape(-1)[neighbours] == pulses).all()


def test_reset_pulses_pull_down_and_stuck_cells_stay() -> None:
    device = DeviceModel.load("wu2018").replace(disturbance=HALF, stuck_at_hrs=0.3, cycle_to_cycle_window=None)
    crossbar = Cells(device, (4, 30), stream_key(1, "s"))
    assert crossbar.stuck is not None
    free = ~crossbar.stuck
    crossbar.conductance[free] = device.g_max
    cell = np.flatnonzero(free)[:1]
    crossbar.program(cell, np.full(1, device.g_min), 0.0)
    row = crossbar.conductance[0][1:]
    assert (crossbar.conductance[crossbar.stuck] == device.g_min).all()
    assert (row[free[0][1:]] < device.g_max).sum() >= 10
    assert (crossbar.conductance[1:, 1:][free[1:, 1:]] == device.g_max).all() or cell[0] != 0


@given(strength=st.floats(0.05, 3), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_disturbed_cells_stay_in_the_window(strength: float, seed: int) -> None:
    device = DeviceModel.load("wan2022").replace(
        disturbance={**HALF, "growth_voltage": strength}, programming_error=None
    )
    crossbar, draw = Cells(device, (2, 5, 6), stream_key(seed, "w")), np.random.default_rng(seed)
    for _ in range(3):
        cells = np.flatnonzero(draw.random(60) < 0.4)
        before = crossbar.conductance.reshape(-1).copy()
        result = crossbar.program(cells, device.g_min + device.window * draw.random(cells.size), 0.0)
        after = crossbar.conductance.reshape(-1)
        assert (after >= device.g_min * (1 - 1e-12)).all() and (after <= device.g_max * (1 + 1e-12)).all()
        still = np.setdiff1d(np.arange(60), result.moved)
        assert np.array_equal(after[still], before[still])
        assert np.array_equal(result.achieved, after[cells])


def test_off_is_exactly_off_and_reads_see_it_when_on(milo: Hardware) -> None:
    weight = torch.linspace(-1, 1, 24).reshape(4, 6)
    on = milo.replace(device=milo.device.replace(disturbance=HALF)).without("read_noise", "dac", "adc")
    wired = on.replace(tile=on.tile.replace(word_line_resistance=1.0))
    for hardware in (on, wired):
        outcomes = []
        for kind in (hardware, hardware.without("disturbance")):
            chip = Chip(kind)
            matrix = chip.matrix("m", weight)
            matrix.master[0, 0] = 0.5
            result = matrix.program()
            outcomes.append((matrix, matrix(torch.eye(6)), result))
        (_, disturbed, felt), (quiet, calm, none) = outcomes
        assert felt.disturbed.size > 0 and none.disturbed.size == 0 and quiet.cells.disturbed is None
        assert not torch.equal(disturbed, calm)
        assert felt.count == none.count == 2
    never = Chip(on.replace(device=on.device.replace(disturbance=None))).matrix("m", weight)
    assert torch.equal(never(torch.eye(6)), Chip(on.without("disturbance")).matrix("m", weight)(torch.eye(6)))


def test_mistakes_are_explained() -> None:
    device = DeviceModel.load("wu2018").replace(disturbance=HALF)
    with pytest.raises(MappingError, match="at least two axes"):
        Cells(device, (5,), stream_key(0, "x"))
    with pytest.raises(SpecError, match="pulses of one voltage"):
        DeviceModel.load("wan2022_incremental").replace(disturbance=HALF)
