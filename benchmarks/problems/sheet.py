"""What a problem looks like: its tasks and defaults, and what a check of it found."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from benchmarks.problems.problem import Problem, ProblemError, Task
from benchmarks.record import Record
from crossbar_sim import Hardware
from crossbar_sim.chip.counted import CountedChip
from crossbar_sim.layers import map_model
from crossbar_sim.spec.units import engineering
from peft_methods.training.evaluation import evaluate

CHECKED_SAMPLES = 100


class TaskSheet(Record):
    """One task."""

    name: str
    """To choose it by."""
    kind: str
    """source, related or unrelated."""
    classes: int | None
    """How many; None: it is not stated."""
    about: str
    """One line."""


class ProblemSheet(Record):
    """A problem without loading it."""

    name: str
    """To choose it by."""
    about: str
    """One line."""
    score_name: str
    """What its results are."""
    shots_per_class: int | None
    """Training samples that a run draws; None: all."""
    hardware: str
    """The design that it runs on unless another is named."""
    tasks: tuple[TaskSheet, ...]
    """In the problem's order."""

    @classmethod
    def of(cls, problem: Problem) -> ProblemSheet:
        """The sheet of a problem."""
        return cls(
            name=problem.name,
            about=problem.about,
            score_name=problem.scoring.name,
            shots_per_class=problem.shots_per_class,
            hardware=problem.hardware,
            tasks=tuple(
                TaskSheet(name=task.name, kind=task.kind, classes=len(task.labels) or None, about=task.about)
                for task in problem.tasks
            ),
        )

    def __str__(self) -> str:
        shots = "all samples" if self.shots_per_class is None else f"{self.shots_per_class} samples per class"
        lines = [
            f"{self.name}: {self.about}",
            f"score {self.score_name}; {shots}; hardware {self.hardware}",
            f"{'task':<20}{'kind':<12}{'classes':>8}",
        ]
        for task in self.tasks:
            lines.append(f"{task.name:<20}{task.kind:<12}{task.classes or '':>8}  {task.about}".rstrip())
        return "\n".join(lines)


class Check(Record):
    """One task of a problem, loaded and tried without a chip."""

    problem: str
    """Its name."""
    task: str
    """Its name."""
    parameters: int
    """Of the model."""
    layers_on_tiles: int
    """That map_model would put there."""
    weights_on_tiles: int
    """In these layers."""
    digital_layers: tuple[str, ...]
    """Why layers with weights of their own stay digital, and how many or which."""
    train: int
    """Samples that a run draws."""
    validation: int
    """Samples."""
    test: int
    """Samples."""
    loss: float
    """Of the pre-trained model on the first training samples."""
    score_name: str
    """What `score` is."""
    score: float
    """Of the pre-trained model on the first test samples."""
    standard_error: float | None
    """Of that score."""

    def __str__(self) -> str:
        error = "" if self.standard_error is None else f" ± {self.standard_error:.3f}"
        lines = [
            f"{self.problem}, task {self.task}: usable",
            f"  parameters    {engineering(self.parameters, '')}, {engineering(self.weights_on_tiles, '')} of them in "
            f"{self.layers_on_tiles} layers on tiles",
            f"  samples       {self.train} training, {self.validation} validation, {self.test} test",
            f"  before training: loss {self.loss:.3f}, {self.score_name} {self.score:.3f}{error}",
        ]
        return "\n".join([*lines, *(f"  digital: {line}" for line in self.digital_layers)])


def check(problem: Problem, task: Task) -> Check:
    """Load the model and one task, and compute a loss and a score; ProblemError if either is not a finite number, and
    whatever is wrong with model or data."""
    data = task.data(problem.shots_per_class, 0)
    model = problem.fresh_model(task)
    first = data.train.take(slice(0, CHECKED_SAMPLES))
    with torch.no_grad():
        loss = float(problem.loss_function(first.outputs_of(model), first.labels))
    test = data.test.take(slice(0, CHECKED_SAMPLES))
    measured = evaluate(model, test.inputs, test.labels, score=problem.scoring)
    if not math.isfinite(loss) or not math.isfinite(measured.value):
        raise ProblemError(
            f"problem '{problem.name}', task '{task.name}': the loss is {loss} and the {problem.scoring.name} "
            f"{measured.value}; check the labels and the head"
        )
    chip = counted(problem, task)
    return Check(
        problem=problem.name,
        task=task.name,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        layers_on_tiles=len(chip.matrices),
        weights_on_tiles=sum(matrix.master.numel() for matrix in chip.matrices.values()),
        digital_layers=_grouped(chip.skipped),
        train=len(data.train),
        validation=len(data.validation),
        test=len(data.test),
        loss=loss,
        score_name=problem.scoring.name,
        score=measured.value,
        standard_error=measured.standard_error,
    )


def counted(problem: Problem, task: Task) -> CountedChip:
    """The chip that the model would be mapped on, counted and not simulated."""
    model = problem.fresh_model(task).to("meta")
    return map_model(model, CountedChip(Hardware.load(problem.hardware)), exclude=problem.exclude)


def _grouped(skipped: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """One line per reason: the name of its only layer, or how many there are."""
    names: dict[str, list[str]] = {}
    for name, reason in skipped:
        names.setdefault(reason.partition(":")[0] if " is digital" in reason else reason, []).append(name)
    return tuple(
        f"{these[0] or 'the model itself'}: {reason}" if len(these) == 1 else f"{len(these)} layers: {reason}"
        for reason, these in names.items()
    )
