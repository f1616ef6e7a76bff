"""SeenCells: the conductances that reads of a matrix see through the wires of its tiles."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
from numpy.typing import NDArray

from crossbar_sim.hardware.tile import TileSpec
from crossbar_sim.mapping.tiles import Floats, Tile
from crossbar_sim.wires.exact import effective_conductance


class SeenCells:
    """forward, back (planes, inputs, columns) siemens: current at a cell's output per volt at its input, with wires.

    The cells of a weight lie side by side: plus, minus, plus, minus ... The used cells sit in the corner
    between the used cells and drivers at the far end. Forward, rows are driven at their left end (and, in a
    double-sided tile, their right end) and columns sensed at their bottom end; back, columns are driven at their
    bottom (and top) end and rows sensed at their left end. Single-sided, the network is reciprocal (its nodal matrix
    is symmetric): with equal driver and sense resistance both matrices are one. Without wires both are the
    conductance itself.
    """

    def __init__(self, spec: TileSpec, tiles: tuple[Tile, ...], conductance: Floats) -> None:
        self._spec, self._tiles, self._conductance, self.wired = spec, tiles, conductance, spec.wired
        self.forward: Floats = np.zeros_like(conductance) if self.wired else conductance
        alike = spec.driver_resistance == spec.sense_resistance and not spec.double_sided
        self.back: Floats = self.forward if alike or not self.wired else np.zeros_like(conductance)

    def update(self, cells: NDArray[np.int64]) -> None:
        """Solve the tiles that hold any of the cells (flat indices of the conductance), which were programmed.

        Tiles are solved side by side on numba's number of threads; the result does not depend on it.
        """
        if not self.wired:
            return
        tiles = self._holding(cells)
        ways = [(self.forward, self._forward)]
        if self.back is not self.forward:
            ways.append((self.back, self._back))
        with ThreadPoolExecutor(numba.get_num_threads()) as pool:
            for seen, solve in ways:
                for tile, effective in zip(tiles, pool.map(solve, tiles), strict=True):
                    seen[:, tile.inputs, tile.plane_columns] = effective

    def _holding(self, cells: NDArray[np.int64]) -> list[Tile]:
        _, inputs, columns = self._conductance.shape
        tile_columns = self._spec.plane_columns
        grid_row = cells // columns % inputs // self._spec.rows
        grid_column = cells % columns // tile_columns
        across = -(-columns // tile_columns)
        return [self._tiles[index] for index in np.unique(grid_row * across + grid_column)]

    def _layout(self, tile: Tile) -> Floats:
        """The used cells as they lie: (rows, columns of all planes) siemens."""
        cells = self._conductance[:, tile.inputs, tile.plane_columns]
        planes, rows, columns = cells.shape
        return cells.transpose(1, 2, 0).reshape(rows, planes * columns)

    def _forward(self, tile: Tile) -> Floats:
        cells, spec = self._layout(tile), self._spec
        effective = effective_conductance(
            cells,
            word_line_resistance=spec.word_line_resistance,
            bit_line_resistance=spec.bit_line_resistance,
            driver_resistance=spec.driver_resistance,
            sense_resistance=spec.sense_resistance,
            double_sided=spec.double_sided,
            open_columns=tile.columns - cells.shape[1],
        )
        return self._planes(effective.T)

    def _back(self, tile: Tile) -> Floats:
        """As a forward read of the array with its lines exchanged: each begins at its driver, at the bottom."""
        cells, spec = self._layout(tile), self._spec
        effective = effective_conductance(
            cells.T[::-1, ::-1],
            word_line_resistance=spec.bit_line_resistance,
            bit_line_resistance=spec.word_line_resistance,
            driver_resistance=spec.driver_resistance,
            sense_resistance=spec.sense_resistance,
            double_sided=spec.double_sided,
            open_columns=tile.rows - cells.shape[0],
        )
        return self._planes(effective[::-1, ::-1])

    def _planes(self, effective: Floats) -> Floats:
        """(rows, columns of all planes) -> (planes, rows, columns)."""
        planes = self._spec.cells_per_weight
        return effective.reshape(len(effective), -1, planes).transpose(2, 0, 1)
