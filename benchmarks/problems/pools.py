"""The pools of LoRA modules that ship: one folder per backbone, found by name by the methods that mix a pool."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from benchmarks.problems.backbones import BACKBONE_FOLDER
from peft_methods import Pool
from peft_methods.checkpoints.pool import add_pools

POOL_FOLDER = BACKBONE_FOLDER.parent / "pools"
add_pools(POOL_FOLDER)


@cache
def load_pool(folder: Path) -> Pool:
    """A pool of LoRA modules; read once per process."""
    return Pool.load(folder)
