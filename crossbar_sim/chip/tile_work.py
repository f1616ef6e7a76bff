"""TileWork: what was done to each tile of one matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.cells.written import Written
from crossbar_sim.mapping.layout import Layout


class TileWork:
    """What programming did to each tile of one matrix, by ledger phase: sums (row tiles, column tiles,
    row_work.SUMS)."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.by_phase: dict[str, NDArray[np.float64]] = {}

    def add(self, phase: str, result: Written) -> None:
        """Add one programming operation; what a single tile did is what its matrix did, and needs no sums."""
        layout = self.layout
        if layout.row_tiles == layout.column_tiles == 1:
            return
        sums = result.sums
        self.by_phase[phase] = self.by_phase[phase] + sums if phase in self.by_phase else sums
