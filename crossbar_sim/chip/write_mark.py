"""WriteMark: how often each cell of a chip had been written at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.cells.cells import Cells


@dataclass(frozen=True)
class WriteMark:
    """Writes (planes, rows, columns) of all cells at one moment, one number for many where all were written as often;
    `Chip.writes_since` tells what came after it.

    Cells, not matrices, are counted: a matrix that gets the worn cells of another goes on where that one stopped.
    """

    writes: Mapping[Cells, NDArray[np.integer]]


def noted(writes: NDArray[np.integer]) -> NDArray[np.integer]:
    """A copy of writes per cell, which keeps a single number where all are the same."""
    first = writes.reshape(-1)[:1]
    return np.broadcast_to(first[0], writes.shape) if first.size and (writes == first).all() else writes.copy()


def since(now: NDArray[np.integer], before: NDArray[np.integer]) -> NDArray[np.int64]:
    """Writes per cell that came between; a single number for all where both are."""
    if any(now.strides) or any(before.strides):
        return now.astype(np.int64) - before
    first = (0,) * now.ndim
    return np.broadcast_to(np.int64(now[first]) - np.int64(before[(0,) * before.ndim]), now.shape)
