"""Fields that several specifications of this room share, each read from a name or a table of a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from benchmarks.problems.backbones import backbone_names
from benchmarks.problems.tasks import TASKS
from crossbar_sim import CrossbarError, Hardware, SpecError
from crossbar_sim.spec.spec import nearest
from peft_methods import METHODS, Method

DEFAULT_HARDWARE = "milo2021_128x128"


def method_name(method: Method) -> str:
    """The key of a method in METHODS."""
    for name, kind in METHODS.items():
        if type(method) is kind:
            return name
    raise CrossbarError(f"{type(method).__name__} is not registered in peft_methods.METHODS")


def find_method(name: str) -> type[Method]:
    """The method called `name`; SpecError names the nearest."""
    if name not in METHODS:
        raise SpecError(f"no method '{name}'{nearest(name, list(METHODS))}")
    return METHODS[name]


def method_table(method: Method) -> dict[str, Any]:
    """Name and settings, as they stand in a file."""
    return {"name": method_name(method), **method.model_dump(mode="json")}


def _method(value: object) -> object:
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, Mapping):
        return value
    try:
        kind = find_method(str(value.get("name")))
    except SpecError as error:
        raise SpecError(f"method: {error}") from None
    return kind(**{key: item for key, item in value.items() if key != "name"})


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


AnyMethod = Annotated[Method, BeforeValidator(_method), PlainSerializer(method_table)]
"""A method, its name, or a table of its name and settings."""
AnyHardware = Annotated[Hardware, BeforeValidator(_hardware)]
"""A chip design or its name."""
Backbone = Annotated[str, AfterValidator(_backbone)]
"""The name of a pre-trained model that ships."""
TaskName = Annotated[str, AfterValidator(_task)]
"""The name of a task."""
Shots = Annotated[int, Field(ge=1, le=16)]
"""Training images per class."""
Seeds = Annotated[tuple[int, ...], Field(min_length=1)]
"""One chip each."""
