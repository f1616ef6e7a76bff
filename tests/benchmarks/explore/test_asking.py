"""What a command line says of an exploration."""

from __future__ import annotations

from benchmarks.explore.asking import at_random, choose
from tests.benchmarks.explore.small import exploration


def test_what_is_not_said_stays_and_zero_simulations_are_all() -> None:
    one = exploration(search={"designs": 12, "simulations": 7, "batch": 4})
    assert choose(one) == one
    assert choose(one, designs=9).search == one.search.replace(designs=9)
    assert choose(one, simulations=3).search.simulations == 3
    assert choose(one, simulations=0, sampler="tpe").search.simulations is None


def test_chance_gets_the_same_budget() -> None:
    drawn = at_random(exploration(search={"designs": 12, "simulations": 7, "batch": 4})).search
    assert (drawn.sampler, drawn.designs, drawn.simulations) == ("random", 7, None)
    assert at_random(exploration()).search.designs == 12
