"""Pools of LoRA modules: those that ship, found by name, and the one of a problem."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from benchmarks.problems.backbones import BACKBONE_FOLDER
from benchmarks.problems.problem import Problem, ProblemError
from peft_methods import Method, Pool
from peft_methods.checkpoints.pool import add_pools, pool_folder
from peft_methods.methods.pooled import PoolMethod, with_pool

POOL_FOLDER = BACKBONE_FOLDER.parent / "pools"
add_pools(POOL_FOLDER)


@cache
def load_pool(folder: Path) -> Pool:
    """A pool of LoRA modules; read once per process."""
    return Pool.load(folder)


def folder_for(method: Method, problem: Problem, pool: str | None = None) -> Path | None:
    """Where the modules are that a method mixes: the pool that it names, else the folder `pool`, else that of the
    problem; None: it mixes none, or has one in memory, or there is none. ProblemError if the problem's is still to be
    trained."""
    if not isinstance(method, PoolMethod) or isinstance(method.pool, Pool):
        return None
    if isinstance(method.pool, str):
        return pool_folder(method.pool)
    if pool is not None:
        return Path(pool)
    if problem.pool_training is not None and not Path(problem.pool or "").is_dir():
        raise ProblemError(
            f"{method.label} mixes the pool of '{problem.name}', which is not trained yet; "
            f"`xbar problem train-pool {problem.name}` trains it, into {problem.pool}"
        )
    return None if problem.pool is None else Path(problem.pool)


def with_folder(method: Method, folder: Path | None) -> Method:
    """The method as it is; with the pool of a folder if it mixes one and names none."""
    return method if folder is None else with_pool(method, lambda: load_pool(folder))


def pool_digest(method: Method, folder: Path | None) -> str:
    """SHA-256 over the pool that a method mixes; empty for none."""
    if isinstance(method, PoolMethod) and isinstance(method.pool, Pool):
        return method.pool.digest()
    return "" if folder is None else _digest_of(folder)


@cache
def _digest_of(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(folder.rglob("adapter_*")):
        total.update(path.read_bytes())
    return total.hexdigest()
