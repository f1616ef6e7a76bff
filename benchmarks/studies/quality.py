"""Mapping quality of a problem's model on a chip design."""

from __future__ import annotations

from benchmarks.experiments.experiment import deploy
from benchmarks.problems.problem import Problem
from crossbar_sim import Hardware
from crossbar_sim.quality.report import Quality, quality


def problem_quality(
    problem: Problem, hardware: Hardware | None = None, *, task: str | None = None, each: bool = False, seed: int = 0
) -> Quality:
    """Put the model of a problem on tiles, calibrate as an experiment does, and measure on as many samples that it was
    not calibrated with. hardware: None: the problem's own. task: None: its first target."""
    chosen = problem.targets()[0] if task is None else problem.task(task)
    model, _ = deploy(problem, chosen, hardware or Hardware.load(problem.hardware), seed)
    return quality(model, problem.held_out(chosen).inputs, each=each, seed=seed)
