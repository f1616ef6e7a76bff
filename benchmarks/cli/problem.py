"""Commands about problems: list, show, check, fetch, train-pool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from benchmarks.cli.options import DEFAULT_PROBLEM, Json
from benchmarks.cli.show import show

Action = Annotated[Positional[Literal["list", "show", "check", "fetch", "train-pool"]], arg(help="what to do")]


def problem(
    action: Action = "list",
    name: Annotated[Positional[str], arg(metavar="NAME|TOML", help="for all but list")] = DEFAULT_PROBLEM,
    *,
    task: Annotated[str | None, arg(metavar="NAME", help="check: one task; default: all")] = None,
    wheels: Annotated[Path | None, arg(metavar="FOLDER", help="fetch: take downloaded wheels from here")] = None,
    json: Json = None,
) -> None:
    """List problems to fine-tune for, show one with its tasks, check that one can be loaded, read and scored, fetch
    what one needs and this package does not ship, or train its pool of LoRA modules."""
    from benchmarks.problems.catalogue import lines

    if action == "list" and json is None:  # without loading torch
        print("\n".join(f"{one:<20}{about}" for one, about in lines().items()))
        return
    from benchmarks.problems import sheet
    from benchmarks.problems.fetching import fetch
    from benchmarks.problems.find import find_problem
    from benchmarks.problems.train_pool import train_pool

    if action == "list":
        found = [sheet.ProblemSheet.of(find_problem(one)) for one in lines()]
        show(found, "\n".join(f"{one.name:<20}{one.about}" for one in found), json)
        return
    chosen = find_problem(name)
    if action == "show":
        one = sheet.ProblemSheet.of(chosen)
        show(one, one, json)
        return
    if action == "fetch":
        fetch(chosen.name, wheels)
        return
    if action == "train-pool":
        train_pool(chosen)
        return
    checks = [sheet.check(chosen, one) for one in (chosen.tasks if task is None else [chosen.task(task)])]
    show(checks, "\n".join(map(str, checks)), json)
