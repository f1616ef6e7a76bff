"""Tuning: the same search budget for every method, on validation images only.

`python -m benchmarks.experiments.tune [--suite NAME] [--trials N] [--methods NAME ...] [--output TOML]` prints the best
setting of every method, keeps every trial in runs/tuning/tuning.json, and writes the suite with the best settings to
--output. The seeds differ from those that results are reported for. The search is deterministic and every run is a
file: a killed tuning goes on where it was, by the same command.
"""

from __future__ import annotations

import argparse
import logging
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import tomli_w
from joblib import Parallel, delayed
from tqdm import tqdm

from benchmarks.experiments.experiment import RUNS, Experiment
from benchmarks.experiments.suites import find, load_comparison
from crossbar_sim import CrossbarError
from crossbar_sim.runtime.files import write_json, write_text
from crossbar_sim.spec.spec import read_toml
from peft_methods import METHODS
from peft_methods.methods import read_method
from peft_methods.tuning import Range

SEEDS = (100, 101)
SAMPLER_SEED = 0

Space = dict[str, optuna.distributions.BaseDistribution]


def search_space(method: dict[str, Any]) -> Space:
    """What is searched for a method, as its class says; its fixed settings come from the suite."""
    return {key: _distribution(one) for key, one in read_method(method).search_ranges().items()}


def _distribution(one: Range) -> optuna.distributions.BaseDistribution:
    """A range in the words of optuna."""
    if isinstance(one.low, int) and isinstance(one.high, int):
        return optuna.distributions.IntDistribution(one.low, one.high, log=one.log)
    return optuna.distributions.FloatDistribution(one.low, one.high, log=one.log)


def validation_accuracy(experiments: list[Experiment], runs: Path, workers: int) -> float:
    """Mean over tasks and tuning seeds."""
    jobs = [(experiment, seed) for experiment in experiments for seed in experiment.seeds]
    records = Parallel(n_jobs=workers)(
        delayed(Experiment.run_seed)(experiment, seed, runs) for experiment, seed in jobs
    )
    return statistics.fmean(record["validation_accuracy"] for record in records)


def tune(method: dict[str, Any], suite: str, trials: int, runs: Path, workers: int) -> list[dict[str, Any]]:
    """Every trial of one method, best first: its settings and its validation accuracy."""
    comparison = load_comparison(suite)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=SAMPLER_SEED))
    space = search_space(method)
    start = read_method(method)
    study.enqueue_trial({key: getattr(start, key) for key in space})
    for _ in range(trials):
        trial = study.ask(space)
        tuned = comparison.replace(methods=({**method, **trial.params},), seeds=SEEDS)
        try:
            reached = validation_accuracy(tuned.experiments(), runs, workers)
        except CrossbarError:
            reached = 0.0  # this setting diverged
        study.tell(trial, reached)
    done = sorted(study.trials, key=lambda trial: -(trial.value or 0.0))
    return [{**method, **trial.params, "validation_accuracy": trial.value} for trial in done]


def tuned_suite(suite: str, best: dict[int, dict[str, Any]]) -> str:
    """The suite as TOML with the best settings in place of its own, by the place of the method in the suite."""
    comparison = load_comparison(suite)
    methods = [
        {key: value for key, value in best.get(place, method).items() if key != "validation_accuracy"}
        for place, method in enumerate(comparison.methods)
    ]
    document = read_toml(find(suite))
    return tomli_w.dumps({**document, "name": f"{comparison.name}_tuned", "methods": methods})


def main(arguments: Sequence[str] | None = None) -> None:
    """Tune every method of a suite."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="default")
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--runs", type=Path, default=RUNS / "tuning")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path, default=None)
    options = parser.parse_args(arguments)
    logging.getLogger("optuna").setLevel(logging.WARNING)
    chosen = [
        (place, method)
        for place, method in enumerate(load_comparison(options.suite).methods)
        if method["name"] in options.methods
    ]
    results = {}
    for place, method in tqdm(chosen, desc="tuning", unit="method"):
        trials = tune(method, options.suite, options.trials, options.runs, options.workers)
        results[place] = trials
        tqdm.write(
            f"{trials[0]['validation_accuracy']:.4f}  {trials[0]}  (worst {trials[-1]['validation_accuracy']:.4f})"
        )
        write_json(options.runs / "tuning.json", list(results.values()))
    if options.output is not None:
        write_text(options.output, tuned_suite(options.suite, {place: trials[0] for place, trials in results.items()}))


if __name__ == "__main__":
    main()
