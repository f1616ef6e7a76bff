"""Study: a named question with options; what it found is typed records and a table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from benchmarks.record import Record


class Findings(ABC):
    """What a study found."""

    @property
    @abstractmethod
    def records(self) -> Sequence[Record]:
        """One record per row, for scripts."""

    @abstractmethod
    def __str__(self) -> str:
        """The table, for the terminal."""


class Study(ABC):
    """A question; a leaf is a frozen dataclass whose fields are the options of `xbar study`, each with its meaning in
    the line below. A field without a default is a positional argument."""

    @abstractmethod
    def run(self) -> Findings:
        """Answer it. Raises CrossbarError for options that do not exist."""
