"""StreamResult: a stream over its seeds, and when one method's reprogramming has cost less than another's."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from benchmarks.streams.record import StreamRecord, StreamSeed, TaskStep
from crossbar_sim.spec.units import engineering

if TYPE_CHECKING:
    from benchmarks.streams.stream import Stream


@dataclass(frozen=True)
class StreamResult:
    """A stream and what it measured seed by seed."""

    stream: Stream
    seeds: tuple[StreamSeed, ...]

    @property
    def name(self) -> str:
        """Of the method, in tables and figures."""
        name = self.stream.method.display_name
        return name.replace("(tiles)", "(tiles per task)") if self.stream.own_tiles else name

    @property
    def tasks_learned(self) -> int:
        """By every seed."""
        return min(len(seed.steps) for seed in self.seeds)

    def curve(self, key: str) -> list[tuple[float, float]]:
        """Mean and sample standard deviation over the seeds of a number, after each task; 0 for one seed."""
        columns = zip(*([getattr(step, key) for step in seed.steps] for seed in self.seeds), strict=False)
        return [
            (statistics.fmean(column), statistics.stdev(column) if len(column) > 1 else 0.0)
            for column in columns
            if None not in column
        ]

    def score_so_far(self) -> list[tuple[float, float]]:
        """Mean over the tasks learned so far of their score right after learning, after each task: mean and sample
        standard deviation over the seeds; 0 for one seed."""
        each = [
            [statistics.fmean(step.accuracy for step in seed.steps[: place + 1]) for place in range(len(seed.steps))]
            for seed in self.seeds
        ]
        return [
            (statistics.fmean(column), statistics.stdev(column) if len(column) > 1 else 0.0)
            for column in zip(*each, strict=False)
        ]

    def spent_on_programming(self) -> list[float]:
        """Joule of programming the method has cost after each task, its pool included; means over the seeds."""
        pool = self.curve("cumulative_pool_energy_J")
        tasks = self.curve("cumulative_reprogramming_energy_J")
        return [one + other for (one, _), (other, _) in zip(pool, tasks, strict=True)]

    @property
    def once(self) -> float:
        """Joule of programming before any task is learned: pools and other frozen matrices; mean over the seeds."""
        return self.curve("cumulative_pool_energy_J")[0][0]

    @property
    def per_task(self) -> float:
        """Joule of programming per task, mean over the tasks and seeds."""
        spent = self.curve("cumulative_reprogramming_energy_J")
        return spent[-1][0] / len(spent)

    def records(self) -> list[StreamRecord]:
        """One flat record per seed and task."""
        return [self._record(seed.seed, step) for seed in self.seeds for step in seed.steps]

    def _record(self, seed: int, step: TaskStep) -> StreamRecord:
        own = set(StreamRecord.model_fields) & set(TaskStep.model_fields)
        return StreamRecord(
            method=self.name,
            problem=self.stream.problem.name,
            score_name=self.stream.problem.scoring.name,
            hardware=self.stream.hardware.name,
            seed=seed,
            **{key: getattr(step, key) for key in own},
        )

    def __str__(self) -> str:
        last = [seed.steps[-1] for seed in self.seeds]
        programmed = self.spent_on_programming()[-1]
        lines = [
            f"{self.name} on {self.tasks_learned} tasks of {self.stream.problem.name}, {self.stream.hardware.name}",
            f"  accuracy             {statistics.fmean(value for value, _ in self.curve('accuracy')):.3f}",
            f"  programming          {engineering(programmed, 'J')}, of which "
            f"{engineering(last[0].cumulative_pool_energy_J, 'J')} for what is never trained",
            f"  cells written        {statistics.fmean(step.cells_written for step in last):,.0f}",
            f"  worst cell's writes  {max(step.max_writes_per_cell for step in last)}",
        ]
        return "\n".join(lines)


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
    saved = other.per_task - one.per_task
    return (one.once - other.once) / saved if saved > 0 else None
