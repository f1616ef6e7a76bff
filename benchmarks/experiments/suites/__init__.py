"""Suites: experiments and comparisons as TOML files, those that ship and the user's own."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from benchmarks.experiments.comparison import Comparison
from benchmarks.experiments.experiment import Experiment
from crossbar_sim import Hardware, SpecError
from crossbar_sim.spec.documents import read_toml
from crossbar_sim.spec.spec import nearest

QUICK_STEPS = 40
SHELF = "benchmarks.experiments.suites"


def suite_names(shelf: str = SHELF) -> list[str]:
    """Names of the suites that ship in a package."""
    entries = resources.files(shelf).iterdir()
    return sorted(entry.name.removesuffix(".toml") for entry in entries if entry.name.endswith(".toml"))


def find(name: str, shelf: str = SHELF) -> Path:
    """The file of a suite: a path that exists, or the name (with or without '.toml') of one that ships."""
    if Path(name).is_file():
        return Path(name)
    stem, known = Path(name).name.removesuffix(".toml"), suite_names(shelf)
    if stem not in known:
        raise SpecError(f"no suite file '{name}', and none of that name ships{nearest(stem, known)}")
    return Path(str(resources.files(shelf) / f"{stem}.toml"))


def load_experiment(name: str) -> Experiment:
    """One experiment from a file with a [method] table."""
    path = find(name)
    document = read_toml(path)
    if "methods" in document:
        raise SpecError(f"{path} compares several methods: run it with `xbar compare {name}`")
    return Experiment.from_document(beside(path, document), where=str(path))


def load_comparison(name: str, *, hardware: str | None = None, quick: bool = False) -> Comparison:
    """A comparison from a file with [[methods]]; `quick` keeps one task of each kind, one seed and few steps."""
    path = find(name)
    document = read_toml(path)
    if "method" in document:
        raise SpecError(f"{path} is a single experiment: run it with `xbar run {name}`")
    comparison = Comparison.from_document(beside(path, document), where=str(path))
    if hardware is not None:
        comparison = comparison.replace(hardware=Hardware.load(hardware))
    return quickened(comparison) if quick else comparison


def beside(path: Path, document: dict[str, object]) -> dict[str, object]:
    """Make the paths in the document (hardware, pool, problem) relative to the file that names them; a problem that is
    a table of the document is named by the document."""
    named = {key: value for key in ("hardware", "pool", "problem") if isinstance(value := document.get(key), str)}
    for key in ("hardware", "problem"):
        if not named.get(key, "").endswith(".toml"):
            named.pop(key, None)  # a name
    if isinstance(document.get("problem"), dict):
        named["problem"] = path.name
    return {**document, **{key: str(path.parent / value) for key, value in named.items()}}


def quickened(comparison: Comparison) -> Comparison:
    """The smallest comparison that still touches everything."""
    kinds: dict[str, str] = {}
    for task in comparison.tasks:
        kinds.setdefault(comparison.problem.task(task).kind, task)
    methods = tuple(one.replace(steps=QUICK_STEPS) if one.steps else one for one in comparison.methods)
    return comparison.replace(methods=methods, tasks=tuple(kinds.values()), seeds=comparison.seeds[:1])
