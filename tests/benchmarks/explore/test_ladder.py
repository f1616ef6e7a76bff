"""The ladder keeps what nothing clearly beats, and measures how far a rung may be off."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.explore.fronts import front
from benchmarks.explore.ladder import kept, measured, spread_of

COST = np.array([[1.0], [2.0], [3.0], [4.0]])
SHORT = np.array([[0.5], [0.52], [0.2], [0.6]])
"""What a short run says, to be small."""
FULL = np.array([[0.5], [0.45], [0.4], [0.3]])
ONE = np.array([1.0])


@pytest.mark.parametrize(
    ("tolerance", "left"),
    [(0.0, [True, False, True, False]), (0.02, [True, True, True, False]), (0.4, [True] * 4)],
)
def test_a_design_is_dropped_where_a_cheaper_one_leads_by_more_than_the_tolerance(
    tolerance: float, left: list[bool]
) -> None:
    assert kept(COST, SHORT, tolerance + 1e-12, ONE).tolist() == left


def test_the_pilot_measures_the_least_tolerance_that_loses_nothing() -> None:
    off = measured(COST, SHORT, FULL, ONE)
    assert off.members == 4
    assert off.tolerance == pytest.approx(0.4)
    assert off.lost_at_0 == 2
    assert off.lost_left_out == 1  # the last one needs more than all others


@given(st.integers(2, 12), st.integers(0, 2**31))
def test_no_member_of_the_pilots_front_is_lost_at_the_measured_tolerance(designs: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    cost, full = random.random((designs, 2)), random.random((designs, 1))
    short = full + 0.5 * random.standard_normal(full.shape)
    spread = spread_of(short)
    off = measured(cost, short, full, spread)
    members = front(np.hstack([cost, full]))
    assert kept(cost, short, off.tolerance, spread)[members].all()


def test_several_simulated_numbers_must_all_lead() -> None:
    cost = np.array([[1.0], [1.0]])
    short = np.array([[0.0, 0.0], [1.0, -1.0]])
    assert kept(cost, short, 0.0, np.ones(2)).all()


def test_numbers_that_are_all_equal_have_a_spread_to_divide_by() -> None:
    assert spread_of(np.full((4, 2), 3.0)).tolist() == [1.0, 1.0]
