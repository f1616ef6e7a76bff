"""A problem that is only described: its results can be read and reported, and it cannot be run."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from benchmarks.problems.problem import Problem, ProblemError, Task
from peft_methods.training.scores import SCORES, Score, ratio


def described(table: Mapping[str, Any]) -> Problem:
    """The problem of a `Problem.table()`; whatever would run it is a ProblemError."""
    try:
        name, score = str(table["name"]), str(table["score"])
        gone = partial(_gone, name)
        tasks = tuple(Task(str(one["name"]), one["kind"], gone, gone) for one in table["tasks"])
    except (KeyError, TypeError) as error:
        raise ProblemError(f"a problem's table needs name, score and tasks, and {error} is missing") from None
    return Problem(name, gone, tasks, score=SCORES.get(score, Score(score, gone, ratio)))


def _gone(name: str, *_: object) -> Any:
    raise ProblemError(
        f"problem '{name}' was made in a Python program and is not here; run the experiment from that program"
    )
