"""ExpectedCosts: what a write and a read cost where no cell is simulated, worked out once for each shape."""

from __future__ import annotations

from crossbar_sim.counting.write_samples import CellWrite, Changes, cell_write
from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.ledger.read_costs import BothWays, both_ways
from crossbar_sim.mapping.layout import Layout


class ExpectedCosts:
    """Costs that many matrices of one chip share."""

    def __init__(self) -> None:
        self._writes: dict[tuple[str, tuple[tuple[tuple[int | None, int], float], ...]], CellWrite] = {}
        self._reads: dict[tuple[str, int, int], BothWays] = {}
        self._digests: dict[int, tuple[Hardware, str]] = {}

    def of_a_write(self, hardware: Hardware, changes: Changes) -> CellWrite:
        """The expected cost of one cell write under a distribution of level changes."""
        key = (self._digest(hardware), tuple(changes.items()))
        if key not in self._writes:
            self._writes[key] = cell_write(hardware, changes)
        return self._writes[key]

    def of_reads(self, hardware: Hardware, layout: Layout) -> BothWays:
        """What a forward and a transposed vector does and costs, by the shape of its matrix."""
        key = (self._digest(hardware), layout.inputs, layout.outputs)
        if key not in self._reads:
            self._reads[key] = both_ways(hardware, layout)
        return self._reads[key]

    def _digest(self, hardware: Hardware) -> str:
        """Computed once per design: a large model asks a thousand times."""
        if id(hardware) not in self._digests:
            self._digests[id(hardware)] = (hardware, hardware.digest())
        return self._digests[id(hardware)][1]
