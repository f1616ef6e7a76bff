"""Threads for compiled kernels that release Python's lock.

Where torch runs on GNU OpenMP, its threads take the parts. They stay awake for a while after each of torch's products,
so they start at once, and threads of our own would have to wait for the cores that they hold. Elsewhere, and in a
forked process, which OpenMP's threads do not follow, there is a pool of our own.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numba
import torch

HOME = os.getpid()
"""The process that imported this; another one was forked from it."""
Region: Any = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def side_by_side(work: Callable[[int], None], count: int) -> None:
    """work(0), ..., work(count - 1) on numba's number of threads, the caller's among them; each takes the next that
    nobody has begun. Raises what any of them raised."""
    workers = min(count, thread_count())
    if workers == 1:
        for part in range(count):
            work(part)
        return
    parts, errors = iter(range(count)), list[BaseException]()

    def take_parts(_: object = None) -> None:
        try:
            for part in parts:
                work(part)
        except BaseException as error:  # raised again by the caller's thread
            errors.append(error)

    region = openmp_region() if os.getpid() == HOME else None
    if region is not None:
        region(Region(take_parts), None, workers, 0)
    else:
        pool = _threads(os.getpid(), workers - 1)
        others = [pool.submit(take_parts) for _ in range(1, workers)]
        take_parts()
        for other in others:
            other.result()
    if errors:
        raise errors[0]


def in_parts(work: Callable[..., None], count: int, least: int, *arguments: Any) -> None:
    """work(begin, end, *arguments) for equal parts of `count`, side by side on numba's number of threads; a part is
    `least` or more, or the whole."""
    if count < 2 * least:
        return work(0, count, *arguments)
    workers = min(thread_count(), count // least)
    side_by_side(lambda worker: work(count * worker // workers, count * (worker + 1) // workers, *arguments), workers)


def thread_count() -> int:
    """numba's number of threads, as it is now; torch's is left alone."""
    _launch()
    return numba.get_num_threads()


@lru_cache(maxsize=1)
def _launch() -> None:
    """Start numba's threads. On OpenMP it then sets the number of threads for all that run on that library; torch gets
    back the number that it had."""
    before = torch.get_num_threads()
    numba.get_num_threads()
    if torch.get_num_threads() != before:
        torch.set_num_threads(before)


@lru_cache(maxsize=1)
def openmp_region() -> Any:
    """GOMP_parallel(function, its argument, threads, flags) of the library that torch runs on; None where it has
    none."""
    try:
        region = ctypes.CDLL(torch._C.__file__).GOMP_parallel
    except (OSError, AttributeError):
        return None
    region.argtypes, region.restype = [Region, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint], None
    return region


@lru_cache(maxsize=2)
def _threads(process: int, count: int) -> ThreadPoolExecutor:
    """Kept from call to call, since starting threads costs as much as a small product; a forked process has its own."""
    return ThreadPoolExecutor(count, thread_name_prefix="crossbar-sim")


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch and numba on one thread, so that results do not depend on the machine's core count."""
    torch_threads, numba_threads = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(torch_threads)
        numba.set_num_threads(numba_threads)
