"""A comparison that is killed loses nothing and leaves nothing behind; python -m tests.kills does it more often."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests import ROOT


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes of a group are found in /proc")
@pytest.mark.parametrize("what, files, kills", [("compare", 1, 0), ("explore", 0, 1)])
def test_what_is_killed_goes_on_to_the_same_bytes(what: str, files: int, kills: int) -> None:
    """Before and after a file is put in its place; at a random moment."""
    program = [sys.executable, "-m", "tests.kills", "--what", what, "--files", str(files), "--kills", str(kills)]
    told = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=600)
    said = f"{2 * files + kills} kills"
    assert told.returncode == 0 and told.stdout.splitlines()[-1].startswith(said), told.stdout + told.stderr
