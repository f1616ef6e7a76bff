"""Fine-tuning methods: one method, one file. Importing this room registers every method that lies in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crossbar_sim import SpecError
from crossbar_sim.spec.spec import nearest
from peft_methods.base import METHODS as METHODS
from peft_methods.base import Method
from peft_methods.registry import import_members

import_members(
    __name__,
    first=(
        "full_fine_tuning",
        "linear_probe",
        "bitfit",
        "lora",
        "lora_fa",
        "dora",
        "vera",
        "wegeft",
        "ia3",
        "bottleneck",
        "vpt",
        "pasta",
        "lorahub",
        "lorafusion",
        "frozen",
    ),
)


def find_method(name: str) -> type[Method]:
    """The method of that name; SpecError names the nearest."""
    if name not in METHODS:
        raise SpecError(f"no method '{name}'{nearest(name, list(METHODS))}")
    return METHODS[name]


def read_method(table: str | Mapping[str, Any]) -> Method:
    """A method from its name, or from a table of its `name` and its settings (`Method.table`); SpecError if neither."""
    settings = {"name": table} if isinstance(table, str) else dict(table)
    return find_method(str(settings.pop("name", None)))(**settings)
