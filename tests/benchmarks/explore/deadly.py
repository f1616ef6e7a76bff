"""A task that may kill its worker; its module imports nothing that takes time, because every new worker reads it."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def square(number: int, deadly: int, folder: str, spared: bool) -> int:
    """Its square; the worker that gets the deadly number dies, for good or the first time only."""
    if number == deadly and not (spared and list(Path(folder).iterdir())):
        Path(folder, str(os.getpid())).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number
