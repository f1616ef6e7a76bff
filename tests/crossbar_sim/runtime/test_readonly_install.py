"""A package that its user can write nowhere, without a home: kernels are compiled in memory, and this is said once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT

POWERLESS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
"""Root may write everywhere, unless it starts a program without its capabilities."""
PROGRAM = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
sys.path.insert(0, {folder!r})
import crossbar_sim
assert crossbar_sim.__file__.startswith({folder!r})
import crossbar_sim.reading.compiled.read, crossbar_sim.cells.compiled.program, crossbar_sim.devices.disturbance
from crossbar_sim import map_model
from crossbar_sim.runtime.counter_random import normals
import numpy as np
print(repr(normals(np.arange(3, dtype=np.uint32), np.ones(2, np.uint32))))
"""


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Path]:
    """A copy of the package in a folder where nothing can be written."""
    if os.name != "posix":
        pytest.skip("the rights of folders are those of POSIX")
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root can write everywhere, and there is no setpriv to take its rights from a program")
    folder = tmp_path / "installed"
    shutil.copytree(ROOT / "crossbar_sim", folder / "crossbar_sim", ignore=shutil.ignore_patterns("__pycache__"))
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for one in folders:
        one.chmod(0o555)
    yield folder
    for one in folders:
        one.chmod(0o755)


def run_without_rights(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    without = POWERLESS if os.geteuid() == 0 else []
    return subprocess.run(
        [*without, sys.executable, "-W", "error", "-c", PROGRAM.format(folder=str(folder))],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "PYTHONDONTWRITEBYTECODE": "1",
            **environment,
        },
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
def test_without_a_folder_for_the_cache_kernels_are_compiled_in_memory_and_it_is_said_once(installed: Path) -> None:
    done = run_without_rights(installed)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("NUMBA_CACHE_DIR") == 1 and len(done.stderr.strip().splitlines()) == 1
    assert "array(" in done.stdout


@pytest.mark.slow
def test_with_a_folder_for_the_cache_nothing_is_said_and_the_kernels_are_kept_there(
    installed: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    done = run_without_rights(installed, NUMBA_CACHE_DIR=str(cache))
    assert (done.returncode, done.stderr) == (0, "")
    assert list(cache.rglob("*.nbi"))
