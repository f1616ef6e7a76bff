"""Space: what an exploration varies, and every design point in it."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from crossbar_sim import SpecError
from crossbar_sim.spec.spec import Spec, nearest

Plain = bool | int | float | str | dict[str, Any] | list[Any]
"""A value as a TOML file states it."""
Point = dict[str, Plain]
"""Dotted path -> value of every parameter that has a say in this design, in the order of the space."""
MOST_POINTS = 1_000_000
"""Of a space that is gone through one by one."""
MOST_PARAMETERS = 100


def said(value: Plain) -> str:
    """A value as text, in tables, and as what tells two values apart."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


class Varied(Spec, ABC):
    """What choices and ranges have in common.

    unit: of the values, with a prefix ('MHz'); None: the SI unit of the field. times: the values are factors on what
    the base design states: a number, or the standard deviation of a law. when: the values that others must have for
    this one to have a say, path -> value or list of values; elsewhere the base design stands.
    """

    model_config = ConfigDict(populate_by_name=True)
    unit: str | None = None
    times: bool = False
    when: Annotated[dict[str, Plain], Field(default_factory=dict)]

    @property
    @abstractmethod
    def count(self) -> int | None:
        """How many values there are; None: a range of real numbers."""

    @abstractmethod
    def values_in_turn(self) -> Sequence[Plain]:
        """All values, of which there are `count`."""

    @abstractmethod
    def at(self, share: float) -> Plain:
        """The value at a share, 0 <= share < 1, of the range or list."""

    def applies(self, point: Mapping[str, Plain]) -> bool:
        """Whether this parameter has a say in a design of these values."""
        for path, wanted in self.when.items():
            allowed = wanted if isinstance(wanted, list) else [wanted]
            if path not in point or said(point[path]) not in map(said, allowed):
                return False
        return True


class Choices(Varied):
    """One of several values, in order. paths: fields that change together, each value a list with one for each of them;
    the parameter then has a name instead of a path."""

    paths: tuple[str, ...] = ()
    values: Annotated[tuple[Plain, ...], Field(min_length=1, max_length=10_000)]

    @classmethod
    def of(cls, *values: Plain) -> Choices:
        """These values, which always have a say."""
        return cls(**{"values": values})

    @model_validator(mode="after")
    def _one_for_each_path(self) -> Choices:
        for value in self.values:
            if self.paths and (not isinstance(value, list) or len(value) != len(self.paths)):
                raise SpecError(
                    f"values: {said(value)} is no list of {len(self.paths)} values, one for each of the paths"
                )
        return self

    @model_validator(mode="after")
    def _distinct(self) -> Choices:
        texts = [said(value) for value in self.values]
        if len(set(texts)) < len(texts):
            twice = next(text for text in texts if texts.count(text) > 1)
            raise SpecError(f"values: {twice} stands there twice; give each once")
        return self

    @property
    def count(self) -> int:
        return len(self.values)

    def values_in_turn(self) -> Sequence[Plain]:
        return self.values

    def at(self, share: float) -> Plain:
        return self.values[min(int(share * self.count), self.count - 1)]

    def place(self, value: Plain) -> int:
        """Where a value stands in the list, from 0."""
        return [said(one) for one in self.values].index(said(value))


