"""Runs of a design, of few or all steps: one small file a seed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.experiments.experiment import Experiment, adapt, judge
from benchmarks.experiments.record import FORMAT, BilledRun, record_run
from benchmarks.experiments.seed_runs import SeedRuns
from benchmarks.experiments.storage import RUNS, SeedFiles, folder_of
from benchmarks.explore.counting import EXPLORED
from benchmarks.problems.pools import pool_digest
from benchmarks.record import Record, SeedRecord
from crossbar_sim import CrossbarError
from crossbar_sim.spec.errors import FileError


class SimulatedRun(Record):
    """What one run of one seed reached, cost and wore."""

    accuracy: float | None
    """The problem's score on the test samples; None: they were not looked at."""
    validation_accuracy: float
    """The score on the validation samples."""
    total_energy_J: float
    """Everything on the ledger."""
    reprogramming_energy_J: float
    """Everything that programming costs in the adaptation."""
    pool_programming_energy_J: float
    """The same for the pool."""
    energy_by_phase_J: dict[str, float]
    """By deploy, pool, adapt, infer."""
    trained_values: int
    """Numbers that are trained."""
    cells_written_per_step: float
    """Mean over the steps, without the first programming of an adapter; 0 without steps."""
    adapt_cells_written: int
    """Cell writes of the adaptation."""
    max_writes_per_cell: int
    """Of the worst cell, deployment included."""
    max_task_writes_per_cell: int
    """Of the worst cell in the adaptation."""
    p99_task_writes_per_cell: float
    """99th percentile of all cells in the adaptation."""
    mean_task_writes_per_cell: float
    """Of all cells in the adaptation."""
    adaptations_until_wearout: int | None
    """Whole adaptations until the worst cell is worn out; None: no cell is written."""


class DesignSeed(SeedRecord):
    """One seed of one design: a run, or why there is none."""

    run: SimulatedRun | None
    """None: refused."""
    refused: str | None
    """What was refused, in a sentence."""
    processor_s: float
    """Processor seconds of making it."""


@dataclass(frozen=True)
class Runs(SeedRuns[DesignSeed, tuple[DesignSeed, ...]]):
    """An experiment with few or all of its steps, as a rung of an exploration asks for it; records of a few kilobytes.

    digest: of what decides the numbers of the experiment (`designs.content_digest`). steps: None: all of the method's;
    then the test samples are judged too.
    """

    experiment: Experiment
    digest: str
    steps: int | None
    seeds: tuple[int, ...]

    def files(self, runs: str | Path = RUNS) -> SeedFiles[DesignSeed]:
        """Where the record of each seed is kept, whatever exploration asked for it."""
        one = self.experiment
        data = one.problem.digest(one.problem.task(one.task))
        pool = pool_digest(one.method, one.pool_folder)
        return SeedFiles(folder_of(runs, "explored", self.digest, self.steps, data, pool, FORMAT, EXPLORED), DesignSeed)

    def simulated(self, seed: int) -> DesignSeed:
        """The record of one seed, whatever is on disk; what is refused is a record too."""
        begun = time.process_time()
        run: SimulatedRun | None = None
        refused: str | None = None
        try:
            run = simulate_briefly(self.experiment, seed, self.steps)
        except FileError:
            raise
        except CrossbarError as error:
            refused = str(error)
        return DesignSeed(seed=seed, run=run, refused=refused, processor_s=time.process_time() - begun)

    def collect(self, records: Sequence[DesignSeed], runs: str | Path = RUNS) -> tuple[DesignSeed, ...]:
        """The records, as they are."""
        return tuple(records)


@dataclass(frozen=True)
class RunTask:
    """One seed of one design."""

    design: Runs
    seed: int
    runs: Path

    @property
    def folder(self) -> Path:
        """Of its file."""
        return self.design.files(self.runs).folder

    def stored(self) -> DesignSeed | None:
        """The record, if it is on disk."""
        return self.design.files(self.runs).stored(self.seed)

    def make(self) -> DesignSeed:
        """The record, from its file if it is there."""
        return self.design.run_seed(self.seed, self.runs)


def simulate_briefly(experiment: Experiment, seed: int, steps: int | None) -> SimulatedRun:
    """Deploy, adapt for some steps, and judge: on validation samples, and after all steps on the test samples too."""
    method = experiment.method
    if steps is not None and method.steps > steps:
        experiment = experiment.replace(method=method.replace(steps=steps))
    done = adapt(experiment, seed)
    problem, data = experiment.problem, done.data
    model = done.model
    test = None if steps is not None else judge(problem, model, data.test, done.chip).value
    with done.chip.probing():
        validation = judge(problem, model, data.validation).value
    billed = record_run(
        BilledRun,
        done.chip,
        done.history,
        done.adapter.task_writes(),
        seed=seed,
        accuracy=validation if test is None else test,
        trained_values=done.adapter.trained_values,
        inferences=0 if test is None else len(data.test),
    )
    kept = {name: getattr(billed, name) for name in SimulatedRun.model_fields if name in BilledRun.model_fields}
    return SimulatedRun(**{**kept, "accuracy": test}, validation_accuracy=validation)
