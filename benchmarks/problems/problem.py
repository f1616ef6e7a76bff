"""Problem: a pre-trained model, its tasks with their splits, how a batch becomes a loss and outputs become a score."""

from __future__ import annotations

import copy
import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from benchmarks.problems.drawing import draw, set_aside
from benchmarks.problems.gathering import Data, gathered
from benchmarks.problems.pool_training import PoolTraining
from crossbar_sim import CrossbarError
from crossbar_sim.spec.spec import nearest
from peft_methods.training.losses import LOSSES, Loss, classification
from peft_methods.training.samples import Samples
from peft_methods.training.scores import ACCURACY, SCORES, Score

TaskKind = Literal["source", "related", "unrelated"]
"""How a task stands to the pool: one of its modules was trained on it, on something like it, or on nothing like it."""
CALIBRATION_SAMPLES = 64


class ProblemError(CrossbarError, ValueError):
    """A problem, task, seed or number of shots that does not exist, or cannot be had here."""


@dataclass(frozen=True, eq=False)
class TaskData:
    """What one run sees of a task."""

    train: Samples
    validation: Samples
    test: Samples

    def few(self, shots: int | None, seed: int) -> TaskData:
        """The same with so many training samples of each class, as `drawing.draw` chooses them; None: with all."""
        return self if shots is None else replace(self, train=self.train.take(draw(self.train, shots, seed)))


@dataclass(frozen=True, eq=False)
class Task:
    """One thing to learn. Tasks of your own are made by `Task.of`.

    data: (training samples per class, seed) -> TaskData; the same arguments give the same samples, validation and test
    do not depend on them. digest: of everything that decides these samples.
    """

    name: str
    kind: TaskKind
    data: Callable[[int | None, int], TaskData]
    digest: Callable[[], str]
    labels: tuple[str, ...] = ()
    """What the classes are called; empty: they have no names."""
    about: str = ""

    @classmethod
    def of(
        cls,
        name: str,
        train: Data,
        test: Data,
        validation: Data | None = None,
        *,
        kind: TaskKind = "unrelated",
        labels: tuple[str, ...] = (),
        about: str = "",
    ) -> Task:
        """A task of data in memory: (inputs, labels), Samples, a Dataset of pairs or of tables, or a DataLoader.

        `validation`: where settings are chosen; None: a fifth of the training samples, at most 500, the same for every
        seed. DataError if the data is not whole.
        """
        held = HeldData(gathered(train), gathered(test), None if validation is None else gathered(validation))
        return cls(name, kind, held.data, held.digest, labels, about)


@dataclass(frozen=True, eq=False)
class HeldData:
    """Data of a task in memory."""

    train: Samples
    test: Samples
    validation: Samples | None

    @cached_property
    def parts(self) -> tuple[Samples, Samples]:
        """Training and validation samples."""
        return set_aside(self.train) if self.validation is None else (self.train, self.validation)

    def data(self, shots: int | None, seed: int) -> TaskData:
        """As `Task.data`."""
        return TaskData(*self.parts, self.test).few(shots, seed)

    def digest(self) -> str:
        """SHA-256 over all tensors."""
        total = hashlib.sha256()
        for part in (self.train, self.test, *([] if self.validation is None else [self.validation])):
            for name, tensor in sorted({**part.by_name(), "labels": part.labels}.items()):
                add_tensor(total, name, tensor)
        return total.hexdigest()


