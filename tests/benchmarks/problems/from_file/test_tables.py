"""Every kind of table gives the same rows; what is damaged is a sentence that names the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.problems.from_file.tables import column, read_table
from benchmarks.problems.problem import ProblemError

ROWS = [{"text": "a, b", "label": "x"}, {"text": "c \u00e4", "label": "y"}]


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    arrow = pytest.importorskip("pyarrow", reason="needs pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(arrow.Table.from_pylist(rows), path)


def write(path: Path) -> None:
    if path.suffix == ".parquet":
        write_parquet(path, ROWS)
    elif path.suffix == ".csv":
        path.write_text('\ufefftext;label\n"a, b";x\nc \u00e4;y\n', encoding="utf-8")
    elif path.suffix == ".tsv":
        path.write_text("text\tlabel\na, b\tx\nc \u00e4\ty\n", encoding="utf-8")
    elif path.suffix == ".json":
        path.write_text(json.dumps(ROWS), encoding="utf-8")
    else:
        path.write_text("\n\n".join(json.dumps(row) for row in ROWS), encoding="utf-8")


@pytest.mark.parametrize("ending", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_every_kind_of_table_gives_the_same_rows(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows.{ending}"
    write(path)
    assert read_table(path) == ROWS


def test_values_of_parquet_keep_their_types(tmp_path: Path) -> None:
    rows = [{"tokens": ["a", "b"], "number": 1.5, "label": 3}, {"tokens": ["c"], "number": None, "label": 4}]
    write_parquet(tmp_path / "rows.parquet", rows)
    found = read_table(tmp_path / "rows.parquet")
    assert found == rows and column(found, "tokens", tmp_path) == [["a", "b"], ["c"]]
    with pytest.raises(ProblemError, match="example 2 has no 'number'"):
        column(found, "number", tmp_path)


@pytest.mark.parametrize("kept", [0, 10, 60])
def test_a_damaged_parquet_file_is_named(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    write(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ProblemError, match=r"rows.parquet is not a whole Parquet file") as refused:
        read_table(path)
    assert len(str(refused.value)) <= 400


def test_kinds_that_are_not_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "rows.xlsx").write_bytes(b"")
    with pytest.raises(ProblemError, match=r"examples are read from .*\.parquet"):
        read_table(tmp_path / "rows.xlsx")
