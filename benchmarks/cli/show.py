"""Show what a command found: a table for the terminal, JSON for scripts, a figure."""

from __future__ import annotations

import csv as csv_format
import io
import json as json_format
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.cli.options import STANDARD_OUTPUT

if TYPE_CHECKING:
    from benchmarks.record import Record


def show(
    records: Record | Sequence[Record] | Sequence[Mapping[str, object]],
    table: object,
    json: Path | None = None,
    figure: Path | None = None,
    drawn: object = None,
    csv: Path | None = None,
) -> None:
    """Print the table, unless the records go to standard output instead; write them, and the figure of `drawn`."""
    from crossbar_sim.runtime.files import write_json, write_text

    if figure is not None:
        from benchmarks.reporting.figures.draw import draw_to

        draw_to(figure, drawn)
    content = finite(as_json(records))
    if csv == STANDARD_OUTPUT:
        print(as_csv(content), end="")
        return
    if csv is not None:
        write_text(csv, as_csv(content))
    if json == STANDARD_OUTPUT:
        print(json_format.dumps(content, indent=1, allow_nan=False))
        return
    if json is not None:
        write_json(json, content)
    print(table)


def check_outputs(*files: Path | None) -> None:
    """CrossbarError, before any work, for a file that cannot be written; none and standard output are passed over."""
    from crossbar_sim.runtime.files import check_file

    for file in files:
        if file is not None and file != STANDARD_OUTPUT:
            check_file(file)


def finite(content: object) -> object:
    """The same with null for what JSON has no number for: NaN and infinity."""
    if isinstance(content, Mapping):
        return {key: finite(item) for key, item in content.items()}
    if isinstance(content, list | tuple):
        return [finite(item) for item in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def as_json(records: Record | Sequence[Record] | Sequence[Mapping[str, object]]) -> object:
    """Dictionaries for json.dump."""
    from benchmarks.record import Record

    if isinstance(records, Record):
        return records.as_json()
    return [record.as_json() if isinstance(record, Record) else record for record in records]


def as_csv(content: Any) -> str:
    """Flat records as comma-separated values; what is null is empty, groups and lists are written as JSON."""
    rows = content if isinstance(content, list) else [content]
    names = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv_format.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {key: json_format.dumps(one) if isinstance(one, dict | list) else one for key, one in row.items()}
        )
    return text.getvalue()
