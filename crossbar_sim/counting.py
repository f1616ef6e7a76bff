"""CountingChip: a chip that bills every read and write as a simulated one does, but holds no cell.

Models and methods run unchanged on torch's meta device; what depends on data is taken from `Activity`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator
from torch import nn

from crossbar_sim.billing import ReadCosts, bill_read, bill_written, read_costs
from crossbar_sim.chip import Chip
from crossbar_sim.crossbar import Crossbar, Programming
from crossbar_sim.errors import MappingError, SpecError
from crossbar_sim.hardware import Hardware
from crossbar_sim.ledger import PHASES, Ledger
from crossbar_sim.mapping import CELLS_PER_WEIGHT, Tile, column_scale, cut, to_conductance
from crossbar_sim.matrix import MappedMatrix
from crossbar_sim.mvm import Programmed
from crossbar_sim.spec import Spec, nearest
from crossbar_sim.write_samples import (
    CellWrite,
    Changes,
    cell_write,
    expected_writing,
    fresh,
    gaussian_drive,
    gaussian_levels,
    level_count,
    neighbours,
)

Share = Annotated[float, Field(ge=0, le=1)]


class Activity(Spec):
    """What a bill takes from data, and a count cannot know.

    changed_share: cells of trained matrices on tiles whose level changes in a step; 1 is the bound.
    drive, transposed_drive: mean over inputs and vectors of (x / max |x|)^2, forward and transposed; None: Gaussian x.
    levels: by ledger phase, the share of the cells at each level when they are programmed first; a phase without
    entry: those of the weights if they have values, else of Gaussian weights. changes: (level before, level after,
    share) of rewritten cells; None: to the next level.
    """

    changed_share: Share = 1.0
    drive: Share | None = None
    transposed_drive: Share | None = None
    levels: dict[str, tuple[Share, ...]] = Field(default_factory=dict)
    changes: tuple[tuple[int, int, Share], ...] | None = None

    @field_validator("levels")
    @classmethod
    def _known_phases(cls, value: dict[str, tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
        for phase in value:
            if phase not in PHASES:
                raise SpecError(f"levels: no phase '{phase}'{nearest(phase, list(PHASES))}")
        return value


class CountingLedger(Ledger):
    """A ledger in which everything billed inside `repeated(n)` counts n times."""

    times: int = 1

    @contextmanager
    def repeated(self, times: int) -> Iterator[None]:
        """Everything billed inside happens `times` times."""
        before, self.times = self.times, times
        try:
            yield
        finally:
            self.times = before

    def add(self, component: str, place: str, energy: float, count: int, time: float = 0.0) -> None:
        super().add(component, place, self.times * energy, self.times * count, self.times * time)

    def add_writes(self, place: str, cells: int) -> None:
        super().add_writes(place, self.times * cells)


class CountingChip(Chip):
    """A chip whose matrices are shapes. `activity` must be set before what it describes happens."""

    ledger: CountingLedger

    def __init__(self, hardware: Hardware, seed: int = 0, activity: Activity | None = None) -> None:
        super().__init__(hardware, seed)
        self.ledger = CountingLedger()
        self.activity = Activity() if activity is None else activity
        self.cell_writes: dict[tuple[tuple[tuple[int | None, int], float], ...], CellWrite] = {}
        self.read_costs_of: dict[tuple[int, int], dict[bool, ReadCosts]] = {}

    def cell_write(self, changes: Changes) -> CellWrite:
        """The expected cost of one write, computed once per distribution of level changes."""
        key = tuple(changes.items())
        if key not in self.cell_writes:
            self.cell_writes[key] = cell_write(self.hardware, changes)
        return self.cell_writes[key]

    def read_costs(self, inputs: int, outputs: int) -> dict[bool, ReadCosts]:
        """What a forward (False) and a transposed (True) vector cost, computed once per shape."""
        shape, tile = (inputs, outputs), self.hardware.tile
        if shape not in self.read_costs_of:
            forward = _shape_only(inputs, outputs, tile.rows, tile.outputs)
            back = _shape_only(outputs, inputs, tile.outputs, tile.rows)
            self.read_costs_of[shape] = {
                False: read_costs(self.hardware, forward, 1), True: read_costs(self.hardware, back, CELLS_PER_WEIGHT),
            }  # fmt: skip
        return self.read_costs_of[shape]

    def matrix(self, name: str, weight: torch.Tensor, scale: NDArray[np.float64] | None = None) -> MappedMatrix:
        if name in self.matrices:
            raise MappingError(f"the chip already holds a matrix called '{name}'; release it first")
        matrix = CountedMatrix(self, name, weight, scale)
        self.matrices[name] = matrix
        return matrix

    def release(self, name: str) -> None:
        del self.matrices[name]

    def start_task(self) -> None:
        """There is no cell whose writes could be counted."""

    def writes(self) -> NDArray[np.int64]:
        raise MappingError("a CountingChip has no cells; simulate to know how often each was written")

    def task_writes(self) -> NDArray[np.int64]:
        return self.writes()


class CountedMatrix(MappedMatrix):
    """A matrix (outputs, inputs) on tiles that are only counted; its master stays on the meta device."""

    def __init__(self, chip: CountingChip, name: str, weight: torch.Tensor, scale: NDArray[np.float64] | None) -> None:
        nn.Module.__init__(self)
        if weight.ndim != 2 or 0 in weight.shape:
            raise MappingError(f"{name}: only non-empty matrices go on tiles, got shape {tuple(weight.shape)}")
        self.hardware, self.ledger, self.name, self.activity = chip.hardware, chip.ledger, name, chip.activity
        self.chip = chip
        self.master = nn.Parameter(torch.empty(weight.shape, device="meta"), requires_grad=False)
        outputs, inputs = weight.shape
        self.cell_shape = (CELLS_PER_WEIGHT, inputs, outputs)
        device = self.hardware.device
        phase = self.ledger.current_phase
        self.levels = self.activity.levels.get(phase) or _levels_of(weight, scale, self.hardware)
        if len(self.levels) != level_count(device):
            raise SpecError(
                f"levels: {device.name} has {level_count(device)} levels, phase '{phase}' has {len(self.levels)} shares"
            )
        mean_level = float(np.linspace(0.0, 1.0, len(self.levels)) @ np.array(self.levels))
        self.conductance = float(np.prod(self.cell_shape)) * (device.g_min + device.window * mean_level)
        self.drives = {
            False: gaussian_drive(inputs) if self.activity.drive is None else self.activity.drive,
            True: gaussian_drive(outputs) if self.activity.transposed_drive is None else self.activity.transposed_drive,
        }
        self.costs = chip.read_costs(inputs, outputs)
        self._write(fresh(self.levels), 1.0)

    @property
    def tiles(self) -> tuple[Tile, ...]:  # type: ignore[override]
        """Cut on demand: a large model has a million."""
        outputs, inputs = self.master.shape
        return cut(self.name, inputs, outputs, self.hardware.tile)

    @property
    def tile_count(self) -> int:
        """How many tiles."""
        outputs, inputs = self.master.shape
        return -(-inputs // self.hardware.tile.rows) * -(-outputs // self.hardware.tile.outputs)

    @property
    def cells(self) -> int:
        """Cells that hold a weight."""
        return CELLS_PER_WEIGHT * self.master.numel()

    @property
    def crossbar(self) -> Crossbar:  # type: ignore[override]
        raise MappingError(f"{self.name} is only counted and has no cells; use Chip to simulate")

    def weight(self) -> torch.Tensor:
        """Shape only."""
        return self.master.detach()

    def program(self) -> Programming:
        """Bill the expected rewrite of the share of the cells that changes."""
        given = self.activity.changes
        changes = neighbours(self.levels, self.hardware.device) if given is None else _as_changes(given)
        return self._write(changes, self.activity.changed_share)

    def _write(self, changes: Changes, share: float) -> Programming:
        if share == 0:
            return ExpectedProgramming(0)
        write, times = self.chip.cell_write(changes), self.chip.ledger.times
        written = expected_writing(self.hardware, write, self.cell_shape, share, times)
        with self.chip.ledger.repeated(1):
            bill_written(self.hardware, self.ledger, self.name, written)
        return ExpectedProgramming(written.cells)

    def read(self, x: torch.Tensor, transposed: bool = False) -> torch.Tensor:
        """One analog read per vector of x (vectors, ...): shapes only."""
        vectors = len(x)
        self._bill_reads(vectors, transposed, self.drives[transposed])
        return x.new_empty(vectors, self.master.shape[1 if transposed else 0])

    def gradient_to_input(self, gradient: torch.Tensor) -> torch.Tensor:
        if self.hardware.backward == "analog":
            return self.read(gradient, transposed=True)
        self._bill_reads(len(gradient), True, 1.0)
        return gradient.new_empty(len(gradient), self.master.shape[1])

    def _bill_reads(self, vectors: int, transposed: bool, drive: float) -> None:
        conduction = vectors * drive * self.conductance
        bill_read(self.ledger, self.name, self.hardware.device, self.costs[transposed], conduction, vectors)

    def read_state(self) -> list[Any]:
        return []

    def restore_reads(self, state: list[Any]) -> None:
        """Nothing is remembered."""

    def clipped_share(self, transposed: bool = False) -> float:
        raise MappingError(f"{self.name} is only counted and clips nothing; use Chip to simulate")


class ExpectedProgramming(Programming):
    """How many cells were programmed; nothing is known of any single one."""

    def __init__(self, cells: int) -> None:
        counts, none = np.empty(0, np.int32), np.empty(0)
        super().__init__(np.empty(0, np.int64), none, counts, counts, counts, none, none, none)
        object.__setattr__(self, "expected", cells)

    expected: int

    @property
    def count(self) -> int:
        return self.expected


def _levels_of(weight: torch.Tensor, scale: NDArray[np.float64] | None, hardware: Hardware) -> tuple[float, ...]:
    """Share of the cells at each level: counted if the weight has values, of Gaussian weights on the meta device."""
    device, policy = hardware.device, hardware.tile.scale
    count = level_count(device)
    if weight.device.type == "meta":
        return gaussian_levels(weight.shape[1] if policy == "column" else weight.numel(), count)
    values = weight.detach().cpu().double().numpy().T
    targets = to_conductance(values, column_scale(values, policy) if scale is None else scale, device)
    nearest_level = np.rint((targets - device.g_min) / device.window * (count - 1)).astype(np.int64)
    return tuple((np.bincount(nearest_level.reshape(-1), minlength=count) / targets.size).tolist())


def _as_changes(changes: tuple[tuple[int, int, float], ...]) -> Changes:
    return {(before, after): share for before, after, share in changes}


def _shape_only(inputs: int, outputs: int, tile_inputs: int, tile_outputs: int) -> Programmed:
    """What `read_costs` looks at: an array of that shape that takes no memory."""
    zero = np.float32(0)
    wide, tall, flat = (np.broadcast_to(zero, shape) for shape in ((inputs, outputs), (inputs,), (outputs,)))
    return Programmed(wide, None, tall, tall, flat, tile_inputs, tile_outputs)
