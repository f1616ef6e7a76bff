"""What a machine does to a comparison: a full disk, places that cannot be written, Ctrl-C. One sentence, exit status 1,
no process and no half file left."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.cli import main
from crossbar_sim.runtime.files import write_text
from crossbar_sim.spec.errors import FileError
from tests import ROOT

SUITE = """
name = "small"
shots_per_class = 1
seeds = [0, 1]
tasks = ["occlude"]
methods = [{ name = "linear-probe", steps = 2 }]
"""
COMMAND = "import sys; from benchmarks.cli import main; sys.exit(main())"
FORKED = f"from joblib.externals.loky.backend.context import set_start_method; set_start_method('fork'); {COMMAND}"
"""Its workers begin as copies of the command, without imports of their own."""
SCRIPT = """
from benchmarks import Experiment
from benchmarks.experiments.running import run_all
if __name__ == "__main__":
    experiments = [Experiment(method={{"name": "lora", "steps": 100_000}}, seeds=(0, 1))]
    print("begun", flush=True)
    {act}
"""


def begin(folder: Path, program: list[str]) -> subprocess.Popen[str]:
    """A Python program with a process group of its own, in `folder`."""
    return subprocess.Popen(
        [sys.executable, *program],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def left(group: int, seconds: float) -> list[str]:
    """Processes of a group that still run so many seconds later."""
    deadline = time.monotonic() + seconds
    while (found := members(group)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def members(group: int) -> list[str]:
    states = [path.parent for path in Path("/proc").glob("[0-9]*/stat") if of_group(path, group)]
    return [(path / "cmdline").read_text().replace("\0", " ") for path in states]


def of_group(path: Path, group: int) -> bool:
    try:
        state, _, its_group = path.read_text().rpartition(")")[2].split()[:3]
    except OSError:
        return False
    return int(its_group) == group and state not in "ZX"


def compare(folder: Path, program: str, *options: str) -> subprocess.Popen[str]:
    (folder / "suite.toml").write_text(SUITE)
    return begin(folder, ["-c", program, "compare", "suite.toml", "--workers", "2", "--report", "None", *options])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 8 kB; only an administrator can make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("cannot mount a disk here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
def test_a_disk_that_fills_up_is_one_sentence_and_no_half_file(tmp_path: Path, small_disk: Path) -> None:
    process = compare(tmp_path, FORKED, "--runs", "disk")
    _, errors = process.communicate(timeout=600)
    last = errors.strip().splitlines()[-1]
    assert process.returncode == 1 and "Traceback" not in errors
    assert last.startswith("xbar: ") and "cannot be written (No space left on device)" in last
    assert left(process.pid, 5.0) == []
    for path in small_disk.rglob("*"):
        claimed = path.name.startswith(".") and path.suffix == ".claim"  # of a worker that was ended; free for the next
        assert path.is_dir() or claimed or (path.suffix == ".json" and json.loads(path.read_text()))


def test_a_write_that_finds_no_space_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "one.json"
    write_text(path, "before")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(FileError, match="No space left on device"):
        write_text(path, "after")
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


@pytest.mark.whole
@pytest.mark.skipif(sys.platform != "linux", reason="processes of a group are found in /proc")
@pytest.mark.parametrize("act", ["experiments[0].run()", "run_all(experiments, workers=2)"])
def test_an_interrupt_of_a_script_is_one_sentence_and_workers_end(tmp_path: Path, act: str) -> None:
    (tmp_path / "script.py").write_text(SCRIPT.format(act=act))
    process = begin(tmp_path, ["script.py"])
    assert process.stdout is not None and process.stdout.readline() == "begun\n"
    deadline = time.monotonic() + 120
    while not list((tmp_path / "runs").glob("*/.*.claim")) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and "Traceback" not in errors
    assert errors.rstrip().endswith("interrupted; finished runs are kept, running the same again resumes")
    assert left(process.pid, 5.0) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes of a group are found in /proc")
@pytest.mark.parametrize("begun", ["importing", "simulating"])
def test_an_interrupt_of_the_command_is_one_sentence_and_workers_end(tmp_path: Path, begun: str) -> None:
    process = compare(tmp_path, COMMAND)
    deadline = time.monotonic() + 120
    if begun == "importing":
        time.sleep(1.0)
    while begun == "simulating" and not list((tmp_path / "runs").glob("*/.*.claim")) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and "Traceback" not in errors
    assert errors.rstrip().endswith("xbar: interrupted; finished runs are kept, the same command resumes")
    assert left(process.pid, 5.0) == []


@pytest.mark.parametrize("option", ["--runs", "--json", "--report", "--figures"])
def test_a_file_where_a_folder_belongs_is_said_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "suite.toml").write_text(SUITE)
    monkeypatch.chdir(tmp_path)
    for place in ("/proc/nowhere/below", "file/below"):
        words = ["compare", "suite.toml", "--runs", "runs", "--report", "None", option, place]
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert isinstance(stop.value.code, str) and "cannot be written" in stop.value.code
        assert "\n" not in stop.value.code and not list(tmp_path.rglob("*.json"))


def test_an_output_that_is_full_is_one_sentence() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, "hardware", "list"],
            env={key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"},
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1) and "No space left" in done.stderr
