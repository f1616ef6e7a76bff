"""Documents: the one reader of TOML files and the one of JSON, in files and in headers of safetensors; what either
accepts is bounded.

A document has at most LARGEST_TOML, LARGEST_JSON or LARGEST_HEADER bytes, DEEPEST levels and whole numbers of at most
LARGEST_INTEGER, in TOML also MOST_KEYS keys in all and LONGEST_KEY parts of a dotted key: reading it takes bounded time
and memory.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crossbar_sim.spec.errors import SpecError

LARGEST_TOML = 1 << 20
LARGEST_JSON = 1 << 28
LARGEST_HEADER = 1 << 24
LENGTH_BYTES = 8
"""At the start of a safetensors file: how many bytes of JSON follow, least significant byte first."""
DEEPEST = 50
MOST_KEYS = 20_000
LONGEST_KEY = 50
LARGEST_INTEGER = 2**63 - 1
BETWEEN_KEYS = re.compile(r"[=,{}\[\]\n#]")
TELLING_KEYS: Mapping[str, frozenset[str]] = {
    "device": frozenset({"g_min", "g_max"}),
    "hardware": frozenset({"tile", "dac", "adc"}),
    "comparison": frozenset({"methods", "tasks"}),
    "experiment": frozenset({"method", "task"}),
    "model": frozenset({"layers"}),
}
"""Keys that only one kind of file has."""


def read_toml(path: str | Path) -> dict[str, Any]:
    """Parse a TOML file; one that is missing, unreadable, malformed or beyond the bounds is one clear SpecError."""
    text = _text(Path(path), LARGEST_TOML, ".toml")
    if any(part.count(".") > LONGEST_KEY for part in BETWEEN_KEYS.split(text) if len(part) > LONGEST_KEY):
        raise SpecError(f"{path}: a key of more than {LONGEST_KEY} dotted parts; nest fewer tables")
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{path}: not valid TOML ({_short(error)})") from None
    _check_bounds(document, path, MOST_KEYS)
    return document


def read_json(path: str | Path) -> Any:
    """Parse a JSON file; one that is missing, unreadable, malformed, not finite or beyond the bounds is one clear
    SpecError."""
    return parse_json(_text(Path(path), LARGEST_JSON, ".json"), _named(Path(path)))


def parse_json(text: str, where: str) -> Any:
    """As `read_json`, of a text that is in a file or header `where`."""
    try:
        document = json.loads(text, parse_constant=_not_finite)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{where} is not JSON ({_short(error)})") from None
    _check_bounds(document, where)
    return document


def check_safetensors(content: bytes, where: str) -> None:
    """SpecError unless what a safetensors file begins with, or all of it, has a header within the bounds; whether its
    tensors are whole is not looked at."""
    length = int.from_bytes(content[:LENGTH_BYTES], "little")
    if len(content) < LENGTH_BYTES or length > LARGEST_HEADER:
        raise SpecError(
            f"{where}: not a safetensors file with a header of at most {LARGEST_HEADER} bytes; save it again"
        )
    try:
        text = content[LENGTH_BYTES : LENGTH_BYTES + length].decode()
    except UnicodeDecodeError as error:
        raise SpecError(f"{where}: its header is not UTF-8 text ({_short(error)}); save it again") from None
    if not isinstance(parse_json(text, where), dict):
        raise SpecError(f"{where}: its header is no table of tensors; save it again")


def check_safetensors_file(path: str | Path) -> None:
    """As `check_safetensors`, of a file; SpecError if it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            check_safetensors(file.read(LENGTH_BYTES + LARGEST_HEADER), _named(Path(path)))
    except OSError as error:
        raise SpecError(f"{_named(Path(path))}: cannot be read ({_short(error)})") from None


def kind_of(document: Mapping[str, Any]) -> str | None:
    """What a document is by its keys: 'device', 'hardware', ...; None: cannot be told."""
    return next((kind for kind, keys in TELLING_KEYS.items() if keys <= document.keys()), None)


def _text(path: Path, largest: int, ending: str) -> str:
    try:
        if not path.is_file():
            raise SpecError(f"no such file: {_named(path)}; give the path of an existing {ending} file")
        with path.open("rb") as file:
            content = file.read(largest + 1)
        if len(content) > largest:
            raise SpecError(f"{_named(path)}: more than {largest} bytes, which no such file needs; split or shorten it")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(f"{_named(path)}: not UTF-8 text ({_short(error)}); save it as UTF-8") from None
    except (OSError, ValueError) as error:
        raise SpecError(f"{_named(path)}: cannot be read ({_short(error)})") from None


def _named(path: Path) -> str:
    return str(path) if len(str(path)) <= 200 else f"{str(path)[:200]}..."


def _short(error: BaseException) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return reason if len(reason) <= 120 else f"{reason[:120]}..."


def _not_finite(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _check_bounds(document: Any, path: str | Path, most_keys: int | None = None) -> None:
    """SpecError for a document that is too deep, has too many keys, or whole numbers that are too large."""
    level = [document]
    depth, keys = 0, 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise SpecError(f"{path}: more than {DEEPEST} levels deep; nest fewer tables and lists")
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                keys += len(item)
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
            elif isinstance(item, int) and not -LARGEST_INTEGER <= item <= LARGEST_INTEGER:
                raise SpecError(f"{path}: a whole number of more than 19 digits; write one within 2^63")
        if most_keys is not None and keys > most_keys:
            raise SpecError(f"{path}: more than {most_keys} keys; no such file needs so many")
        level = below
