"""WriteMark: how often each cell of a chip had been written at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.cells.cells import Cells


@dataclass(frozen=True)
class WriteMark:
    """Writes (planes, rows, columns) of all cells at one moment; `Chip.writes_since` tells what came after it.

    Cells, not matrices, are counted: a matrix that gets the worn cells of another goes on where that one stopped.
    """

    writes: Mapping[Cells, NDArray[np.int64]]
