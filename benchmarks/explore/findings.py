"""What an exploration found: every design with what is known of it, the front, and how sure that is."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from benchmarks.experiments.experiment import Experiment
from benchmarks.explore.counting import CountedDesign
from benchmarks.explore.exploration import Exploration
from benchmarks.explore.fronts import Numbers, front, front_probability, hypervolume, on_scales, resampled
from benchmarks.explore.ladder import Off
from benchmarks.explore.objectives import COUNTED, SCORE, SIMULATED
from benchmarks.explore.simulating import DesignSeed
from benchmarks.explore.space import Point
from benchmarks.record import Record

DRAWS = 1000
"""Of the bootstrap that says how sure a place on the front is."""
State = Literal["waiting", "refused", "infeasible", "failed", "counted", "dropped", "evaluated"]
"""refused: no such design. infeasible: outside the constraints. failed: its worker died. counted: not chosen to be
simulated. dropped: on a rung. evaluated: to the end."""
Seeds = Mapping[int, Sequence[DesignSeed]]
"""Seed -> its records, one a task."""


class Estimate(Record):
    """A number of a design: mean over its seeds and standard error of that; of a single seed None, of counting 0."""

    mean: float
    """Over seeds."""
    se: float | None
    """Standard error."""


class DesignRecord(Record):
    """One design of an exploration."""

    id: int
    """Its place among the proposals."""
    varied: dict[str, Any]
    """Dotted path -> value."""
    state: State
    """How far it came."""
    rung: int | None
    """The last one that it was simulated on, from 0; None: it was counted, if that."""
    seeds: int
    """So many of the last rung."""
    objectives: dict[str, Estimate]
    """Objectives and constraints that are known, by name."""
    front: bool
    """Whether no evaluated design beats its means."""
    front_probability: float | None
    """How often it is on the front if the seeds are drawn anew; None: not evaluated."""
    simulated_total_energy_J: float | None
    """Of the simulated runs, where counting gave the objective."""
    processor_s: float
    """Spent on it."""
    reason: str | None
    """Why it was refused, infeasible, failed or dropped."""


class RungRecord(Record):
    """One rung of the ladder."""

    steps: int | None
    """Of training; None: all."""
    seeds: int
    """Per design and task."""
    designs: int
    """That were simulated on it."""
    kept: int
    """That went up, or were evaluated on the last."""
    tolerance: float | None
    """In standard deviations of the pilot's designs; None: the last rung drops nothing."""
    pilot_front: int | None
    """Designs of the pilot's front; None: no pilot."""
    pilot_lost_without_tolerance: int | None
    """How many of them the rung drops at tolerance 0."""
    pilot_lost_left_out: int | None
    """How many it drops at the tolerance that the others of the pilot's front ask for."""
    processor_s: float
    """Spent on it."""


class ExplorationRecord(Record):
    """Everything that an exploration found."""

    name: str
    """Of the exploration."""
    sampler: str
    """What proposed the designs."""
    space: int | None
    """Points of the space; None: more than can be counted."""
    designs: tuple[DesignRecord, ...]
    """In the order of the proposals."""
    front: tuple[int, ...]
    """Ids, the best in the first objective first."""
    hypervolume: tuple[float, ...]
    """Share of the box between the best and the worst evaluated values that the first n designs cover, n = 1, 2, ...;
    those that were chosen to be simulated come last, as they were chosen."""
    hypervolume_processor_s: tuple[float, ...]
    """Processor seconds spent on the first n designs."""
    rungs: tuple[RungRecord, ...]
    """From the cheapest to the last."""


