"""Study: a named question with options; what it found is typed records and a table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from benchmarks.record import Record

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Findings(ABC, Generic[R]):
    """What a study found: one record per row, for scripts, and a table for the terminal."""

    records: tuple[R, ...]

    @abstractmethod
    def __str__(self) -> str:
        """The table."""


class Study(ABC):
    """A question; a leaf is a frozen dataclass whose fields are the options of `xbar study`, each with its meaning in
    the line below. A field without a default is a positional argument."""

    @abstractmethod
    def run(self) -> Findings[Any]:
        """Answer it. Raises CrossbarError for options that do not exist."""
