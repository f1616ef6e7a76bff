"""Engines: where the runs of an exploration happen. A task is one design and seed; a worker that dies loses nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from benchmarks.experiments.parallel import WorkersError, check_workers, run_parallel

R = TypeVar("R")
TRIES = 3
"""Of a task whose worker dies."""
LOST = f"its worker died {TRIES} times, perhaps because memory ran out; simulate it alone, with more memory"


class Engine(ABC):
    """Runs tasks on its workers, in any order and with the same results."""

    @abstractmethod
    def run(self, function: Callable[..., R], tasks: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, R | None]]:
        """(place, function(*task)) of every task as they finish; None of one whose workers died."""

    @property
    @abstractmethod
    def workers(self) -> int:
        """Tasks that run side by side."""

    def close(self) -> None:
        """Let the workers go."""
        return None

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Local(Engine):
    """Processes of this machine, which live on from task to task."""

    def __init__(self, workers: int = 2) -> None:
        check_workers(workers)
        self._workers = workers

    @property
    def workers(self) -> int:
        return self._workers

    def run(self, function: Callable[..., R], tasks: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, R | None]]:
        left = dict(enumerate(tasks))
        for attempt in range(TRIES):
            if attempt and len(left) == 1:
                break  # a single task would run in this process
            workers = self._workers if attempt == 0 or self._workers == 1 else max(self._workers // 2, 2)
            try:
                jobs = [(function, place, task) for place, task in left.items()]
                for place, found in run_parallel(_one, jobs, workers):
                    left.pop(place)
                    yield place, found
                return
            except WorkersError:
                continue
        for place, task in left.items():  # whichever it is that kills them: each in a process of its own
            yield place, _alone(function, task)


def _one(function: Callable[..., R], place: int, task: tuple[Any, ...]) -> tuple[int, R]:
    return place, function(*task)


def _alone(function: Callable[..., R], task: tuple[Any, ...]) -> R | None:
    """The result, of a process that runs nothing else; None if that dies."""
    jobs: list[tuple[Callable[..., R | None], int, tuple[Any, ...]]] = [(function, 0, task), (_nothing, 1, ())]
    try:
        return dict(run_parallel(_one, jobs, len(jobs)))[0]
    except WorkersError:
        return None


def _nothing() -> None:
    """Makes a second task, so that the first one runs in a process of its own."""
