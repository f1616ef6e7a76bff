"""Streams as TOML files: those that ship and the user's own."""

from __future__ import annotations

from benchmarks.experiments import suites
from benchmarks.streams.comparison import StreamComparison
from crossbar_sim.spec.documents import read_toml

SHELF = "benchmarks.streams.suites"


def load_streams(name: str) -> StreamComparison:
    """The streams of a file, or of one that ships."""
    path = suites.find(name, SHELF)
    return StreamComparison.from_document(suites.beside(path, read_toml(path)), where=str(path))
