"""A comparison that is killed loses nothing and leaves nothing behind; python -m tests.kills does it more often."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests import ROOT


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes of a group are found in /proc")
@pytest.mark.parametrize("what", ["compare", "explore"])
def test_what_is_killed_at_a_file_and_at_a_random_moment_goes_on_to_the_same_bytes(what: str) -> None:
    program = [sys.executable, "-m", "tests.kills", "--what", what, "--files", "1", "--kills", "1"]
    told = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert told.returncode == 0 and told.stdout.splitlines()[-1].startswith("3 kills"), told.stdout + told.stderr
