"""A small comparison or exploration that is killed, looked at, and run again until it is done.

The command and its two workers are forked from a process that has done the same once, so a moment at random falls into
the work, and not into imports and the loading of kernels.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import sys
import time
import tomllib
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch
from joblib.externals.loky.backend.context import set_start_method

from benchmarks.cli import main

SUITE = """
name = "killed"
shots_per_class = 1
seeds = [0, 1]
tasks = ["occlude"]
methods = [{ name = "linear-probe", steps = 2 }, { name = "lora", steps = 2 }]
"""
EXPLORATION = """
name = "killed"
shots_per_class = 1
seeds = [0, 1]
tasks = ["occlude"]
method = { name = "linear-probe", steps = 2 }
pilot = 2
rungs = [{ steps = 1, seeds = 1 }, {}]
search = { designs = 6, batch = 3, sampler = "nsga2" }
[vary]
"adc.bits" = { from = 4, to = 8 }
"tile.rows" = [64, 128]
"""
FILES = 6
"""That the suite writes: a record per seed and a result per method."""
TIMES = re.compile(rb'"processor_s": [0-9.e+-]+')
"""What a record says of how long it took."""
LEFT_AFTER = 5.0
"""Seconds after which no process may be left."""
KILLED = -signal.SIGKILL
LONGEST = 600.0
"""Seconds that a comparison may take."""


@dataclass(frozen=True)
class Job:
    """What is killed: the file that it reads, and the words of its command."""

    text: str
    words: tuple[str, ...]


JOBS = {
    "compare": Job(SUITE, ("compare", "suite.toml", "--report", "None")),
    "explore": Job(EXPLORATION, ("explore", "suite.toml")),
}


class Kills:
    """What was done and seen; begins with a job that nobody kills."""

    def __init__(self, place: Path, what: str = "compare") -> None:
        self.job = JOBS[what]
        self.place, self.folder = place, place / "runs"
        self.number = 0
        """Of kills."""
        self.finished = 0
        """Comparisons that were killed and then ran to their end."""
        self.faults: list[str] = []
        warm_up(place, self.job)
        begun = time.monotonic()
        status = ended(start(self.folder, self.job), LONGEST)
        self.seconds = time.monotonic() - begun
        """That a whole comparison takes."""
        self.wanted = contents(self.folder)
        """What it writes."""
        if status != 0 or (what == "compare" and len(self.wanted) != FILES):
            log = log_of(self.folder).read_text()
            raise RuntimeError(f"it fails even if nobody kills it: status {status}, files {list(self.wanted)}\n{log}")
        shutil.rmtree(self.folder)

    def __str__(self) -> str:
        return "\n".join([f"{self.number} kills, {self.finished} comparisons finished after them", *self.faults])

    def at_file(self, number: int, after: bool) -> None:
        """Kill it right before, or right after, the file of this number is put in its place; then finish it."""
        process = start(self.folder, self.job, (number, after, self.place / f"count{self.number}"))
        status = ended(process, LONGEST)
        if status != KILLED:
            self._fault(f"file {number}: ended with {status} instead of being killed")
        self._look(process)
        self._finish()

    def at_random(self, kills: int, seed: int) -> None:
        """Kill it so many times at random moments, now alone, now with its workers; one may be killed several times
        before it is done."""
        draw, before = np.random.default_rng(seed), self.number
        while self.number - before < kills:
            process = start(self.folder, self.job)
            if ended(process, draw.uniform(0.02, 1.0) * self.seconds) is None:
                (os.killpg if draw.random() < 0.3 else os.kill)(process, signal.SIGKILL)
                ended(process, LONGEST)
                self._look(process)
            else:
                self._finish()
        if kills:
            self._finish()

    def _fault(self, what: str) -> None:
        self.faults.append(f"kill {self.number}: {what}")

    def _look(self, group: int) -> None:
        """After a kill: who is left, and what the files hold."""
        self.number += 1
        deadline = time.monotonic() + LEFT_AFTER
        while alive(group) and time.monotonic() < deadline:
            time.sleep(0.05)
        if left := alive(group):
            self._fault(f"{len(left)} processes are left after {LEFT_AFTER:g} s")
            os.killpg(group, signal.SIGKILL)
        for name, content in contents(self.folder).items():
            if Path(name).name.startswith("."):
                continue  # of the moment: the next run takes it away
            try:
                (tomllib if name.endswith(".toml") else json).loads(content.decode())
            except ValueError:
                self._fault(f"{name} is not whole JSON")
            if content != self.wanted.get(name):
                self._fault(f"{name} differs from that of a comparison that nobody killed")

    def _finish(self) -> None:
        """Run it to its end, compare, and clear the folder for the next one; nothing hidden may be left either."""
        if (status := ended(start(self.folder, self.job), LONGEST)) != 0:
            self._fault(f"the same command fails then: {status}\n{log_of(self.folder).read_text()}")
        found = contents(self.folder)
        if found.keys() != self.wanted.keys():
            self._fault(f"other files at the end: {sorted(found.keys() ^ self.wanted.keys())}")
        if differ := [name for name in found.keys() & self.wanted.keys() if found[name] != self.wanted[name]]:
            self._fault(f"other content at the end: {differ}")
        self.finished += 1
        shutil.rmtree(self.folder)


def warm_up(place: Path, job: Job) -> None:
    """Do in this process what the command does, on one thread: what it imports, compiles and keeps is inherited."""
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    (place / "suite.toml").write_text(job.text)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.chdir(place):
        main([*job.words, "--runs", str(place / "warm"), "--workers", "1"])


def start(folder: Path, job: Job, hook: tuple[int, bool, Path] | None = None) -> int:
    """The job in a process group of its own; its output goes to a file beside `folder`."""
    sys.stdout.flush()
    process = os.fork()
    if process:
        return process
    status = 70
    try:
        os.setsid()
        output = os.open(log_of(folder), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(folder.parent)
        set_start_method("fork")
        if hook is not None:
            kill_at(folder, *hook)
        main([*job.words, "--runs", str(folder), "--workers", "2"])
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
        os._exit(status)


def log_of(folder: Path) -> Path:
    """Where the comparison in this folder says what it says."""
    return folder.parent / "log.txt"


def kill_at(folder: Path, number: int, after: bool, count: Path) -> None:
    """From now on, in this process and in those forked from it: whoever is at the file of this number, of all that are
    put in their place in `folder`, dies at it, and the leader of its group a moment before."""
    replace = os.replace

    def killing(source: Any, target: Any) -> None:
        mine = str(target).startswith(str(folder))
        if mine:
            with open(count, "ab") as file:
                file.write(b".")
                file.flush()
                mine = file.tell() == number
        if not mine or after:
            replace(source, target)
        if mine:
            os.kill(os.getpgrp(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = killing  # type: ignore[assignment]


def ended(process: int, seconds: float) -> int | None:
    """The exit status of a child, negative for a signal; None if it still runs so many seconds later."""
    deadline = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.005)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file by its path, hidden ones too; without times."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): TIMES.sub(b'"processor_s": 0', path.read_bytes()) for path in found}


def alive(group: int) -> list[int]:
    """Processes of a group that still run; those that only wait to be reaped do not."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, its_group = path.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                found.append(int(path.parent.name))
    return found
