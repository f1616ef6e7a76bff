"""The command line as a user meets it: help, listings, and one clear sentence with a non-zero exit for mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.cli import main
from crossbar_sim.library import shelf_path

DEVICE = shelf_path("devices", "milo2021").read_text(encoding="utf-8")


def xbar(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str | int | None:
    monkeypatch.setattr(sys, "argv", ["xbar", *arguments])
    try:
        main()
    except SystemExit as stop:
        return stop.code
    return 0


EXPERIMENT = """
task = "occlude"
seeds = [0]
curve_points = 1
[method]
name = "linear-probe"
steps = 3
"""


def test_run_prints_a_datasheet_and_writes_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = tmp_path / "mine.toml"
    suite.write_text(EXPERIMENT, encoding="utf-8")
    arguments = ("run", str(suite), "--runs", str(tmp_path / "runs"), "--json", str(tmp_path / "out.json"))
    assert xbar(monkeypatch, *arguments) == 0
    assert "linear probe on occlude (unrelated)" in capsys.readouterr().out
    (record,) = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert record["cells_written_per_step"] == 0 and record["trained_values"] == 650


@pytest.mark.parametrize(
    ("change", "command", "message"),
    [
        (("steps", "stepz"), "run", "did you mean 'steps'?"),
        (("occlude", "oclude"), "run", "did you mean 'occlude'?"),
        (("linear-probe", "linear-prob"), "run", "did you mean 'linear-probe'?"),
        (("[0]", "[]"), "run", "seeds"),
        (("[0]", "["), "run", "not valid TOML"),
        (("", ""), "compare", "run it with `xbar run"),
    ],
)
def test_mistakes_in_a_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: tuple[str, str], command: str, message: str
) -> None:
    suite = tmp_path / "mine.toml"
    suite.write_text(EXPERIMENT.replace(*change), encoding="utf-8")
    code = xbar(monkeypatch, command, str(suite), "--runs", str(tmp_path / "runs"))
    assert isinstance(code, str) and message in code and "\n" not in code
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "nothing.toml"), "no suite file 'nothing.toml'"),
        (("compare", "defalt"), "did you mean 'default'?"),
        (("compare", "--hardware", "milo"), "did you mean 'milo2021_128x128'?"),
        (("device", "show", "wan"), "did you mean 'wan2022'?"),
        (("estimate", "--model", "flan"), "no model 'flan'"),
        (("hardware", "show", "absent.toml"), "no such file"),
    ],
)
def test_names_that_do_not_exist(monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str) -> None:
    code = xbar(monkeypatch, *arguments)
    assert isinstance(code, str) and message in code and "\n" not in code


def test_listings(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, expected in (
        (("device", "list"), "wan2022"), (("device", "show", "wan2022"), "NeuRRAM"),
        (("hardware", "list"), "milo2021_128x128"), (("hardware", "show"), "128 x 128 cells"),
        (("methods",), "lorafusion"), (("methods", "--json", "-"), "\"cells_written_per_step\": 21504"),
    ):  # fmt: skip
        assert xbar(monkeypatch, *arguments) == 0
        assert expected in capsys.readouterr().out


def test_estimate_prints_one_record(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert xbar(monkeypatch, "estimate", "--model", "flan-t5-large", "--method", "lorafusion", "--json", "-") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["trained_values"] == 148_416 and {"tiles", "pool_cells"} <= set(record)


def test_help_does_not_load_torch() -> None:
    code = "import sys; sys.argv = ['xbar', '--help']\nfrom benchmarks.cli import main\ntry: main()\n"
    code += "except SystemExit: pass\nassert 'torch' not in sys.modules, 'help loads torch'"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in ("compare", "run", "estimate", "device", "hardware", "methods"):
        assert command in done.stdout


def test_truncated_result_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = tmp_path / "mine.toml"
    suite.write_text(EXPERIMENT, encoding="utf-8")
    assert xbar(monkeypatch, "run", str(suite), "--runs", str(tmp_path / "runs")) == 0
    (path,) = (tmp_path / "runs").glob("*/seed_0.json")
    path.write_text(path.read_text(encoding="utf-8")[:100], encoding="utf-8")
    code = xbar(monkeypatch, "run", str(suite), "--runs", str(tmp_path / "runs"))
    assert isinstance(code, str) and "seed_0.json" in code and "delete it" in code
