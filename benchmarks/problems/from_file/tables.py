"""Tables of examples from CSV, TSV, JSON, JSON-lines, CoNLL and Parquet files: one dictionary per example."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.problems.problem import ProblemError
from crossbar_sim import SpecError
from crossbar_sim.spec.documents import read_json

LARGEST = 1 << 30
"""Bytes of a file of examples."""
ENDINGS = (".csv", ".tsv", ".json", ".jsonl", ".conll", ".parquet")
TOKENS, TAGS = "tokens", "tags"
"""Columns of a CoNLL file."""

Row = dict[str, Any]


def read_table(path: Path) -> list[Row]:
    """Every example of a file, by column; ProblemError says what is wrong with the file."""
    if not path.is_file():
        raise ProblemError(f"{path} does not exist; paths in a problem's file start at its folder")
    if path.stat().st_size > LARGEST:
        raise ProblemError(f"{path} has {path.stat().st_size >> 20} MB; at most {LARGEST >> 20} MB are read, split it")
    try:
        rows = list(_reader(path))
    except (ValueError, csv.Error, SpecError) as error:
        raise ProblemError(f"{path} cannot be read: {str(error)[:200]}") from None
    if not rows:
        raise ProblemError(f"{path} has no example; give a line of columns and at least one of values")
    return rows


def column(rows: list[Row], name: str, path: Path) -> list[Any]:
    """One column; ProblemError names those that there are, and the first line without a value."""
    if name not in rows[0]:
        raise ProblemError(f"{path} has no column '{name}'; it has {', '.join(map(str, rows[0]))}")
    values = [row.get(name) for row in rows]
    if None in values:
        raise ProblemError(f"{path}: example {values.index(None) + 1} has no '{name}'")
    return values


def _reader(path: Path) -> Iterator[Row]:
    ending = path.suffix.lower()
    if ending in (".csv", ".tsv"):
        return _separated(path, "\t" if ending == ".tsv" else None)
    if ending == ".json":
        return _json(path)
    if ending == ".jsonl":
        return _json_lines(path)
    if ending == ".conll":
        return _conll(path)
    if ending == ".parquet":
        return _parquet(path)
    raise ProblemError(f"{path}: examples are read from {', '.join(ENDINGS)}")


def _separated(path: Path, separator: str | None) -> Iterator[Row]:
    """Comma, semicolon or tab, whichever the line of columns has most of; a byte-order mark is skipped."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        file.seek(0)
        chosen = separator or max(",;\t", key=first.count)
        for row in csv.DictReader(file, delimiter=chosen, skipinitialspace=True):
            yield {key.strip(): value for key, value in row.items() if key is not None}


def _json(path: Path) -> Iterator[Row]:
    found = read_json(path)
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise ProblemError(f"{path} must be a list of tables, one per example")
    yield from found


def _json_lines(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ProblemError(f"{path}: line {number} is not a table")
                yield row


def _conll(path: Path) -> Iterator[Row]:
    """Lines of a word and, last, its tag; an empty line ends a sentence."""
    words: list[str] = []
    tags: list[str] = []
    with path.open(encoding="utf-8-sig") as file:
        for line in [*file, ""]:
            parts = line.split()
            if len(parts) >= 2 and not line.startswith("-DOCSTART-"):
                words.append(parts[0])
                tags.append(parts[-1])
            elif words:
                yield {TOKENS: words, TAGS: tags}
                words, tags = [], []


def _parquet(path: Path) -> Iterator[Row]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise ProblemError(f"{path}: Parquet files need pyarrow; pip install pyarrow, or give CSV") from None
    try:
        yield from parquet.read_table(path).to_pylist()
    except (ArrowException, OSError) as error:
        raise ProblemError(f"{path} is not a whole Parquet file ({error})") from None
