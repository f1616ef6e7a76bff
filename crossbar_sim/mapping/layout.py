"""Layout: where the weights of one matrix sit among the cells of its tiles, and how reads are put together again.

The weight of input k and output j has the fraction f of its column's scale, -1 <= f <= 1, and occupies
`slices` times one or two cells. `mapping` says what one slice holds:

    differential   G+ = g_min + window max(f, 0),   G- = g_min + window max(-f, 0)
    two_sided      G+ = g_min + window (1 + f) / 2, G- = g_min + window (1 - f) / 2
    offset         G  = g_min + window (1 + f) / 2, less one reference cell per row at the middle of the window

The planes of a matrix are its cells by role: slice 0 plus, slice 0 minus, slice 1 plus ...; a plane is an
array (inputs, columns). Columns are the outputs, with the reference of each tile after its last output.
Reads sense, per tile, every column of slice 0, then of slice 1 ...; the sums are then put together digitally.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from crossbar_sim.hardware.tile import TileSpec

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Layout:
    """One matrix of `inputs` x `outputs` weights on tiles of `spec`."""

    spec: TileSpec
    inputs: int
    outputs: int

    @cached_property
    def column_tiles(self) -> int:
        """Tiles side by side."""
        return -(-self.outputs // self.spec.outputs)

    @cached_property
    def row_tiles(self) -> int:
        """Tiles below one another."""
        return -(-self.inputs // self.spec.rows)

    @cached_property
    def columns(self) -> int:
        """Columns of one slice in all tiles."""
        return self.outputs + self.spec.references * self.column_tiles

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the cells: planes, inputs, columns."""
        return self.spec.cells_per_weight, self.inputs, self.columns

    @cached_property
    def column_of(self) -> Integers:
        """Column of each output."""
        outputs = np.arange(self.outputs)
        return outputs + self.spec.references * (outputs // self.spec.outputs)

    @cached_property
    def reference_of(self) -> Integers:
        """Column of each output's reference; empty without references."""
        if not self.spec.references:
            return np.empty(0, np.int64)
        tile = np.arange(self.outputs) // self.spec.outputs
        return np.minimum((tile + 1) * self.spec.plane_columns, self.columns) - 1

    @cached_property
    def plain(self) -> bool:
        """Whether what is sensed is already the output: one slice, no reference."""
        return self.spec.slices == 1 and not self.spec.references

    @property
    def slice_weights(self) -> NDArray[np.float64]:
        """What full scale of each slice is worth of the weight's full scale; they add up to 1."""
        if self.spec.slices == 1:
            return np.ones(1)
        base = 2 ** (self.spec.slice_bits or 1)
        digits = float(base) ** np.arange(self.spec.slices)
        return digits * (base - 1) / (float(base) ** self.spec.slices - 1)

    @property
    def full_scale(self) -> float:
        """Difference of conductance, in windows, that f = 1 makes: 1, or 1/2 against a reference."""
        return 0.5 if self.spec.references else 1.0

    def sensed(self, transposed: bool) -> int:
        """Sums that one read senses: rows (transposed) or columns of every slice, tiles padded when sliced."""
        count, width = self._side(transposed)
        return count if self.spec.slices == 1 else -(-count // width) * self.spec.slices * width

    @cached_property
    def places(self) -> Integers:
        """(slices, columns): where each is among the sums that a forward read senses."""
        return self._places(False)

    @cached_property
    def places_back(self) -> Integers:
        """(slices, inputs): where each is among the sums that a transposed read senses."""
        return self._places(True)

    def _places(self, transposed: bool) -> Integers:
        count, width = self._side(transposed)
        index, slices = np.arange(count), np.arange(self.spec.slices)[:, None]
        return (index // width * self.spec.slices + slices) * width + index % width

    def _side(self, transposed: bool) -> tuple[int, int]:
        return (self.inputs, self.spec.rows) if transposed else (self.columns, self.spec.plane_columns)

    def put_together(self, sensed: torch.Tensor, transposed: bool) -> torch.Tensor:
        """Shift-add of slices, subtraction of references: (vectors, sensed) -> (vectors, outputs or inputs)."""
        if self.spec.slices > 1:
            weights = torch.from_numpy(self.slice_weights).to(sensed)
            count, width = self._side(transposed)
            sensed = torch.einsum("vtsw,s->vtw", sensed.unflatten(1, (-1, self.spec.slices, width)), weights)
            sensed = sensed.flatten(1)[:, :count]
        if self.spec.references and not transposed:
            sensed = sensed[:, self.column_of] - sensed[:, self.reference_of]
        return sensed

    def drive_references(self, x: torch.Tensor) -> torch.Tensor:
        """Inputs of a transposed read (vectors, outputs) -> (vectors, columns): a reference column is driven with
        minus the sum of its tile's inputs."""
        driven = x.new_zeros(len(x), self.columns)
        driven.index_add_(1, torch.from_numpy(self.reference_of), -x)
        driven[:, self.column_of] = x
        return driven

    def net(self, conductance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Siemens (inputs, outputs) for or against each output, of conductances (planes, inputs, columns); full scale
        is `full_scale` windows."""
        sides = self.spec.sides
        planes = conductance.reshape(self.spec.slices, sides, *conductance.shape[1:])
        difference = planes[:, 0] - planes[:, 1] if sides == 2 else planes[:, 0]
        total: NDArray[np.float64] = np.tensordot(self.slice_weights, difference, 1)
        return total[:, self.column_of] - total[:, self.reference_of] if self.spec.references else total
