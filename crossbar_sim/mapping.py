"""Weights <-> conductances of differential pairs, and matrices <-> grids of tiles.

One weight w with column scale R occupies two cells: G+ = g_min + window * max(w, 0) / R and
G- = g_min + window * max(-w, 0) / R, so w = R (G+ - G-) / window. Inputs enter on word lines (rows),
outputs leave on bit-line pairs (columns): a torch weight (outputs, inputs) is stored transposed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from crossbar_sim import mapping_kernels
from crossbar_sim.devices import DeviceModel
from crossbar_sim.errors import MappingError
from crossbar_sim.spec import SourcedSpec
from crossbar_sim.units import Farad, Ohm

Floats = NDArray[np.float64]
CELLS_PER_WEIGHT = 2
WIRE_RESISTANCES = ("word_line_resistance", "bit_line_resistance", "driver_resistance", "sense_resistance")


class TileSpec(SourcedSpec):
    """One physical array of cells: `rows` word lines by `columns` bit lines, the two cells of a pair side by side.

    word_line_resistance, bit_line_resistance: per segment between neighbouring cells; driver_resistance,
    sense_resistance: of each driving and each sensing circuit, in both directions of reading. double_sided: whatever
    is driven (word lines, in transposed reads bit lines) is driven at both ends by the same voltage.
    """

    rows: Annotated[int, Field(ge=1)]
    columns: Annotated[int, Field(ge=2)]
    scale: Literal["column", "matrix"] = "column"
    line_capacitance: Annotated[Farad, Field(ge=0)] = 0.0
    word_line_resistance: Annotated[Ohm, Field(ge=0)] = 0.0
    bit_line_resistance: Annotated[Ohm, Field(ge=0)] = 0.0
    driver_resistance: Annotated[Ohm, Field(ge=0)] = 0.0
    sense_resistance: Annotated[Ohm, Field(ge=0)] = 0.0
    double_sided: bool = False

    @property
    def outputs(self) -> int:
        """Differential pairs side by side in one tile."""
        return self.columns // CELLS_PER_WEIGHT

    @property
    def wired(self) -> bool:
        """Whether anything between drivers, cells and sense circuits has resistance."""
        return any(getattr(self, name) > 0 for name in WIRE_RESISTANCES)

    def without_wires(self) -> Self:
        """A copy in which every cell sees the full line voltage."""
        notes = {key: note for key, note in self.provenance.items() if key not in WIRE_RESISTANCES}
        return self.replace(**dict.fromkeys(WIRE_RESISTANCES, 0.0), provenance=notes)


@dataclass(frozen=True)
class Tile:
    """One tile of a matrix: which inputs and outputs it holds, and how many of its cells they use."""

    name: str
    inputs: slice
    outputs: slice
    rows: int
    columns: int

    @property
    def cells_used(self) -> int:
        """Cells that hold a weight."""
        return CELLS_PER_WEIGHT * (self.inputs.stop - self.inputs.start) * (self.outputs.stop - self.outputs.start)

    @property
    def utilisation(self) -> float:
        """Share of the tile's cells that hold a weight."""
        return self.cells_used / (self.rows * self.columns)


def cut(name: str, inputs: int, outputs: int, tile: TileSpec) -> tuple[Tile, ...]:
    """The tiles that a matrix of `inputs` x `outputs` weights needs, row tiles outermost."""
    return tuple(
        Tile(
            f"{name}[{t},{u}]",
            slice(top, min(top + tile.rows, inputs)),
            slice(left, min(left + tile.outputs, outputs)),
            tile.rows,
            tile.columns,
        )
        for t, top in enumerate(range(0, inputs, tile.rows))
        for u, left in enumerate(range(0, outputs, tile.outputs))
    )


def column_scale(weight: Floats, policy: Literal["column", "matrix"]) -> Floats:
    """R per output: the largest |w| of the column (or of the matrix); 1 where every weight is zero."""
    largest = np.abs(weight).max(axis=0) if policy == "column" else np.full(weight.shape[1], np.abs(weight).max())
    return np.where(largest > 0, largest, 1.0)


def to_conductance(weight: Floats, scale: Floats, device: DeviceModel) -> Floats:
    """Target conductances (2, inputs, outputs) siemens of weights (inputs, outputs), on the device's levels.

    Weights beyond their column's scale are clipped to it: that is all the window can hold.
    """
    target = np.full((CELLS_PER_WEIGHT, *weight.shape), np.nan)
    retarget(np.ascontiguousarray(weight.T), scale, device, target)
    return target


def retarget(
    weight: NDArray[np.floating], scale: Floats, device: DeviceModel, target: Floats
) -> tuple[NDArray[np.int64], Floats]:
    """Move `target` (2, inputs, outputs) to the targets of `weight` (outputs, inputs), in place.

    Returns the flat indices of the cells whose target changed (all, where target was NaN) and their new
    targets. Raises MappingError for weights that are not finite.
    """
    if not np.isfinite(weight).all():
        raise MappingError("weights to be mapped must be finite, got NaN or infinity; check the model's weights")
    cells, goals = np.empty(target.size, np.int64), np.empty(target.size)
    levels = device.levels if device.levels is not None else 0
    count = mapping_kernels.retarget(weight, scale, device.g_min, device.window, levels, target, cells, goals)
    return cells[:count], goals[:count]


def to_weight(conductance: Floats, scale: Floats, device: DeviceModel) -> Floats:
    """Weights (inputs, outputs) that conductances (2, inputs, outputs) stand for."""
    return scale * (conductance[0] - conductance[1]) / device.window
