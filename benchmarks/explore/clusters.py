"""The engine of many machines: Dask, on workers of this machine, of a scheduler, or of a cluster's queue."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from benchmarks.experiments.parallel import check_workers
from benchmarks.explore.engines import TRIES, Engine
from crossbar_sim import CrossbarError
from crossbar_sim.spec.documents import read_toml
from crossbar_sim.spec.spec import Spec

R = TypeVar("R")
QUEUES = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "lsf": "LSFCluster", "sge": "SGECluster"}
"""What a file calls a queue -> its class in dask-jobqueue."""


class ClusterError(CrossbarError):
    """No cluster can be had."""


class Queue(Spec):
    """A cluster's queue, from which jobs with long-lived workers are asked: one worker a core.

    jobs: that are asked for. cores, memory ('4GB'), walltime ('04:00:00'): of each job. script: lines that the job
    script runs before the worker, such as the activation of an environment. options: further lines for the queue, such
    as '--constraint=zen4'.
    """

    queue: Literal["slurm", "pbs", "lsf", "sge"]
    jobs: Annotated[int, Field(ge=1, le=100_000)] = 1
    cores: Annotated[int, Field(ge=1, le=4096)] = 1
    memory: str = "4GB"
    walltime: str = "04:00:00"
    partition: str | None = None
    account: str | None = None
    interface: str | None = None
    folder: str = "dask-logs"
    script: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def cluster(self) -> Any:
        """The cluster of dask-jobqueue, no job asked for yet."""
        jobqueue = _module("dask_jobqueue", "dask-jobqueue")
        return getattr(jobqueue, QUEUES[self.queue])(
            cores=self.cores,
            processes=self.cores,
            memory=self.memory,
            walltime=self.walltime,
            queue=self.partition,
            account=self.account,
            interface=self.interface,
            log_directory=self.folder,
            job_script_prologue=[*self.script, "export NUMBA_NUM_THREADS=1 OMP_NUM_THREADS=1"],
            job_extra_directives=list(self.options),
            scheduler_options={"dashboard_address": ":0"},
        )

    def job_script(self) -> str:
        """What each job is submitted as."""
        with self.cluster() as cluster:
            return str(cluster.job_script())


class DaskEngine(Engine):
    """Workers of Dask: `workers` processes of this machine, those of the scheduler at an address, or of a queue.

    patience: how long to wait for a scheduler. ClusterError where there is none.
    """

    def __init__(
        self, workers: int = 2, *, scheduler: str | None = None, queue: Queue | None = None, patience: str = "20s"
    ) -> None:
        check_workers(workers)
        distributed = _module("distributed", "distributed")
        self._distributed = distributed
        self._cluster: Any = None
        importlib.import_module("dask").config.set({"distributed.scheduler.allowed-failures": TRIES - 1})
        try:
            if scheduler is not None:
                self._client = distributed.Client(scheduler, timeout=patience)
            else:
                if queue is None:
                    self._cluster = distributed.LocalCluster(
                        n_workers=workers, threads_per_worker=1, dashboard_address=None, memory_limit=0
                    )
                else:
                    self._cluster = queue.cluster()
                    self._cluster.scale(jobs=queue.jobs)
                self._client = distributed.Client(self._cluster)
        except (OSError, ValueError, TimeoutError) as error:
            raise ClusterError(
                f"no cluster at {scheduler or (queue and queue.queue) or 'this machine'}: {str(error)[:200]}; check "
                "the address, and that the scheduler runs"
            ) from None
        self._wanted = queue.jobs * queue.cores if queue is not None else workers

    @property
    def workers(self) -> int:
        return max(len(self._client.scheduler_info()["workers"]), self._wanted if self._cluster is not None else 1)

    def run(self, function: Callable[..., R], tasks: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, R | None]]:
        def submitted(place: int) -> Any:
            return self._client.submit(function, *tasks[place], pure=False, retries=TRIES - 1)

        futures = {submitted(place): place for place in range(len(tasks))}
        killed: list[int] = []
        for future in self._distributed.as_completed(list(futures)):
            place = futures.pop(future)
            try:
                yield place, future.result()
            except self._distributed.KilledWorker:
                killed.append(place)
        for place in sorted(killed):  # or they waited on a worker that another task killed: each once more, alone
            try:
                found = submitted(place).result()
            except self._distributed.KilledWorker:
                found = None
            yield place, found

    def close(self) -> None:
        """Let the workers go; a scheduler that was there before stays."""
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def read_queue(path: str | Path) -> Queue:
    """A queue from a TOML file."""
    return Queue.from_document(read_toml(path), where=str(path))


def _module(name: str, package: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ClusterError(
            f"{package} is not installed; pip install 'crossbar-sim[cluster]', or use --engine local"
        ) from None
