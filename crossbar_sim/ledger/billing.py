"""MatrixBill: what writing and reading one matrix costs, into the ledger of its chip."""

from __future__ import annotations

from crossbar_sim.cells.written import Written
from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.ledger.ledger import Ledger
from crossbar_sim.ledger.read_costs import BothWays
from crossbar_sim.ledger.write_costs import WriteCounts, count_writes, write_costs
from crossbar_sim.spec.arrays import Floats


class MatrixBill:
    """The bill of a matrix on some tiles; simulated and counted matrices have the same.

    reads: counts and costs of a forward and of a transposed vector. By ledger phase it also notes what each tile did:
    `programmed`, sums (row tiles, column tiles, row_work.SUMS), where there are several tiles, and `vectors`, read
    forward and transposed.
    """

    def __init__(self, hardware: Hardware, ledger: Ledger, place: str, reads: BothWays, tiles: int) -> None:
        self.hardware = hardware
        self.ledger = ledger
        self.place = place
        self.reads = reads
        self.tiles = tiles
        self.programmed: dict[str, Floats] = {}
        self.vectors: dict[tuple[str, bool], int] = {}

    def read(self, transposed: bool, conduction: float, vectors: int) -> None:
        """Bill `vectors` reads; conduction: sum of squared drives times line conductance, siemens."""
        ledger = self.ledger
        if not ledger.billing:
            return
        costs = self.reads[transposed].costs
        first = ("cell reads", 0, 0.0, vectors * costs.time)
        if costs.bills_cells:
            first = ("cell reads", vectors, costs.cell_energy(conduction, vectors), vectors * costs.time)
        ledger.add_operation(self.place, first, costs.converters, vectors)
        if costs.leakage > 0:
            ledger.add("leakage", self.place, vectors * costs.time * costs.leakage, vectors)
        key = ledger.current_phase, transposed
        self.vectors[key] = self.vectors.get(key, 0) + vectors

    def write(self, written: Written, conductance: Floats, counts: WriteCounts | None = None) -> None:
        """Bill one write of cells that now stand at `conductance` (planes, rows, columns); counts: what it did, where
        that is not the sum of what each cell did."""
        ledger = self.ledger
        if not ledger.billing:
            return
        if counts is None and written.count:
            counts = count_writes(self.hardware, written, conductance.shape, conductance)
        if counts is not None:
            self.write_counts(counts)
        if written.count and self.tiles > 1:
            sums, phase = written.sums, ledger.current_phase
            self.programmed[phase] = self.programmed[phase] + sums if phase in self.programmed else sums

    def write_counts(self, counts: WriteCounts) -> None:
        """Bill writes by their counts, simulated or expected."""
        ledger, architecture = self.ledger, self.hardware.architecture
        costs = write_costs(self.hardware, counts)
        (component, events, energy), *others = costs.terms
        ledger.add_operation(self.place, (component, events, energy, costs.time), others)
        if architecture is not None and architecture.leakage > 0:
            ledger.add("leakage", self.place, architecture.leakage * costs.time, 1)
        ledger.add_writes(self.place, counts.cells)

    def reads_transposed(self, phase: str) -> bool:
        """Whether most vectors of a phase were read transposed."""
        return self.vectors.get((phase, True), 0) > self.vectors.get((phase, False), 0)
