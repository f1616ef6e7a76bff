"""Plan: which cells of a chip belong to what."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from crossbar_sim.chip.matrix import Matrix
from crossbar_sim.hardware import Hardware


@dataclass(frozen=True)
class Plan:
    """The floor plan: tiles per matrix, utilisation, and what was skipped and why.

    hardware: the chip's own; a matrix may sit on tiles of other hardware (`matrix.hardware`). cut_ties: names of layers
    that shared one weight before one or more of them went on tiles.
    """

    matrices: tuple[Matrix, ...]
    skipped: tuple[tuple[str, str], ...]
    hardware: Hardware
    cut_ties: tuple[tuple[str, ...], ...] = ()

    @property
    def tile_count(self) -> int:
        """Tiles in use."""
        return sum(len(matrix.tiles) for matrix in self.matrices)

    @property
    def cells_used(self) -> int:
        """Cells that hold a weight."""
        return sum(tile.cells_used for matrix in self.matrices for tile in matrix.tiles)

    @property
    def utilisation(self) -> float:
        """Share of the cells of all tiles in use that hold a weight."""
        cells = sum(tile.rows * tile.columns for matrix in self.matrices for tile in matrix.tiles)
        return self.cells_used / cells if cells else 0.0

    @property
    def tile_kinds(self) -> dict[tuple[str, int, int], int]:
        """Tiles in use by (hardware, rows, columns), in the order they were first used."""
        return dict(
            Counter(
                (matrix.hardware.name, tile.rows, tile.columns) for matrix in self.matrices for tile in matrix.tiles
            )
        )

    def rows(self) -> list[dict[str, object]]:
        """One record per tile: name, matrix, hardware, inputs, outputs, cells used, utilisation."""
        return [
            {
                "tile": tile.name,
                "matrix": matrix.name,
                "hardware": matrix.hardware.name,
                "inputs": (tile.inputs.start, tile.inputs.stop),
                "outputs": (tile.outputs.start, tile.outputs.stop),
                "cells_used": tile.cells_used,
                "utilisation": tile.utilisation,
            }
            for matrix in self.matrices
            for tile in matrix.tiles
        ]

    def __str__(self) -> str:
        kinds = self.tile_kinds
        if len(kinds) == 1:
            ((_, rows, columns),) = kinds
            tiles = f"{self.tile_count} tiles of {rows} x {columns} cells"
        else:
            each = [f"{count} of {name}, {rows} x {columns} cells" for (name, rows, columns), count in kinds.items()]
            tiles = f"{self.tile_count} tiles ({'; '.join(each)})" if each else "0 tiles"
        lines = [
            f"Plan: {len(self.matrices)} matrices on {tiles}, {self.cells_used} cells used, "
            f"utilisation {self.utilisation:.1%}"
        ]
        for matrix in self.matrices:
            outputs, inputs = matrix.master.shape
            share = sum(tile.utilisation for tile in matrix.tiles) / len(matrix.tiles)
            lines.append(f"  {matrix.name:<32}{inputs:>5} x {outputs:<5}{len(matrix.tiles):>4} tiles{share:>8.1%}")
        lines += [f"  skipped {name or '(model)'}: {reason}" for name, reason in self.skipped]
        lines += [
            f"  tie cut: {', '.join(layers)} shared one weight; what is on tiles has its own from now on"
            for layers in self.cut_ties
        ]
        return "\n".join(lines)
