"""A problem stated in a TOML file: a Hugging Face model, what kind of task it is, and files of examples."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from benchmarks.problems.from_file.huggingface import SETUPS, Setup
from benchmarks.problems.from_file.problem_file import ProblemFile, TaskFile
from benchmarks.problems.from_file.tables import Row, read_table
from benchmarks.problems.problem import HeldData, Problem, ProblemError, Task, TaskData
from crossbar_sim.spec.documents import read_toml
from peft_methods.training.samples import Samples


def read_problem(path: Path) -> Problem:
    """The problem of a TOML file, or of the [problem] table of one that states a comparison; SpecError or ProblemError
    says what is wrong."""
    document = read_toml(path)
    stated = document.get("problem", document)
    if not isinstance(stated, dict):
        raise ProblemError(f"{path}: [problem] must be a table with name, model, task_type and tasks")
    return assembled(ProblemFile.from_document(stated, where=str(path)), path)


def assembled(file: ProblemFile, path: Path) -> Problem:
    """The problem that a file describes; the model and all but the training examples are read when they are needed."""
    folder = path.parent
    local = folder / file.model
    setup = SETUPS[file.task_type](file, str(local) if local.is_dir() else file.model, folder)
    return Problem(
        name=file.name,
        model=setup.model,
        tasks=tuple(_FileTask(setup, one, folder).task() for one in file.tasks),
        loss=setup.loss,
        score=setup.score if file.score is None else file.score,
        pool=None if file.pool is None else folder / file.pool,
        shots_per_class=file.shots_per_class,
        exclude=setup.exclude if file.exclude is None else file.exclude,
        hardware=file.hardware,
        about=f"{file.task_type} with {file.model}, stated in {path.name}",
        reference=str(path),
    )


class _FileTask:
    """The examples of one task, read and tokenised once per process."""

    def __init__(self, setup: Setup, file: TaskFile, folder: Path) -> None:
        self.setup = setup
        self.file = file
        self.folder = folder
        self.labels = file.labels or setup.labels(self.rows(file.train), folder / file.train)

    def task(self) -> Task:
        """As the rest of the project knows it."""
        return Task(self.file.name, self.file.kind, self.data, self.digest, self.labels)

    def rows(self, name: str) -> list[Row]:
        """The examples of a file."""
        return read_table(self.folder / name)

    @cached_property
    def held(self) -> HeldData:
        """All examples as the model takes them."""
        file = self.file
        setup, left = self.setup.shown(self.rows(file.train), self.folder / file.train)

        def samples(name: str, rows: list[Row]) -> Samples:
            return setup.samples(rows, self.labels, self.folder / name)

        validation = None if file.validation is None else samples(file.validation, self.rows(file.validation))
        return HeldData(samples(file.train, left), samples(file.test, self.rows(file.test)), validation)

    def data(self, shots: int | None, seed: int) -> TaskData:
        """As `Task.data`."""
        return self.held.data(shots, seed)

    def digest(self) -> str:
        """As `Task.digest`."""
        return self.held.digest()
