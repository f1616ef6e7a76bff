"""Commands that simulate: compare, run, tune."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from benchmarks.cli.options import Json, Runs, Workers
from benchmarks.cli.show import check_outputs, show


def compare(
    suite: Annotated[str, arg(metavar="TOML", help="a comparison file, or the name of one that ships")] = "default",
    /,
    hardware: Annotated[str | None, arg(metavar="NAME|TOML", help="use this hardware instead of the suite's")] = None,
    quick: Annotated[bool, arg(help="a smoke test: two tasks, one seed, few steps")] = False,
    report: Annotated[Path | None, arg(metavar="HTML", help="where to write the report")] = Path("report.html"),
    figures: Annotated[Path | None, arg(metavar="FOLDER", help="write its figures as SVG and PDF too")] = None,
    json: Json = None,
    runs: Runs = Path("runs"),
    workers: Workers = 2,
) -> None:
    """Fine-tune with every method on every task of a suite; print one table and write one report."""
    from benchmarks.experiments import suites
    from benchmarks.experiments.running import run_all
    from benchmarks.reporting.report import Report

    check_outputs(report, json, None if figures is None else figures / "any.svg")
    comparison = suites.load_comparison(suite, hardware=hardware, quick=quick)
    results = Report(run_all(comparison.experiments(), workers=workers, runs=runs))
    show(results.records(), results.table(), json)
    if report is not None:
        print(f"report: {results.save(report)}", file=sys.stderr)
    if figures is not None:
        results.save_figures(figures)


def run(
    suite: Annotated[Positional[str], arg(metavar="TOML", help="an experiment file, or the name of one that ships")],
    json: Json = None,
    runs: Runs = Path("runs"),
    workers: Workers = 2,
) -> None:
    """Run one experiment and print its result."""
    from benchmarks.experiments import suites
    from benchmarks.experiments.running import run_all

    check_outputs(json)
    (result,) = run_all([suites.load_experiment(suite)], workers=workers, runs=runs)
    show([result.record()], result, json)


def tune(
    suite: Annotated[str, arg(metavar="TOML", help="a comparison file, or the name of one that ships")] = "default",
    trials: Annotated[int, arg(metavar="N", help="settings to try per method")] = 8,
    methods: Annotated[tuple[str, ...], arg(metavar="NAME", help="methods of the suite; default: all")] = (),
    output: Annotated[Path | None, arg(metavar="TOML", help="write the suite with the best settings")] = None,
    runs: Runs = Path("runs/tuning"),
    workers: Workers = 2,
) -> None:
    """Search the settings of every method of a suite on validation images, with the same budget for all."""
    from benchmarks.experiments import tune as tuning
    from crossbar_sim.runtime.files import write_text

    check_outputs(output)
    tuned = tuning.tune_suite(suite, trials, methods, runs=runs, workers=workers)
    for found in tuned.values():
        print(f"{found[0].validation_accuracy:.4f}  {found[0]}  (worst {found[-1].validation_accuracy:.4f})")
    if output is not None:
        write_text(output, tuning.tuned_suite(suite, {place: found[0] for place, found in tuned.items()}))
