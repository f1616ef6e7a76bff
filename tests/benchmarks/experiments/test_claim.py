"""Claims: two commands on one folder share the seeds, and nobody waits for a process that is gone."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from benchmarks.experiments.claim import claim, sweep
from benchmarks.experiments.storage import SeedFiles
from benchmarks.record import SeedRecord
from tests import ROOT

HOLDER = """
import sys, time
from pathlib import Path
from benchmarks.experiments.claim import claim
with claim(Path(sys.argv[1]), wait=False) as free:
    print(free, flush=True)
    time.sleep(300)
"""


class Small(SeedRecord):
    """A record."""

    value: float
    """A number."""


def test_a_claim_is_one_process_s_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "below" / "seed_0.json"
    with claim(path, wait=False) as first, claim(path, wait=False) as second:
        assert (first, second) == (True, False)
    with claim(path, wait=True) as again:
        assert again
    assert list(path.parent.iterdir()) == []


def test_the_claim_of_a_killed_process_is_free(tmp_path: Path) -> None:
    path = tmp_path / "seed_0.json"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert holder.stdout is not None and holder.stdout.readline() == "True\n"
    with claim(path, wait=False) as free:
        assert not free
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with claim(path, wait=True) as free:
        assert free
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_was_writing_goes_with_the_next_claim_of_the_same_file(tmp_path: Path) -> None:
    for name in (".seed_0.json.k2_x9abc", ".seed_1.json.k2_x9abc", ".seed_0.json.claim", "seed_10.json"):
        (tmp_path / name).touch()
    with claim(tmp_path / "seed_0.json", wait=False) as free:
        assert free
    assert sorted(path.name for path in tmp_path.iterdir()) == [".seed_1.json.k2_x9abc", "seed_10.json"]


def test_a_sweep_takes_what_the_dead_left_and_nothing_of_the_living(tmp_path: Path) -> None:
    for name in (".seed_0.json.abc", ".seed_1.json.claim", ".seed_1.json.def", ".hidden", "seed_1.json"):
        (tmp_path / name).touch()
    with claim(tmp_path / "seed_0.json", wait=False):
        (tmp_path / ".seed_0.json.now").touch()
        sweep(tmp_path)
        left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [".hidden", ".seed_0.json.claim", ".seed_0.json.now", "seed_1.json"]
    sweep(tmp_path / "missing")


def test_who_waits_takes_the_record_of_the_other(tmp_path: Path) -> None:
    files, begun, go_on = SeedFiles(tmp_path, Small), threading.Event(), threading.Event()

    def slowly() -> Small:
        begun.set()
        assert go_on.wait(60)
        return Small(seed=0, value=1.0)

    other = threading.Thread(target=files.record, args=(0, slowly))
    other.start()
    assert begun.wait(60)
    assert files.record_if_free(0, lambda: pytest.fail("done twice")) is None
    assert files.record_if_free(1, lambda: Small(seed=1, value=2.0)) == Small(seed=1, value=2.0)
    threading.Timer(0.3, go_on.set).start()
    assert files.record(0, lambda: pytest.fail("done twice")) == Small(seed=0, value=1.0)
    other.join()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["seed_0.json", "seed_1.json"]
