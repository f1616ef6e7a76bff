"""The pools of LoRA modules that ship: one folder per backbone, found by name by the methods that mix a pool."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from benchmarks.problems.backbones import BACKBONE_FOLDER
from peft_methods import Method, Pool
from peft_methods.checkpoints.pool import add_pools, pool_folder
from peft_methods.methods.pooled import PoolMethod, with_pool

POOL_FOLDER = BACKBONE_FOLDER.parent / "pools"
add_pools(POOL_FOLDER)


@cache
def load_pool(folder: Path) -> Pool:
    """A pool of LoRA modules; read once per process."""
    return Pool.load(folder)


def folder_for(method: Method, backbone: str, pool: str | None = None) -> Path:
    """Where the modules are that a method may mix: the pool that it names, else the folder `pool`, else the pool that
    ships for the backbone."""
    if isinstance(method, PoolMethod) and isinstance(method.pool, str):
        return pool_folder(method.pool)
    return POOL_FOLDER / backbone if pool is None else Path(pool)


def with_folder(method: Method, folder: Path) -> Method:
    """The method as it is; with the pool of a folder if it mixes one and names none."""
    return with_pool(method, lambda: load_pool(folder))
