"""What a mapping scheme is: the cells of one slice of a weight, and what a pulse on both of their lines does."""

from __future__ import annotations

from dataclasses import dataclass

ONE_CELL, BOTH_CELLS, CELL_OF_THE_SIGN = range(3)
"""Which cells of a weight take a pulse that should raise or lower it: the only one; both, in opposite directions; of a
pair the one that holds the weight, by its sign."""


@dataclass(frozen=True)
class Scheme:
    """How a weight sits in cells. f is the weight as a share of the largest, -1 <= f <= 1.

    name: as a tile states it
    shown: how a datasheet calls its cells
    sides: cells of one slice: a pair, or one against a reference
    references: reference columns per slice in each tile, at the middle of the window
    one_sided: a cell of a pair stands at g_min + window max(+-f, 0), else at g_min + window (1 +- f) / 2
    pulsed: which cells take a pulse of a parallel update: ONE_CELL, BOTH_CELLS or CELL_OF_THE_SIGN
    update_range: windows that the weight's full range has for each window that a pulsed cell moves
    """

    name: str
    shown: str
    sides: int
    references: int
    one_sided: bool
    pulsed: int
    update_range: float
