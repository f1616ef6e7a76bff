"""Fields that several specifications of this room share, each read from a name or a table of a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, InstanceOf, PlainSerializer, ValidationInfo

from benchmarks.problems.described import described
from benchmarks.problems.find import find_problem
from benchmarks.problems.problem import Problem, ProblemError
from crossbar_sim import Hardware, SpecError
from peft_methods import Method
from peft_methods.methods import read_method

DEFAULT_PROBLEM = "digits_vit"
Stated = dict[str, Any]
"""The fields of a specification that stand before the one whose default is asked for."""


def _method(value: object) -> object:
    if not isinstance(value, str | Mapping):
        return value
    try:
        return read_method(value)
    except SpecError as error:
        raise SpecError(f"method: {error}") from None


def _hardware(value: object) -> object:
    return Hardware.load(value) if isinstance(value, str) else value


def _problem(value: object) -> object:
    if isinstance(value, Mapping):
        return described(value)
    return find_problem(value) if isinstance(value, str) else value


def check_task(name: str, info: ValidationInfo) -> str:
    """The name of a task; SpecError if the problem, a field before, has none of that name."""
    problem: Problem | None = info.data.get("problem")
    try:
        return name if problem is None else problem.task(name).name
    except ProblemError as error:
        raise SpecError(str(error)) from None


def default_problem() -> Problem:
    """The one that ships whole."""
    return find_problem(DEFAULT_PROBLEM)


def its_hardware(data: Stated) -> Hardware:
    """The design that the problem runs on unless another is stated."""
    problem: Problem = data["problem"]
    return Hardware.load(problem.hardware)


def its_shots(data: Stated) -> int | None:
    """The training samples per class that the problem draws unless others are stated."""
    problem: Problem = data["problem"]
    return problem.shots_per_class


def its_targets(data: Stated) -> tuple[str, ...]:
    """The tasks that no module of the problem's pool was trained on; all, if there are none such."""
    problem: Problem = data["problem"]
    return tuple(task.name for task in problem.targets())


def its_first_target(data: Stated) -> str:
    """The first of these."""
    return its_targets(data)[0]


def _distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    twice = sorted(seed for seed, count in Counter(seeds).items() if count > 1)
    if twice:
        raise SpecError(
            f"seeds: {', '.join(map(str, twice[:5]))} stands there twice, and equal seeds are one run; give each once"
        )
    return seeds


AnyMethod = Annotated[Method, BeforeValidator(_method), PlainSerializer(lambda method: method.table())]
"""A method, its name, or a table of its name and settings."""
AnyHardware = Annotated[Hardware, BeforeValidator(_hardware)]
"""A chip design or its name."""
AnyProblem = Annotated[InstanceOf[Problem], BeforeValidator(_problem), PlainSerializer(lambda problem: problem.table())]
"""A problem, or its name or file."""
Shots = Annotated[int, Field(ge=1)] | None
"""Training samples per class; None: all."""
Seeds = Annotated[
    tuple[Annotated[int, Field(ge=0, lt=2**63)], ...], Field(min_length=1, max_length=10_000), AfterValidator(_distinct)
]
"""One chip each, no two the same."""
