"""Questions storey: backbones, tasks, experiments, figures, reports and the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.experiments.experiment import Experiment
    from benchmarks.reporting.report import Report

__all__ = ["Experiment", "Report"]


def __getattr__(name: str) -> Any:
    """Import on first use, so that `xbar --help` does not load torch."""
    if name == "Experiment":
        from benchmarks.experiments.experiment import Experiment

        return Experiment
    if name == "Report":
        from benchmarks.reporting.report import Report

        return Report
    raise AttributeError(f"module 'benchmarks' has no attribute '{name}'")
