"""SeenCells: the conductances that reads of a matrix see through the wires of its tiles."""

from __future__ import annotations

import numpy as np

from crossbar_sim.hardware.tile import TileSpec
from crossbar_sim.mapping.tiles import Floats, Tile
from crossbar_sim.runtime.threads import side_by_side
from crossbar_sim.wires.exact import effective_conductance


class SeenCells:
    """forward, back (planes, inputs, columns) siemens: current at a cell's output per volt at its input, with wires.

    The cells of a weight lie side by side: plus, minus, plus, minus ... The used cells sit in the corner
    between the used cells and drivers at the far end. Forward, rows are driven at their left end (and, in a
    double-sided tile, their right end) and columns sensed at their bottom end; back, columns are driven at their
    bottom (and top) end and rows sensed at their left end. Single-sided, the network is reciprocal (its nodal matrix
    is symmetric): with equal driver and sense resistance both matrices are one.
    """

    def __init__(self, spec: TileSpec, tiles: tuple[Tile, ...], conductance: Floats) -> None:
        self._spec = spec
        self._tiles = tiles
        self._conductance = conductance
        self.forward: Floats = np.zeros_like(conductance)
        one_matrix = spec.driver_resistance == spec.sense_resistance and not spec.double_sided
        self.back: Floats = self.forward if one_matrix else np.zeros_like(conductance)
        self._solved: Floats = np.full_like(conductance, np.nan)

    def update(self) -> None:
        """Solve the tiles whose cells are not what they were when they were solved last.

        Tiles are solved side by side on numba's number of threads; the result does not depend on it.
        """
        changed = [tile for tile in self._tiles if self._changed(tile)]
        ways = [(self.forward, self._forward)]
        if self.back is not self.forward:
            ways.append((self.back, self._back))

        def solve(job: int) -> None:
            tile, (seen, effective) = changed[job // len(ways)], ways[job % len(ways)]
            seen[:, tile.inputs, tile.plane_columns] = effective(tile)

        side_by_side(solve, len(changed) * len(ways))
        np.copyto(self._solved, self._conductance)

    def _changed(self, tile: Tile) -> bool:
        cells = np.s_[:, tile.inputs, tile.plane_columns]
        return not np.array_equal(self._solved[cells], self._conductance[cells])

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
