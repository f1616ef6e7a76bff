"""Spec: the frozen, printable, hashable objects that describe devices, hardware, methods and runs.

A spec is read from TOML or built by keyword; unknown keys are errors that name the nearest valid key.
`SourcedSpec` additionally lets every number carry its provenance:

    g_max = { value = 225, unit = "uS", source = "milo2021", where = "valid window", kind = "fitted" }
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from crossbar_sim.spec.documents import kind_of, read_toml
from crossbar_sim.spec.errors import SpecError
from crossbar_sim.spec.units import Unit, engineering, unit_scale

MOST_PROBLEMS = 3
"""Of a specification that are named at once."""
NOT_ASKED = "default_factory_not_called"
"""Of a default that depends on a field that is itself wrong."""
LARGEST = 1e30
"""No number of a specification is larger in size: squares and products of several stay finite."""
ASSUMPTION = "assumption"
"""The source of a number that nobody published; it has no paper."""
CHANGED = ", changed"
"""Ends the name of a published thing of which something was changed."""
CHANGED_FROM = "changed from "
"""Begins the place of a number that was changed; what it was, and where that came from, follow."""


def nearest(word: str, valid: list[str]) -> str:
    """'; did you mean X? Valid: ...' for an error message."""
    match = difflib.get_close_matches(word, valid, n=1, cutoff=0.4)
    listed = ", ".join(sorted(valid))
    return f"; did you mean '{match[0]}'? Valid: {listed}" if match else f"; valid: {listed}"


def _sentence(cls: type[BaseModel], problem: Any) -> str:
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown key '{path}'{nearest(str(problem['loc'][-1]), list(cls.model_fields))}"
    if problem["type"] == "missing":
        return f"key '{path}' is missing"
    message = problem["msg"].removeprefix("Value error, ")
    given = problem.get("input")
    shown = f" (got {given!r})" if isinstance(given, int | float | str | bool | None) else ""
    return f"{path}: {message}{shown}" if path else message


class Spec(BaseModel):
    """Frozen, hashable description of something; equality and `digest()` go by content."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False, ser_json_inf_nan="null"
    )
    kind_of_file: ClassVar[str | None] = None
    """What files that state it are called; None: it is no file of its own."""
    named_as_published: ClassVar[bool] = False
    """Whether `name` is that of a published thing, so that a changed copy needs another."""
    unstated: ClassVar[frozenset[str]] = frozenset()
    """Fields that a table, and so the digest, leaves out at their default: they came later than stored results."""

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, data: Any, handler: Callable[[Any], Self]) -> Self:
        try:
            spec = handler(data)
        except ValidationError as error:
            found = [one for one in error.errors(include_url=False) if one["type"] != NOT_ASKED]
            problems = "; ".join(_sentence(cls, p) for p in found[:MOST_PROBLEMS])
            more = f"; and {len(found) - MOST_PROBLEMS} more" if len(found) > MOST_PROBLEMS else ""
            raise SpecError(f"{cls.__name__}: {problems}{more}") from None
        for key, value in spec.__dict__.items():
            if any(abs(number) > LARGEST for number in _floats(value)):
                raise SpecError(f"{cls.__name__}: {key} must be at most {LARGEST:g} in size (SI units), got {value}")
        return spec

    def __hash__(self) -> int:
        return hash(self.digest())

    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 of the content; the same on every platform."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        content = {"type": type(self).__name__, **self.model_dump(mode="json")}
        text = json.dumps(content, sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def replace(self, **changes: Any) -> Self:
        """A validated copy with some fields changed.

        Of what carries sources, a number that changes becomes an assumption that says what it was; a published thing
        gets a name that says so, unless `name` is given. Equal values change nothing.
        """
        stated = {name: getattr(self, name) for name in self.model_fields_set} | changes
        new = type(self)(**stated)
        changed = [name for name in type(self).model_fields if getattr(new, name) != getattr(self, name)]
        said = self._said_of_change(new, changed, changes)
        if self.named_as_published and "name" not in changes and set(changed) - {"name", "description"}:
            name: str = stated["name"]
            said["name"] = name if name.endswith(CHANGED) else name + CHANGED
        return type(self)(**{**stated, **said}) if said else new

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As `replace`: no copy goes past validation, sources and names."""
        return self.replace(**(update or {}))

    def _said_of_change(self, new: Self, changed: list[str], given: Mapping[str, Any]) -> dict[str, Any]:
        """Fields that say where the `changed` values of `new` come from, unless whoever changed them has `given` it."""
        return {}

    @classmethod
    def from_toml(cls, path: str | Path) -> Self:
        """Read one spec from a TOML file; SpecError names the file."""
        return cls.from_document(read_toml(path), where=str(path))

    @classmethod
    def from_document(cls, document: Mapping[str, Any], where: str) -> Self:
        """Validate a parsed document; SpecError starts with `where`."""
        try:
            return cls(**document)
        except SpecError as error:
            kind = kind_of(document)
            if cls.kind_of_file is not None and kind is not None and kind != cls.kind_of_file:
                raise SpecError(
                    f"{where}: this looks like a {kind} file, but a {cls.kind_of_file} file is wanted; give another"
                ) from None
            raise SpecError(f"{where}: {error}") from None
        except TypeError as error:
            raise SpecError(f"{where}: {error}") from None

    def stated(self, content: dict[str, Any]) -> dict[str, Any]:
        """The table `content` of this spec without what is `unstated` and at its default."""
        fields = type(self).model_fields
        usual = {key for key in self.unstated if self.__dict__[key] == fields[key].default}
        return {key: value for key, value in content.items() if key not in usual}

    def to_toml(self) -> str:
        """The spec as TOML text, readable by `from_toml`; None (a switched-off effect) is left out."""
        return tomli_w.dumps(_without_none(self.model_dump(mode="json", exclude_defaults=True)))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value


class Provenance(Spec):
    """Where a number comes from."""

    unit: str
    source: str
    where: str = ""
    kind: Literal["measured", "fitted", "assumed"]
    valid: str = ""


class Sourced(Protocol):
    """A note on a number, or a law that carries its own."""

    @property
    def source(self) -> str: ...
    @property
    def where(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def valid(self) -> str: ...


def changed_from(was: str, said: Sourced | None) -> str:
    """What a changed number or law was, and what was said of it; of one that is changed again, what it was at first."""
    if said is None:
        return f"{CHANGED_FROM}{was}"
    if said.where.startswith(CHANGED_FROM):
        return said.where
    place = f": {said.where}" if said.where else ""
    return f"{CHANGED_FROM}{was} ({said.kind}, {said.source}{place})"


def _floats(value: object) -> tuple[float, ...]:
    if isinstance(value, float):
        return (value,)
    return tuple(item for item in value if isinstance(item, float)) if isinstance(value, tuple) else ()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any, unit: str) -> str:
    """A value as its note says it; a count in all its digits."""
    return engineering(value, unit, 6) if value is None or isinstance(value, float) else str(value)


class SourcedSpec(Spec):
    """A spec whose numbers carry their provenance; values are SI once loaded."""

    provenance: dict[str, Provenance] = {}

    @model_validator(mode="before")
    @classmethod
    def _unpack_quantities(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        plain: dict[str, Any] = {}
        notes = data.get("provenance", {})
        if not isinstance(notes, Mapping):
            raise SpecError(f"provenance: must be a table with a note on each number, got {type(notes).__name__}")
        provenance: dict[str, Any] = dict(notes)
        for key, item in data.items():
            if isinstance(item, Mapping) and "value" in item:
                note = {k: v for k, v in item.items() if k != "value"}
                unit = note.setdefault("unit", "1")
                try:
                    provenance[key] = Provenance(**note)
                except SpecError as error:
                    raise SpecError(f"{key}: {error}") from None
                plain[key] = cls.to_si(key, item["value"], unit)
            elif key != "provenance":
                plain[key] = item
        return {**plain, "provenance": provenance}

    def _said_of_change(self, new: Self, changed: list[str], given: Mapping[str, Any]) -> dict[str, Any]:
        notes = dict(new.provenance)
        for key in changed:
            value, note = getattr(new, key), self.provenance.get(key)
            stated_anew = isinstance(given.get(key), Mapping) and "value" in given[key]
            if key == "provenance" or stated_anew or (key in notes and notes[key] != note):
                continue
            if _is_number(value):
                was = _shown(getattr(self, key), self.unit_of(key))
                unit = self.unit_of(key) if note is None else note.unit
                notes[key] = Provenance(
                    unit=unit,
                    source=ASSUMPTION,
                    where=changed_from(was, note),
                    kind="assumed",
                    valid="" if note is None else note.valid,
                )
            else:
                notes.pop(key, None)
        return {} if notes == new.provenance else {"provenance": notes}

    def unit_of(self, key: str) -> str:
        """SI unit of a field, from its annotation; '1' for a pure number."""
        marks = self._marks(key)
        return marks[0].symbol if marks else "1"

    @classmethod
    def _marks(cls, key: str) -> list[Unit]:
        field = cls.model_fields.get(key)
        marks = [m for m in field.metadata if isinstance(m, Unit)] if field else []
        if field is not None and not marks:
            marks = [
                m
                for a in getattr(field.annotation, "__args__", ())
                for m in getattr(a, "__metadata__", ())
                if isinstance(m, Unit)
            ]
        return marks

    @classmethod
    def to_si(cls, key: str, value: Any, unit: str) -> Any:
        """A value of a field in its SI unit; SpecError for a unit of something else."""
        marks = cls._marks(key)
        if not marks or unit == "1":
            return value
        try:
            scale = unit_scale(unit, marks[0].symbol)
        except SpecError as error:
            raise SpecError(f"{key}: {error}") from None
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise SpecError(f"{key}: value must be a finite number, got {value!r}")
        # one division for small prefixes keeps 50 µS exactly 5e-05
        return value / round(1 / scale) if scale < 1 else value * scale
