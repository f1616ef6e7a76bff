"""What to simulate next: gains are differences of volumes, and what is chosen covers more than chance does."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.explore import surrogate
from benchmarks.explore.fronts import Numbers, hypervolume
from benchmarks.explore.space import Choices, Space, Span
from benchmarks.explore.surrogate import Candidates, coordinates_of

GRID = np.array([[x, y] for x in np.linspace(0, 1, 12) for y in np.linspace(0, 1, 12)])
COST = 1.0 + GRID[:, 0] + 2 * GRID[:, 1]
LOSS = 1.0 - 0.8 * GRID[:, 0] * (1 - (GRID[:, 1] - 0.6) ** 2)
"""Of 144 designs: what is counted, and what is simulated."""


def searched(number: int, seed: int) -> list[int]:
    """The designs that are chosen, four at a time, with noise on what is simulated."""
    noise = np.random.default_rng(seed + 100).normal(0, 0.01, len(LOSS))
    known: dict[int, Numbers] = {}
    while len(known) < number:
        for place in Candidates(GRID, COST[:, None], known).best(4, seed):
            known[place] = np.array([LOSS[place] + noise[place]])
    return list(known)


def covered(places: list[int]) -> float:
    return hypervolume(np.c_[COST, LOSS][places], np.array([4.0, 1.0]))


def test_what_is_chosen_covers_more_than_chance() -> None:
    """The mean of three searches of 20 designs beats the best of 100 draws of as many."""
    found = np.mean([covered(searched(20, seed)) for seed in range(3)])
    drawn = [covered(np.random.default_rng(seed).permutation(len(GRID))[:20].tolist()) for seed in range(100)]
    assert found > max(drawn)
    assert found > 0.97 * covered(list(range(len(GRID))))


def test_no_design_is_chosen_twice_and_all_are_in_the_end() -> None:
    known = {place: np.array([LOSS[place]]) for place in range(140)}
    assert sorted(Candidates(GRID, COST[:, None], known).best(8, 0)) == [140, 141, 142, 143]


@pytest.mark.parametrize("objectives", [1, 2])
def test_several_objectives_are_simulated_or_none_is_counted(objectives: int) -> None:
    values = np.c_[LOSS, LOSS[::-1]][:, :objectives]
    known = {place: values[place] for place in (0, 30, 77, 120)}
    for counted in (COST[:, None], np.zeros((len(GRID), 0))):
        found = Candidates(GRID, counted, known).best(3, 1)
        assert len(set(found)) == 3 and not set(found) & set(known)
        assert found == Candidates(GRID, counted, known).best(3, 1)


def test_equal_values_are_no_obstacle() -> None:
    known = {place: np.array([0.5]) for place in range(5)}
    assert len(Candidates(GRID, COST[:, None], known).best(4, 0)) == 4


def test_a_gain_is_a_difference_of_volumes() -> None:
    random = np.random.default_rng(0)
    reached, reference = random.random((9, 3)), np.full(3, 1.1)
    for design in random.random((20, 3)) * 1.3:
        wanted = hypervolume(np.vstack([reached, design]), reference) - hypervolume(reached, reference)
        assert surrogate.gain(reached, design, reference) == pytest.approx(wanted, abs=1e-12)


def test_designs_have_their_places_on_every_axis() -> None:
    space = Space(
        {
            "bits": Span(**{"from": 4, "to": 8}),
            "rate": Span(**{"from": 1.0, "to": 100.0, "log": True}),
            "rows": Choices.of(32, 64, 128),
            "device": Choices.of("a", "b"),
            "levels": Choices(**{"values": [3, 5], "when": {"device": "a"}}),
        }
    )
    points = [
        {"bits": 4, "rate": 10.0, "rows": 64, "device": "a", "levels": 5},
        {"bits": 8, "rate": 100.0, "rows": 128, "device": "b"},
    ]
    found = coordinates_of(space, points)
    assert found == pytest.approx(np.array([[0, 0.5, 0.5, 1, 0, 1], [1, 1, 1, 0, 1, 0.5]]))
