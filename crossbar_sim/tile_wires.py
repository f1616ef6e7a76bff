"""SeenCells: the conductances that reads of a matrix see through the wires of its tiles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.mapping import Floats, Tile, TileSpec
from crossbar_sim.wires import effective_conductance


class SeenCells:
    """forward, back (planes, inputs, columns) siemens: current at a cell's output per volt at its input, with wires.

    The cells of a weight lie side by side: plus, minus, plus, minus ... The used cells sit in the corner
    next to drivers and sense circuits; the others are open, so their part of the wires carries no current.
    Forward, rows are driven at their left end and columns sensed at their bottom end; back, columns are driven
    and rows sensed at the same ends. The network is reciprocal (its nodal matrix is symmetric), so the back
    matrix is the transpose of the forward one with driver and sense resistance exchanged. Without wires both
    are the conductance itself.
    """

    def __init__(self, spec: TileSpec, tiles: tuple[Tile, ...], conductance: Floats) -> None:
        self._spec, self._tiles, self._conductance = spec, tiles, conductance
        self.forward: Floats = np.zeros_like(conductance) if spec.wired else conductance
        alike = spec.driver_resistance == spec.sense_resistance
        self.back: Floats = self.forward if alike or not spec.wired else np.zeros_like(conductance)

    def update(self, cells: NDArray[np.int64]) -> None:
        """Solve the tiles that hold any of the cells (flat indices of the conductance), which were programmed."""
        if not self._spec.wired:
            return
        for tile in self._holding(cells):
            self.forward[:, tile.inputs, tile.plane_columns] = self._solve(tile, back=False)
            if self.back is not self.forward:
                self.back[:, tile.inputs, tile.plane_columns] = self._solve(tile, back=True)

    def _holding(self, cells: NDArray[np.int64]) -> list[Tile]:
        _, inputs, columns = self._conductance.shape
        tile_columns = self._spec.plane_columns
        grid_row = cells // columns % inputs // self._spec.rows
        grid_column = cells % columns // tile_columns
        across = -(-columns // tile_columns)
        return [self._tiles[index] for index in np.unique(grid_row * across + grid_column)]

    def _solve(self, tile: Tile, back: bool) -> Floats:
        spec = self._spec
        cells = self._conductance[:, tile.inputs, tile.plane_columns]
        planes, rows, columns = cells.shape
        ends = (spec.driver_resistance, spec.sense_resistance)
        at_rows, at_columns = ends[::-1] if back else ends
        effective = effective_conductance(
            cells.transpose(1, 2, 0).reshape(rows, planes * columns),
            word_line_resistance=spec.word_line_resistance, bit_line_resistance=spec.bit_line_resistance,
            driver_resistance=at_rows, sense_resistance=at_columns,
        )  # fmt: skip
        return effective.T.reshape(rows, columns, planes).transpose(2, 0, 1)
