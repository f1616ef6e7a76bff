"""Stream: one method learns task after task on one chip, and then answers requests for them; its result is a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

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
from benchmarks.experiments.storage import RUNS, SeedFiles, folder_of
from benchmarks.problems.pools import folder_for, pool_digest
from benchmarks.streams.life import live
from benchmarks.streams.record import StreamSeed
from benchmarks.streams.result import StreamResult
from crossbar_sim import SpecError
from crossbar_sim.spec.spec import Spec
from peft_methods.tasks import Start

FORMAT = 1
"""Version of stored streams: a part of the name of their folder. Raise it when the same stream gives other numbers."""
MOST_TASKS = 100_000
LookBack = Literal["each", "end", "never"]
"""When all tasks learned before are looked at: after each task, after the last one, or not at all."""
TaskNames = Annotated[tuple[str, ...], Field(max_length=MOST_TASKS)]


class Stream(Spec):
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

    def run(self, runs: str | Path = RUNS) -> StreamResult:
        """Run what is not on disk yet, one seed after the other, and return the result."""
        return self.collect([self.run_seed(seed, runs) for seed in self.seeds], runs)

    def run_seed(self, seed: int, runs: str | Path = RUNS) -> StreamSeed:
        """The record of one seed: from its file if it is there, else simulated and written."""
        return self.files(runs).record(seed, lambda: live(self, seed))

    def run_seed_if_free(self, seed: int, runs: str | Path = RUNS) -> StreamSeed | None:
        """The same; None, at once, where another process is at it."""
        return self.files(runs).record_if_free(seed, lambda: live(self, seed))

    def collect(self, records: Sequence[StreamSeed], runs: str | Path = RUNS) -> StreamResult:
        """The result of the records of all seeds."""
        return StreamResult(self, tuple(records))
