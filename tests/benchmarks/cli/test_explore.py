"""`xbar explore` as a user meets it: what it prints and writes, its actions, and its sentences."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys
import tomllib
from pathlib import Path

import pytest

from benchmarks.cli import main
from crossbar_sim import Hardware

CHIPS = """
name = "chips"
hardware = "milo2021_128x128"
method = "frozen"
[vary]
"tile.rows" = [64, 128, 256]
"tile.columns" = "tile.rows"
"adc.bits" = { from = 5, to = 8 }
[objectives]
array_operations_per_J = "max"
chip_operations_per_s = "max"
"""


@pytest.fixture
def chips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An exploration of twelve chips in the present folder."""
    monkeypatch.chdir(tmp_path)
    Path("chips.toml").write_text(CHIPS, encoding="utf-8")
    return "chips.toml"


def xbar(*arguments: str) -> str | int | None:
    try:
        main(["explore", *arguments])
    except SystemExit as stop:
        return stop.code
    return 0


def test_a_file_is_explored_and_everything_is_written(chips: str, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = ("--json", "x.json", "--csv", "x.csv", "--figure", "x.svg", "--report", "x.html", "--figures", "drawn")
    assert xbar(chips, "--workers", "1", *outputs) == 0
    shown = capsys.readouterr().out
    assert "12 designs of 12, proposed by grid: 12 evaluated" in shown
    record = json.loads(Path("x.json").read_text(encoding="utf-8"))
    assert set(record["designs"][0]) >= {"id", "varied", "objectives", "rung", "state", "front_probability"}
    assert record["front"]
    assert len(record["hypervolume"]) == 12
    rows = list(csv.DictReader(Path("x.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["tile.rows"] for row in rows[:5]] == ["64", "64", "64", "64", "128"]
    page = Path("x.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 5
    assert "NaN" not in page and "None" not in page.split("<details>")[0]
    assert {path.suffix for path in Path("drawn").iterdir()} == {".svg", ".pdf"}


def test_the_command_line_alone_is_enough(chips: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--vary", "tile.rows=64,128", "--vary", "tile.columns=tile.rows", "--vary", "adc.bits=5:8")
    assert xbar(*words, "--dry-run", "--method", "frozen") == 0
    assert "a space of 8 designs; 8 proposed by grid" in capsys.readouterr().out


def test_status_show_save_and_export_speak_of_what_is_on_disk(chips: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert xbar("status", chips) != 0
    assert xbar(chips, "--designs", "5", "--sampler", "random", "--workers", "1") == 0
    capsys.readouterr()
    same = ("--designs", "5", "--sampler", "random")
    assert xbar("status", chips, *same) == 0
    assert "5 of 5 designs proposed (5 evaluated)" in capsys.readouterr().out
    assert xbar("show", chips, *same, "--json", "-") == 0
    front = json.loads(capsys.readouterr().out)["front"]
    assert xbar("save", chips, str(front[0]), "chip.toml", *same) == 0
    assert Hardware.load("chip.toml").name == f"chips-{front[0]}"
    assert xbar("export", chips, "journal.log", *same) == 0
    assert Path("journal.log").stat().st_size > 0


def test_the_folder_of_an_exploration_stands_for_its_file(chips: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert xbar(chips, "--workers", "1") == 0
    (folder,) = Path("runs/explorations").iterdir()
    assert tomllib.loads((folder / "exploration.toml").read_text(encoding="utf-8"))["name"] == "chips"
    capsys.readouterr()
    assert xbar("status", str(folder)) == 0
    assert "12 of 12" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "nothing to explore; give a file"),
        (("nope.toml",), "no suite file 'nope.toml'"),
        (("--vary", "tile.rws=3,4"), "did you mean 'rows'"),
        (("--vary", "tile.rows"), "says nothing"),
        (("chips.toml", "--sampler", "anneal"), "sampler"),
        (("chips.toml", "--engine", "ray"), "take local, dask, or a .toml file"),
        (("chips.toml", "--workers", "0"), "give at least 1"),
        (("chips.toml", "--report", "nowhere/there/x.html", "--runs", "chips.toml"), "chips.toml"),
        (("save", "chips.toml", "chip.toml"), "the number of a design and a file"),
        (("export", "chips.toml"), "give a file to write"),
        (("show", "chips.toml", "--runs", "empty"), "nothing of it is in"),
    ],
)
def test_a_mistake_is_one_sentence(chips: str, words: tuple[str, ...], message: str) -> None:
    code = xbar(*words)
    assert isinstance(code, str)
    assert message in code
    assert len(code) <= 410


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed")
def test_evaluations_are_written_as_parquet(chips: str) -> None:
    from pyarrow import parquet

    assert xbar(chips, "--workers", "1", "--csv", "x.parquet") == 0
    table = parquet.read_table("x.parquet")
    assert table.num_rows == 12
    assert table.column("adc.bits").to_pylist()[:4] == [5, 6, 7, 8]


def test_parquet_without_pyarrow_says_what_to_install(chips: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code = xbar(chips, "--workers", "1", "--csv", "x.parquet")
    assert "pip install pyarrow" in str(code)
