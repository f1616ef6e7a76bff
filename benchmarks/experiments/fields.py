"""Fields that several specifications of this room share, each read from a name or a table of a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from benchmarks.problems.backbones import backbone_names
from benchmarks.problems.tasks import TASKS
from crossbar_sim import Hardware, SpecError
from crossbar_sim.spec.spec import nearest
from peft_methods import Method
from peft_methods.methods import read_method

DEFAULT_HARDWARE = "milo2021_128x128"


def _method(value: object) -> object:
    if not isinstance(value, str | Mapping):
        return value
    try:
        return read_method(value)
    except SpecError as error:
        raise SpecError(f"method: {error}") from None


def _hardware(value: object) -> object:
    return Hardware.load(value) if isinstance(value, str) else value


def _backbone(value: str) -> str:
    if value not in backbone_names():
        raise SpecError(f"backbone: no backbone '{value}'{nearest(value, backbone_names())}")
    return value


def _task(value: str) -> str:
    if value not in TASKS:
        raise SpecError(f"task: no task '{value}'{nearest(value, list(TASKS))}")
    return value


def _distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    twice = sorted(seed for seed, count in Counter(seeds).items() if count > 1)
    if twice:
        raise SpecError(
            f"seeds: {', '.join(map(str, twice[:5]))} stands there twice, and equal seeds are one run; give each once"
        )
    return seeds


AnyMethod = Annotated[Method, BeforeValidator(_method), PlainSerializer(lambda method: method.table())]
"""A method, its name, or a table of its name and settings."""
AnyHardware = Annotated[Hardware, BeforeValidator(_hardware)]
"""A chip design or its name."""
Backbone = Annotated[str, AfterValidator(_backbone)]
"""The name of a pre-trained model that ships."""
TaskName = Annotated[str, AfterValidator(_task)]
"""The name of a task."""
Shots = Annotated[int, Field(ge=1, le=16)]
"""Training images per class."""
Seeds = Annotated[
    tuple[Annotated[int, Field(ge=0, lt=2**63)], ...], Field(min_length=1, max_length=10_000), AfterValidator(_distinct)
]
"""One chip each, no two the same."""
