"""Which share of the trained cells a training step rewrites: measured by simulation, or stated, or the bound."""

from __future__ import annotations

import bisect
import math
from functools import cache
from importlib import resources
from typing import Annotated

from pydantic import Field

from benchmarks.record import Record
from crossbar_sim.counting.activity import Share
from crossbar_sim.spec.documents import read_toml
from crossbar_sim.spec.spec import Spec
from peft_methods import Method

FILE = "changed_shares.toml"
BOUND = "the bound: every step rewrites every trained cell; nothing was measured for this method and rule"
STATED = "stated"
UNTRAINED = "nothing is trained on tiles"


class MeasuredShare(Record):
    """What the runs of one method, rule and number of steps rewrote."""

    method: str
    """Its key in METHODS."""
    rule: str
    """Its update rule."""
    steps: Annotated[int, Field(ge=1)]
    """Of training."""
    share: Share
    """Mean over the runs: cells that took pulses, per step and trained cell."""
    low: Share
    """The smallest of the runs."""
    high: Share
    """The largest of the runs."""
    runs: Annotated[int, Field(ge=1)]
    """Tasks times seeds."""


class MeasuredShares(Spec):
    """The table that ships, how it was made, and on what."""

    command: str
    problem: str
    hardware: str
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    shares: tuple[MeasuredShare, ...]

    def of(self, method: str, rule: str, steps: int) -> ChangedShare | None:
        """The share after so many steps: between two measured numbers of steps on the line of the logarithms, beyond
        them that of the nearest. None: no run of this method and rule was measured."""
        rows = sorted(
            (row for row in self.shares if (row.method, row.rule) == (method, rule)), key=lambda row: row.steps
        )
        if not rows:
            return None
        above = min(max(bisect.bisect_left([row.steps for row in rows], steps), 1), len(rows) - 1)
        first, second = (rows[0], rows[0]) if len(rows) == 1 else (rows[above - 1], rows[above])
        at = 0.0
        if first.steps < second.steps:
            at = min(max(math.log(steps / first.steps) / math.log(second.steps / first.steps), 0.0), 1.0)
        share, low, high = (
            _between(getattr(first, name), getattr(second, name), at) for name in ("share", "low", "high")
        )
        where = f"measured on {self.problem}, {self.hardware}: {self.command}"
        return ChangedShare(share=share, low=low, high=high, source=where)


class ChangedShare(Spec):
    """Share of the trained cells that a step rewrites, its range, and where it comes from."""

    share: Share
    low: Share
    high: Share
    source: str


@cache
def measured_shares() -> MeasuredShares:
    """The table that ships."""
    path = resources.files("benchmarks.estimates") / FILE
    return MeasuredShares.from_document(read_toml(str(path)), where=FILE)


def changed_share(method: Method, steps: int, stated: float | None = None) -> ChangedShare:
    """The share that is stated, else measured for this method and its update rule, else the bound.

    steps: of training; longer runs rewrite less per step.
    """
    if stated is not None:
        return ChangedShare(share=stated, low=stated, high=stated, source=STATED)
    if not method.trains_on_tiles or steps < 1:
        return ChangedShare(share=1.0, low=1.0, high=1.0, source=UNTRAINED)
    measured = None
    if not method.update_rule.model_fields_set:
        measured = measured_shares().of(method.name, method.update_rule.name, steps)
    return ChangedShare(share=1.0, low=0.0, high=1.0, source=BOUND) if measured is None else measured


def _between(first: float, second: float, at: float) -> float:
    if first <= 0 or second <= 0:
        return first + at * (second - first)
    return math.exp(math.log(first) + at * (math.log(second) - math.log(first)))
