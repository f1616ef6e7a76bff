"""Designs: an experiment with some of its numbers changed, by dotted path."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.estimates.sensitivity import scaled
from benchmarks.experiments.experiment import Experiment
from benchmarks.explore.space import AnyVaried, Choices, Plain, Point, Space, Span
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
    for path, parameter in space.varied.items():
        for one in paths_of(path, parameter):
            if one != POOL_SIZE:
                _check_path(base, one)


def paths_of(name: str, parameter: AnyVaried) -> tuple[str, ...]:
    """The fields that a parameter sets: its name is one, unless it lists several."""
    return parameter.paths if isinstance(parameter, Choices) and parameter.paths else (name,)


def _each(parameter: AnyVaried, values: Plain) -> list[Any]:
    """The value of each field that a parameter sets."""
    several = isinstance(parameter, Choices) and bool(parameter.paths)
    return list(values) if several and isinstance(values, list) else [values]


def _check_path(base: Experiment, path: str) -> None:
    here: Any = base
    for word in whole_path(path).split("."):
        if word in NOT_VARIED and isinstance(here, Experiment):
            raise SpecError(f"vary: '{path}': the {word} is the same for all designs; leave it out")
        here = part(here, word, path)


def part(here: Any, word: str, path: str) -> Any:
    """A field of a specification, or the one of that name among several; SpecError with the whole path."""
    if isinstance(here, tuple):
        names = [str(one.name) for one in here if hasattr(one, "name")]
        if names.count(word) != 1:
            raise SpecError(f"vary: '{path}': {names.count(word)} parts are called '{word}'{nearest(word, names)}")
        return here[names.index(word)]
    if not isinstance(here, Spec):
        raise SpecError(f"vary: '{path}': nothing is inside that could be '{word}'; the base design states {here!r}")
    if word not in type(here).model_fields:
        fields = list(type(here).model_fields)
        raise SpecError(f"vary: '{path}': {type(here).__name__} has no '{word}'{nearest(word, fields)}")
    return getattr(here, word)


def whole_path(path: str) -> str:
    """A path from the experiment on: what is no field of an experiment is one of its hardware."""
    first = path.partition(".")[0]
    return path if first in Experiment.model_fields else f"hardware.{path}"


def changed(base: Experiment, space: Space, point: Point) -> Experiment:
    """The experiment at a point of the space. SpecError for one that no design can have."""
    root = Change("")
    pool_size: Plain | None = None
    for stated, values in point.items():
        parameter = space.free[space.ties.get(stated, stated)]
        for path, value in zip(paths_of(stated, parameter), _each(parameter, values), strict=True):
            if path == POOL_SIZE:
                pool_size = value
                continue
            here = root
            for word in whole_path(path).split("."):
                here = here.below.setdefault(word, Change(path))
            here.value, here.parameter = value, parameter
    found: Experiment = _apply(base, root.below)
    return found if pool_size is None else _with_pool_of(found, pool_size)


def _apply(spec: Any, below: Mapping[str, Change]) -> Any:
    """A copy of the specification with these fields changed, all at once."""
    new: dict[str, Any] = {}
    for name, change in below.items():
        value = part(spec, name, change.path)
        if change.parameter is not None:
            value = _value(spec, name, change)
        if change.below:
            if isinstance(value, str | Mapping) and name in READERS:
                value = READERS[name](value)
            value = _apply(value, change.below)
        new[name] = value
    if isinstance(spec, tuple):
        return tuple(new.get(one.name, one) for one in spec)
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
