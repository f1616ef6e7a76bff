"""A case: one piece of work, whoever can do it, and a check that all did the same; timed side by side."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numba
import numpy as np
import threadpoolctl
import torch
from numpy.typing import NDArray

from benchmarks.record import Record
from crossbar_sim.spec.errors import CrossbarError

OURS = "crossbar-sim"
ROUNDS = 15  # each simulator runs once per round, so that a disturbance hits all of them
SECONDS = 30.0  # a case stops after this long, though not before three rounds
WAKING = 4  # runs before one is timed on several threads, which have slept
IDLE = 0.1  # other libraries' threads go on spinning for a while after their work and would take the core
Run = Callable[[], Any]


class DisagreementError(CrossbarError):
    """Two simulators that should compute the same do not."""


@dataclass
class Case:
    """runs: simulator -> what is timed; `products`: the weights' multiply-accumulates of one run (0: not a product).
    expected: the exact result; errors: simulator -> its relative error, demanded to be at most `tolerance`. limit: the
    simulator that is the reference of the ratios."""

    name: str
    title: str
    limit: str
    products: int = 0
    runs: dict[str, Run] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    tolerance: float = 1e-5

    def add(self, simulator: str, run: Run, error: float | None = None) -> None:
        """A simulator's run; refuses one whose error is beyond the tolerance."""
        if error is not None:
            self.errors[simulator] = error
            if not error <= self.tolerance:
                raise DisagreementError(
                    f"case {self.name}: {simulator} is off by {error:.2g}, more than {self.tolerance:.2g}; "
                    f"it does not compute what the case asks for"
                )
        self.runs[simulator] = run


def relative_error(result: Any, expected: NDArray[Any]) -> float:
    """|result - expected| / |expected|, Euclidean."""
    return float(np.linalg.norm(np.asarray(result, np.float64) - expected) / np.linalg.norm(expected))


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Torch and compiled kernels on `count` threads inside."""
    before = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(count)
    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
    try:
        with threadpoolctl.threadpool_limits(count, "blas"):
            yield
    finally:
        torch.set_num_threads(before[0])
        numba.set_num_threads(before[1])


class Timing(Record):
    """How long one simulator took."""

    case: str
    """What was timed."""
    simulator: str
    """Who did it."""
    threads: int
    """Compute threads."""
    median_s: float
    """Of the runs."""
    least_s: float
    """Of the runs."""
    runs: int
    """How many."""
    gmac_per_s: float | None
    """1e9 multiply-accumulates of the weights per second, by the median; None: not a product."""
    relative_error: float | None
    """Against the exact result; None: not comparable."""
    times_limit: float
    """Least time over that of the reference."""


def measure(case: Case, thread_count: int, rounds: int = ROUNDS) -> list[Timing]:
    """One record per simulator: median and least seconds of the interleaved runs; ratios are of the least.

    One thread is timed by the processor time it used, more threads by the clock: other programs disturb both, and the
    least time is the one they disturbed least.
    """
    clock = time.process_time if thread_count == 1 else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in case.runs}
    with threads(thread_count):
        for run in case.runs.values():
            run()
        started = time.perf_counter()
        for count in range(rounds):
            for name, run in case.runs.items():
                if thread_count > 1:
                    time.sleep(IDLE)
                    for _ in range(WAKING):
                        run()
                before = clock()
                run()
                seconds[name].append(clock() - before)
            if count >= 2 and time.perf_counter() - started > SECONDS:
                break
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    return [
        Timing(
            case=case.name,
            simulator=name,
            threads=thread_count,
            median_s=medians[name],
            least_s=min(seconds[name]),
            runs=len(seconds[name]),
            gmac_per_s=case.products / medians[name] / 1e9 if case.products else None,
            relative_error=case.errors.get(name),
            times_limit=min(seconds[name]) / min(seconds[case.limit]),
        )
        for name in case.runs
    ]
