"""The command line: xbar compare | stream | explore | run | tune | study | recalibrate | estimate | costs | floorplan |
sensitivity | quality | device | hardware | methods | problem | pretrain."""

from __future__ import annotations

from collections.abc import Sequence

import tyro

from benchmarks.cli.compare import compare, run, tune
from benchmarks.cli.device import device, hardware, quality
from benchmarks.cli.estimate import costs, estimate, floorplan, methods, sensitivity
from benchmarks.cli.explore import explore
from benchmarks.cli.pretrain import pretrain
from benchmarks.cli.problem import problem
from benchmarks.cli.stream import stream
from benchmarks.cli.study import recalibrate, run_study, study

app = tyro.extras.SubcommandApp()
for command in (
    compare,
    stream,
    explore,
    run,
    tune,
    study,
    recalibrate,
    estimate,
    costs,
    floorplan,
    sensitivity,
    quality,
    device,
    hardware,
    methods,
    problem,
    pretrain,
):
    app.command(command)


def call(given: Sequence[str]) -> None:
    """Do what the words of a command line say; what a user can put right is a CrossbarError."""
    if given[:1] == ["study"] and given[1:] and not given[1].startswith("-"):
        run_study(given[1], list(given[2:]))
    else:
        app.cli(prog="xbar", description=__doc__, args=list(given))