class Span(Varied):
    """From `low` to `high` ('from' and 'to' in files), both included; whole numbers if both are whole. log: spread
    evenly on a logarithmic scale."""

    low: Annotated[int | float, Field(alias="from")]
    high: Annotated[int | float, Field(alias="to")]
    log: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> Span:
        if not self.low < self.high:
            raise SpecError(f"from {self.low} to {self.high} is no range; give a smaller number first")
        if self.log and self.low <= 0:
            raise SpecError(f"log: a logarithmic range starts above 0, this one at {self.low}")
        return self

    @property
    def whole(self) -> bool:
        """Whether its values are whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int) and not self.times

    @property
    def count(self) -> int | None:
        return int(self.high - self.low) + 1 if self.whole else None

    def values_in_turn(self) -> Sequence[Plain]:
        return range(int(self.low), int(self.high) + 1)

    def at(self, share: float) -> Plain:
        if self.whole and not self.log:
            return int(self.low) + min(int(share * (self.high - self.low + 1)), int(self.high - self.low))
        if self.log:
            value = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + share * (self.high - self.low)
        return round(value) if self.whole else float(f"{value:.6g}")


Parameter = Choices | Span
AnyVaried = Choices | Span | str
"""A string ties a parameter to another: it always has its value."""


def read_varied(given: object) -> object:
    """A parameter as a file states it: a list of values, a table with `values`, or with `from` and `to`, or the path of
    another parameter."""
    if isinstance(given, list | tuple):
        return Choices.of(*given)
    if isinstance(given, Mapping):
        if "values" in given:
            return Choices(**given)
        if {"from", "to", "low", "high"} & set(given):
            return Span(**given)
        raise SpecError("a table of a varied number has `values`, or `from` and `to`")
    if isinstance(given, str | Choices | Span):
        return given
    raise SpecError(f"a list of values, a table or the path of another parameter is wanted, got {given!r}")


def table_of(parameter: AnyVaried) -> object:
    """A parameter as a file states it."""
    if isinstance(parameter, str):
        return parameter
    return parameter.model_dump(mode="json", by_alias=True, exclude_defaults=True)


@dataclass(frozen=True)
class Space:
    """Parameters by dotted path. A point holds those that have a say, tied ones included."""

    varied: Mapping[str, AnyVaried]

    def __post_init__(self) -> None:
        if not self.varied:
            raise SpecError("vary: nothing is varied; name at least one number, for example 'tile.rows' = [64, 128]")
        if len(self.varied) > MOST_PARAMETERS:
            raise SpecError(f"vary: {len(self.varied)} parameters; at most {MOST_PARAMETERS} are varied together")
        free = list(self.free)
        for path, tied in self.ties.items():
            if tied not in self.free:
                raise SpecError(
                    f"vary: '{path}' is tied to '{tied}', which is not varied by itself{nearest(tied, free)}"
                )
        before: set[str] = set()
        for path, parameter in self.free.items():
            for other in parameter.when:
                if other not in before:
                    raise SpecError(
                        f"vary: '{path}' depends on '{other}', which is not varied before it; put '{other}' first"
                    )
            before.add(path)

    @cached_property
    def free(self) -> dict[str, Parameter]:
        """What has values of its own."""
        return {path: one for path, one in self.varied.items() if not isinstance(one, str)}

    @cached_property
    def ties(self) -> dict[str, str]:
        """What always has the value of another."""
        return {path: one for path, one in self.varied.items() if isinstance(one, str)}

    @cached_property
    def size(self) -> int | None:
        """How many different points there are; None: more than can be counted, or a range of real numbers."""
        counts = [one.count for one in self.free.values()]
        if any(count is None for count in counts) or math.prod(count or 0 for count in counts) > MOST_POINTS:
            return None
        if not any(one.when for one in self.free.values()):
            return math.prod(count or 0 for count in counts)
        return sum(1 for _ in self.points())

    def points(self) -> Iterator[Point]:
        """Every point of a space that has a size, the last parameter changing first, none twice."""
        seen = set()
        for values in product(*(one.values_in_turn() for one in self.free.values())):
            point = self.point(dict(zip(self.free, values, strict=True)))
            key = key_of(point)
            if key not in seen:
                seen.add(key)
                yield point

    def point(self, values: Mapping[str, Plain]) -> Point:
        """The point of these values of all free parameters: those without a say are left out, ties are added."""
        found: Point = {}
        for path, parameter in self.free.items():
            if parameter.applies(found):
                found[path] = values[path]
        return {path: found[source] for path in self.varied if (source := self.ties.get(path, path)) in found}

    def at(self, shares: Sequence[float]) -> Point:
        """The point at these shares, 0 <= share < 1, of the free parameters."""
        free = zip(self.free.items(), shares, strict=True)
        return self.point({path: parameter.at(share) for (path, parameter), share in free})


def key_of(point: Point) -> str:
    """What tells two points apart."""
    return "; ".join(f"{path} = {said(value)}" for path, value in point.items())
