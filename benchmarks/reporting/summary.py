"""MethodSummary: what one method did on one hardware, over its tasks; a row of a table, a line of a figure."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.experiments.result import Result
from crossbar_sim import CrossbarError
from crossbar_sim.hardware.components import COMPONENTS
from crossbar_sim.wear.statistics import adaptations_until_wearout

KINDS = ("source", "related", "unrelated")
SETTINGS = ("method", "backbone", "shots_per_class", "curve_points")  # of an experiment, beside task, seeds, hardware
FINITE = ("accuracy", "reprogramming_energy_J", "total_energy_J", "adapt_cells_written")


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
        return [record["seed"] for record in self.results[0].seeds]

    @property
    def records(self) -> list[dict[str, Any]]:
        """One record per task and seed."""
        return [record for result in self.results for record in result.seeds]

    @property
    def kinds(self) -> list[str]:
        """Kinds of task that were run, in the order source, related, unrelated."""
        return [kind for kind in KINDS if any(result.task_kind == kind for result in self.results)]

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks that were run."""
        return [result.spec["task"] for result in self.results]

    @property
    def pool_cells(self) -> int:
        """Cells programmed once for pre-trained modules."""
        return max(int(record["pool_cells_written"]) for record in self.records)

    @property
    def worst_writes(self) -> int:
        """Writes of the worst cell in one adaptation, over all tasks and seeds."""
        return max(int(record["max_task_writes_per_cell"]) for record in self.records)

    @property
    def worst_record(self) -> dict[str, Any]:
        """The record of the task and seed that wore a cell most."""
        return max(self.records, key=lambda record: record["max_task_writes_per_cell"])

    @property
    def lifetime(self) -> int | None:
        """Adaptations until the first cell reaches the device's endurance, worst task and seed; None: no writes."""
        limits = [record["adaptations_until_wearout"] for record in self.records]
        return min((limit for limit in limits if limit is not None), default=None)

    def lifetime_at(self, endurance: int) -> int | None:
        """The same for a cell that survives `endurance` writes."""
        return adaptations_until_wearout(endurance, self.worst_writes)

    def spread(self, value: str | Callable[[dict[str, Any]], float], kind: str | None = None) -> Spread | None:
        """Of a record's number: mean over the tasks (of one kind) per seed, then mean and sd over the seeds.

        None if no task of this kind was run.
        """
        results = [result for result in self.results if kind is None or result.task_kind == kind]
        return spread_of(results, value) if results else None

    def mean(self, key: str) -> float:
        """Mean of a record's number over tasks and seeds."""
        return statistics.fmean(record[key] for record in self.records)

    def phase_energy(self, phase: str) -> dict[str, float]:
        """Joule by component in deploy, pool, adapt or infer; mean over tasks and seeds."""
        totals = dict.fromkeys(COMPONENTS, 0.0)
        for record in self.records:
            for row in record["ledger"]:
                if row["phase"].split("/")[0] == phase:
                    totals[row["component"]] += row["energy_J"] / len(self.records)
        return totals

    def curve(self, key: str) -> tuple[list[int], list[Spread]]:
        """Steps, and a number of the curve at each ('write_energy_J', 'validation_accuracy'); empty without a curve."""
        curves = [{point["step"]: point[key] for point in record["curve"]} for record in self.records]
        steps = sorted(set(curves[0]).intersection(*curves[1:]))
        return steps, [spread_of(self.results, partial(_at, step=step, key=key)) for step in steps]


def spread_of(results: Sequence[Result], value: str | Callable[[dict[str, Any]], float]) -> Spread:
    """Mean over the results per seed, then mean and sample standard deviation over the seeds, which they share."""
    read: Callable[[dict[str, Any]], float] = value if callable(value) else lambda record: record[value]
    per_seed = [statistics.fmean(map(read, records)) for records in zip(*(r.seeds for r in results), strict=True)]
    return Spread(statistics.fmean(per_seed), statistics.stdev(per_seed) if len(per_seed) > 1 else None)


def summarise(results: Sequence[Result]) -> list[MethodSummary]:
    """One summary per method and hardware, in the order of the results.

    Methods whose names agree but whose settings do not get the differing settings in their label.
    Raises ReportError for an empty list, a result given twice, seeds that differ between the tasks of
    a method, and numbers that are not finite.
    """
    results = list(results)
    if not results:
        raise ReportError("no results to report; run at least one experiment: Report([Experiment(method=...).run()])")
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        _check_finite(result)
        settings = {key: result.spec.get(key) for key in SETTINGS}
        groups.setdefault((_canonical(settings), _canonical(result.spec["hardware"])), []).append(result)
    for group in groups.values():
        _check_group(group)
    hardware = distinct_names({key: group[0].spec["hardware"] for (_, key), group in groups.items()}, "name")
    methods = distinct_names(
        {key: {"label": group[0].display_name, **json.loads(key)} for (key, _), group in groups.items()}, "label"
    )
    return [MethodSummary(methods[m], hardware[h], tuple(group)) for (m, h), group in groups.items()]


def distinct_names(things: dict[str, dict[str, Any]], name: str) -> dict[str, str]:
    """key -> thing[name]; a name that several things share is followed by up to two settings that tell them apart."""
    flat = {key: dict(_leaves(thing)) for key, thing in things.items()}
    names: dict[str, str] = {}
    for key, thing in flat.items():
        twins = [other for other in flat.values() if other[name] == thing[name]]
        differing = [s for s in thing if any(s not in twin or twin[s] != thing[s] for twin in twins)]
        settings = ", ".join(f"{setting.rpartition('.')[2]} {thing[setting]}" for setting in differing[:2])
        variant = settings or f"variant {1 + twins.index(thing)}"
        names[key] = thing[name] if len(twins) == 1 else f"{thing[name]} ({variant})"
    for key in names:
        same = [other for other in names if names[other] == names[key]]
        if len(same) > 1:
            names.update({other: f"{names[key]} #{index}" for index, other in enumerate(same, start=1)})
    return names


def _leaves(tree: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of every leaf but the provenance."""
    for key, value in tree.items():
        if isinstance(value, dict) and key != "provenance":
            yield from _leaves(value, f"{path}{key}.")
        elif key != "provenance":
            yield f"{path}{key}", value


def _canonical(content: Any) -> str:
    return json.dumps(content, sort_keys=True)


def _at(record: dict[str, Any], step: int, key: str) -> float:
    return next(float(point[key]) for point in record["curve"] if point["step"] == step)


def _check_finite(result: Result) -> None:
    for record in result.seeds:
        for key in FINITE:
            if not math.isfinite(record[key]):
                raise ReportError(
                    f"{result.display_name} on {result.spec['task']}, seed {record['seed']}: {key} is {record[key]}, "
                    "not a finite number; delete this result and run it again"
                )


def _check_group(group: list[Result]) -> None:
    tasks = [result.spec["task"] for result in group]
    for task in tasks:
        if tasks.count(task) > 1:
            raise ReportError(f"{group[0].display_name} on {task} is given twice; hand every result over once")
    seeds = [[record["seed"] for record in result.seeds] for result in group]
    if any(other != seeds[0] for other in seeds):
        raise ReportError(
            f"{group[0].display_name} was run with seeds {seeds[0]} on {tasks[0]} but not on every other task; "
            "run all its tasks with the same seeds"
        )
