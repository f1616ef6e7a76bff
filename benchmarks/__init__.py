"""Questions storey: backbones, tasks, experiments, figures, reports and the command line."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.experiments.experiment import Experiment
    from benchmarks.problems.problem import Problem, Task
    from benchmarks.reporting.report import Report
    from benchmarks.streams.stream import Stream

__all__ = ["Experiment", "Problem", "Report", "Stream", "Task"]

_HOMES = {
    "Experiment": "experiments.experiment",
    "Problem": "problems.problem",
    "Report": "reporting.report",
    "Stream": "streams.stream",
    "Task": "problems.problem",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that `xbar --help` does not load torch."""
    if name in _HOMES:
        return getattr(import_module(f"benchmarks.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'benchmarks' has no attribute '{name}'")
