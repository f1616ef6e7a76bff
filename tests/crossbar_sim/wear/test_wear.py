"""Wear statistics and lifetimes against published arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossbar_sim import DeviceModel, SpecError
from crossbar_sim.wear.statistics import ENDURANCES, adaptations_until_wearout, cycles, wear

COUNTS = st.lists(st.integers(0, 1000), min_size=1, max_size=200)

LIFETIMES = [  # writes per cell and adaptation, adaptations at each of ENDURANCES
    (1, [1e4, 1e5, 1e6, 1e8, 1e9]),  # train digitally, program once
    (8.52, [1.2e3, 1.2e4, 1.2e5, 1.2e7, 1.2e8]),  # the same, every pulse of NeuRRAM counted
    (1_000, [10, 100, 1e3, 1e5, 1e6]),  # on the device, a thousand steps
    (10_000, [1, 10, 100, 1e4, 1e5]),  # ten thousand steps; 1e6: T21
]


@pytest.mark.parametrize(("writes", "adaptations"), LIFETIMES)
def test_adaptations_until_wearout(writes: float, adaptations: list[float]) -> None:
    for endurance, expected in zip(ENDURANCES, adaptations, strict=True):
        assert adaptations_until_wearout(endurance, writes) == pytest.approx(expected, rel=0.03)
    assert [row["adaptations"] for row in wear([0, writes]).lifetimes()] == [
        adaptations_until_wearout(endurance, writes) for endurance in ENDURANCES
    ]


def test_chimera_writes_a_cell_once_in_283_samples() -> None:
    """T22: ten years at 20 samples a minute, JSSC 2022."""
    samples = 10 * 365 * 24 * 60 * 20
    assert samples == pytest.approx(1.0512e8)
    assert samples / 283 == pytest.approx(3.714e5, rel=1e-3)
    assert adaptations_until_wearout(samples / 283, 1 / 283) == pytest.approx(samples, rel=1e-6)


@given(COUNTS)
def test_invariants(counts: list[int]) -> None:
    statistics = wear(counts)
    assert statistics.mean <= statistics.largest and statistics.p99 <= statistics.largest
    assert 0 <= statistics.gini < 1 and statistics.total == sum(counts) and statistics.cells == len(counts)
    assert wear(counts * 2).gini == pytest.approx(statistics.gini, abs=1e-12)
    if any(counts):
        slow = sum(abs(a - b) for a in counts for b in counts) / (2 * len(counts) * sum(counts))
        assert statistics.gini == pytest.approx(slow, abs=1e-12)
        unlevelled, levelled = statistics.adaptations(1e6), statistics.adaptations_levelled(1e6)
        assert unlevelled is not None and levelled is not None and levelled >= unlevelled
        assert statistics.largest >= statistics.mean * (1 - 1e-12)
    else:
        assert statistics.adaptations(1e6) is None and statistics.largest == 0


def test_extremes_of_gini() -> None:
    assert wear([7] * 50).gini == 0
    assert wear([0] * 99 + [5]).gini == pytest.approx(0.99)


def test_refusals() -> None:
    with pytest.raises(SpecError, match="at least one cell"):
        wear([])
    with pytest.raises(SpecError, match="must not be negative"):
        wear([1, -1])
    with pytest.raises(SpecError, match="endurance must be positive"):
        adaptations_until_wearout(0, 1)


def test_three_times_up_and_down_and_once_up_are_three_and_a_half_cycles() -> None:
    window = DeviceModel.load("milo2021").window
    assert cycles(np.array([0.0, 7 * window]), window) == pytest.approx([0.0, 3.5])