@dataclass
class Design:
    """A proposed design, and what has become known of it."""

    number: int
    point: Point
    experiments: tuple[Experiment, ...] = ()
    digests: tuple[str, ...] = ()
    state: State = "waiting"
    reason: str | None = None
    counted: CountedDesign | None = None
    rung: int | None = None
    seeds: dict[int, Seeds] = field(default_factory=dict)
    """Rung -> seed -> records."""
    counting_s: float = 0.0
    """Processor seconds of counting it."""
    simulating_s: float = 0.0
    """Of its runs, those that several rungs share counted once."""

    @property
    def processor_s(self) -> float:
        """Of everything."""
        return self.counting_s + self.simulating_s

    def fail(self, state: State, reason: str | None) -> None:
        """It goes no further."""
        self.state, self.reason = state, reason

    @property
    def alive(self) -> bool:
        """Whether it may still be simulated."""
        return self.state in ("waiting", "evaluated")

    def count_of(self, name: str) -> float | None:
        """A number that counting knows."""
        return None if self.counted is None else getattr(self.counted, name)

    def samples(self, name: str, rung: int, whole: bool) -> list[float]:
        """A simulated number of every seed of a rung, the mean over tasks; the score of validation samples where runs
        are not whole."""
        source = "validation_accuracy" if name == SCORE and not whole else SIMULATED[name]
        runs = self.seeds[rung].values()
        return [statistics.fmean(getattr(one.run, source) for one in records) for records in runs]


