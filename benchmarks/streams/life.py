"""The life of one chip: it is deployed, learns task after task, and answers requests for what it has learned."""

from __future__ import annotations

import copy
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import nn

from benchmarks.experiments.experiment import deploy, judge
from benchmarks.problems.pools import with_folder
from benchmarks.problems.problem import Problem, ProblemError, Task, TaskData
from benchmarks.streams.record import RequestStep, StreamSeed, TaskStep
from crossbar_sim import Chip, Hardware
from crossbar_sim.layers.model import head_name
from crossbar_sim.wear.statistics import wear
from peft_methods import Adapter, Method, fine_tune
from peft_methods.memory import memory_of
from peft_methods.phases import GROUPS
from peft_methods.tasks import KeptTask, Start, Tasks
from peft_methods.training.loop import programming_energy

LookBack = Literal["each", "end", "never"]
"""When all tasks learned before are looked at: after each task, after the last one, or not at all."""


class Plan(Protocol):
    """What is asked of a life; the fields of `benchmarks.streams.stream.Stream`."""

    @property
    def method(self) -> Method: ...
    @property
    def problem(self) -> Problem: ...
    @property
    def hardware(self) -> Hardware: ...
    @property
    def pool_folder(self) -> Path | None: ...
    @property
    def tasks(self) -> tuple[str, ...]: ...
    @property
    def requests(self) -> tuple[str, ...]: ...
    @property
    def rounds(self) -> int: ...
    @property
    def own_tiles(self) -> bool: ...
    @property
    def start(self) -> Start: ...
    @property
    def look_back(self) -> LookBack: ...
    @property
    def until_failure(self) -> float | None: ...
    @property
    def shots_per_class(self) -> int | None: ...


@dataclass
class Learned:
    """A task that the chip has learned: what it keeps, its data, and how good it was right after learning."""

    kept: KeptTask
    data: TaskData
    accuracy: float


@dataclass
class Life:
    """One chip while it lives: what was learned so far, and how good each task was in the first round."""

    stream: Plan
    model: nn.Module
    chip: Chip
    adapter: Adapter
    tasks: Tasks
    learned: dict[str, Learned] = field(default_factory=dict)

    @property
    def problem(self) -> Problem:
        """Of the stream."""
        return self.stream.problem

    def learn(self, task: Task, index: int, seed: int) -> TaskStep:
        """Train on a task, keep it, and look at all that were learned before."""
        stream = self.stream
        place = index % len(stream.tasks)
        data = task.data(stream.shots_per_class, seed + place)
        train = data.train
        fine_tune(
            self.model, self.adapter, train.inputs, train.labels, loss=self.problem.loss_function, seed=seed + place
        )
        accuracy = judge(self.problem, self.model, data.test, self.chip).value
        last = index == stream.rounds * len(stream.tasks) - 1
        looks = stream.look_back == "each" or (last and stream.look_back == "end")
        before = {name: one for name, one in self.learned.items() if looks and name != task.name}
        earlier = {name: self._seen_now(one) for name, one in before.items()}
        kept = self.tasks.keep(own_tiles=stream.own_tiles)
        self.learned[task.name] = Learned(kept, data, accuracy)
        return TaskStep(
            task=task.name,
            index=index,
            accuracy=accuracy,
            accuracies_of_earlier=earlier,
            accuracy_of_earlier=statistics.fmean(earlier.values()) if earlier else None,
            forgetting=statistics.fmean(before[name].accuracy - earlier[name] for name in earlier) if earlier else None,
            **self.spent(),
        )

    def _seen_now(self, learned: Learned) -> float:
        with self.tasks.looking_at(learned.kept):
            return judge(self.problem, self.model, learned.data.test).value

    def answer(self, name: str, index: int) -> RequestStep:
        """Bring a learned task back and classify its test samples."""
        learned, ledger = self.learned[name], self.chip.ledger
        energy, writes = ledger.energy(), ledger.writes("adapt")
        self.tasks.switch_to(learned.kept)
        energy, writes = ledger.energy() - energy, ledger.writes("adapt") - writes
        accuracy = judge(self.problem, self.model, learned.data.test, self.chip).value
        return RequestStep(
            task=name,
            index=index,
            accuracy=accuracy,
            switching_energy_J=max(energy, 0.0),
            cells_rewritten=writes,
            **self.spent(),
        )

    def spent(self) -> dict[str, Any]:
        """The fields of `Spent` by now."""
        chip, ledger = self.chip, self.chip.ledger
        worn = wear(chip.writes())
        return {
            "cumulative_reprogramming_energy_J": programming_energy(chip),
            "cumulative_pool_energy_J": programming_energy(chip, "pool"),
            "cumulative_total_energy_J": ledger.energy(),
            "cumulative_energy_by_phase_J": {group: ledger.energy(group) for group in GROUPS},
            "cumulative_energy_by_component_J": ledger.by_component(),
            "cells_written": ledger.writes("adapt"),
            "pool_cells_written": ledger.writes("pool"),
            "max_writes_per_cell": int(worn.largest),
            "mean_writes_per_cell": worn.mean,
            "cells": worn.cells,
            "failed_cells": failed_cells(chip),
            "tiles": sum(matrix.tile_count for matrix in chip.matrices.values()),
            "sram_bytes": sum(memory_of(self.adapter).values())
            + sum(one.kept.kept_bytes for one in self.learned.values()),
            "time_s": ledger.time(),
        }


