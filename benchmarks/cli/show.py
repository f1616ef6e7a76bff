"""Show what a command found: a table for the terminal, JSON for scripts, a figure."""

from __future__ import annotations

import csv
import io
import json as json_format
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cli.options import STANDARD_OUTPUT

if TYPE_CHECKING:
    from benchmarks.record import Record


def show(
    records: Record | Sequence[Record] | Sequence[Mapping[str, object]],
    table: object,
    json: Path | None = None,
    figure: Path | None = None,
    drawn: object = None,
) -> None:
    """Print the table, if any, unless the records go to standard output instead; write them, and the figure of
    `drawn`."""
    from crossbar_sim.runtime.files import write_json

    if figure is not None:
        from benchmarks.reporting.figures.draw import draw_to

        draw_to(figure, drawn)
    content = finite(as_json(records))
    if json == STANDARD_OUTPUT:
        print(json_format.dumps(content, indent=1, allow_nan=False))
        return
    if json is not None:
        write_json(json, content)
    if table is not None:
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


def write_rows(file: Path | None, rows: Sequence[Mapping[str, object]]) -> None:
    """Write flat rows, each with some of the same keys, as comma-separated values, or as Parquet where the file ends in
    .parquet and pyarrow is there; None: nothing. SpecError without pyarrow."""
    from crossbar_sim.runtime.files import write_bytes, write_text

    if file is None or not rows:
        return
    names = list(dict.fromkeys(name for row in rows for name in row))
    if file.suffix == ".parquet":
        write_bytes(file, parquet([{name: row.get(name) for name in names} for row in rows]))
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    if file == STANDARD_OUTPUT:
        print(text.getvalue(), end="")
    else:
        write_text(file, text.getvalue())


def check_table(file: Path | None) -> None:
    """SpecError, before any work, for a file that only a library writes that is not installed."""
    if file is not None and file.suffix == ".parquet":
        parquet([])


def parquet(rows: Sequence[Mapping[str, object]]) -> bytes:
    """Rows as a Parquet file; what is neither a number nor a text is written as JSON. SpecError without pyarrow."""
    from crossbar_sim import SpecError

    try:
        import pyarrow
        from pyarrow import parquet as writing
    except ImportError:
        raise SpecError(
            "Parquet is written by pyarrow, which is not installed; pip install pyarrow, or give a .csv file"
        ) from None
    plain = [
        {key: json_format.dumps(value) if isinstance(value, list | dict) else value for key, value in row.items()}
        for row in rows
    ]
    sink = pyarrow.BufferOutputStream()
    writing.write_table(pyarrow.Table.from_pylist(plain), sink)
    return bytes(sink.getvalue())


def write_csv(file: Path | None, records: Sequence[Record]) -> None:
    """Write flat records as comma-separated values, or print them; None: nothing. What is null is empty, the parts of a
    list stand side by side."""
    from crossbar_sim.runtime.files import write_text

    if file is None or not records:
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(type(records[0]).model_fields)
    writer.writerows(
        [" ".join(map(str, value)) if isinstance(value, list) else value for value in record.as_json().values()]
        for record in records
    )
    if file == STANDARD_OUTPUT:
        print(text.getvalue(), end="")
    else:
        write_text(file, text.getvalue())
