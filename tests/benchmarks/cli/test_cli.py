"""The command line as a user meets it: help, listings, and one clear sentence with a non-zero exit for mistakes."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.cli import main
from benchmarks.problems.pools import POOL_FOLDER
from crossbar_sim import DeviceModel
from crossbar_sim.devices.device_model import installed_devices
from crossbar_sim.devices.fit import example
from crossbar_sim.library import shelf_path
from peft_methods.checkpoints.lora import load_lora, save_lora

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
    assert "linear probe on occlude of digits_vit (unrelated)" in capsys.readouterr().out
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
        (("estimate", "--model", "flan.toml"), "no such file: flan.toml"),
        (("estimate", "--method", "bitfit", "--placement", "sram"), "bitfit has no placement to choose"),
        (("floorplan", "--method", "lorra"), "did you mean 'lora'"),
        (("sensitivity", "--methods", "lorra"), "did you mean 'lora'"),
        (("hardware", "show", "absent.toml"), "no such file"),
    ],
)
def test_names_that_do_not_exist(monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str) -> None:
    code = xbar(monkeypatch, *arguments)
    assert isinstance(code, str) and message in code and "\n" not in code


def test_listings(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, expected in (
        (("device", "list"), "wan2022"),
        (("device", "show", "wan2022"), "NeuRRAM"),
        (("hardware", "list"), "milo2021_128x128"),
        (("hardware", "show"), "128 x 128 cells"),
        (("methods",), "lorafusion"),
        (("methods", "--json", "-"), '"cells_written_per_step": 21504'),
    ):
        assert xbar(monkeypatch, *arguments) == 0
        assert expected in capsys.readouterr().out


def test_device_records_and_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert xbar(monkeypatch, "device", "list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert len(listed) >= 12 and {"name", "g_min", "g_max", "sources"} <= set(listed[0])
    assert xbar(monkeypatch, "device", "show", "joshi2020", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["retention"]["law"] == "power_law" and "assumption" in record["sources"]
    assert all(row["source"] and row["kind"] for row in record["numbers"])
    for name in ("jo2010", "wan2022", "sky130"):
        plot = tmp_path / f"{name}.svg"
        assert xbar(monkeypatch, "device", "show", name, "--plot", str(plot)) == 0
        assert name in plot.read_text(encoding="utf-8") and "RESET" in plot.read_text(encoding="utf-8")


def test_hardware_records(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert xbar(monkeypatch, "hardware", "list", "--json") == 0
    assert {"isaac_ce", "neurram", "hermes"} <= {record["name"] for record in json.loads(capsys.readouterr().out)}
    assert xbar(monkeypatch, "hardware", "show", "isaac_ce", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert [level["level"] for level in record["levels"]] == ["array", "core", "tile", "chip"]
    assert record["levels"][3]["power_W"] == pytest.approx(65.8, rel=0.01) and "leakage" in record["unbilled"]
    assert all(row["source"] and row["kind"] for row in record["numbers"])


def test_device_check_says_what_is_assumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "my.toml"
    mine.write_text(DEVICE, encoding="utf-8")
    assert xbar(monkeypatch, "device", "check", str(mine)) == 0
    out = capsys.readouterr().out
    assert "milo2021 is valid" in out and "reset_voltage" in out and "without a source: max_pulses" in out
    mine.write_text(DEVICE.replace("[endurance]", "[enduranse]"), encoding="utf-8")
    code = xbar(monkeypatch, "device", "check", str(mine))
    assert isinstance(code, str) and "did you mean 'endurance'?" in code and "\n" not in code


def test_device_fit_writes_a_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, toml, plot = (tmp_path / name for name in ("data.csv", "my.toml", "fit.svg"))
    data.write_text(example("park2013", devices=8), encoding="utf-8")
    arguments = ("device", "fit", str(data), "--name", "mine", "--output", str(toml), "--plot", str(plot))
    assert xbar(monkeypatch, *arguments) == 0
    assert "Fit of mine: 8 devices, 50 pulses up, 50 down" in capsys.readouterr().out
    assert xbar(monkeypatch, "device", "show", str(toml)) == 0
    assert "own_data" in capsys.readouterr().out and plot.read_text(encoding="utf-8").startswith("<svg")


def test_devices_of_installed_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "acme.toml").write_text(DEVICE.replace('"milo2021"', '"acme"', 1), encoding="utf-8")
    (tmp_path / "acme_devices.py").write_text(
        "from pathlib import Path\nPATH = Path(__file__).parent / 'acme.toml'\n", encoding="utf-8"
    )
    (tmp_path / "acme-1.dist-info").mkdir()
    (tmp_path / "acme-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1\n")
    (tmp_path / "acme-1.dist-info" / "entry_points.txt").write_text(
        "[crossbar_sim.devices]\nacme = acme_devices:PATH\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    installed_devices.cache_clear()
    try:
        assert xbar(monkeypatch, "device", "list") == 0
        assert "acme" in capsys.readouterr().out.split()
        assert DeviceModel.load("acme").name == "acme"
    finally:
        installed_devices.cache_clear()


def test_estimate_prints_one_record(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert xbar(monkeypatch, "estimate", "--model", "flan-t5-large", "--method", "lorafusion", "--json", "-") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["trained_values"] == 148_416 and {"tiles", "pool_cells"} <= set(record)


def test_floorplan_and_sensitivity_write_records_and_figures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for command in (("floorplan", "--model", "digits-vit"), ("sensitivity", "--methods", "bitfit")):
        figure = tmp_path / f"{command[0]}.svg"
        assert xbar(monkeypatch, *command, "--figure", str(figure), "--json", "-") == 0
        assert json.loads(capsys.readouterr().out)["hardware"] == "milo2021_128x128"
        assert figure.read_text(encoding="utf-8").startswith("<svg")


def test_help_does_not_load_torch() -> None:
    code = "import sys; sys.argv = ['xbar', '--help']\nfrom benchmarks.cli import main\ntry: main()\n"
    code += "except SystemExit: pass\nassert 'torch' not in sys.modules, 'help loads torch'"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in ("compare", "run", "estimate", "floorplan", "sensitivity", "device", "hardware", "methods"):
        assert command in done.stdout


def test_a_pool_that_cannot_be_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool, suite = tmp_path / "pool", tmp_path / "mine.toml"
    shutil.copytree(POOL_FOLDER / "digits_vit", pool)
    suite.write_text('pool = "pool"\n' + EXPERIMENT.replace("linear-probe", "lorafusion"), encoding="utf-8")
    arguments = ("run", str(suite), "--runs", str(tmp_path / "runs"), "--workers", "1")
    blur = load_lora(pool / "blur")
    narrow = {module: a[:, :-1] for module, a in blur.a.items()}
    save_lora(pool / "blur", dataclasses.replace(blur, a=narrow), "digits_vit")
    code = xbar(monkeypatch, *arguments)
    assert isinstance(code, str) and "blur" in code and "\n" not in code
    weights = pool / "blur" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    code = xbar(monkeypatch, *arguments)
    assert isinstance(code, str) and "adapter_model.safetensors" in code and "\n" not in code
    shutil.rmtree(pool)
    code = xbar(monkeypatch, *arguments)
    assert isinstance(code, str) and "is not a folder" in code
    assert not list((tmp_path / "runs").rglob("*.json"))


def test_a_truncated_result_is_named_and_simulated_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = tmp_path / "mine.toml"
    suite.write_text(EXPERIMENT, encoding="utf-8")
    assert xbar(monkeypatch, "run", str(suite), "--runs", str(tmp_path / "runs")) == 0
    (path,) = (tmp_path / "runs").glob("*/seed_0.json")
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole[:100], encoding="utf-8")
    assert xbar(monkeypatch, "run", str(suite), "--runs", str(tmp_path / "runs")) == 0
    assert "damaged, simulated again" in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") == whole


def test_quality_prints_a_table_or_records_and_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "quality.svg"
    assert xbar(monkeypatch, "quality", "--plot", str(plot), "--json", "-") == 0
    records = json.loads(capsys.readouterr().out)
    assert [row["matrix"] for row in records][:2] == ["embed", "blocks.0.attention.query"] and len(records) == 19
    assert all(15 < row["snr_dB"] < 30 and row["clipped_share"] < 0.01 for row in records)
    assert plot.read_text(encoding="utf-8").startswith("<svg")
    assert "did you mean 'milo2021_128x128'" in str(xbar(monkeypatch, "quality", "--hardware", "milo2021_128x12"))
