"""The house keeps its rules: no circle of imports, small files, named arguments, one statement for one thing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from tests import ROOT

STOREYS = ("crossbar_sim", "peft_methods", "benchmarks")
MOST_LINES, MOST_POSITIONAL, MOST_SKIPS = 400, 8, 10


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    """Dotted name of a file; a package is its folder."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {name_of(path): path for path in sources(*STOREYS)}


def imported(path: Path) -> set[str]:
    """Files of the project that a file imports, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in FILES}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found |= {whole if whole in FILES else node.module} & set(FILES)
    return found - {name_of(path)}


def room(name: str) -> str:
    """The room of a file: the first two parts of its name."""
    return ".".join(name.split(".")[:2])


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """Names that lead back to their first one; none if there is no way back."""
    done: set[str] = set()

    def search(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        for other in sorted(arrows.get(name, ())):
            if found := search(other, [*way, name]):
                return found
        done.add(name)
        return []

    return next((found for name in sorted(arrows) if (found := search(name, []))), [])


def test_no_circle_of_imports_between_files() -> None:
    packages = {name for name, path in FILES.items() if path.name == "__init__.py"}
    # a package's own list of public names imports the files of that package, which is no circle
    arrows = {
        name: {other for other in imported(path) if not (name in packages and other.startswith(f"{name}."))}
        for name, path in FILES.items()
    }
    assert circle(arrows) == []


def test_no_circle_of_imports_between_rooms() -> None:
    arrows: dict[str, set[str]] = {}
    for name, path in FILES.items():
        if name in STOREYS:
            continue
        arrows.setdefault(room(name), set()).update(room(other) for other in imported(path) if other not in STOREYS)
    assert circle({name: others - {name} for name, others in arrows.items()}) == []


def test_a_circle_is_found() -> None:
    found = circle({"a": {"b"}, "b": {"c"}, "c": {"b"}})
    assert found == ["b", "c", "b"] and all(other in {"b", "c"} for _, other in pairwise(found))


@pytest.mark.parametrize("folder", [*STOREYS, "tests", "examples", "docs"])
def test_files_hold_one_idea(folder: str) -> None:
    lines = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in sources(folder)}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_the_formatter_is_not_fought() -> None:
    skips = [path for path in sources(*STOREYS, "tests") for _ in re.findall(r"# fmt: (skip|off)\b", path.read_text())]
    assert len(skips) - skips.count(Path(__file__)) <= MOST_SKIPS


def positional(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Names of the arguments that may be given by position, the object itself apart."""
    names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
    return [name for name in names if name not in ("self", "cls")]


def test_no_function_takes_more_than_eight_positional_arguments() -> None:
    wide = [
        f"{name}.{node.name}: {len(positional(node))}"
        for name, path in FILES.items()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and len(positional(node)) > MOST_POSITIONAL
    ]
    assert wide == []


def test_a_statement_assigns_three_names_only_if_it_unpacks_one_thing() -> None:
    crowded = [
        f"{name}, line {node.lineno}"
        for name, path in FILES.items()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Tuple) and len(target.elts) > 2 for target in node.targets)
        and isinstance(node.value, ast.Tuple)
    ]
    assert crowded == []


def test_no_override_is_hidden_from_the_type_checker() -> None:
    hidden = [name for name, path in FILES.items() if "type: ignore[override]" in path.read_text(encoding="utf-8")]
    assert hidden == []
