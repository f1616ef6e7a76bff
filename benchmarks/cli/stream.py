"""xbar stream: many tasks, one after the other, on one chip."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from benchmarks.cli.options import STANDARD_OUTPUT, Csv, FigureFile, Json, Runs, Workers
from benchmarks.cli.show import check_outputs, show, write_csv


def stream(
    suite: Annotated[str, arg(metavar="TOML", help="a file of streams, or the name of one that ships")] = "digits",
    /,
    *,
    tasks: Annotated[int | None, arg(metavar="N", help="so many tasks; the order of the file starts again")] = None,
    methods: Annotated[tuple[str, ...], arg(metavar="NAME", help="methods of the file; default: all")] = (),
    hardware: Annotated[str | None, arg(metavar="NAME|TOML", help="use this hardware instead of the file's")] = None,
    quick: Annotated[bool, arg(help="a smoke test: four tasks, one seed, few steps")] = False,
    rounds: Annotated[int | None, arg(metavar="N", help="learn all tasks so many times over")] = None,
    until_failure: Annotated[
        float | None, arg(metavar="X", help="end once a task is learned this much worse than in the first round")
    ] = None,
    endurance: Annotated[
        float | None, arg(metavar="WRITES", help="of cells that fail at random; to see the end in few tasks")
    ] = None,
    report: Annotated[Path | None, arg(metavar="HTML", help="write a report")] = None,
    figure: FigureFile = None,
    csv: Csv = None,
    json: Json = None,
    runs: Runs = Path("runs"),
    workers: Workers = 2,
) -> None:
    """Learn task after task on one chip, with every method: energy, wear, accuracy and forgetting after each."""
    from benchmarks.experiments.running import run_all
    from benchmarks.reporting.stream_report import StreamReport
    from benchmarks.streams.choosing import choose
    from benchmarks.streams.suites import load_streams

    check_outputs(report, figure, csv, json)
    chosen = choose(
        load_streams(suite),
        tasks=tasks,
        methods=methods,
        hardware=hardware,
        quick=quick,
        rounds=rounds,
        until_failure=until_failure,
        endurance=endurance,
    )
    found = StreamReport(run_all(chosen.streams(), workers=workers, runs=runs))
    write_csv(csv, found.records())
    show(found.records(), None if csv == STANDARD_OUTPUT else found.table(), json, figure, found)
    if report is not None:
        print(f"report: {found.save(report)}", file=sys.stderr)
