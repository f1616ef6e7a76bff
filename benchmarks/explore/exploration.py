"""Exploration: a space of chip designs, what they are judged by, how they are searched and how far simulated."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PlainSerializer, PlainValidator, ValidationInfo, field_validator, model_validator

from benchmarks.experiments.experiment import Experiment
from benchmarks.experiments.fields import (
    AnyHardware,
    AnyMethod,
    AnyProblem,
    Seeds,
    Shots,
    check_task,
    default_problem,
    its_first_target,
    its_hardware,
    its_shots,
)
from benchmarks.experiments.storage import RUNS
from benchmarks.explore.designs import changed, check_paths
from benchmarks.explore.objectives import COUNTED, SIMULATED, AnyBound, Goal, check_name
from benchmarks.explore.samplers import LEARNING, Sampler, chosen
from benchmarks.explore.space import AnyVaried, Point, Space, read_varied, table_of
from crossbar_sim import SpecError
from crossbar_sim.spec.spec import Spec

MOST_DESIGNS = 100_000
FILE = "exploration.toml"
"""In the folder of an exploration: what was asked."""
TableOfVaried = dict[str, Annotated[AnyVaried, PlainValidator(read_varied), PlainSerializer(table_of)]]


class Rung(Spec):
    """How far designs are simulated before some are dropped.

    steps: of training, at most those of the method (None: all of them). seeds: the first so many (None: all).
    tolerance: a design is dropped if another costs no more in what is counted, and is better in what is simulated by
    more than this share of the spread among the pilot's designs; None: measured by the pilot.
    """

    steps: Annotated[int, Field(ge=1)] | None = None
    seeds: Annotated[int, Field(ge=1)] | None = None
    tolerance: Annotated[float, Field(ge=0)] | None = None


class Search(Spec):
    """How designs are found: so many distinct ones, proposed in batches.

    simulations: so many of them are simulated, chosen in batches: those by which the front is expected to gain most,
    from what counting knows of all and simulations told of some; None: all.
    """

    designs: Annotated[int, Field(ge=1, le=MOST_DESIGNS)] = 100
    simulations: Annotated[int, Field(ge=1)] | None = None
    sampler: Sampler = "auto"
    batch: Annotated[int, Field(ge=2, le=4096)] = 16
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


class Exploration(Spec):
    """Chip designs around a base: `method` on `hardware` for `tasks` of a `problem`, with everything in `vary` varied.

    vary: dotted path -> values. Paths lead into the hardware ('tile.rows', 'device.levels', 'device' by name), the
    method ('method.rank'), or are 'shots_per_class' and 'pool.size'. objectives: name of a number -> 'min' or 'max';
    constraints: name -> bounds. Counting tells energy, time, area and memory of every design; what it does not tell is
    simulated, rung by rung: few steps and one seed first, all at last. pilot: so many designs, drawn by chance, are
    simulated in full whatever is known of them; how far a rung is off is measured on them. more_seeds: so many runs at
    most are spent on designs of which it is unsure whether they are on the front.
    """

    name: str
    vary: TableOfVaried
    method: AnyMethod
    problem: AnyProblem = Field(default_factory=default_problem)
    hardware: AnyHardware = Field(default_factory=its_hardware)
    pool: str | None = None
    tasks: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        default_factory=lambda data: (its_first_target(data),)
    )
    shots_per_class: Shots = Field(default_factory=its_shots)
    seeds: Seeds = (0, 1, 2, 3, 4)
    objectives: Annotated[
        dict[str, Goal],
        Field(min_length=1, max_length=6, default_factory=lambda: {"accuracy_mean": "max", "total_energy_J": "min"}),
    ]
    constraints: Annotated[dict[str, AnyBound], Field(default_factory=dict)]
    search: Search = Search()
    rungs: Annotated[tuple[Rung, ...], Field(min_length=1)] = (
        Rung(steps=15, seeds=1),
        Rung(seeds=2),
        Rung(),
    )
    pilot: Annotated[int, Field(ge=0)] = 12
    more_seeds: Annotated[int, Field(ge=0)] = 0

    @field_validator("tasks")
    @classmethod
    def _tasks_exist(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        return tuple(check_task(name, info) for name in names)

    @field_validator("objectives", "constraints")
    @classmethod
    def _names_exist(cls, named: dict[str, Any]) -> dict[str, Any]:
        for name in named:
            check_name(name)
        return named

    @model_validator(mode="after")
    def _makes_sense(self) -> Exploration:
        check_paths(self.base, self.space)
        last = self.rungs[-1]
        if last.steps is not None or last.seeds is not None:
            raise SpecError("rungs: the last one simulates all steps and all seeds; leave both out")
        if self.search.simulations is not None and self.sampler in LEARNING:
            raise SpecError(
                f"search: {self.sampler} decides itself what is simulated; leave out simulations, or take the grid, "
                "sobol or random"
            )
        if self.simulates and not self.pilot and any(rung.tolerance is None for rung in self.rungs[:-1]):
            raise SpecError("rungs: without a pilot every rung but the last needs a tolerance; give them, or a pilot")
        return self

    @cached_property
    def space(self) -> Space:
        """Everything that may be proposed."""
        return Space(self.vary)

    @cached_property
    def base(self) -> Experiment:
        """The design that stands where nothing is varied, on the first task."""
        return Experiment(
            method=self.method,
            problem=self.problem,
            hardware=self.hardware,
            pool=self.pool,
            task=self.tasks[0],
            shots_per_class=self.shots_per_class,
            seeds=self.seeds,
            curve_points=0,
        )

    @property
    def sampler(self) -> Sampler:
        """What proposes designs."""
        learning = None if self.search.simulations is not None else self.simulates
        return chosen(self.search.sampler, self.space, self.search.designs, learning)

    @property
    def counted(self) -> tuple[str, ...]:
        """Objectives that counting knows."""
        return tuple(name for name in self.objectives if name in COUNTED)

    @property
    def simulated(self) -> tuple[str, ...]:
        """Objectives that only a simulation knows."""
        return tuple(name for name in self.objectives if name in SIMULATED)

    def small(self, name: str, value: float) -> float:
        """An objective with the sign by which less is better."""
        return value if self.objectives[name] == "min" else -value

    @property
    def simulates(self) -> bool:
        """Whether any number that is asked for needs a simulation."""
        return any(name in SIMULATED for name in (*self.objectives, *self.constraints))

    def experiments(self, point: Point) -> tuple[Experiment, ...]:
        """The design at a point, one experiment a task; SpecError for one that no design can have."""
        first = changed(self.base, self.space, point)
        return tuple(first if task == first.task else first.replace(task=task) for task in self.tasks)

    def folder(self, runs: str | Path = RUNS) -> Path:
        """Where what was proposed is kept: runs/explorations/<digest of what decides the proposals>.

        The name, the number of designs and how they are simulated in the end are no part of it: an exploration can be
        extended. Records of designs are kept beside, whatever exploration they are of.
        """
        table = self.model_dump(mode="json", exclude={"name", "more_seeds", "pilot", "rungs", "search"})
        deciding: dict[str, Any] = {"sampler": self.sampler, "batch": self.search.batch, "seed": self.search.seed}
        if self.simulates:
            deciding |= {"rung": self.rungs[0].model_dump(mode="json", exclude={"tolerance"})}
        if self.search.simulations is not None:
            deciding |= {"chosen of": self.search.designs}
        text = json.dumps({**table, **deciding}, sort_keys=True)
        return Path(runs) / "explorations" / hashlib.sha256(text.encode()).hexdigest()[:16]
