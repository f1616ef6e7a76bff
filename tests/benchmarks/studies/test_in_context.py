"""The tables of in-context learning: printed, and written as records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.cli import main
from benchmarks.studies.in_context import designs
from crossbar_sim import Hardware


def test_the_tables_are_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.json"
    main(["study", "in-context", "transformer", "--prompts", "20", "--json", str(path)])
    rows = json.loads(path.read_text())
    assert [row["condition"] for row in rows] == ["digital", "on the chip"]
    assert rows[0]["examples"] == [0, 4, 8, 16, 39] and len(rows[0]["values"]) == 5
    main(["study", "in-context", "tiles", "--prompts", "2"])
    printed = capsys.readouterr().out
    assert "everything on" in printed and "512" in printed
    shown = designs(Hardware.load("milo2021_128x128"))
    assert shown["read noise"].device.programs_exactly and shown["read noise"].device.read_noise is not None
    assert shown["levels and programming error"].device.read_noise is None
