"""Designs: an experiment with some of its numbers changed, by dotted path."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.estimates.sensitivity import scaled
from benchmarks.experiments.experiment import Experiment
from benchmarks.explore.space import Choices, Plain, Point, Space, Span
from benchmarks.problems.pools import load_pool
from crossbar_sim import DeviceModel, Hardware, SpecError
from crossbar_sim.spec.spec import SourcedSpec, Spec, nearest
from peft_methods.checkpoints.pool import Pool
from peft_methods.methods import read_method
from peft_methods.methods.pooled import PoolMethod
from peft_methods.updates.base import read_rule

READERS: Mapping[str, Callable[[Any], Any]] = {
    "device": DeviceModel.load,
    "hardware": Hardware.load,
    "method": read_method,
    "update_rule": read_rule,
}
"""Fields that a name stands for, where something inside what is named is varied too."""
POOL_SIZE = "pool.size"
"""Not a field: how many modules of the pool are mixed, the first ones."""
NOT_VARIED = ("task", "seeds", "curve_points", "problem")


@dataclass
class Change:
    """What happens to one field: it becomes `value`, then what lies `below` it changes."""

    path: str
    value: Plain | None = None
    parameter: Choices | Span | None = None
    below: dict[str, Change] = field(default_factory=dict)


def check_paths(base: Experiment, space: Space) -> None:
    """SpecError for a path that leads nowhere in the base design; inside what is varied by name it is checked later."""
    for path in space.varied:
        if path == POOL_SIZE:
            continue
        here: Any = base
        for word in whole_path(path).split("."):
            if not isinstance(here, Spec) or word not in type(here).model_fields:
                fields = list(type(here).model_fields) if isinstance(here, Spec) else []
                within = type(here).__name__ if isinstance(here, Spec) else "a value without parts"
                raise SpecError(f"vary: '{path}': {within} has no '{word}'{nearest(word, fields)}")
            if word in NOT_VARIED and isinstance(here, Experiment):
                raise SpecError(f"vary: '{path}': the {word} is the same for all designs; leave it out")
            here = getattr(here, word)


def whole_path(path: str) -> str:
    """A path from the experiment on: what is no field of an experiment is one of its hardware."""
    first = path.partition(".")[0]
    return path if first in Experiment.model_fields else f"hardware.{path}"


def changed(base: Experiment, space: Space, point: Point) -> Experiment:
    """The experiment at a point of the space. SpecError for one that no design can have."""
    root = Change("")
    for path, value in point.items():
        if path == POOL_SIZE:
            continue
        here = root
        for word in whole_path(path).split("."):
            here = here.below.setdefault(word, Change(path))
        here.value, here.parameter = value, space.free[space.ties.get(path, path)]
    found = _apply(base, root.below)
    return _with_pool_of(found, point[POOL_SIZE]) if POOL_SIZE in point else found


def _apply(spec: Any, below: Mapping[str, Change]) -> Any:
    """A copy of the specification with these fields changed, all at once."""
    new: dict[str, Any] = {}
    for name, change in below.items():
        if not isinstance(spec, Spec) or name not in type(spec).model_fields:
            fields = list(type(spec).model_fields) if isinstance(spec, Spec) else []
            raise SpecError(f"'{change.path}': {type(spec).__name__} has no '{name}'{nearest(name, fields)}")
        value = getattr(spec, name)
        if change.parameter is not None:
            value = _value(spec, name, change)
        if change.below:
            if isinstance(value, str | Mapping) and name in READERS:
                value = READERS[name](value)
            value = _apply(value, change.below)
        new[name] = value
    return spec.replace(**new)


def _value(spec: Spec, name: str, change: Change) -> Any:
    """What the field becomes, in its SI unit."""
    value, parameter = change.value, change.parameter
    if parameter is None:
        return value
    if parameter.times:
        present = getattr(spec, name)
        if present is None or isinstance(present, str | bool) or not isinstance(value, int | float):
            raise SpecError(f"'{change.path}': there is nothing to multiply, the base design states {present!r}")
        return scaled(present, float(value))
    if parameter.unit is not None:
        if not isinstance(spec, SourcedSpec):
            raise SpecError(f"'{change.path}' has no unit; leave the unit out")
        return spec.to_si(name, value, parameter.unit)
    return value


def _with_pool_of(experiment: Experiment, size: Plain) -> Experiment:
    """The experiment whose method mixes the first modules of its pool alone."""
    method = experiment.method
    if not isinstance(method, PoolMethod):
        raise SpecError(f"'{POOL_SIZE}': {method.label} mixes no pool")
    folder = experiment.pool_folder
    pool = load_pool(folder) if folder is not None else method.find_pool()
    if not isinstance(size, int) or not 1 <= size <= len(pool.members):
        raise SpecError(f"'{POOL_SIZE}': {size} modules; the pool has 1 to {len(pool.members)}")
    return experiment.replace(method=method.replace(pool=Pool(pool.members[:size])))


def content_digest(experiment: Experiment) -> str:
    """Of what decides the numbers of an experiment: names of designs and devices and the sources of numbers do not."""
    table = experiment.model_dump(mode="json", exclude={"seeds", "curve_points"})
    hardware = table["hardware"]
    del hardware["name"], hardware["device"]["name"]
    text = json.dumps(_without_sources(table), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _without_sources(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _without_sources(value) for key, value in content.items() if key != "provenance"}
    return [_without_sources(value) for value in content] if isinstance(content, list) else content
