"""CountedChip and CountedMatrix: they bill every read and write as simulated ones do, but hold no cell.

Models and methods run unchanged on torch's meta device; what depends on data is taken from `Activity`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from crossbar_sim.cells.written import Written
from crossbar_sim.chip.interface import TiledChip
from crossbar_sim.chip.matrix import Matrix
from crossbar_sim.chip.write_mark import WriteMark
from crossbar_sim.counting.activity import Activity
from crossbar_sim.counting.expected_costs import ExpectedCosts
from crossbar_sim.counting.weight_levels import gaussian_drive, level_count, levels_of
from crossbar_sim.counting.write_samples import Changes, expected_writing, fresh, neighbours
from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.ledger.billing import MatrixBill
from crossbar_sim.ledger.ledger import Ledger
from crossbar_sim.ledger.write_costs import write_costs
from crossbar_sim.spec.errors import SpecError


class CountedChip(TiledChip):
    """A chip whose matrices are shapes. `activity` must be set before what it describes happens."""

    def __init__(self, hardware: Hardware, seed: int = 0, activity: Activity | None = None) -> None:
        self.hardware = hardware
        self.seed = seed
        self.ledger = Ledger()
        self.digital = hardware.digital
        self.matrices: dict[str, CountedMatrix] = {}
        self.skipped = []
        self.mapped = []
        self.activity = Activity() if activity is None else activity
        self.costs = ExpectedCosts()

    def matrix(
        self,
        name: str,
        weight: torch.Tensor,
        scale: NDArray[np.float64] | None = None,
        hardware: Hardware | None = None,
    ) -> CountedMatrix:
        self.check_new(name)
        hardware = self.hardware if hardware is None else hardware
        matrix = CountedMatrix(hardware, self.ledger, name, weight, scale, self.activity, self.costs)
        self.matrices[name] = matrix
        matrix.chip = self
        return matrix

    def release(self, name: str) -> None:
        del self.matrices[name]

    def probing(self) -> AbstractContextManager[None]:
        return self.ledger.paused()

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        matrices, skipped = dict(self.matrices), list(self.skipped)
        try:
            with self.ledger.all_or_nothing():
                yield
        except BaseException:
            self.matrices, self.skipped = matrices, skipped
            raise

    def mark_writes(self) -> WriteMark:
        return WriteMark({})


class CountedMatrix(Matrix):
    """A matrix (outputs, inputs) on tiles that are only counted; its master stays on the meta device."""

    def __init__(
        self,
        hardware: Hardware,
        ledger: Ledger,
        name: str,
        weight: torch.Tensor,
        scale: NDArray[np.float64] | None,
        activity: Activity,
        costs: ExpectedCosts,
    ) -> None:
        super().__init__(hardware, ledger, name, weight.to("meta"))
        self.activity = activity
        self.costs = costs
        outputs, inputs = weight.shape
        device = hardware.device
        phase = ledger.current_phase
        count = level_count(hardware)
        self.levels = activity.levels.get(phase) or levels_of(weight, scale, self.layout, hardware)
        if len(self.levels) != count:
            raise SpecError(f"levels: cells have {count} levels, phase '{phase}' has {len(self.levels)} shares")
        mean_level = float(np.linspace(0.0, 1.0, count) @ np.array(self.levels))
        self.conductance = float(self.cell_count) * (device.g_min + device.window * mean_level)
        given = {False: activity.drive, True: activity.transposed_drive}
        self.drives = {
            back: gaussian_drive(size, hardware.dac) if given[back] is None else float(given[back] or 0.0)
            for back, size in ((False, inputs), (True, outputs))
        }
        self.bill = MatrixBill(hardware, ledger, name, costs.of_reads(hardware, self.layout), self.tile_count)
        self._write_share(fresh(self.levels), 1.0)

    @property
    def largest_weight(self) -> torch.Tensor:
        """Shape only."""
        return self.master.detach()[:, :1]

    def weight(self) -> torch.Tensor:
        """Shape only."""
        return self.master.detach()

    def program(self) -> Written:
        """Bill the expected rewrite of the share of the cells that changes."""
        return self._write_share(self._changes(), self.activity.changed_share)

    def rewriting_energy(self, share: float, times: int) -> float:
        """Joule of programming it `times` times, each of which rewrites this share of its cells; bills nothing."""
        if share == 0 or times == 0:
            return 0.0
        write = self.costs.of_a_write(self.hardware, self._changes())
        return write_costs(self.hardware, expected_writing(self.hardware, write, self.layout, share, times)).energy

    def _changes(self) -> Changes:
        """What a rewrite changes: as stated, else to the next level."""
        if self.activity.changes is not None:
            return {(before, after): share for before, after, share in self.activity.changes}
        return neighbours(self.levels, self.hardware.device)

    def read(self, x: torch.Tensor, transposed: bool = False) -> torch.Tensor:
        """One analog read per vector of x (vectors, ...): shapes only."""
        self._bill_reads(len(x), transposed, self.drives[transposed])
        return x.new_empty(len(x), self.master.shape[1 if transposed else 0])

    def gradient_to_input(self, gradient: torch.Tensor) -> torch.Tensor:
        if self.hardware.backward == "analog":
            return self.read(gradient, transposed=True)
        self._bill_reads(len(gradient), True, 1.0)
        return gradient.new_empty(len(gradient), self.master.shape[1])

    def _bill_reads(self, vectors: int, transposed: bool, drive: float) -> None:
        self.bill.read(transposed, vectors * drive * self.conductance, vectors)

    def _write_share(self, changes: Changes, share: float) -> Written:
        if share == 0:
            return Written(0)
        write = self.costs.of_a_write(self.hardware, changes)
        written = expected_writing(self.hardware, write, self.layout, share, self.ledger.times)
        with self.ledger.repeated(1):
            self.bill.write_counts(written)
        return Written(written.cells)
