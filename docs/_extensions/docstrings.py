"""A Sphinx extension: how docstrings and specs of this project appear in the API reference.

Docstrings are plain text: `code` stands between single backticks, laws stand in indented lines. Sphinx reads
reStructuredText, so the lines are translated. A spec shows its keys as a table instead of a signature.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from crossbar_sim.spec.units import Unit

CODE = re.compile(r"`+([^`]+?)`+(?:_(?!\w))?")
SPECIAL = re.compile(r"([*|\\]|_(?!\w))")
BULLET = re.compile(r"\s*([-*]|\d+\.) ")
ARRAY = re.compile(r"~?numpy\.ndarray\[tuple\[~?(?:typing\.)?Any, \.\.\.\], ~?numpy\.dtype\[(~?[\w.]+)\]\]")
BOUNDS = {"gt": "> {}", "ge": "≥ {}", "lt": "< {}", "le": "≤ {}", "min_length": "at least {} entries"}


def escaped(text: str) -> str:
    """A line of text as reStructuredText: `code` is code, every other character is itself."""
    pieces, end = [], 0
    for found in CODE.finditer(text):
        pieces += [SPECIAL.sub(r"\\\1", text[end : found.start()]), f"``{found[1]}``"]
        if text[found.end() : found.end() + 1].isalnum():
            pieces.append("\\ ")
        end = found.end()
    return "".join([*pieces, SPECIAL.sub(r"\\\1", text[end:])])


def paragraphs(lines: list[str]) -> Iterator[list[str]]:
    """The paragraphs of a docstring: groups of lines without an empty one among them."""
    for filled, group in groupby(lines, lambda line: bool(line.strip())):
        if filled:
            yield list(group)


def bullet(line: str) -> str:
    """A line of a list, whether it starts an entry or goes on with one."""
    found = BULLET.match(line)
    return found[0] + escaped(line[found.end() :]) if found else escaped(line)


def restructured(lines: list[str]) -> list[str]:
    """The lines of a docstring as reStructuredText; indented lines become literal blocks, bullets stay bullets."""
    result: list[str] = []
    for paragraph in paragraphs(lines):
        if BULLET.match(paragraph[0]):
            result += [bullet(line) for line in paragraph]
        else:
            for indented, group in groupby(paragraph, lambda line: line.startswith("  ")):
                part = list(group)
                result += ["", "::", "", *part, ""] if indented else map(escaped, part)
        result.append("")
    return result


def type_name(annotation: Any) -> str:
    """A type in words: without modules, units and bounds."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_name(parts[0])
    if origin in (Union, UnionType):
        return " | ".join(dict.fromkeys(map(type_name, parts)))
    if origin is Literal:
        return " | ".join(map(repr, parts))
    if annotation in (NoneType, Ellipsis):
        return "None" if annotation is NoneType else "..."
    name = getattr(annotation, "__name__", str(annotation))
    return f"{name}[{', '.join(map(type_name, parts))}]" if parts else str(name)


def marks(annotation: Any) -> Iterator[Any]:
    """What `Annotated` says of a type, anywhere inside it: units and bounds."""
    if get_origin(annotation) is Annotated:
        yield from annotation.__metadata__
    for part in get_args(annotation):
        if not isinstance(part, str | int | float):
            yield from marks(part)


def limits(field: FieldInfo) -> tuple[str, str]:
    """The unit of a key, and the range it must lie in; '' where there is none."""
    found = [*field.metadata, *marks(field.annotation)]
    found += [mark for outer in found if isinstance(outer, FieldInfo) for mark in outer.metadata]
    unit = next((mark.symbol for mark in found if isinstance(mark, Unit)), "")
    bounds = {text.format(getattr(mark, key)) for mark in found for key, text in BOUNDS.items() if hasattr(mark, key)}
    return unit, ", ".join(sorted(bounds, reverse=True))


def default_of(field: FieldInfo) -> str:
    """The default of a key as Python; '' where the key must be given."""
    if field.default is not PydanticUndefined:
        value = field.default
        return f"{type(value).__name__}()" if isinstance(value, BaseModel) else repr(value)
    return "" if field.default_factory is None else "see above"


def keys(spec: type[BaseModel]) -> list[str]:
    """The keys of a spec as a table."""
    rows = []
    for name, field in spec.model_fields.items():
        if name != "provenance":
            unit, bounds = limits(field)
            default = default_of(field)
            rows.append(
                (f"``{name}``", escaped(type_name(field.annotation)), unit, bounds, default and f"``{default}``")
            )
    if not rows:
        return []
    lines = ["", ".. list-table::", "   :header-rows: 1", ""]
    for row in (("key", "type", "unit", "range", "default"), *rows):
        lines += [f"   {'*' if number == 0 else ' '} - {cell}" for number, cell in enumerate(row)]
    described = [(name, field.description) for name, field in spec.model_fields.items() if field.description]
    return [*lines, "", *[f"- ``{name}``: {escaped(' '.join(text.split()))}" for name, text in described], ""]


def is_spec(subject: Any) -> bool:
    """Whether this is a class whose keys can be shown."""
    return isinstance(subject, type) and issubclass(subject, BaseModel)


def docstring(app: Any, what: str, name: str, subject: Any, options: Any, lines: list[str]) -> None:
    """Translate one docstring, in place."""
    lines[:] = restructured(lines) + (keys(subject) if is_spec(subject) else [])


def signature(
    app: Any, what: str, name: str, subject: Any, options: Any, arguments: str | None, returned: str | None
) -> tuple[str, str | None] | None:
    """The signature that is shown: none for a spec, which has a table; arrays are called NDArray."""
    if is_spec(subject):
        return "", None
    return tuple(text and ARRAY.sub(r"NDArray[\1]", text) for text in (arguments, returned))


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", docstring)
    app.connect("autodoc-process-signature", signature)
    return {"parallel_read_safe": True}
