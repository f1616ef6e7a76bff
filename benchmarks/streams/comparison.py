"""StreamComparison: the same stream of tasks for several methods, each on a chip of its own."""

from __future__ import annotations

from itertools import cycle, islice
from typing import Annotated

from pydantic import Field, field_validator

from benchmarks.experiments.fields import (
    AnyHardware,
    AnyMethod,
    AnyProblem,
    Seeds,
    Shots,
    default_problem,
    its_hardware,
    its_shots,
    its_targets,
)
from benchmarks.streams.life import LookBack
from benchmarks.streams.stream import MOST_TASKS, Stream, TaskNames
from crossbar_sim import SpecError
from crossbar_sim.spec.spec import Spec, nearest
from peft_methods import METHODS
from peft_methods.tasks import Start

QUICK_STEPS = 20
QUICK_TASKS = 4


class StreamComparison(Spec):
    """Several methods learn the same tasks in the same order; fields as in `Stream`.

    own_tiles: names of methods that are run a second time, with tiles of their own for every task.
    """

    name: str
    methods: Annotated[tuple[AnyMethod, ...], Field(min_length=1)]
    problem: AnyProblem = Field(default_factory=default_problem)
    tasks: Annotated[TaskNames, Field(min_length=1, default_factory=its_targets)]
    requests: TaskNames = ()
    rounds: Annotated[int, Field(ge=1, le=MOST_TASKS)] = 1
    hardware: AnyHardware = Field(default_factory=its_hardware)
    pool: str | None = None
    own_tiles: tuple[str, ...] = ()
    start: Start = "initial"
    look_back: LookBack = "each"
    until_failure: Annotated[float, Field(gt=0)] | None = None
    shots_per_class: Shots = Field(default_factory=its_shots)
    seeds: Seeds = (0, 1, 2)

    @field_validator("own_tiles")
    @classmethod
    def _methods_exist(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in METHODS:
                raise SpecError(f"own_tiles: no method '{name}'{nearest(name, list(METHODS))}")
        return names

    def streams(self) -> list[Stream]:
        """One stream per method, one more for those with tiles of their own; SpecError for any that is not valid."""
        return [
            Stream(
                method=method,
                problem=self.problem,
                hardware=self.hardware,
                pool=self.pool,
                tasks=self.tasks,
                requests=self.requests,
                rounds=self.rounds,
                own_tiles=own,
                start=self.start,
                look_back=self.look_back,
                until_failure=self.until_failure,
                shots_per_class=self.shots_per_class,
                seeds=self.seeds,
            )
            for method in self.methods
            for own in (False, *([True] if method.name in self.own_tiles and method.trains_on_tiles else []))
        ]

    def with_tasks(self, count: int) -> StreamComparison:
        """The same with so many tasks; the order starts again where it ends, with other training samples."""
        if not 1 <= count <= MOST_TASKS:
            raise SpecError(f"tasks: a stream has 1 to {MOST_TASKS} tasks, got {count}")
        tasks = tuple(islice(cycle(self.tasks), count))
        return self.replace(tasks=tasks, requests=tuple(name for name in self.requests if name in tasks))

    def quickened(self) -> StreamComparison:
        """The smallest stream that still touches everything: few tasks, one seed, few steps."""
        methods = tuple(method.replace(steps=min(method.steps, QUICK_STEPS)) for method in self.methods)
        few = self.with_tasks(min(len(self.tasks), QUICK_TASKS))
        return few.replace(methods=methods, seeds=self.seeds[:1], rounds=1)
