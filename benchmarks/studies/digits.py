"""What the studies of the shipped digits share."""

from __future__ import annotations

from torch import nn

from benchmarks.experiments.experiment import deploy
from benchmarks.problems.find import find_problem
from benchmarks.problems.shipped.digits_vit import NAME
from crossbar_sim import Chip, Hardware


def deploy_digits(hardware: Hardware, seed: int) -> tuple[nn.Module, Chip]:
    """The shipped vision transformer on the tiles of a new chip, its ADC ranges set."""
    problem = find_problem(NAME)
    return deploy(problem, problem.tasks[0], hardware, seed)
