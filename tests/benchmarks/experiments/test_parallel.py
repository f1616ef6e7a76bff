"""Workers: they end with their parent, a killed one is named, and what a script defines works on any number of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.experiments.parallel import WorkersError, run_parallel
from tests import ROOT

SCRIPT = """
import os, time
from pathlib import Path
from benchmarks.experiments.parallel import run_parallel

class Defined:
    "A class that only this script knows."

def task(number, place):
    Path(place, str(os.getpid())).touch()
    time.sleep(wait)
    return number, Defined.__name__

wait = {wait}
if __name__ == "__main__":
    print(sorted(run_parallel(task, [(number, {place!r}) for number in range(2)], 2)))
"""


def begin(place: Path, wait: float) -> subprocess.Popen[str]:
    """A script with two workers, each of which leaves a file with the number of its process in `place` and waits."""
    script = place.parent / "script.py"
    script.write_text(SCRIPT.format(wait=wait, place=str(place)))
    place.mkdir()
    return subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def workers_of(place: Path) -> list[int]:
    """The two workers, once both have begun."""
    deadline = time.monotonic() + 120
    while len(found := list(place.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    return [int(path.name) for path in found]


def runs(process: int) -> bool:
    """Whether a process is there and more than waiting to be reaped."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def left(processes: list[int], seconds: float) -> list[int]:
    """Those of the processes that still run so many seconds later."""
    deadline = time.monotonic() + seconds
    while (found := [one for one in processes if runs(one)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def test_what_a_script_defines_works_on_two_workers(tmp_path: Path) -> None:
    told, errors = begin(tmp_path / "begun", 0.5).communicate(timeout=120)
    assert told.strip() == "[(0, 'Defined'), (1, 'Defined')]", errors


def test_no_workers_are_refused() -> None:
    with pytest.raises(WorkersError, match="give at least 1"):
        list(run_parallel(max, [(1, 2)], 0))


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_no_worker_outlives_a_killed_parent(tmp_path: Path) -> None:
    process = begin(tmp_path / "begun", 300)
    workers = workers_of(tmp_path / "begun")
    process.kill()
    process.communicate()
    assert len(workers) == 2 and left(workers, 5.0) == []


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_a_killed_worker_is_one_sentence(tmp_path: Path) -> None:
    process = begin(tmp_path / "begun", 300)
    workers = workers_of(tmp_path / "begun")
    os.kill(workers[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and "WorkersError: a worker was killed" in errors
    assert left(workers, 5.0) == []


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_an_interrupt_is_told_once_and_workers_end(tmp_path: Path) -> None:
    process = begin(tmp_path / "begun", 300)
    workers = workers_of(tmp_path / "begun")
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert errors.count("Traceback") == 1 and errors.rstrip().endswith("KeyboardInterrupt")
    assert left(workers, 5.0) == []
