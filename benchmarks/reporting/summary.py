"""MethodSummary: what one method did on one hardware, over its tasks; a row of a table, a line of a figure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.experiments.experiment import Experiment, Result
from benchmarks.experiments.record import RunRecord
from crossbar_sim import CrossbarError, Hardware
from crossbar_sim.hardware.components import COMPONENTS
from crossbar_sim.spec.spec import CHANGED
from crossbar_sim.wear.statistics import adaptations_until_wearout

KINDS = ("source", "related", "unrelated")
Number = Callable[[RunRecord], float]
"""One number of a record."""
Leaves = dict[str, object]
"""Dotted name of a setting -> its value."""


class ReportError(CrossbarError, ValueError):
    """The results handed over cannot be put in one report."""


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation over the seeds; `sd` is None for a single seed."""

    mean: float
    sd: float | None

    def __str__(self) -> str:
        return f"{self.mean:.3f}" if self.sd is None else f"{self.mean:.3f} ± {self.sd:.3f}"


@dataclass(frozen=True)
class MethodSummary:
    """All results of one method on one hardware; every task was run with the same seeds.

    `label` and `hardware` tell this row from the others of the same report.
    """

    label: str
    hardware: str
    results: tuple[Result, ...]

    @property
    def seeds(self) -> list[int]:
        """The seeds of every task."""
        return [record.seed for record in self.results[0].seeds]

    @property
    def design(self) -> Hardware:
        """What the method was run on."""
        return self.results[0].experiment.hardware

    @property
    def records(self) -> list[RunRecord]:
        """One record per task and seed."""
        return [record for result in self.results for record in result.seeds]

    @property
    def kinds(self) -> list[str]:
        """Kinds of task that were run, in the order source, related, unrelated."""
        return [kind for kind in KINDS if any(result.task_kind == kind for result in self.results)]

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks that were run."""
        return [result.experiment.task for result in self.results]

    @property
    def pool_cells(self) -> int:
        """Cells programmed once for pre-trained modules."""
        return max(record.pool_cells_written for record in self.records)

    @property
    def worst_writes(self) -> int:
        """Writes of the worst cell in one adaptation, over all tasks and seeds."""
        return max(record.max_task_writes_per_cell for record in self.records)

    @property
    def worst_record(self) -> RunRecord:
        """The record of the task and seed that wore a cell most."""
        return max(self.records, key=lambda record: record.max_task_writes_per_cell)

    @property
    def lifetime(self) -> int | None:
        """Adaptations until the first cell reaches the device's endurance, worst task and seed; None: no writes."""
        limits = [record.adaptations_until_wearout for record in self.records]
        return min((limit for limit in limits if limit is not None), default=None)

    def lifetime_at(self, endurance: int) -> int | None:
        """The same for a cell that survives `endurance` writes."""
        return adaptations_until_wearout(endurance, self.worst_writes)

    def spread(self, value: str | Number, kind: str | None = None) -> Spread | None:
        """Of a record's number: mean over the tasks (of one kind) per seed, then mean and sd over the seeds.

        None if no task of this kind was run.
        """
        results = [result for result in self.results if kind is None or result.task_kind == kind]
        return spread_of(results, value) if results else None

    def mean(self, key: str) -> float:
        """Mean of a record's number over tasks and seeds."""
        return statistics.fmean(getattr(record, key) for record in self.records)

    def phase_energy(self, phase: str) -> dict[str, float]:
        """Joule by component in deploy, pool, adapt or infer; mean over tasks and seeds."""
        totals = dict.fromkeys(COMPONENTS, 0.0)
        for record in self.records:
            for row in record.ledger:
                if row.phase.split("/")[0] == phase:
                    totals[row.component] += row.energy_J / len(self.records)
        return totals

    def curve(self, key: str) -> tuple[list[int], list[Spread]]:
        """Steps, and a number of the curve at each ('write_energy_J', 'validation_accuracy'); empty without a curve."""
        curves = [{point.step for point in record.curve} for record in self.records]
        steps = sorted(curves[0].intersection(*curves[1:]))
        return steps, [spread_of(self.results, partial(_at, step=step, key=key)) for step in steps]


def spread_of(results: Sequence[Result], value: str | Number) -> Spread:
    """Mean over the results per seed, then mean and sample standard deviation over the seeds, which they share."""
    read: Number = value if callable(value) else lambda record: float(getattr(record, value))
    per_seed = [statistics.fmean(map(read, records)) for records in zip(*(r.seeds for r in results), strict=True)]
    return Spread(statistics.fmean(per_seed), statistics.stdev(per_seed) if len(per_seed) > 1 else None)


