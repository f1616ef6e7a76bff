"""python -m tests.fuzz: hostile inputs at random; exit status 1 if any answer is not allowed."""

from __future__ import annotations

import argparse
import sys

import numba
import torch

from tests.fuzz.families import FAMILIES
from tests.fuzz.run import Outcome, run, table


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    options.add_argument("--cases", type=int, default=300, help="of all families together")
    options.add_argument("--seed", type=int, default=0, help="other cases for another seed")
    options.add_argument("--family", choices=list(FAMILIES), help="only this one")
    options.add_argument("--only", type=int, help="only the case of this number")
    options.add_argument("--first", type=int, default=0, help="number of the first case of each family")
    options.add_argument("--limit", type=float, default=20.0, help="seconds for one case")
    given = options.parse_args()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    names = [given.family] if given.family else list(FAMILIES)
    outcomes: list[Outcome] = []
    for place, name in enumerate(names):
        share = (given.cases + place) // len(names)
        numbers = range(given.first, given.first + share) if given.only is None else [given.only]
        for outcome in run(name, FAMILIES[name], given.seed, numbers, given.limit):
            outcomes.append(outcome)
            if not outcome.allowed:
                print(f"{name} {outcome.case} {outcome.kind}: {outcome.message}", file=sys.stderr, flush=True)
    print(table(outcomes, given.seed))
    return int(not all(outcome.allowed for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
