"""Floor plan: which tiles hold what, how full they are, and how many chips that takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.estimates.counted import Counted, Workload
from benchmarks.estimates.estimate import attach_shape, make_method
from benchmarks.estimates.models import find_shape
from benchmarks.record import Record
from crossbar_sim import Hardware, SpecError

Role = Literal["backbone", "pool", "trained"]
ROLES: tuple[Role, ...] = ("backbone", "pool", "trained")


@dataclass(frozen=True)
class Block:
    """The tiles of one matrix (inputs x outputs weights): `across` tiles along the outputs, `down` along the inputs.

    role: of the model itself, a frozen matrix that the method adds, or one that training rewrites.
    """

    name: str
    role: Role
    inputs: int
    outputs: int
    down: int
    across: int
    cells: int

    @property
    def tiles(self) -> int:
        """Tiles in use."""
        return self.down * self.across


class PlannedMatrix(Record):
    """One matrix of a floor plan."""

    matrix: str
    """Its name."""
    role: Role
    """backbone, pool or trained."""
    inputs: int
    """Of the matrix."""
    outputs: int
    """Of the matrix."""
    tiles: int
    """In use."""
    utilisation: float
    """Share of the cells of its tiles that hold a weight."""


class FloorPlanRecord(Record):
    """Totals by role, and every matrix."""

    model: str
    """Its name or file."""
    method: str
    """Its key in METHODS."""
    hardware: str
    """Its name."""
    tiles: int
    """In use."""
    tiles_by_role: dict[str, int]
    """By backbone, pool, trained."""
    utilisation: float | None
    """Share of the cells of the tiles in use that hold a weight."""
    utilisation_by_role: dict[str, float | None]
    """By backbone, pool, trained; None without tiles."""
    tiles_per_chip: int | None
    """If it was said."""
    chips: int | None
    """For all tiles."""
    matrices: tuple[PlannedMatrix, ...]
    """In the order in which they were put on tiles."""


@dataclass(frozen=True)
class FloorPlan:
    """All blocks of a method on a model, in the order in which they were put on tiles."""

    model: str
    method: str
    hardware: Hardware
    blocks: tuple[Block, ...]
    tiles_per_chip: int | None = None

    def tiles(self, role: Role | None = None) -> int:
        """Tiles of one role, or all."""
        return sum(block.tiles for block in self.blocks if role in (None, block.role))

    def cells(self, role: Role | None = None) -> int:
        """Cells that hold a weight."""
        return sum(block.cells for block in self.blocks if role in (None, block.role))

    def utilisation(self, role: Role | None = None) -> float | None:
        """Share of the cells of the tiles in use that hold a weight; None without tiles."""
        tile, tiles = self.hardware.tile, self.tiles(role)
        return self.cells(role) / (tiles * tile.rows * tile.columns) if tiles else None

    @property
    def chips(self) -> int | None:
        """Chips for all tiles; None if it is not said how many tiles a chip has."""
        return None if self.tiles_per_chip is None else -(-self.tiles() // self.tiles_per_chip)

    def record(self) -> FloorPlanRecord:
        """Totals by role, and every matrix."""
        tile = self.hardware.tile
        return FloorPlanRecord(
            model=self.model,
            method=self.method,
            hardware=self.hardware.name,
            tiles=self.tiles(),
            tiles_by_role={role: self.tiles(role) for role in ROLES},
            utilisation=self.utilisation(),
            utilisation_by_role={role: self.utilisation(role) for role in ROLES},
            tiles_per_chip=self.tiles_per_chip,
            chips=self.chips,
            matrices=tuple(
                PlannedMatrix(
                    matrix=block.name,
                    role=block.role,
                    inputs=block.inputs,
                    outputs=block.outputs,
                    tiles=block.tiles,
                    utilisation=block.cells / (block.tiles * tile.rows * tile.columns),
                )
                for block in self.blocks
            ),
        )

    def __str__(self) -> str:
        tile = self.hardware.tile
        lines = [
            f"{self.method} on {self.model}, {self.hardware.name}: {self.tiles():,} tiles of {tile.rows} x "
            f"{tile.columns} cells, utilisation {self.utilisation() or 0:.1%}"
        ]
        for role in ROLES:
            if self.tiles(role):
                count = sum(block.role == role for block in self.blocks)
                lines.append(
                    f"  {role:<10}{count:>6} matrices{self.tiles(role):>12,} tiles{self.utilisation(role) or 0:>9.1%}"
                )
        chips = "not stated" if self.tiles_per_chip is None else f"{self.tiles_per_chip:,}"
        lines.append(f"  tiles per chip {chips}" + (f", chips {self.chips:,}" if self.chips else ""))
        return "\n".join(lines)


def plan_of(model: str, method: str, hardware: str | Path | Hardware, tiles_per_chip: int | None = None) -> FloorPlan:
    """The floor plan of a method on a model that `models.find_shape` takes; SpecError for unknown names."""
    if tiles_per_chip is not None and tiles_per_chip < 1:
        raise SpecError(f"tiles_per_chip must be at least 1, got {tiles_per_chip}")
    shape = find_shape(model)
    design = hardware if isinstance(hardware, Hardware) else Hardware.load(hardware)
    counted = attach_shape(shape, make_method(shape, method), design, Workload(calibration=0))
    return FloorPlan(model, method, design, blocks_of(counted), tiles_per_chip)


def blocks_of(counted: Counted) -> tuple[Block, ...]:
    """One block per matrix on the chip."""
    trained, tile = {matrix.name for matrix in counted.adapter.matrices}, counted.chip.hardware.tile
    blocks = []
    for name, matrix in counted.matrices.items():
        outputs, inputs = matrix.master.shape
        added: Role = "backbone" if name in counted.backbone else "pool"
        role: Role = "trained" if name in trained else added
        blocks.append(
            Block(name, role, inputs, outputs, -(-inputs // tile.rows), -(-outputs // tile.outputs), matrix.cell_count)
        )
    return tuple(blocks)
