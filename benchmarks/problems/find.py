"""Finding a problem: one that ships, one of an installed package, or a file."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from benchmarks.problems.problem import Problem, ProblemError
from crossbar_sim.spec.spec import nearest

GROUP = "crossbar_sim.problems"
"""Entry points of this group name functions that return a Problem."""
SHIPPED: dict[str, str] = {
    "digits_vit": "benchmarks.problems.shipped.digits_vit:problem",
    "minilm_text": "benchmarks.problems.shipped.minilm_text:problem",
    "wnut_ner": "benchmarks.problems.shipped.wnut_ner:problem",
    "smollm2_text": "benchmarks.problems.shipped.smollm2_text:problem",
    "smollm2_perplexity": "benchmarks.problems.shipped.smollm2_perplexity:problem",
}
"""Where the function is that makes each problem, by its name."""


def problem_names() -> list[str]:
    """The problems that ship, then those of installed packages."""
    return [*SHIPPED, *sorted(_installed())]


def find_problem(name: str) -> Problem:
    """The problem of a name, or of a TOML file; ProblemError names the nearest."""
    if name.endswith(".toml"):
        from benchmarks.problems.from_file.reading import read_problem

        return read_problem(Path(name))
    return _named(name)


@cache
def _named(name: str) -> Problem:
    if name in SHIPPED:
        module, _, function = SHIPPED[name].partition(":")
        return _made(name, getattr(import_module(module), function))
    installed = _installed()
    if name in installed:
        return _made(name, installed[name].load())
    raise ProblemError(
        f"no problem '{name}'{nearest(name, problem_names())}; a file's name ends in .toml, and a package offers one "
        f"by an entry point of the group '{GROUP}'"
    )


def _made(name: str, make: Callable[[], Problem]) -> Problem:
    problem = make()
    if not isinstance(problem, Problem):
        raise ProblemError(f"the entry point '{name}' gives a {type(problem).__name__}; it must return a Problem")
    return problem


def _installed() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
