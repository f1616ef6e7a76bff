"""Comparison: every method on every task, run by several processes, each result a file."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated

from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError
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
from benchmarks.experiments.record import RunRecord
from benchmarks.experiments.storage import RUNS
from crossbar_sim import CrossbarError
from crossbar_sim.runtime.files import check_folder
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


def run_all(
    experiments: Sequence[Experiment], *, workers: int = 2, runs: str | Path = RUNS, progress: bool = True
) -> list[Result]:
    """Run every seed of every experiment that is not on disk yet, on `workers` processes.

    The results do not depend on `workers`. A killed comparison resumes: finished seeds are files. Raises CrossbarError
    before anything is simulated for less than one worker and for a folder that cannot be written, and for a worker
    that was killed.
    """
    if workers < 1:
        raise CrossbarError(f"workers: {workers} processes simulate nothing; give at least 1")
    check_folder(Path(runs))
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
        jobs = (delayed(run_one)(experiments[place], place, seed, runs, os.getpid()) for place, seed in missing)
        if workers > 1 and any(type(one.method).__module__ == "__main__" for one in experiments):
            print("xbar: a method is defined in the script itself: one process simulates everything", file=sys.stderr)
            workers = 1
        finished = Parallel(n_jobs=min(workers, len(missing)), return_as="generator_unordered")(jobs)
        try:
            for place, seed, record in tqdm(
                finished, total=len(missing), desc="simulating", unit="run", disable=not progress
            ):
                records[place, seed] = record
        except TerminatedWorkerError:
            raise CrossbarError(
                "a worker was killed, perhaps because memory ran out; finished runs are kept: run the same again, with "
                "fewer workers"
            ) from None
    return [
        experiment.collect([records[place, seed] for seed in experiment.seeds], runs)
        for place, experiment in enumerate(experiments)
    ]


def run_one(experiment: Experiment, place: int, seed: int, runs: str | Path, parent: int) -> tuple[int, int, RunRecord]:
    """One seed of the experiment at `place`, on whichever worker, which does not outlive `parent`."""
    if os.getpid() != parent:
        end_with(parent)
    return place, seed, experiment.run_seed(seed, runs)


@cache
def end_with(parent: int) -> None:
    """From now on this process ends within seconds after the one that started it, however that ended."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
