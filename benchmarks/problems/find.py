"""Finding a problem: one that ships, one of an installed package, or a file."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path

from benchmarks.problems.catalogue import GROUP, SHIPPED, installed, problem_names
from benchmarks.problems.problem import Problem, ProblemError
from crossbar_sim.spec.spec import nearest


def find_problem(name: str) -> Problem:
    """The problem of a name, or of a TOML file; ProblemError names the nearest."""
    if name.endswith(".toml"):
        from benchmarks.problems.from_file.reading import read_problem

        return read_problem(Path(name))
    return _named(name)


@cache
def _named(name: str) -> Problem:
    if name in SHIPPED:
        module, _, function = SHIPPED[name].where.partition(":")
        return _made(name, getattr(import_module(module), function))
    packaged = installed()
    if name in packaged:
        return _made(name, packaged[name].load())
    raise ProblemError(
        f"no problem '{name}'{nearest(name, problem_names())}; a file's name ends in .toml, and a package offers one "
        f"by an entry point of the group '{GROUP}'"
    )


def _made(name: str, make: Callable[[], Problem]) -> Problem:
    problem = make()
    if not isinstance(problem, Problem):
        raise ProblemError(f"the entry point '{name}' gives a {type(problem).__name__}; it must return a Problem")
    return problem
