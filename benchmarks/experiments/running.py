"""run_all: every seed of experiments or streams, on several processes, each record a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from benchmarks.experiments.parallel import check_workers, run_parallel
from benchmarks.experiments.seed_runs import Out, R, SeedRuns
from benchmarks.experiments.storage import INTERRUPTED, RUNS
from crossbar_sim.runtime.files import check_folder
from crossbar_sim.runtime.interrupts import interrupts_say


@interrupts_say(INTERRUPTED)
def run_all(
    questions: Sequence[SeedRuns[R, Out]], *, workers: int = 2, runs: str | Path = RUNS, progress: bool = True
) -> list[Out]:
    """Run every seed of every experiment or stream that is not on disk yet, on `workers` processes.

    The results do not depend on `workers`. A killed command resumes: finished seeds are files. Several commands
    on one folder share the seeds: none is simulated twice. Raises CrossbarError before anything is simulated for less
    than one worker and for a folder that cannot be written, and for a worker that was killed.
    """
    check_workers(workers)
    missing: list[tuple[int, int]] = []
    records: dict[tuple[int, int], R] = {}
    for place, question in enumerate(questions):
        for seed in question.seeds:
            stored = question.files(runs).stored(seed)
            if stored is None:
                missing.append((place, seed))
            else:
                records[place, seed] = stored
    if missing:
        check_folder(Path(runs))
        with tqdm(total=len(missing), desc="simulating", unit="run", disable=not progress) as shown:
            for run in (run_if_free, run_one):  # first what no other command is at, then the rest
                open_ones = [one for one in missing if one not in records]
                tasks = [(questions[place], place, seed, runs) for place, seed in open_ones]
                for place, seed, record in run_parallel(run, tasks, workers):
                    if record is not None:
                        records[place, seed] = record
                        shown.update()
    return [
        question.collect([records[place, seed] for seed in question.seeds], runs)
        for place, question in enumerate(questions)
    ]


def run_one(question: SeedRuns[R, Out], place: int, seed: int, runs: str | Path) -> tuple[int, int, R | None]:
    """One seed of what is at `place`, on whichever worker; waits where another command is at it."""
    return place, seed, question.run_seed(seed, runs)


def run_if_free(question: SeedRuns[R, Out], place: int, seed: int, runs: str | Path) -> tuple[int, int, R | None]:
    """The same without waiting; None where another command is at it."""
    return place, seed, question.run_seed_if_free(seed, runs)
