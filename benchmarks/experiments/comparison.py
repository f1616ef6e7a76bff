"""Comparison: every method on every task of a problem."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from benchmarks.experiments.experiment import Experiment
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
from crossbar_sim.spec.spec import Spec


class Comparison(Spec):
    """The same hardware, tasks and seeds for several methods; a method is a name or a table with its settings."""

    name: str
    methods: Annotated[tuple[AnyMethod, ...], Field(min_length=1)]
    problem: AnyProblem = Field(default_factory=default_problem)
    tasks: Annotated[tuple[str, ...], Field(min_length=1, default_factory=its_targets)]
    hardware: AnyHardware = Field(default_factory=its_hardware)
    pool: str | None = None
    shots_per_class: Shots = Field(default_factory=its_shots)
    seeds: Seeds = (0, 1, 2, 3, 4)

    def experiments(self) -> list[Experiment]:
        """One experiment per method and task; raises SpecError for any that is not valid."""
        return [
            Experiment(
                method=method,
                task=task,
                hardware=self.hardware,
                problem=self.problem,
                pool=self.pool,
                shots_per_class=self.shots_per_class,
                seeds=self.seeds,
            )
            for method in self.methods
            for task in self.tasks
        ]