@dataclass(frozen=True, eq=False)
class Problem:
    """A pre-trained model and what it is fine-tuned for.

    model: the model, or a function of a Task that makes it, its head included; a run works on a copy in evaluation
    mode. tasks: one or several. loss, score: of classification, or a name in LOSSES and SCORES, or your own. pool: a
    folder of LoRA modules in PEFT's format for methods that mix one. shots_per_class: training samples of each class
    that a run draws; None: all. calibration: what sets the ranges of the converters when the chip is deployed; None:
    the first training samples of the task. exclude: layers that stay digital, as map_model takes them. hardware: the
    design that experiments use unless they name one. home: what the model is good at without any change, which
    recalibration wins back and quality looks at. papers: citation keys. about: a line on where it comes from.
    """

    name: str
    model: nn.Module | Callable[[Task], nn.Module]
    tasks: tuple[Task, ...]
    loss: Loss | str = classification
    score: Score | str = ACCURACY
    pool: Path | str | None = None
    shots_per_class: int | None = None
    calibration: Callable[[], Samples] | None = None
    exclude: tuple[str, ...] | None = None
    hardware: str = "milo2021_128x128"
    home: Task | None = None
    papers: tuple[str, ...] = ()
    about: str = ""
    weights_digest: Callable[[], str] | None = None
    """Of everything that decides the model; None: computed from its weights."""
    reference: str | None = None
    """The name or file by which another process finds this problem; None: it exists in this program alone."""
    pool_training: PoolTraining | None = None
    """How `train_pool` makes the pool; None: it ships, or there is none."""
    _digests: dict[str, str] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.tasks:
            raise ProblemError(f"problem '{self.name}' has no task; give at least one Task")
        names = [task.name for task in self.tasks]
        if len(set(names)) < len(names):
            raise ProblemError(f"problem '{self.name}' has two tasks of one name among {', '.join(names)}; rename one")
        object.__setattr__(self, "loss", _named(self.loss, LOSSES, "loss"))
        object.__setattr__(self, "score", _named(self.score, SCORES, "score"))

    def __eq__(self, other: object) -> bool:
        """Whether one reference finds both; a problem of one program alone equals only itself."""
        if not isinstance(other, Problem):
            return NotImplemented
        return self is other or (self.reference is not None and self.reference == other.reference)

    def __hash__(self) -> int:
        return hash(self.name)

    def task(self, name: str) -> Task:
        """The task called `name`; ProblemError names the nearest."""
        for task in self.tasks:
            if task.name == name:
                return task
        known = [task.name for task in self.tasks]
        raise ProblemError(f"problem '{self.name}' has no task '{name}'{nearest(name, known)}")

    def table(self) -> str | dict[str, Any]:
        """How a file names this problem: by its reference; a problem of one program by its name, tasks and score."""
        if self.reference is not None:
            return self.reference
        tasks = [{"name": task.name, "kind": task.kind} for task in self.tasks]
        return {"name": self.name, "score": self.scoring.name, "tasks": tasks}

    def targets(self) -> tuple[Task, ...]:
        """The tasks that no module of the pool was trained on; all, if there are none such."""
        return tuple(task for task in self.tasks if task.kind != "source") or self.tasks

    def fresh_model(self, task: Task) -> nn.Module:
        """A copy of the pre-trained model for a task, in evaluation mode."""
        made = copy.deepcopy(self.model) if isinstance(self.model, nn.Module) else self.model(task)
        return made.eval()

    def held_out(self, task: Task) -> Samples:
        """As many validation samples as `calibration_samples` has, of what the model is good at, or else of a task."""
        validation = (self.home or task).data(self.shots_per_class, 0).validation
        return validation.take(slice(0, CALIBRATION_SAMPLES))

    def calibration_samples(self, task: Task) -> Samples:
        """What the converters' ranges are set by when the model is deployed."""
        if self.calibration is not None:
            return self.calibration()
        train = task.data(None, 0).train
        return train.take(slice(0, CALIBRATION_SAMPLES))

    def digest(self, task: Task) -> str:
        """SHA-256 of all that decides a run beside the experiment: weights, data, loss and score."""
        if task.name not in self._digests:
            weights = self.weights_digest or (lambda: _digest_of(self.fresh_model(task)))
            parts = (
                weights(),
                task.digest(),
                _identity(self.loss_function),
                self.scoring.name,
                _identity(self.scoring.rows),
            )
            self._digests[task.name] = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        return self._digests[task.name]

    @property
    def loss_function(self) -> Loss:
        """The loss as a function."""
        assert not isinstance(self.loss, str)
        return self.loss

    @property
    def scoring(self) -> Score:
        """The score as an object."""
        assert not isinstance(self.score, str)
        return self.score


def _named(value: Any, table: Mapping[str, Any], what: str) -> Any:
    if not isinstance(value, str):
        return value
    if value not in table:
        raise ProblemError(f"{what}: there is no '{value}'{nearest(value, list(table))}")
    return table[value]


def add_tensor(total: hashlib._Hash, name: str, tensor: Tensor) -> None:
    """Add the name, type, shape and bytes of a tensor to a digest."""
    total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
    total.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())


def _digest_of(model: nn.Module) -> str:
    """Of the structure and of every value of a model."""
    total = hashlib.sha256(repr(model).encode())
    for name, tensor in model.state_dict().items():
        add_tensor(total, name, tensor)
    return total.hexdigest()


def _identity(function: Any) -> str:
    """Name and source of a function, so that one that is edited counts as another."""
    try:
        source = inspect.getsource(function if inspect.isroutine(function) else type(function))
    except (OSError, TypeError):
        source = ""
    name = getattr(function, "__qualname__", type(function).__name__)
    return f"{function.__module__}.{name}\n{source}"
