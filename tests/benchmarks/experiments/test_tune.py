"""Tuning: one budget for all, validation images only, resumed for free, and its outcome is a suite."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import pytest
import torch
from torch import nn

from benchmarks import Problem, Task
from benchmarks.cli import main
from benchmarks.experiments import experiment, tune
from benchmarks.experiments.comparison import Comparison
from benchmarks.experiments.suites import load_comparison
from crossbar_sim import CrossbarError
from crossbar_sim.spec.spec import LARGEST
from peft_methods import METHODS, BitFit

SUITE = """
name = "small"
shots_per_class = 2
tasks = ["occlude"]
seeds = [0]
methods = [{ name = "linear-probe", steps = 2 }, "bitfit"]
"""


def test_a_tuned_suite_comes_out_and_a_second_run_simulates_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "small.toml").write_text(SUITE, encoding="utf-8")
    arguments = ["--suite", str(tmp_path / "small.toml"), "--methods", "linear-probe", "--trials", "2"]
    arguments += ["--workers", "1", "--runs", str(tmp_path / "runs"), "--output", str(tmp_path / "tuned.toml")]
    main(["tune", *arguments])
    first = (tmp_path / "tuned.toml").read_text(encoding="utf-8")
    tuned = load_comparison(str(tmp_path / "tuned.toml"))
    (trials,) = json.loads((tmp_path / "runs" / "tuning.json").read_text(encoding="utf-8"))
    assert len(trials) == 2 and trials[0]["validation_accuracy"] >= trials[1]["validation_accuracy"]
    assert [method.name for method in tuned.methods] == ["linear-probe", "bitfit"]
    assert tuned.methods[0].learning_rate == trials[0]["learning_rate"] and tuned.methods[0].steps == 2
    assert tuned.methods[1] == BitFit() and tuned.seeds == (0,)
    with mock.patch.object(experiment, "simulate", side_effect=AssertionError("simulated again")):
        main(["tune", *arguments])
    assert (tmp_path / "tuned.toml").read_text(encoding="utf-8") == first
    assert "occlude" in first and capsys.readouterr().out.count("linear-probe") == 2


def test_a_score_that_is_better_lower_is_minimised_and_a_diverged_setting_is_last(tmp_path: Path) -> None:
    reached = iter([5.0, None, 3.0, 4.0])

    def judged(*_: object) -> float:
        value = next(reached)
        if value is None:
            raise CrossbarError("the loss is nan")
        return value

    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    task = Task.of("line", (x, x.sum(1)), (x, x.sum(1)))
    score = {"loss": "regression", "score": "mean squared error"}
    problem = Problem("lines", nn.Sequential(nn.Linear(3, 1)), tasks=(task,), exclude=(), **score)
    comparison = Comparison(name="lines", methods=(BitFit(targets=("0",)),), problem=problem)
    with (
        mock.patch.object(tune, "load_comparison", return_value=comparison),
        mock.patch.object(tune, "validation_accuracy", side_effect=judged),
    ):
        found = tune.tune(comparison.methods[0], "lines", 4, tmp_path, 1)
    assert [trial.validation_accuracy for trial in found] == [3.0, 4.0, 5.0, LARGEST]


def test_every_method_has_something_to_search_and_starts_inside() -> None:
    for name, kind in METHODS.items():
        method = kind()
        space = tune.search_space(method)
        assert ("learning_rate" in space) == (name != "frozen")
        for key, distribution in space.items():
            assert distribution._contains(distribution.to_internal_repr(getattr(method, key))), (name, key)


def test_tuning_seeds_are_not_reported_ones() -> None:
    for suite in ("default", "all_methods"):
        assert not set(tune.SEEDS) & set(load_comparison(suite).seeds)
