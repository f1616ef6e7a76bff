"""Results are files: one folder per specification, one file per seed, simulated once on one thread."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from benchmarks.experiments.claim import claim, sweep
from benchmarks.record import SeedRecord
from crossbar_sim import CrossbarError
from crossbar_sim.runtime.files import write_json
from crossbar_sim.runtime.threads import one_thread

RUNS = Path("runs")
INTERRUPTED = "interrupted; finished runs are kept, running the same again resumes"

R = TypeVar("R", bound=SeedRecord)


@dataclass(frozen=True)
class SeedFiles(Generic[R]):
    """The records of one specification: `folder`/seed_<n>.json, each of this `kind`."""

    folder: Path
    kind: type[R]

    def path(self, seed: int) -> Path:
        """Where the record of a seed is, once it is done."""
        return self.folder / f"seed_{seed}.json"

    def stored(self, seed: int, *, tell: bool = False) -> R | None:
        """The record of one seed from its file; None if there is none, or a damaged one; `tell` says that on stderr.

        Damaged is a file that is no whole JSON object of finite numbers with the keys of `kind`, or of another seed.
        CrossbarError for a folder in its place.
        """
        path = self.path(seed)
        if path.is_dir():
            raise CrossbarError(f"{path} is a folder where the record of a seed belongs; move it away and run again")
        if not path.exists():
            return None
        try:
            record = self.kind.load(path)
            if record.seed != seed:
                raise CrossbarError(f"{path} is the record of seed {record.seed}")
        except CrossbarError as error:
            if tell:
                print(f"xbar: damaged, simulated again: {error}", file=sys.stderr)
            return None
        return record

    def record(self, seed: int, simulate: Callable[[], R]) -> R:
        """The record of one seed: from its file if it is there and whole, else simulated and written.

        Where another process is at it, its record is waited for; if that process ends without one, it is made here.
        """
        record = self.stored(seed)
        if record is None:
            with claim(self.path(seed), wait=True):
                record = self._made(seed, simulate)
        return record

    def record_if_free(self, seed: int, simulate: Callable[[], R]) -> R | None:
        """The same; None, at once, where another process is at it."""
        record = self.stored(seed)
        if record is None:
            with claim(self.path(seed), wait=False) as free:
                record = self._made(seed, simulate) if free else None
        return record

    def sweep(self) -> None:
        """Remove what killed processes left in the folder under hidden names."""
        sweep(self.folder)

    def _made(self, seed: int, simulate: Callable[[], R]) -> R:
        record = self.stored(seed, tell=True)
        if record is None:
            with one_thread():
                record = simulate()
            write_json(self.path(seed), record.as_json())
        return record


def folder_of(runs: str | Path, *parts: object) -> Path:
    """runs/<first 16 digits of the SHA-256 of the parts>."""
    return Path(runs) / hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()[:16]
