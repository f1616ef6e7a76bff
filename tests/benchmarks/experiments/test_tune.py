"""Tuning: one budget for all, validation images only, resumed for free, and its outcome is a suite."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import pytest

from benchmarks.cli import main
from benchmarks.experiments import experiment, tune
from benchmarks.experiments.suites import load_comparison
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
