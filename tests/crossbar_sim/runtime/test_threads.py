"""Kernels on several threads: every part once, errors reach the caller, and forked processes have threads too."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections.abc import Iterator

import numba
import pytest
import torch

from crossbar_sim.runtime import threads
from tests.oracles.on_threads import on_threads


@pytest.fixture(params=["OpenMP", "own pool"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "own pool":
        monkeypatch.setattr(threads, "openmp_region", lambda: None)
    elif not (sys.platform == "linux" and "parallel backend: OpenMP" in torch.__config__.parallel_info()):
        pytest.skip("torch does not run on GNU OpenMP here")
    else:
        assert threads.openmp_region() is not None
    with on_threads(2):
        yield str(request.param)


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_every_part_is_done_once(either: str, parts: int) -> None:
    done: list[int] = []
    for _ in range(20):
        done.clear()
        threads.side_by_side(done.append, parts)
        assert sorted(done) == list(range(parts))


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="numba has one thread here")
def test_two_parts_run_at_the_same_time(either: str) -> None:
    both = threading.Barrier(2, timeout=30)
    threads.side_by_side(lambda part: both.wait() and None, 2)


def test_an_error_reaches_the_caller_and_ends_nothing_else(either: str) -> None:
    def work(part: int) -> None:
        if part == 2:
            raise ArithmeticError("part 2")

    for _ in range(3):
        with pytest.raises(ArithmeticError, match="part 2"):
            threads.side_by_side(work, 3)
    test_every_part_is_done_once(either, 3)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        torch.ones(512, 512) @ torch.ones(512, 512)
        with on_threads(2):
            threads.side_by_side(lambda part: None, 2)
        child = multiprocessing.get_context("fork").Process(target=_work_in_parts)
        child.start()
        child.join(60)
        if child.is_alive():
            child.kill()
        assert child.exitcode == 0
    finally:
        torch.set_num_threads(before)


def _work_in_parts() -> None:
    done: list[int] = []
    with on_threads(2):
        threads.side_by_side(done.append, 2)
    assert sorted(done) == [0, 1]
