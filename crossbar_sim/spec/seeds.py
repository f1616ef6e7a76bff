"""Which numbers are seeds."""

from __future__ import annotations

from numbers import Integral

from crossbar_sim.spec.errors import CrossbarError

LARGEST_SEED = 2**63 - 1


def check_seed(seed: int, error: type[CrossbarError]) -> None:
    """`error` for what is no whole number from 0 to LARGEST_SEED."""
    if not isinstance(seed, Integral) or not 0 <= seed <= LARGEST_SEED:
        raise error(f"the seed is {seed!r:.40}; choose a whole number from 0 to 2**63 - 1")
