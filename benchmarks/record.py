"""Record: what a question answers with, ready for JSON; units stand in the names and descriptions of the fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import ConfigDict

from crossbar_sim import CrossbarError, SpecError
from crossbar_sim.spec.documents import read_json
from crossbar_sim.spec.spec import Spec


class Record(Spec):
    """Frozen, typed and finite; unknown keys are refused. The line below a field says its meaning and unit."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    def as_json(self) -> dict[str, Any]:
        """Keys and values for json.dump, in the order of the fields."""
        return self.model_dump(mode="json")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a record from a JSON file; CrossbarError names a file that is damaged or of another version."""
        try:
            return cls(**read_json_object(path))
        except SpecError as error:
            raise CrossbarError(f"{path} is not a result of this version ({error}); delete it and run again") from None


class SeedRecord(Record):
    """What one seed of a run gave; kept in a file of its own."""

    seed: int
    """Of data, programming and noise."""


def read_json_object(path: Path) -> dict[str, Any]:
    """The JSON object of a file; CrossbarError names a file that is missing or not whole."""
    try:
        content = read_json(path)
    except SpecError as error:
        raise CrossbarError(f"{path} is not a whole result ({error}); delete it and run again") from None
    if not isinstance(content, dict):
        raise CrossbarError(f"{path} is not a whole result (no JSON object); delete it and run again")
    return content
