"""Fronts, volumes and their probabilities agree with slow twins and with exact answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.explore.fronts import front, front_probability, hypervolume, resampled
from tests.oracles.fronts import front_by_pairs, volume_by_inclusion

ROWS = st.tuples(st.integers(1, 7), st.integers(1, 4)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.integers(0, 6).map(float))
)


@given(ROWS)
def test_the_front_is_what_pairs_say(rows: np.ndarray) -> None:
    assert front(rows).tolist() == front_by_pairs(rows.tolist())


@given(ROWS)
def test_the_volume_is_that_of_the_union_of_boxes(rows: np.ndarray) -> None:
    reference = np.full(rows.shape[1], 5.0)
    assert hypervolume(rows, reference) == pytest.approx(volume_by_inclusion(rows.tolist(), reference.tolist()))


@given(ROWS)
def test_more_designs_never_cover_less(rows: np.ndarray) -> None:
    reference = np.full(rows.shape[1], 7.0)
    assert hypervolume(rows[:-1], reference) <= hypervolume(rows, reference) + 1e-9


def test_a_place_on_the_front_is_as_sure_as_the_normal_distribution_says() -> None:
    """Two designs of equal cost whose means differ by d, each with standard error s: the better one is on the front
    with the probability of a normal deviate below d / (s sqrt 2). Wilson interval of 20,000 draws, 4 sigma."""
    seeds, draws = 200, 20_000
    random = np.random.default_rng(3)
    noise = random.standard_normal((2, seeds))
    noise = (noise - noise.mean(1, keepdims=True)) / noise.std(1, ddof=1, keepdims=True)
    error = 1 / math.sqrt(seeds)
    samples = [np.stack([np.zeros(seeds), noise[place] + place * 0.5 * error], axis=1) for place in range(2)]
    found = front_probability(resampled(samples, draws, seed=0))
    wanted = 0.5 * (1 + math.erf(0.5 / math.sqrt(2) / math.sqrt(2)))
    assert found[0] == pytest.approx(wanted, abs=4 * math.sqrt(wanted * (1 - wanted) / draws) + 0.003)
    assert found.sum() == pytest.approx(1.0)


def test_means_drawn_anew_spread_by_the_standard_error_even_of_two_seeds() -> None:
    samples = [np.array([[0.0], [1.0]])]
    drawn = resampled(samples, 40_000, seed=1)
    assert drawn.std() == pytest.approx(np.array([0.0, 1.0]).std(ddof=1) / math.sqrt(2), rel=0.02)
