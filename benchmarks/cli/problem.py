"""Commands about problems: list, show, check."""

from __future__ import annotations

from typing import Annotated, Literal

from tyro.conf import Positional, arg

from benchmarks.cli.options import DEFAULT_PROBLEM, Json
from benchmarks.cli.show import show

Action = Annotated[Positional[Literal["list", "show", "check"]], arg(help="what to do")]


def problem(
    action: Action = "list",
    name: Annotated[Positional[str], arg(metavar="NAME|TOML", help="for show and check")] = DEFAULT_PROBLEM,
    *,
    task: Annotated[str | None, arg(metavar="NAME", help="check: one task; default: all")] = None,
    json: Json = None,
) -> None:
    """List problems to fine-tune for, show one with its tasks, or check that one can be loaded, read and scored."""
    from benchmarks.problems import sheet
    from benchmarks.problems.find import find_problem, problem_names

    if action == "list":
        found = [sheet.ProblemSheet.of(find_problem(one)) for one in problem_names()]
        show(found, "\n".join(f"{one.name:<16}{one.about}" for one in found), json)
        return
    chosen = find_problem(name)
    if action == "show":
        one = sheet.ProblemSheet.of(chosen)
        show(one, one, json)
        return
    checks = [sheet.check(chosen, one) for one in (chosen.tasks if task is None else [chosen.task(task)])]
    show(checks, "\n".join(map(str, checks)), json)
