"""Results are files: one folder per specification, one file per seed, simulated once on one thread."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numba
import torch

from benchmarks.record import Record
from crossbar_sim.runtime.files import write_json

RUNS = Path("runs")

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class SeedFiles(Generic[R]):
    """The records of one specification: `folder`/seed_<n>.json, each of this `kind`."""

    folder: Path
    kind: type[R]

    def path(self, seed: int) -> Path:
        """Where the record of a seed is, once it is done."""
        return self.folder / f"seed_{seed}.json"

    def record(self, seed: int, simulate: Callable[[], R]) -> R:
        """The record of one seed: from its file if it is there, else simulated and written."""
        path = self.path(seed)
        if path.is_file():
            return self.kind.load(path)
        with one_thread():
            record = simulate()
        write_json(path, record.as_json())
        return record


def folder_of(runs: Path, *parts: object) -> Path:
    """runs/<first 16 digits of the SHA-256 of the parts>."""
    return runs / hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()[:16]


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
