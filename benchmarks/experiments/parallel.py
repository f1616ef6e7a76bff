"""Several processes that simulate side by side and end with the one that started them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError

from crossbar_sim.spec.errors import CrossbarError

R = TypeVar("R")


class WorkersError(CrossbarError):
    """Too few workers, or one was killed."""


def run_parallel(function: Callable[..., R], tasks: Sequence[Iterable[object]], workers: int) -> Iterator[R]:
    """function(*task) of every task, as they finish, on at most `workers` processes; one: in this process, in order.

    Raises WorkersError for less than one worker and for a worker that was killed. When this process ends, however it
    does, its workers end within seconds; an interrupt from the keyboard is this process's alone to tell.
    """
    check_workers(workers)
    if min(workers, len(tasks)) <= 1:
        for task in tasks:
            yield function(*task)
        return
    pool = Parallel(
        n_jobs=min(workers, len(tasks)), return_as="generator_unordered", initializer=ending_with(os.getpid())
    )
    try:
        with interrupts_later():
            finished = pool(delayed(function)(*task) for task in tasks)
        yield from finished
    except TerminatedWorkerError:
        raise WorkersError(
            "a worker was killed, perhaps because memory ran out; finished runs are kept: run the same again, with "
            "fewer workers"
        ) from None


def check_workers(workers: int) -> None:
    """WorkersError for less than one; asked before anything is done."""
    if workers < 1:
        raise WorkersError(f"workers: {workers} processes simulate nothing; give at least 1")


@cache
def ending_with(parent: int) -> Callable[[], None]:
    """What a worker calls first: from then on it ends within a second after its parent, however that ended.

    A function inside a function travels to the worker as code, which runs before anything large is imported there.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    def start() -> None:
        threading.Thread(target=watch, daemon=True).start()

    return start


@contextmanager
def interrupts_later() -> Iterator[None]:
    """An interrupt inside is raised at the end; processes and threads that start inside never see one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
