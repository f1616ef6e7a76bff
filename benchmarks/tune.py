"""Tuning: the same search budget for every method, on validation images only.

python -m benchmarks.tune [--trials N] [--methods NAME ...] prints the best setting of every method and keeps
every trial in runs/tuning/tuning.json. The seeds differ from those that results are reported for.
"""

from __future__ import annotations

import argparse
import logging
import statistics
from pathlib import Path
from typing import Any

import optuna
from joblib import Parallel, delayed

from benchmarks.experiment import RUNS, Experiment
from benchmarks.files import write_json
from benchmarks.suites import load_comparison
from crossbar_sim import CrossbarError
from peft_methods import METHODS

SEEDS = (100, 101)
SAMPLER_SEED = 0

Space = dict[str, optuna.distributions.BaseDistribution]


def rate(low: float, high: float) -> optuna.distributions.FloatDistribution:
    """A learning rate, or another positive factor, searched on a logarithmic scale."""
    return optuna.distributions.FloatDistribution(low, high, log=True)


def search_space(method: dict[str, Any]) -> Space:
    """What is searched for a method; its fixed settings come from the suite."""
    name = method["name"]
    spaces: dict[str, Space] = {
        "full-fine-tuning": {"learning_rate": rate(1e-4, 1e-2)},
        "linear-probe": {"learning_rate": rate(1e-3, 1e-1)},
        "lora": {"learning_rate": rate(1e-3, 5e-2)},
        "lorafusion": {"learning_rate": rate(3e-3, 2e-1), "magnitude_learning_rate": rate(1e-3, 1e-1)},
        "bitfit": {"learning_rate": rate(1e-3, 1e-1)},
        "lora-fa": {"learning_rate": rate(1e-3, 1e-1)},
        "dora": {"learning_rate": rate(1e-3, 5e-2)},
        "vera": {"learning_rate": rate(3e-3, 2e-1), "initial": rate(3e-2, 1.0)},
        "wegeft": {"learning_rate": rate(1e-3, 5e-2), "alpha": rate(2.0, 32.0)},
        "ia3": {"learning_rate": rate(3e-3, 2e-1)},
        "adapters": {"learning_rate": rate(1e-3, 5e-2)},
        "vpt": {"learning_rate": rate(1e-3, 2e-1), "prompts": optuna.distributions.IntDistribution(1, 16, log=True)},
        "pasta": {"learning_rate": rate(1e-3, 2e-1)},
        "lorahub": {"learning_rate": rate(5e-2, 1.0), "regularisation": rate(1e-3, 1e-1)},
    }
    if name not in spaces:
        return {"learning_rate": rate(1e-4, 1e-1)}
    if name in ("lora", "dora", "adapters") and method.get("placement") != "sram":
        spaces[name]["b_range"] = optuna.distributions.FloatDistribution(0.1, 1.0, log=True)
    return spaces[name]


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
    settings = {key: value for key, value in method.items() if key != "name"}
    start = METHODS[method["name"]](**settings)
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


def main() -> None:
    """Tune every method of a suite."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="default")
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--runs", type=Path, default=RUNS / "tuning")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    logging.getLogger("optuna").setLevel(logging.WARNING)
    results = []
    for method in load_comparison(arguments.suite).methods:
        if method["name"] in arguments.methods:
            trials = tune(method, arguments.suite, arguments.trials, arguments.runs, arguments.workers)
            results.append(trials)
            print(
                f"{trials[0]['validation_accuracy']:.4f}  {trials[0]}  (worst {trials[-1]['validation_accuracy']:.4f})"
            )
    write_json(arguments.runs / "tuning.json", results)


if __name__ == "__main__":
    main()
