"""Tuning: the same search budget for every method, on validation images only (`xbar tune`).

The seeds differ from those that results are reported for. The search is deterministic and every run is a file: a
killed tuning goes on where it was, by the same command.
"""

from __future__ import annotations

import logging
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import optuna
import tomli_w
from tqdm import tqdm

from benchmarks.experiments.experiment import Experiment
from benchmarks.experiments.fields import AnyMethod
from benchmarks.experiments.parallel import WorkersError, check_workers, run_parallel
from benchmarks.experiments.storage import RUNS
from benchmarks.experiments.suites import find, load_comparison
from benchmarks.record import Record
from crossbar_sim import CrossbarError
from crossbar_sim.runtime.files import check_folder, write_json
from crossbar_sim.spec.documents import read_toml
from crossbar_sim.spec.errors import FileError
from crossbar_sim.spec.spec import LARGEST
from peft_methods import Method
from peft_methods.methods import find_method
from peft_methods.tuning import Range

SEEDS = (100, 101)
SAMPLER_SEED = 0

Space = dict[str, optuna.distributions.BaseDistribution]


class Trial(Record):
    """One setting of a method and what it reached."""

    method: AnyMethod
    """With the settings of the suite and those that were tried."""
    validation_accuracy: float
    """Mean over tasks and tuning seeds; 0, or 1e30 of a score that is better lower: the training diverged."""

    def as_json(self) -> dict[str, object]:
        """The table of the method as in a suite, and the accuracy."""
        return {**table_of(self.method), "validation_accuracy": self.validation_accuracy}

    def __str__(self) -> str:
        return ", ".join(f"{key} {value}" for key, value in table_of(self.method).items())


def table_of(method: Method) -> dict[str, object]:
    """A method as it stands in a suite: its name and the settings that were given."""
    return {"name": method.name, **method.model_dump(mode="json", exclude_unset=True)}


def search_space(method: Method) -> Space:
    """What is searched for a method, as its class says; its other settings stay as they are."""
    return {key: _distribution(one) for key, one in method.search_ranges().items()}


def _distribution(one: Range) -> optuna.distributions.BaseDistribution:
    """A range in the words of optuna."""
    if isinstance(one.low, int) and isinstance(one.high, int):
        return optuna.distributions.IntDistribution(one.low, one.high, log=one.log)
    return optuna.distributions.FloatDistribution(one.low, one.high, log=one.log)


def validation_accuracy(experiments: Sequence[Experiment], runs: Path, workers: int) -> float:
    """Mean over tasks and tuning seeds."""
    jobs = [(experiment, seed, runs) for experiment in experiments for seed in experiment.seeds]
    records = run_parallel(Experiment.run_seed, jobs, workers)
    return statistics.fmean(record.validation_accuracy for record in records)


def tune(method: Method, suite: str, trials: int, runs: Path, workers: int) -> list[Trial]:
    """Every trial of one method, best first; of one with nothing to search, its only one."""
    comparison = load_comparison(suite)
    higher = comparison.problem.scoring.higher_is_better
    study = optuna.create_study(
        direction="maximize" if higher else "minimize", sampler=optuna.samplers.TPESampler(seed=SAMPLER_SEED)
    )
    space = search_space(method)
    study.enqueue_trial({key: getattr(method, key) for key in space})
    done: list[Trial] = []
    for _ in range(trials if space else 1):
        trial = study.ask(space)
        tried = method.replace(**trial.params)
        experiments = comparison.replace(methods=(tried,), seeds=SEEDS).experiments()
        try:
            reached = validation_accuracy(experiments, runs, workers)
        except (WorkersError, FileError):
            raise
        except CrossbarError:
            reached = 0.0 if higher else LARGEST  # this setting diverged
        study.tell(trial, reached)
        done.append(Trial(method=tried, validation_accuracy=reached))
    return sorted(done, key=lambda trial: trial.validation_accuracy, reverse=higher)


def tune_suite(
    suite: str, trials: int, methods: Sequence[str] = (), *, runs: Path = RUNS / "tuning", workers: int = 2
) -> dict[int, list[Trial]]:
    """Every trial of the methods of a suite (none named: all), by the place of the method in the suite.

    Every finished method is in runs/tuning.json. CrossbarError, before anything is simulated, for a method that does
    not exist, less than one worker and a folder that cannot be written.
    """
    check_workers(workers)
    check_folder(runs)
    logging.getLogger("optuna").setLevel(logging.WARNING)
    wanted = {find_method(name) for name in methods}
    chosen = {
        place: method
        for place, method in enumerate(load_comparison(suite).methods)
        if not wanted or type(method) in wanted
    }
    tuned: dict[int, list[Trial]] = {}
    for place, method in tqdm(chosen.items(), desc="tuning", unit="method"):
        tuned[place] = tune(method, suite, trials, runs, workers)
        write_json(runs / "tuning.json", [[trial.as_json() for trial in found] for found in tuned.values()])
    return tuned


def tuned_suite(suite: str, best: Mapping[int, Trial]) -> str:
    """The suite as TOML with the best settings in place of its own, by the place of the method in the suite."""
    comparison = load_comparison(suite)
    methods = [
        table_of(best[place].method if place in best else method) for place, method in enumerate(comparison.methods)
    ]
    document = read_toml(find(suite))
    return tomli_w.dumps({**document, "name": f"{comparison.name}_tuned", "methods": methods})
