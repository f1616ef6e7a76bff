"""Engines: workers that die lose nothing and are named; Dask gives what local processes give."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.explore import clusters
from benchmarks.explore.clusters import ClusterError, DaskEngine, Queue, read_queue
from benchmarks.explore.course import explore
from benchmarks.explore.engines import Local
from crossbar_sim import SpecError
from tests.benchmarks.explore.deadly import square
from tests.benchmarks.explore.small import content, of_chips

needs_dask = pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="distributed is not installed")
needs_queues = pytest.mark.skipif(
    importlib.util.find_spec("dask_jobqueue") is None, reason="dask-jobqueue is not installed"
)
SLURM = """
queue = "slurm"
jobs = 3
cores = 8
memory = "16GB"
walltime = "02:00:00"
partition = "short"
account = "rram"
script = ["source ~/venv/bin/activate"]
options = ["--constraint=zen4"]
"""


@pytest.mark.usefixtures("forked_workers")
def test_a_worker_that_dies_once_loses_nothing(tmp_path: Path) -> None:
    tasks = [(number, 3, str(tmp_path), True) for number in range(8)]
    assert dict(Local(2).run(square, tasks)) == {number: number**2 for number in range(8)}


@pytest.mark.usefixtures("forked_workers")
def test_a_task_that_always_kills_its_worker_is_the_only_one_lost(tmp_path: Path) -> None:
    tasks = [(number, 3, str(tmp_path), False) for number in range(6)]
    assert dict(Local(2).run(square, tasks)) == {number: None if number == 3 else number**2 for number in range(6)}


@pytest.fixture(scope="module")
def dask() -> Iterator[DaskEngine]:
    with DaskEngine(2) as engine:
        assert isinstance(engine, DaskEngine)
        yield engine


@needs_dask
@pytest.mark.slow
def test_workers_of_dask_find_what_one_process_finds(dask: DaskEngine, tmp_path: Path) -> None:
    one = of_chips()
    explore(one, engine=dask, runs=tmp_path / "dask", progress=False)
    explore(one, engine=Local(1), runs=tmp_path / "local", progress=False)
    assert content(tmp_path / "dask") == content(tmp_path / "local")


@needs_dask
@pytest.mark.slow
def test_a_task_that_kills_workers_of_dask_is_the_only_one_lost(dask: DaskEngine, tmp_path: Path) -> None:
    tasks = [(number, 3, str(tmp_path), False) for number in range(6)]
    assert dict(dask.run(square, tasks)) == {number: None if number == 3 else number**2 for number in range(6)}


@needs_dask
def test_a_scheduler_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ClusterError, match="check the address"):
        DaskEngine(scheduler="tcp://127.0.0.1:1", patience="1s")


@needs_queues
def test_the_job_script_of_a_queue_asks_for_what_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "slurm.toml"
    path.write_text(SLURM)
    script = read_queue(path).job_script()
    for line in ("#SBATCH -p short", "#SBATCH -A rram", "#SBATCH -t 02:00:00", "#SBATCH --cpus-per-task=8"):
        assert line in script
    for words in ("--constraint=zen4", "source ~/venv/bin/activate", "NUMBA_NUM_THREADS=1", "--nworkers 8"):
        assert words in script


def test_a_queue_that_nobody_knows_is_refused() -> None:
    with pytest.raises(SpecError, match="queue"):
        Queue(queue="cron")  # type: ignore[arg-type]


def test_without_dask_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(clusters.importlib, "import_module", absent)
    with pytest.raises(ClusterError, match="pip install"):
        DaskEngine(2)
