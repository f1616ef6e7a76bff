"""Stream: one method learns task after task on one chip, and then answers requests for them; its result is a file."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from benchmarks.experiments.fields import (
    AnyHardware,
    AnyMethod,
    AnyProblem,
    Seeds,
    Shots,
    check_task,
    default_problem,
    its_hardware,
    its_shots,
    its_targets,
)
from benchmarks.experiments.seed_runs import SeedRuns
from benchmarks.experiments.storage import RUNS, SeedFiles, folder_of
from benchmarks.problems.pools import folder_for, pool_digest
from benchmarks.streams.life import LookBack, live
from benchmarks.streams.record import StreamRecord, StreamSeed, TaskStep
from crossbar_sim import SpecError
from crossbar_sim.spec.spec import Spec
from crossbar_sim.spec.units import engineering
from peft_methods.tasks import Start

FORMAT = 1
"""Version of stored streams: a part of the name of their folder. Raise it when the same stream gives other numbers."""
MOST_TASKS = 100_000
TaskNames = Annotated[tuple[str, ...], Field(max_length=MOST_TASKS)]


class Stream(Spec, SeedRuns[StreamSeed, "StreamResult"]):
    """What lives on one chip per seed: `method` on `hardware` learns the `tasks` of a `problem` in this order, `rounds`
    times over, and then answers `requests`, each for a task that was learned.

    Frozen matrices, a pool above all, are programmed once. What is trained for a task and is not on tiles is kept for
    it in memory. What is trained on tiles is overwritten by the next task, and programmed again when a request asks for
    it; own_tiles: every task gets tiles of its own. start: from which values a task is learned, those of `attach`
    ('initial') or those of the task before ('previous'). look_back: when the tasks learned before are looked at, which
    takes a pass over the test samples of each. until_failure: the stream ends once a task is learned this
    much worse than in the first round; None: never. A task of the first round draws other training samples than any
    before it; later rounds draw the same again, in the same order.
    """

    method: AnyMethod
    problem: AnyProblem = Field(default_factory=default_problem)
    hardware: AnyHardware = Field(default_factory=its_hardware)
    pool: str | None = None
    tasks: Annotated[TaskNames, Field(min_length=1, default_factory=its_targets)]
    requests: TaskNames = ()
    rounds: Annotated[int, Field(ge=1, le=MOST_TASKS)] = 1
    own_tiles: bool = False
    start: Start = "initial"
    look_back: LookBack = "each"
    until_failure: Annotated[float, Field(gt=0)] | None = None
    shots_per_class: Shots = Field(default_factory=its_shots)
    seeds: Seeds = (0, 1, 2)

    @field_validator("tasks", "requests")
    @classmethod
    def _tasks_exist(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        names = tuple(check_task(name, info) for name in names)
        learned = info.data.get("tasks")
        unknown = [name for name in names if learned is not None and name not in learned]
        if unknown:
            raise SpecError(
                f"requests: '{unknown[0]}' is none of the tasks that the stream learns ({', '.join(learned or ())})"
            )
        return names

    def folder(self, runs: str | Path = RUNS) -> Path:
        """Where the records are kept: runs/<digest of this spec, of model, data and pool, and of the format>."""
        problems = [self.problem.digest(self.problem.task(name)) for name in dict.fromkeys(self.tasks)]
        pool = pool_digest(self.method, self.pool_folder)
        return folder_of(runs, "stream", self.digest(), *problems, pool, FORMAT)

    @property
    def pool_folder(self) -> Path | None:
        """Where the LoRA modules are that the method mixes, if it does."""
        return folder_for(self.method, self.problem, self.pool)

    def files(self, runs: str | Path = RUNS) -> SeedFiles[StreamSeed]:
        """Where the record of each seed is kept."""
        return SeedFiles(self.folder(runs), StreamSeed)

    def simulated(self, seed: int) -> StreamSeed:
        """The record of one seed, whatever is on disk."""
        return live(self, seed)

    def collect(self, records: Sequence[StreamSeed], runs: str | Path = RUNS) -> StreamResult:
        """The result of the records of all seeds; hidden files of killed processes go."""
        self.files(runs).sweep()
        return StreamResult(self, tuple(records))


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

    def earlier_when_learned(self) -> list[tuple[float, float]]:
        """Of all tasks before each, the mean score right after they were learned: mean and sample standard deviation
        over the seeds, from the second task on."""
        now, lost = self.curve("accuracy_of_earlier"), self.curve("forgetting")
        return [(value + forgotten, sd) for (value, _), (forgotten, sd) in zip(now, lost, strict=True)]

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
