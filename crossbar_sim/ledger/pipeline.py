"""Matrices and the digital unit as stages of a pipeline: how soon one sample is through, how often a new one enters."""

from __future__ import annotations

import math
from dataclasses import dataclass

from crossbar_sim.hardware.components import DIGITAL
from crossbar_sim.ledger.ledger import Ledger
from crossbar_sim.spec.errors import SpecError

DIGITAL_STAGE = "digital unit"
"""The stage that does all digital work of a sample, whatever layer it belongs to."""


@dataclass(frozen=True)
class Pipeline:
    """Seconds per sample of every stage (a matrix with its own converters, or the digital unit), in the order of their
    first work."""

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
    """The pipeline of the matrices that `samples` samples were read through in `phase`, and of the digital unit.

    All digital work of the chip passes through one stage. Raises SpecError if nothing was read.
    """
    times: dict[str, list[float]] = {}
    for (at, component, place), entry in ledger.by("phase", "component", "place").items():
        if at == phase and entry.time > 0:
            times.setdefault(DIGITAL_STAGE if component in DIGITAL else place, []).append(entry.time)
    stages = {stage: math.fsum(parts) / samples for stage, parts in times.items()} if samples > 0 else {}
    if not set(stages) - {DIGITAL_STAGE}:
        raise SpecError(f"no matrix was read in phase '{phase}'; read at least one sample there")
    return Pipeline(stages)
