"""Commands that answer named questions: study, recalibrate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from tyro.conf import Positional, arg

from benchmarks.cli.options import DEFAULT_PROBLEM, FigureFile, Json, OwnHardware, ProblemName, Runs
from benchmarks.cli.show import check_outputs, show

if TYPE_CHECKING:
    from benchmarks.studies.base import Study


def study(name: Annotated[Positional[str | None], arg(metavar="NAME", help="one of the list")] = None) -> None:
    """Answer a named question: `xbar study` lists them, `xbar study NAME --help` says what one asks."""
    from benchmarks.studies import STUDIES, find_study

    if name is not None:
        find_study(name)
    for known in STUDIES:
        print(f"{known:<26}{(find_study(known).__doc__ or '').splitlines()[0]}")


def run_study(name: str, arguments: list[str]) -> None:
    """Run one study with the options that it declares."""
    from benchmarks.studies import find_study

    kind = find_study(name)
    tyro.cli(
        command_of(kind),
        prog=f"xbar study {name}",
        args=arguments,
        description=kind.__doc__,
        config=(tyro.conf.PositionalRequiredArgs,),
    )


def command_of(kind: type[Study]) -> Callable[..., None]:
    """A command whose options are the fields of a study."""

    def command(study: Any, json: Json = None, figure: FigureFile = None) -> None:
        check_outputs(json, figure)
        found = study.run()
        show(found.records, found, json, figure, found)

    command.__annotations__ = {"study": Annotated[kind, arg(name="")], "json": Json, "figure": FigureFile}
    return command


def recalibrate(
    methods: Annotated[
        list[str], arg(metavar="NAME", help="methods; none: all that write no cell, and the others")
    ] = [],  # noqa: B006
    /,
    *,
    programming_error: Annotated[float, arg(metavar="X", help="multiply the device's programming error by this")] = 6.0,
    stuck: Annotated[float, arg(metavar="SHARE", help="share of cells that no pulse moves")] = 0.0,
    seconds: Annotated[float, arg(metavar="S", help="time since the chip was programmed")] = 0.0,
    problem: ProblemName = DEFAULT_PROBLEM,
    hardware: OwnHardware = None,
    device: Annotated[str | None, arg(metavar="NAME|TOML", help="its cells; default: the design's own")] = None,
    shots: Annotated[int, arg(metavar="N", help="images per class to recalibrate with")] = 5,
    seeds: Annotated[tuple[int, ...], arg(metavar="N", help="one chip each")] = (0, 1, 2),
    json: Json = None,
    runs: Runs = Path("runs"),
) -> None:
    """Damage a chip and win its accuracy back with a few images of the task that it was shipped for."""
    from benchmarks.studies import recalibration

    check_outputs(json)
    damage = recalibration.Damage(programming_error=programming_error, stuck=stuck, seconds=seconds)
    chosen = recalibration.recalibrations(
        methods, problem=problem, hardware=hardware, device=device, damage=damage, shots=shots, seeds=seeds
    )
    records = recalibration.run_all(chosen, runs)
    show(records, recalibration.table(records), json)
