"""Comparison: every method on every task, run by several processes, each result a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field
from tqdm import tqdm

from benchmarks.experiments.experiment import Experiment, Result
from benchmarks.experiments.fields import (
    AnyHardware,
    AnyMethod,
    AnyProblem,
    Seeds,
    Shots,
    default_problem,
    its_hardware,
    its_shots,
    its_targets,
)
from benchmarks.experiments.parallel import check_workers, run_parallel
from benchmarks.experiments.record import RunRecord
from benchmarks.experiments.storage import INTERRUPTED, RUNS
from crossbar_sim.runtime.files import check_folder
from crossbar_sim.runtime.interrupts import interrupts_say
from crossbar_sim.spec.spec import Spec


class Comparison(Spec):
    """The same hardware, tasks and seeds for several methods; a method is a name or a table with its settings."""

    name: str
    methods: Annotated[tuple[AnyMethod, ...], Field(min_length=1)]
    problem: AnyProblem = Field(default_factory=default_problem)
    tasks: Annotated[tuple[str, ...], Field(min_length=1, default_factory=its_targets)]
    hardware: AnyHardware = Field(default_factory=its_hardware)
    pool: str | None = None
    shots_per_class: Shots = Field(default_factory=its_shots)
    seeds: Seeds = (0, 1, 2, 3, 4)

    def experiments(self) -> list[Experiment]:
        """One experiment per method and task; raises SpecError for any that is not valid."""
        return [
            Experiment(
                method=method,
                task=task,
                hardware=self.hardware,
                problem=self.problem,
                pool=self.pool,
                shots_per_class=self.shots_per_class,
                seeds=self.seeds,
            )
            for method in self.methods
            for task in self.tasks
        ]


@interrupts_say(INTERRUPTED)
def run_all(
    experiments: Sequence[Experiment], *, workers: int = 2, runs: str | Path = RUNS, progress: bool = True
) -> list[Result]:
    """Run every seed of every experiment that is not on disk yet, on `workers` processes.

    The results do not depend on `workers`. A killed comparison resumes: finished seeds are files. Several commands
    on one folder share the seeds: none is simulated twice. Raises CrossbarError before anything is simulated for less
    than one worker and for a folder that cannot be written, and for a worker that was killed.
    """
    check_workers(workers)
    missing: list[tuple[int, int]] = []
    records: dict[tuple[int, int], RunRecord] = {}
    for place, experiment in enumerate(experiments):
        for seed in experiment.seeds:
            stored = experiment.files(runs).stored(seed)
            if stored is None:
                missing.append((place, seed))
            else:
                records[place, seed] = stored
    if missing:
        check_folder(Path(runs))
        with tqdm(total=len(missing), desc="simulating", unit="run", disable=not progress) as shown:
            for run in (run_if_free, run_one):  # first what no other command is at, then the rest
                open_ones = [one for one in missing if one not in records]
                tasks = [(experiments[place], place, seed, runs) for place, seed in open_ones]
                for place, seed, record in run_parallel(run, tasks, workers):
                    if record is not None:
                        records[place, seed] = record
                        shown.update()
    return [
        experiment.collect([records[place, seed] for seed in experiment.seeds], runs)
        for place, experiment in enumerate(experiments)
    ]


def run_one(experiment: Experiment, place: int, seed: int, runs: str | Path) -> tuple[int, int, RunRecord | None]:
    """One seed of the experiment at `place`, on whichever worker; waits where another command is at it."""
    return place, seed, experiment.run_seed(seed, runs)


def run_if_free(experiment: Experiment, place: int, seed: int, runs: str | Path) -> tuple[int, int, RunRecord | None]:
    """The same without waiting; None where another command is at it."""
    return place, seed, experiment.run_seed_if_free(seed, runs)
