"""Cases in forked children: what each ended in, and what of that is not allowed.

A child takes one case after the other and says so on a pipe; one that hangs or dies costs only itself, and the next
child goes on behind it.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crossbar_sim import CrossbarError

Family = Callable[[np.random.Generator, Path], None]
"""Draws a case, tries it in an empty folder; raises CrossbarError if it was refused, Unsound if the result is wrong."""
MOST_CHARACTERS = 400
MEMORY = 12 * 2**30
"""Of address space, on top of what the parent has: a case that asks for more gets a MemoryError."""
STARTING = 40.0
"""Seconds that the first case of a child has in addition: kernels may have to be compiled. A case that takes too long
is tried again as the first of another child."""


class Unsound(AssertionError):
    """A result that is not what it must be."""


@dataclass(frozen=True)
class Outcome:
    """What one case ended in: 'ok', 'refused', or a violation with what it was."""

    family: str
    case: int
    kind: str
    message: str = ""

    @property
    def allowed(self) -> bool:
        """Whether a user may see this."""
        return self.kind in ("ok", "refused")


def generator_of(family: str, seed: int, case: int) -> np.random.Generator:
    """The same numbers for the same case, whichever others are run."""
    return np.random.default_rng([seed, case, *family.encode()])


def judge(name: str, family: Family, seed: int, case: int, folder: Path) -> Outcome:
    """Try one case here."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            family(generator_of(name, seed, case), folder)
    except CrossbarError as error:
        text = str(error)
        kind = "refused" if len(text) <= MOST_CHARACTERS and "\n" not in text else "long message"
        return Outcome(name, case, kind, f"{len(text)} characters: {text[:300]}")
    except Unsound as error:
        return Outcome(name, case, "unsound", str(error))
    except BaseException as error:
        where = [f"{Path(one.filename).name}:{one.lineno}" for one in traceback.extract_tb(error.__traceback__)[-3:]]
        return Outcome(name, case, "traceback", f"{type(error).__name__}: {str(error)[:200]} ({' < '.join(where)})")
    return Outcome(name, case, "ok")


def run(name: str, family: Family, seed: int, cases: Sequence[int], limit: float) -> Iterator[Outcome]:
    """What each case ended in, in order; `limit`: seconds for each."""
    left = list(cases)
    while left:
        done = 0
        for outcome in _child(name, family, seed, left, limit):
            if outcome.kind == "hang" and done:
                break
            yield outcome
            done += 1
        left = left[done:]


def _child(name: str, family: Family, seed: int, cases: Sequence[int], limit: float) -> Iterator[Outcome]:
    """Outcomes of a forked child, the last of them that of the case that hung or killed it."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _work(name, family, seed, cases, writing)
    os.close(writing)
    begun, deadline, text = 0, time.monotonic() + limit + STARTING, b""
    try:
        while begun < len(cases):
            ready, _, _ = select.select([reading], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                yield Outcome(name, cases[begun], "hang", f"more than {limit:g} s")
                return
            read = os.read(reading, 65536)
            if not read:
                yield Outcome(name, cases[begun], "crash", "the process died")
                return
            *lines, text = (text + read).split(b"\n")
            for line in lines:
                yield Outcome(**json.loads(line))
                begun, deadline = begun + 1, time.monotonic() + limit
    finally:
        os.close(reading)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _work(name: str, family: Family, seed: int, cases: Sequence[int], pipe: int) -> None:
    """The child: never returns."""
    try:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (_address_space() + MEMORY, hard))
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        for case in cases:
            with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
                outcome = judge(name, family, seed, case, Path(folder))
            os.write(pipe, json.dumps(vars(outcome)).encode() + b"\n")
    finally:
        os._exit(0)


def _address_space() -> int:
    """Bytes that this process has mapped; 0 where the system does not say."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[0]) * resource.getpagesize() if pages.is_file() else 0


def table(outcomes: Sequence[Outcome], seed: int) -> str:
    """Counts per family, then each violation with the command that repeats it."""
    families = sorted({outcome.family for outcome in outcomes})
    lines = [f"{'family':<10}{'cases':>7}{'ok':>7}{'refused':>9}{'violations':>12}"]
    for family in families:
        kinds = Counter(outcome.kind for outcome in outcomes if outcome.family == family)
        wrong = kinds.total() - kinds["ok"] - kinds["refused"]
        lines.append(f"{family:<10}{kinds.total():>7}{kinds['ok']:>7}{kinds['refused']:>9}{wrong:>12}")
    for one in outcomes:
        if not one.allowed:
            repeat = f"--family {one.family} --seed {seed} --only {one.case}"
            lines.append(f"{one.kind}: {one.message}\n    python -m tests.fuzz {repeat}")
    return "\n".join(lines)