@dataclass(frozen=True)
class Findings:
    """An exploration and its designs, as far as they were evaluated."""

    exploration: Exploration
    designs: tuple[Design, ...]
    off: Mapping[int, Off]
    """Rung -> how far it is off, where a pilot says so."""
    spent: Mapping[int, float]
    """Rung -> processor seconds."""
    chosen: tuple[int, ...] = ()
    """Numbers of the designs that were chosen to be simulated, in turn, where not all of them are."""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Everything that designs are judged by: objectives, then what only constraints ask for."""
        return tuple(dict.fromkeys([*self.exploration.objectives, *self.exploration.constraints]))

    @cached_property
    def evaluated(self) -> tuple[Design, ...]:
        """Designs that came to the end, inside all constraints."""
        return tuple(one for one in self.designs if one.state == "evaluated")

    def samples(self, design: Design) -> Numbers:
        """(seeds, objectives) of an evaluated design, all to be small; what is counted is the same for every seed."""
        last = len(self.exploration.rungs) - 1
        columns: list[list[float]] = []
        for name in self.exploration.objectives:
            known = [float(design.count_of(name) or 0.0)] if name in COUNTED else design.samples(name, last, True)
            columns.append([self.exploration.small(name, value) for value in known])
        seeds = max(map(len, columns))
        return np.array([column * seeds if len(column) == 1 else column for column in columns]).T

    @cached_property
    def means(self) -> Numbers:
        """(evaluated designs, objectives), all to be small."""
        rows = [self.samples(one).mean(axis=0) for one in self.evaluated]
        return np.array(rows).reshape(len(rows), len(self.exploration.objectives))

    @cached_property
    def front(self) -> tuple[Design, ...]:
        """Evaluated designs that no other beats, the best in the first objective first."""
        kept = np.flatnonzero(front(self.means)) if len(self.evaluated) else np.array([], dtype=int)
        return tuple(self.evaluated[place] for place in sorted(kept, key=lambda place: self.means[place, 0]))

    @cached_property
    def probability(self) -> dict[int, float]:
        """Number of an evaluated design -> how often it is on the front if the seeds are drawn anew."""
        if not self.evaluated:
            return {}
        draws = resampled([self.samples(one) for one in self.evaluated], DRAWS, self.exploration.search.seed)
        chances = front_probability(draws)
        return {one.number: float(chance) for one, chance in zip(self.evaluated, chances, strict=True)}

    def estimate(self, design: Design, name: str) -> Estimate | None:
        """What is known of a number of a design; None: nothing."""
        if name in COUNTED:
            value = design.count_of(name)
            return None if value is None else Estimate(mean=value, se=0.0)
        if design.rung is None:
            return None
        whole = self.exploration.rungs[design.rung].steps is None and design.rung == len(self.exploration.rungs) - 1
        found = design.samples(name, design.rung, whole)
        se = statistics.stdev(found) / len(found) ** 0.5 if len(found) > 1 else None
        return Estimate(mean=statistics.fmean(found), se=se)

    @cached_property
    def in_turn(self) -> tuple[Design, ...]:
        """Designs in the order in which time was spent on them: as proposed; those that were chosen last, as chosen."""
        chosen = set(self.chosen)
        others = [one for one in self.designs if one.number not in chosen]
        return (*others, *(self.designs[number] for number in self.chosen))

    @cached_property
    def hypervolumes(self) -> list[float]:
        """Of the evaluated ones among the first n designs, as a share of the box between the best and the worst."""
        if not self.evaluated:
            return [0.0] * len(self.designs)
        values = on_scales(self.means)
        best, worst = values.min(axis=0), values.max(axis=0)
        width = np.where(worst > best, worst - best, 1.0)
        shares = (values - best) / width
        reference = np.full(shares.shape[1], 1.0 + 1e-9)
        place = {one.number: index for index, one in enumerate(self.evaluated)}
        found: list[float] = []
        seen: list[int] = []
        for one in self.in_turn:
            if one.number in place:
                seen.append(place[one.number])
                found.append(hypervolume(shares[seen], reference))
            else:
                found.append(found[-1] if found else 0.0)
        return found

    def record(self) -> ExplorationRecord:
        """Everything, for scripts."""
        on_front = {one.number for one in self.front}
        spent = np.cumsum([one.processor_s for one in self.in_turn]).tolist()
        return ExplorationRecord(
            name=self.exploration.name,
            sampler=self.exploration.sampler,
            space=self.exploration.space.size,
            designs=tuple(self._record_of(one, one.number in on_front) for one in self.designs),
            front=tuple(one.number for one in self.front),
            hypervolume=tuple(self.hypervolumes),
            hypervolume_processor_s=tuple(spent),
            rungs=self.rungs(),
        )

    def _record_of(self, one: Design, on_front: bool) -> DesignRecord:
        known = {name: found for name in self.names if (found := self.estimate(one, name)) is not None}
        total: float | None = None
        if one.rung == len(self.exploration.rungs) - 1:
            records = [record for of_seed in one.seeds[one.rung].values() for record in of_seed]
            total = statistics.fmean(record.run.total_energy_J for record in records if record.run is not None)
        return DesignRecord(
            id=one.number,
            varied=dict(one.point),
            state=one.state,
            rung=one.rung,
            seeds=0 if one.rung is None else len(one.seeds[one.rung]),
            objectives=known,
            front=on_front,
            front_probability=self.probability.get(one.number),
            simulated_total_energy_J=total,
            processor_s=one.processor_s,
            reason=one.reason,
        )

    def rungs(self) -> tuple[RungRecord, ...]:
        """How many designs each rung simulated and kept."""
        if not self.exploration.simulates:
            return ()
        found = []
        last = len(self.exploration.rungs) - 1
        for place, rung in enumerate(self.exploration.rungs):
            on_it = [one for one in self.designs if place in one.seeds]
            up = [one for one in on_it if (one.state == "evaluated" if place == last else place + 1 in one.seeds)]
            off = self.off.get(place)
            found.append(
                RungRecord(
                    steps=rung.steps,
                    seeds=min(rung.seeds or len(self.exploration.seeds), len(self.exploration.seeds)),
                    designs=len(on_it),
                    kept=len(up),
                    tolerance=None if place == last else (rung.tolerance if off is None else off.tolerance),
                    pilot_front=None if off is None else off.members,
                    pilot_lost_without_tolerance=None if off is None else off.lost_at_0,
                    pilot_lost_left_out=None if off is None else off.lost_left_out,
                    processor_s=self.spent.get(place, 0.0),
                )
            )
        return tuple(found)
