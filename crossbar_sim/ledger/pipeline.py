"""Matrices as the stages of a pipeline: how soon one sample is through, and how often a new one may enter."""

from __future__ import annotations

import math
from dataclasses import dataclass

from crossbar_sim.ledger.ledger import Ledger
from crossbar_sim.spec.errors import SpecError


@dataclass(frozen=True)
class Pipeline:
    """Seconds per sample of every stage (a matrix with its own converters), in the order of their first read."""

    stages: dict[str, float]

    @property
    def latency(self) -> float:
        """Sum over the stages: a sample passes one after the other, and leaves a stage with all its vectors."""
        return math.fsum(self.stages.values())

    @property
    def interval(self) -> float:
        """Time of the slowest stage: every stage works on a sample of its own, so one is finished per interval."""
        return max(self.stages.values())

    @property
    def slowest(self) -> str:
        """The stage that sets the interval."""
        return max(self.stages, key=lambda stage: self.stages[stage])


def pipeline(ledger: Ledger, samples: int, phase: str = "infer") -> Pipeline:
    """The pipeline of the matrices that `samples` samples were read through in `phase`.

    Only what takes time in the ledger is a stage: digital arithmetic is not. Raises SpecError if nothing was read.
    """
    times = {place: entry.time for (at, place), entry in ledger.by("phase", "place").items() if at == phase}
    stages = {place: time / samples for place, time in times.items() if time > 0} if samples > 0 else {}
    if not stages:
        raise SpecError(f"no matrix was read in phase '{phase}'; read at least one sample there")
    return Pipeline(stages)