def live(stream: Plan, seed: int) -> StreamSeed:
    """One chip from its deployment to the last request; everything in the record comes from it.

    Raises ProblemError where the tasks of the problem are not fine-tuned from one backbone.
    """
    problem = stream.problem
    tasks = [problem.task(name) for name in stream.tasks]
    heads = heads_of(problem, tasks)
    model, chip = deploy(problem, tasks[0], stream.hardware, seed)
    method = with_folder(stream.method, stream.pool_folder)
    adapter = method.attach(model, chip, seed)
    life = Life(stream, model, chip, adapter, Tasks(adapter))
    steps: list[TaskStep] = []
    failed = False
    for index in range(stream.rounds * len(tasks)):
        task = tasks[index % len(tasks)]
        if index:
            head = copy.deepcopy(heads.get(task.name))
            life.tasks.next(head, own_tiles=stream.own_tiles, start=stream.start)
        steps.append(life.learn(task, index, seed))
        first = steps[index % len(tasks)].accuracy
        worse = (first - steps[-1].accuracy) * (1 if problem.scoring.higher_is_better else -1)
        if stream.until_failure is not None and worse > stream.until_failure:
            failed = True
            break
    requests = tuple(life.answer(name, index) for index, name in enumerate(stream.requests) if name in life.learned)
    return StreamSeed(
        seed=seed, trained_values=life.adapter.trained_values, steps=tuple(steps), requests=requests, failed=failed
    )


def heads_of(problem: Problem, tasks: list[Task]) -> dict[str, nn.Module]:
    """The untrained head of every task, by its name; none where all have the same. ProblemError where the rest of the
    model differs, since one chip holds one."""
    first = problem.fresh_model(tasks[0])
    name = head_name(first)
    state = first.state_dict()
    heads: dict[str, nn.Module] = {} if name is None else {tasks[0].name: first.get_submodule(name)}
    differ = False
    for task in tasks:
        if task.name == tasks[0].name or task.name in heads:
            continue
        model = problem.fresh_model(task)
        own = model.state_dict()
        other = sorted(key for key in state.keys() | own.keys() if not _equal(state.get(key), own.get(key)))
        beside = [key for key in other if name is None or not key.startswith(f"{name}.")]
        if beside:
            raise ProblemError(
                f"'{tasks[0].name}' and '{task.name}' of problem '{problem.name}' start from different models "
                f"({beside[0]}); a stream needs tasks of one backbone, which may differ in the head"
            )
        differ = differ or bool(other)
        if name is not None:
            heads[task.name] = model.get_submodule(name)
    return heads if differ else {}


def _equal(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
    return one is not None and other is not None and one.shape == other.shape and torch.equal(one, other)


def failed_cells(chip: Chip) -> int:
    """How many cells were written as often as they live; 0 for devices that state no lifetime of single cells."""
    failed = 0
    for matrix in chip.matrices.values():
        if matrix.hardware.device.lifetime is not None:
            cells = matrix.cells
            assert cells.lifetime is not None
            failed += int((cells.writes >= cells.lifetime).sum())
    return failed
