"""xbar explore: a space of chip designs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, UseAppendAction, arg

from benchmarks.cli.options import DEFAULT_HARDWARE, DEFAULT_PROBLEM, Csv, FigureFile, Json, Runs, Workers
from benchmarks.cli.show import check_outputs, check_table, show, write_rows

if TYPE_CHECKING:
    from benchmarks.explore.engines import Engine

ACTIONS = ("status", "show", "save", "export")


def explore(
    words: Annotated[
        Positional[tuple[str, ...]],
        arg(
            metavar="[status|show|save|export] TOML [ID] [FILE]",
            help="an exploration file, the name of one that ships, or the folder of one; with an action before it: "
            "status: how far it is; show: what is known, without simulating; save ID FILE: a design as a hardware "
            "file; export FILE: a journal for Optuna's tools",
        ),
    ] = (),
    *,
    vary: Annotated[
        UseAppendAction[tuple[str, ...]],
        arg(metavar="PATH=VALUES", help="without a file: tile.rows=64,128 or adc.bits=4:8 or x*=0.5:4:log"),
    ] = (),
    method: Annotated[str, arg(metavar="NAME", help="without a file: the method")] = "lorafusion",
    problem: Annotated[str, arg(metavar="NAME|TOML", help="without a file: the problem")] = DEFAULT_PROBLEM,
    hardware: Annotated[str, arg(metavar="NAME|TOML", help="without a file: the base design")] = DEFAULT_HARDWARE,
    designs: Annotated[int | None, arg(metavar="N", help="distinct designs; raise it to extend")] = None,
    simulations: Annotated[
        int | None, arg(metavar="N", help="so many are simulated, chosen by what is known of all; 0: all are")
    ] = None,
    sampler: Annotated[str | None, arg(metavar="NAME", help="grid, random, sobol, nsga2, tpe, gp")] = None,
    seed: Annotated[int | None, arg(metavar="N", help="of the search")] = None,
    more_seeds: Annotated[int | None, arg(metavar="N", help="runs for designs that may be on the front")] = None,
    against_random: Annotated[bool, arg(help="search at random too, with the same budget, and draw both")] = False,
    dry_run: Annotated[bool, arg(help="size of the space, rungs, processor hours from one timed design")] = False,
    engine: Annotated[
        str, arg(metavar="local|dask|TOML", help="where runs happen; a file describes a queue")
    ] = "local",
    scheduler: Annotated[str | None, arg(metavar="ADDRESS", help="of a running scheduler of Dask")] = None,
    report: Annotated[Path | None, arg(metavar="HTML", help="write a report")] = None,
    figures: Annotated[Path | None, arg(metavar="FOLDER", help="write its figures as SVG and PDF too")] = None,
    figure: FigureFile = None,
    csv: Csv = None,
    json: Json = None,
    runs: Runs = Path("runs"),
    workers: Workers = 2,
) -> None:
    """Propose chip designs, count their bills, simulate those that no other clearly beats, and show the front."""
    from benchmarks.explore import asking
    from benchmarks.explore.course import explore as explored
    from benchmarks.explore.looking import as_far_as_known, dry, status
    from benchmarks.explore.saving import evaluations, export_journal, save_design
    from benchmarks.reporting.exploration_report import ExplorationReport

    action, rest = (words[0], words[1:]) if words[:1] and words[0] in ACTIONS else ("run", words)
    check_table(csv)
    check_outputs(report, json, csv, figure, None if figures is None else figures / "any.svg")
    exploration = asking.choose(
        asking.from_words(rest, vary, method=method, problem=problem, hardware=hardware),
        designs=designs,
        simulations=simulations,
        sampler=sampler,
        seed=seed,
        more_seeds=more_seeds,
    )
    if action == "status":
        record = status(exploration, runs)
        show(record, record, json)
        return
    if action == "save":
        save_design(exploration, *asking.design_and_file(rest), runs=runs)
        return
    if action == "export":
        export_journal(exploration, asking.file_of(rest), runs=runs)
        return
    if dry_run:
        plan = dry(exploration, runs)
        show(plan, plan, json)
        return
    other = None
    if action == "show":
        found = as_far_as_known(exploration, runs)
    else:
        with engine_of(engine, scheduler, workers) as chosen:
            found = explored(exploration, engine=chosen, runs=runs)
            if against_random:
                other = explored(asking.at_random(exploration), engine=chosen, runs=runs)
    shown = ExplorationReport(found, other)
    write_rows(csv, list(evaluations(found)))
    show(found.record(), shown.table(), json, figure, shown)
    if report is not None:
        print(f"report: {shown.save(report)}", file=sys.stderr)
    if figures is not None:
        shown.save_figures(figures)
    print(f"kept in {exploration.folder(runs)}", file=sys.stderr)


def engine_of(engine: str, scheduler: str | None, workers: int) -> Engine:
    """Where the runs happen."""
    from benchmarks.explore.engines import Local
    from crossbar_sim import SpecError

    if engine == "local" and scheduler is None:
        return Local(workers)
    from benchmarks.explore.clusters import DaskEngine, read_queue

    if engine in ("dask", "local"):
        return DaskEngine(workers, scheduler=scheduler)
    if not engine.endswith(".toml"):
        raise SpecError(f"--engine: '{engine}' is none; take local, dask, or a .toml file that describes a queue")
    return DaskEngine(workers, queue=read_queue(engine))
