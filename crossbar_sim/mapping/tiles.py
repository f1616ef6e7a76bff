"""Matrices <-> grids of tiles, and the largest weight that each column, tile or matrix can hold.

Inputs enter on word lines (rows), outputs leave on bit lines (columns): a torch weight (outputs, inputs) is
stored transposed. `layout` says which cells a weight occupies, `encoding` which conductances they get.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.hardware.tile import TileSpec

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Tile:
    """One tile of a matrix: which inputs and outputs it holds, the columns of each plane of the matrix's cells that
    are its own (outputs and reference), and how many of its cells are used."""

    name: str
    inputs: slice
    outputs: slice
    plane_columns: slice
    rows: int
    columns: int
    cells_used: int

    @property
    def utilisation(self) -> float:
        """Share of the tile's cells that hold a weight or a reference."""
        return self.cells_used / (self.rows * self.columns)


def cut(name: str, inputs: int, outputs: int, tile: TileSpec) -> tuple[Tile, ...]:
    """The tiles that a matrix of `inputs` x `outputs` weights needs, row tiles outermost."""
    tiles = []
    for t, top in enumerate(range(0, inputs, tile.rows)):
        for u, left in enumerate(range(0, outputs, tile.outputs)):
            rows, right = slice(top, min(top + tile.rows, inputs)), min(left + tile.outputs, outputs)
            first = left + u * tile.references
            columns = slice(first, first + right - left + tile.references)
            cells = tile.cells_per_weight * (rows.stop - rows.start) * (columns.stop - columns.start)
            tiles.append(Tile(f"{name}[{t},{u}]", rows, slice(left, right), columns, tile.rows, tile.columns, cells))
    return tuple(tiles)


def column_scale(weight: Floats, policy: Literal["column", "tile", "matrix"]) -> Floats:
    """R per output (outputs,) of weights (inputs, outputs): the largest |w| of the column or of the matrix; 1 if each
    tile has a scale of its own.

    A column of zeros gets the median R of the others, so that its errors are like theirs; a matrix of zeros gets
    1 / sqrt(inputs), the largest weight of a layer that torch has just made.
    """
    if not weight.any():
        return np.full(weight.shape[1], 1 / math.sqrt(weight.shape[0]))
    if policy == "tile":
        return np.ones(weight.shape[1])
    largest = np.abs(weight).max(axis=0) if policy == "column" else np.full(weight.shape[1], np.abs(weight).max())
    return np.where(largest > 0, largest, _median(largest))


def tile_scale(weight: Floats, tile: TileSpec) -> Floats:
    """R per tile (row tiles, column tiles): the largest |w| in it if `tile.scale` is 'tile', else 1.

    A tile of zeros gets the median R of the other tiles of its outputs, if all are zeros that of all other tiles; in a
    matrix of zeros every tile has 1.
    """
    largest = np.ones((-(-weight.shape[0] // tile.rows), -(-weight.shape[1] // tile.outputs)))
    if tile.scale != "tile" or not weight.any():
        return largest
    for one in cut("", weight.shape[0], weight.shape[1], tile):
        place = one.inputs.start // tile.rows, one.outputs.start // tile.outputs
        largest[place] = np.abs(weight[one.inputs, one.outputs]).max()
    of_outputs = np.array([_median(column) if column.any() else _median(largest) for column in largest.T])
    return np.where(largest > 0, largest, of_outputs)


def _median(largest: Floats) -> float:
    """The lower median of those that are not zero."""
    some = np.sort(largest[largest > 0])
    return float(some[(some.size - 1) // 2])
