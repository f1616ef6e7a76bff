"""CountingChip: a chip that bills every read and write as a simulated one does, but holds no cell.

Models and methods run unchanged on torch's meta device; what depends on data is taken from `Activity`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator
from torch import nn

from crossbar_sim.cells.cells import Cells
from crossbar_sim.cells.written import Written
from crossbar_sim.chip.chip import Chip
from crossbar_sim.chip.simulated import MappedMatrix
from crossbar_sim.counting.weight_levels import gaussian_drive, level_count, levels_of
from crossbar_sim.counting.write_samples import (
    CellWrite,
    Changes,
    cell_write,
    expected_writing,
    fresh,
    neighbours,
)
from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.ledger.billing import bill_read, bill_writes
from crossbar_sim.ledger.ledger import PHASES, Ledger
from crossbar_sim.ledger.read_costs import ReadCosts, ReadCounts, read_costs, read_counts
from crossbar_sim.mapping.layout import Layout
from crossbar_sim.mapping.tiles import Tile, cut
from crossbar_sim.spec.errors import MappingError, SpecError
from crossbar_sim.spec.spec import Spec, nearest

Share = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]


class Activity(Spec):
    """What a bill takes from data, and a count cannot know.

    changed_share: cells of trained matrices on tiles whose level changes in a step; 1 is the bound.
    drive, transposed_drive: mean over inputs and vectors of the squared drives of all reads of a vector (one read:
    (x / max |x|)^2; bit by bit: the bits that are set), forward and transposed; None: those of Gaussian x.
    levels: by ledger phase, the share of the cells at each level when they are programmed first; a phase without
    entry: those of the weights if they have values, else of Gaussian weights. changes: (level before, level after,
    share) of rewritten cells; None: to the next level.
    """

    changed_share: Share = 1.0
    drive: NotNegative | None = None
    transposed_drive: NotNegative | None = None
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

    def add_terms(self, place: str, terms: Iterable[tuple[str, int, float]], times: int = 1) -> None:
        super().add_terms(place, terms, self.times * times)

    def add_writes(self, place: str, cells: int) -> None:
        super().add_writes(place, self.times * cells)


class CountingChip(Chip):
    """A chip whose matrices are shapes. `activity` must be set before what it describes happens."""

    ledger: CountingLedger

    def __init__(self, hardware: Hardware, seed: int = 0, activity: Activity | None = None) -> None:
        super().__init__(hardware, seed)
        self.ledger = CountingLedger()
        self.activity = Activity() if activity is None else activity
        self.cell_writes: dict[tuple[str, tuple[tuple[tuple[int | None, int], float], ...]], CellWrite] = {}
        self.read_costs_of: dict[tuple[str, int, int], dict[bool, tuple[ReadCounts, ReadCosts]]] = {}
        self._digests: dict[int, str] = {}

    def cell_write(self, hardware: Hardware, changes: Changes) -> CellWrite:
        """The expected cost of one write, computed once per distribution of level changes."""
        key = (self._digest(hardware), tuple(changes.items()))
        if key not in self.cell_writes:
            self.cell_writes[key] = cell_write(hardware, changes)
        return self.cell_writes[key]

    def read_costs(self, hardware: Hardware, layout: Layout) -> dict[bool, tuple[ReadCounts, ReadCosts]]:
        """What a forward (False) and a transposed (True) vector does and costs, computed once per shape."""
        key = (self._digest(hardware), layout.inputs, layout.outputs)
        if key not in self.read_costs_of:
            both = {back: read_counts(hardware, layout, back) for back in (False, True)}
            self.read_costs_of[key] = {back: (counts, read_costs(hardware, counts)) for back, counts in both.items()}
        return self.read_costs_of[key]

    def _digest(self, hardware: Hardware) -> str:
        """Computed once per design: a large model asks a thousand times."""
        if id(hardware) not in self._digests:
            self._digests[id(hardware)] = hardware.digest()
        return self._digests[id(hardware)]

    def matrix(
        self,
        name: str,
        weight: torch.Tensor,
        scale: NDArray[np.float64] | None = None,
        hardware: Hardware | None = None,
    ) -> MappedMatrix:
        if name in self.matrices:
            raise MappingError(f"the chip already holds a matrix called '{name}'; release it first")
        matrix = CountedMatrix(self, name, weight, scale, self.hardware if hardware is None else hardware)
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

    def __init__(
        self,
        chip: CountingChip,
        name: str,
        weight: torch.Tensor,
        scale: NDArray[np.float64] | None,
        hardware: Hardware,
    ) -> None:
        nn.Module.__init__(self)
        if weight.ndim != 2 or 0 in weight.shape:
            raise MappingError(f"{name}: only non-empty matrices go on tiles, got shape {tuple(weight.shape)}")
        self.hardware, self.ledger, self.name, self.activity = hardware, chip.ledger, name, chip.activity
        self.chip = chip
        self.master = nn.Parameter(torch.empty(weight.shape, device="meta"), requires_grad=False)
        outputs, inputs = weight.shape
        self.layout = Layout(hardware.tile, inputs, outputs)
        device, phase, count = hardware.device, self.ledger.current_phase, level_count(hardware)
        self.levels = self.activity.levels.get(phase) or levels_of(weight, scale, self.layout, hardware)
        if len(self.levels) != count:
            raise SpecError(f"levels: cells have {count} levels, phase '{phase}' has {len(self.levels)} shares")
        mean_level = float(np.linspace(0.0, 1.0, count) @ np.array(self.levels))
        self.conductance = float(np.prod(self.layout.shape)) * (device.g_min + device.window * mean_level)
        given = {False: self.activity.drive, True: self.activity.transposed_drive}
        self.drives = {
            back: gaussian_drive(size, hardware.dac) if given[back] is None else float(given[back] or 0.0)
            for back, size in ((False, inputs), (True, outputs))
        }
        self.costs = chip.read_costs(hardware, self.layout)
        self._write_share(fresh(self.levels), 1.0)

    @property
    def tiles(self) -> tuple[Tile, ...]:  # type: ignore[override]
        """Cut on demand: a large model has a million."""
        outputs, inputs = self.master.shape
        return cut(self.name, inputs, outputs, self.hardware.tile)

    @property
    def tile_count(self) -> int:
        """How many tiles."""
        return self.layout.row_tiles * self.layout.column_tiles

    @property
    def cells(self) -> int:
        """Cells that hold a weight or a reference."""
        return int(np.prod(self.layout.shape))

    @property
    def crossbar(self) -> Cells:  # type: ignore[override]
        raise MappingError(f"{self.name} is only counted and has no cells; use Chip to simulate")

    def weight(self) -> torch.Tensor:
        """Shape only."""
        return self.master.detach()

    def program(self) -> Written:
        """Bill the expected rewrite of the share of the cells that changes."""
        given = self.activity.changes
        changes = neighbours(self.levels, self.hardware.device) if given is None else _as_changes(given)
        return self._write_share(changes, self.activity.changed_share)

    def pulse(self, pulses: NDArray[np.int64]) -> Written:
        raise MappingError(f"{self.name} is only counted: blind pulses depend on data; simulate, or write with verify")

    def update(self, x: torch.Tensor, error: torch.Tensor, learning_rate: float, bits: int = 31) -> Written:
        raise MappingError(f"{self.name} is only counted: pulse trains depend on data; simulate, or write with verify")

    def wait(self, seconds: float) -> None:
        """Nothing ages."""

    def _write_share(self, changes: Changes, share: float) -> Written:
        if share == 0:
            return Written(0)
        write, times = self.chip.cell_write(self.hardware, changes), self.chip.ledger.times
        written = expected_writing(self.hardware, write, self.layout, share, times)
        with self.chip.ledger.repeated(1):
            bill_writes(self.hardware, self.ledger, self.name, written)
        return Written(written.cells)

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
        counts, costs = self.costs[transposed]
        bill_read(self.hardware, self.ledger, self.name, counts, costs, vectors * drive * self.conductance, vectors)

    def read_state(self) -> list[Any]:
        return []

    def restore_reads(self, state: list[Any]) -> None:
        """Nothing is remembered."""

    def clipped_share(self, transposed: bool = False) -> float:
        raise MappingError(f"{self.name} is only counted and clips nothing; use Chip to simulate")


def _as_changes(changes: tuple[tuple[int, int, float], ...]) -> Changes:
    return {(before, after): share for before, after, share in changes}
