"""Chip: the state of one simulated chip, its matrices on tiles and its ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from crossbar_sim.crossbar import Crossbar
from crossbar_sim.errors import MappingError
from crossbar_sim.hardware import Hardware
from crossbar_sim.ledger import Ledger
from crossbar_sim.matrix import MappedMatrix


class Chip:
    """Everything that changes while a chip runs; `Hardware` is what never does."""

    def __init__(self, hardware: Hardware, seed: int = 0) -> None:
        self.hardware, self.seed = hardware, seed
        self.ledger = Ledger()
        self.matrices: dict[str, MappedMatrix] = {}
        self.skipped: list[tuple[str, str]] = []
        self._released: dict[str, Crossbar] = {}

    def matrix(self, name: str, weight: torch.Tensor, scale: NDArray[np.float64] | None = None) -> MappedMatrix:
        """Program a new matrix (outputs, inputs), billed to the current phase; `scale` as in MappedMatrix."""
        if name in self.matrices:
            raise MappingError(f"the chip already holds a matrix called '{name}'; release it first")
        worn = self._released.pop(name, None)
        matrix = MappedMatrix(self.hardware, self.ledger, self.seed, name, weight, scale, worn)
        self.matrices[name] = matrix
        return matrix

    def release(self, name: str) -> None:
        """Give the tiles of a matrix back; a later matrix of that name and shape gets the same, worn cells."""
        self._released[name] = self.matrices.pop(name).crossbar

    def start_task(self) -> None:
        """Count `task_writes` from here."""
        for matrix in self.matrices.values():
            matrix.task_writes[:] = 0

    def wait(self, seconds: float) -> None:
        """Let time pass on the chip: every cell ages by `seconds`, those of released tiles too."""
        for matrix in self.matrices.values():
            matrix.wait(seconds)
        for crossbar in self._released.values():
            crossbar.wait(seconds)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Reads inside are neither billed nor remembered: looking at a run does not change it."""
        states = {matrix: matrix.read_state() for matrix in self.matrices.values()}
        with self.ledger.paused():
            yield
        for matrix, state in states.items():
            matrix.restore_reads(state)

    def writes(self) -> NDArray[np.int64]:
        """Program operations of every cell on the chip since it was made (flat)."""
        return np.concatenate([matrix.crossbar.writes.reshape(-1) for matrix in self.matrices.values()])

    def task_writes(self) -> NDArray[np.int64]:
        """Program operations of every cell in the 'adapt' phases since `start_task` (flat, same order)."""
        return np.concatenate([matrix.task_writes.reshape(-1) for matrix in self.matrices.values()])

    @property
    def plan(self) -> Plan:
        """Which cells belong to what."""
        return Plan(tuple(self.matrices.values()), tuple(self.skipped), self.hardware)


@dataclass(frozen=True)
class Plan:
    """The floor plan: tiles per matrix, utilisation, and what was skipped and why."""

    matrices: tuple[MappedMatrix, ...]
    skipped: tuple[tuple[str, str], ...]
    hardware: Hardware

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
        spec = self.hardware.tile
        return self.cells_used / (self.tile_count * spec.rows * spec.columns) if self.matrices else 0.0

    def rows(self) -> list[dict[str, object]]:
        """One record per tile: name, matrix, inputs, outputs, cells used, utilisation."""
        return [
            {"tile": tile.name, "matrix": matrix.name,
             "inputs": (tile.inputs.start, tile.inputs.stop), "outputs": (tile.outputs.start, tile.outputs.stop),
             "cells_used": tile.cells_used, "utilisation": tile.utilisation}
            for matrix in self.matrices for tile in matrix.tiles
        ]  # fmt: skip

    def __str__(self) -> str:
        spec = self.hardware.tile
        lines = [
            f"Plan: {len(self.matrices)} matrices on {self.tile_count} tiles of {spec.rows} x {spec.columns} cells, "
            f"{self.cells_used} cells used, utilisation {self.utilisation:.1%}"
        ]
        for matrix in self.matrices:
            outputs, inputs = matrix.master.shape
            share = sum(tile.utilisation for tile in matrix.tiles) / len(matrix.tiles)
            lines.append(f"  {matrix.name:<32}{inputs:>5} x {outputs:<5}{len(matrix.tiles):>4} tiles{share:>8.1%}")
        lines += [f"  skipped {name or '(model)'}: {reason}" for name, reason in self.skipped]
        return "\n".join(lines)