def summarise(results: Sequence[Result]) -> list[MethodSummary]:
    """One summary per method and hardware, in the order of the results.

    Methods whose names agree but whose settings do not get the differing settings in their label.
    Raises ReportError for an empty list, a result given twice, and seeds that differ between the tasks of a method.
    """
    if not results:
        raise ReportError("no results to report; run at least one experiment: Report([Experiment(method=...).run()])")
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((_method_key(result.experiment), result.experiment.hardware.digest()), []).append(result)
    for group in groups.values():
        _check_group(group)
    chips = {key: group[0] for (_, key), group in groups.items()}
    kinds = {key: group[0] for (key, _), group in groups.items()}
    hardware = _design_names(chips)
    methods = distinct_names({key: result.display_name for key, result in kinds.items()}, kinds, _settings)
    return [MethodSummary(methods[m], hardware[h], tuple(group)) for (m, h), group in groups.items()]


def _method_key(experiment: Experiment) -> str:
    """What two results of one method have in common: everything but task, seeds and hardware."""
    parts = (experiment.method.digest(), experiment.problem.name, experiment.shots_per_class, experiment.curve_points)
    return " ".join(map(str, parts))


def _settings(result: Result) -> Leaves:
    experiment = result.experiment
    return {
        **dict(_leaves(experiment.method.table(), "method.")),
        "problem": experiment.problem.name,
        "shots_per_class": experiment.shots_per_class,
        "curve_points": experiment.curve_points,
    }


def _design_names(chips: Mapping[str, Result]) -> dict[str, str]:
    """key -> name; a design and changed copies of it get the settings that tell them apart."""
    full = {key: result.experiment.hardware.name for key, result in chips.items()}
    origins = {key: name.removesuffix(CHANGED) for key, name in full.items()}
    named = distinct_names(origins, chips, _design)
    return {key: full[key] if named[key] == origins[key] else named[key] for key in chips}


def _design(result: Result) -> Leaves:
    leaves = dict(_leaves(result.experiment.hardware.model_dump(mode="json")))
    return {key: value for key, value in leaves.items() if key not in ("name", "device.name")}


def distinct_names(
    names: Mapping[str, str], results: Mapping[str, Result], settings_of: Callable[[Result], Leaves]
) -> dict[str, str]:
    """key -> name; a name that several keys share is followed by up to two settings that tell their results apart."""
    chosen = dict(names)
    for name in dict.fromkeys(names.values()):
        twins = [key for key in names if names[key] == name]
        if len(twins) > 1:
            leaves = [settings_of(results[key]) for key in twins]
            chosen.update({key: f"{name} ({_variant(leaves, place)})" for place, key in enumerate(twins)})
    for key in chosen:
        same = [other for other in chosen if chosen[other] == chosen[key]]
        if len(same) > 1:
            chosen.update({other: f"{chosen[key]} #{index}" for index, other in enumerate(same, start=1)})
    return chosen


def _variant(leaves: Sequence[Leaves], place: int) -> str:
    """Up to two settings that tell one of several apart; its number, if there are none."""
    own = leaves[place]
    differing = [name for name in own if any(name not in twin or twin[name] != own[name] for twin in leaves)]
    shown = ", ".join(f"{name.rpartition('.')[2]} {own[name]}" for name in differing[:2])
    return shown or f"variant {1 + leaves.index(own)}"


def _leaves(tree: Mapping[str, object], path: str = "") -> Iterator[tuple[str, object]]:
    """Dotted key and value of every leaf but the provenance."""
    for key, value in tree.items():
        if isinstance(value, dict) and key != "provenance":
            yield from _leaves(value, f"{path}{key}.")
        elif key != "provenance":
            yield f"{path}{key}", value


def _at(record: RunRecord, step: int, key: str) -> float:
    return next(float(getattr(point, key)) for point in record.curve if point.step == step)


def _check_group(group: list[Result]) -> None:
    tasks = [result.experiment.task for result in group]
    for task in tasks:
        if tasks.count(task) > 1:
            raise ReportError(f"{group[0].display_name} on {task} is given twice; hand every result over once")
    seeds = [[record.seed for record in result.seeds] for result in group]
    if any(other != seeds[0] for other in seeds):
        raise ReportError(
            f"{group[0].display_name} was run with seeds {seeds[0]} on {tasks[0]} but not on every other task; "
            "run all its tasks with the same seeds"
        )
