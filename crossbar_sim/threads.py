"""Threads for compiled kernels that release Python's lock."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numba


def side_by_side(work: Callable[[int], None], workers: int) -> None:
    """work(0), ..., work(workers - 1) at the same time, each in a thread of its own, the first in the caller's."""
    if workers == 1:
        return work(0)
    pool = _threads(os.getpid(), workers - 1)
    others = [pool.submit(work, worker) for worker in range(1, workers)]
    work(0)
    for other in others:
        other.result()


def in_parts(work: Callable[..., None], count: int, least: int, *arguments: Any) -> None:
    """work(begin, end, *arguments) for equal parts of `count`, side by side on numba's number of threads; a part is
    `least` or more, or the whole."""
    workers = 1 if count < 2 * least else min(numba.get_num_threads(), count // least)
    side_by_side(lambda worker: work(count * worker // workers, count * (worker + 1) // workers, *arguments), workers)


@lru_cache(maxsize=2)
def _threads(process: int, count: int) -> ThreadPoolExecutor:
    """Kept from call to call, since starting threads costs as much as a small product; a forked process has its own."""
    return ThreadPoolExecutor(count, thread_name_prefix="crossbar-sim")
