"""When one method's programming has cost less than another's, over the tasks of a stream."""

from __future__ import annotations

from itertools import pairwise

from benchmarks.estimates.costs import break_even as of_lines
from benchmarks.streams.stream import StreamResult


def break_even(one: StreamResult, other: StreamResult) -> float | None:
    """After how many tasks `one`, which costs more to begin with, has cost less programming than `other`; None: never.

    Where the simulated curves cross; beyond their end, where they go on at their mean cost per task:
    once + N per_task = other.once + N other.per_task.
    """
    mine, theirs = [one.once, *one.spent_on_programming()], [other.once, *other.spent_on_programming()]
    gaps = [own - his for own, his in zip(mine, theirs, strict=False)]
    for place, (before, after) in enumerate(pairwise(gaps)):
        if after <= 0:
            return place + max(before, 0.0) / (before - after) if before > after else float(place)
    return of_lines(one.once, one.per_task, other.once, other.per_task)
