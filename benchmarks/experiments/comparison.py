"""Comparison: every method on every task, run by several processes, each result a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from joblib import Parallel, delayed
from pydantic import Field, field_validator
from tqdm import tqdm

from benchmarks.experiments.experiment import DEFAULT_HARDWARE, RUNS, Experiment
from benchmarks.experiments.result import Result
from crossbar_sim import Hardware
from crossbar_sim.spec.spec import Spec


class Comparison(Spec):
    """The same hardware, tasks and seeds for several methods; a method is a name or a table with its settings."""

    name: str
    methods: Annotated[tuple[dict[str, Any], ...], Field(min_length=1)]
    tasks: Annotated[tuple[str, ...], Field(min_length=1)]
    hardware: Hardware = Field(default_factory=lambda: Hardware.load(DEFAULT_HARDWARE))
    backbone: str = "digits_vit"
    pool: str | None = None
    shots_per_class: int = 5
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0, 1, 2, 3, 4)

    @field_validator("methods", mode="before")
    @classmethod
    def _names_to_tables(cls, value: Any) -> Any:
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [dict(item) if isinstance(item, Mapping) else {"name": item} for item in value]
        return value

    @field_validator("hardware", mode="before")
    @classmethod
    def _hardware_by_name(cls, value: Any) -> Any:
        return Hardware.load(value) if isinstance(value, str) else value

    def experiments(self) -> list[Experiment]:
        """One experiment per method and task; raises SpecError for any that is not valid."""
        shared = {
            "hardware": self.hardware,
            "backbone": self.backbone,
            "pool": self.pool,
            "shots_per_class": self.shots_per_class,
            "seeds": self.seeds,
        }
        return [Experiment(method=method, task=task, **shared) for method in self.methods for task in self.tasks]


def run_all(
    experiments: Sequence[Experiment], *, workers: int = 2, runs: Path = RUNS, progress: bool = True
) -> list[Result]:
    """Run every seed of every experiment that is not on disk yet, on `workers` processes.

    The results do not depend on `workers`. A killed comparison resumes: finished seeds are files.
    """
    missing = [
        (experiment, seed)
        for experiment in experiments
        for seed in experiment.seeds
        if not (experiment.folder(runs) / f"seed_{seed}.json").is_file()
    ]
    if missing:
        jobs = (delayed(Experiment.run_seed)(experiment, seed, runs) for experiment, seed in missing)
        finished = Parallel(n_jobs=min(workers, len(missing)), return_as="generator_unordered")(jobs)
        for _ in tqdm(finished, total=len(missing), desc="simulating", unit="run", disable=not progress):
            pass
    return [experiment.run(runs) for experiment in experiments]
