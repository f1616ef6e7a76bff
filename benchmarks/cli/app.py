"""The command line: xbar compare | stream | run | tune | study | recalibrate | estimate | floorplan | sensitivity |
quality | device | hardware | methods | problem | pretrain."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import tyro

from benchmarks.cli.compare import compare, run, tune
from benchmarks.cli.device import device, hardware, quality
from benchmarks.cli.estimate import estimate, floorplan, methods, sensitivity
from benchmarks.cli.pretrain import pretrain
from benchmarks.cli.problem import problem
from benchmarks.cli.stream import stream
from benchmarks.cli.study import recalibrate, run_study, study

app = tyro.extras.SubcommandApp()
for command in (
    compare,
    stream,
    run,
    tune,
    study,
    recalibrate,
    estimate,
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


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; what the user can put right is one sentence and exit status 1."""
    from crossbar_sim.spec.errors import CrossbarError

    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if given[:1] == ["study"] and given[1:] and not given[1].startswith("-"):
            run_study(given[1], given[2:])
        else:
            app.cli(prog="xbar", description=__doc__, args=given)
    except CrossbarError as error:
        sys.exit(f"xbar: {error}")
    except BrokenPipeError:
        # whoever reads the output has had enough; nothing may be written to the closed pipe on the way out
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        sys.exit(
            f"xbar: {error.filename or 'a file'}: {error.strerror or error}; check the path and the space on its disk"
        )
    except MemoryError:
        sys.exit("xbar: not enough memory; take a smaller model, tile or number of workers")
    except KeyboardInterrupt:
        sys.exit("xbar: interrupted; finished runs are kept, the same command resumes")
