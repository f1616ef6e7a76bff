"""Wear levelling: which inputs change rows, so that no row takes all the writes."""

from __future__ import annotations

import numpy as np

from crossbar_sim.hardware.wear_levelling import WearLevelling
from crossbar_sim.runtime.counter_random import Key, uniforms_at
from crossbar_sim.spec.arrays import Integers


class Rows:
    """Which row each input of a matrix is on; `row_of` (inputs,). Without levelling it never changes.

    operations: writes so far; writes_at_move (inputs,): of the most written cell of each row, when it was last moved.
    """

    def __init__(self, levelling: WearLevelling | None, inputs: int, tile_rows: int, key: Key) -> None:
        self.levelling, self.key = levelling, key
        self.row_of = np.arange(inputs)
        self.tiles = [slice(top, min(top + tile_rows, inputs)) for top in range(0, inputs, tile_rows)]
        self.operations = 0
        self.writes_at_move = np.zeros(inputs, np.int64)

    def after_write(self, writes: Integers) -> Integers | None:
        """The rows of the inputs from now on, or None if all stay; writes (planes, inputs, columns) per cell."""
        if self.levelling is None:
            return None
        self.operations += 1
        interval = self.levelling.interval
        worst = writes.max(axis=(0, 2))
        moved = self.row_of.copy()
        if self.levelling.policy == "row_swap":
            for tile in self.tiles:
                recent = (worst - self.writes_at_move)[tile]
                total, rows = worst[tile], moved[tile]
                hot, cold = int(recent.argmax()), int(total.argmin())
                if recent[hot] >= interval and total[hot] > total[cold]:
                    on_hot, on_cold = rows == tile.start + hot, rows == tile.start + cold
                    rows[on_hot], rows[on_cold] = tile.start + cold, tile.start + hot
                    # the move itself writes both rows once
                    self.writes_at_move[[tile.start + hot, tile.start + cold]] = total[[hot, cold]] + 1
        elif self.operations % interval == 0:
            draws = uniforms_at(np.full(moved.size, self.operations % 2**31, np.uint32), self.key)
            for tile in self.tiles:
                moved[tile] = tile.start + np.argsort(draws[tile], kind="stable")
        return None if np.array_equal(moved, self.row_of) else moved
