"""SeedRuns: what is simulated seed by seed, the record of each in a file of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from benchmarks.experiments.storage import INTERRUPTED, RUNS, SeedFiles
from benchmarks.record import SeedRecord
from crossbar_sim.runtime.interrupts import interrupts_say

R = TypeVar("R", bound=SeedRecord)
Out = TypeVar("Out")


class SeedRuns(ABC, Generic[R, Out]):
    """An Experiment, a Stream, a Recalibration: it says how one seed is simulated and what all of them give."""

    if TYPE_CHECKING:
        seeds: tuple[int, ...]

    @abstractmethod
    def files(self, runs: str | Path = RUNS) -> SeedFiles[R]:
        """Where the record of each seed is kept."""

    @abstractmethod
    def simulated(self, seed: int) -> R:
        """The record of one seed, whatever is on disk."""

    @abstractmethod
    def collect(self, records: Sequence[R], runs: str | Path = RUNS) -> Out:
        """The result of the records of all seeds; hidden files of killed processes go."""

    @interrupts_say(INTERRUPTED)
    def run(self, runs: str | Path = RUNS) -> Out:
        """Run what is not on disk yet, one seed after the other, and return the result."""
        return self.collect([self.run_seed(seed, runs) for seed in self.seeds], runs)

    def run_seed(self, seed: int, runs: str | Path = RUNS) -> R:
        """The record of one seed: from its file if it is there, else simulated and written."""
        return self.files(runs).record(seed, partial(self.simulated, seed))

    def run_seed_if_free(self, seed: int, runs: str | Path = RUNS) -> R | None:
        """The same; None, at once, where another process is at it."""
        return self.files(runs).record_if_free(seed, partial(self.simulated, seed))
