"""Explorations as TOML files: those that ship and the user's own."""

from __future__ import annotations

from pathlib import Path

from benchmarks.experiments import suites
from benchmarks.explore.exploration import FILE, Exploration
from crossbar_sim.spec.documents import read_toml

SHELF = "benchmarks.explore.suites"


def load_exploration(name: str) -> Exploration:
    """The exploration of a file, of one that ships, or of the folder that an exploration was kept in."""
    path = Path(name) / FILE if (Path(name) / FILE).is_file() else suites.find(name, SHELF)
    return Exploration.from_document(suites.beside(path, read_toml(path)), where=str(path))
