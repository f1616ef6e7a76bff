"""Billing: what programming and reading cost, into the ledger."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.cells.written import Written
from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.ledger.ledger import Ledger
from crossbar_sim.ledger.read_costs import ReadCosts, ReadCounts, cell_energy
from crossbar_sim.ledger.write_costs import WriteCounts, count_writes, write_costs


def bill_programming(
    hardware: Hardware, ledger: Ledger, place: str, result: Written, conductance: NDArray[np.float64]
) -> None:
    """Bill one programming operation at `place` on cells that now stand at `conductance` (planes, rows, columns)."""
    bill_writes(hardware, ledger, place, count_writes(hardware, result, conductance.shape, conductance))


def bill_writes(hardware: Hardware, ledger: Ledger, place: str, counts: WriteCounts) -> None:
    """Bill programming by its counts, simulated or expected."""
    costs = write_costs(hardware, counts)
    (component, events, energy), *others = costs.terms
    ledger.add(component, place, energy, events, costs.time)
    ledger.add_terms(place, others)
    if hardware.architecture is not None and hardware.architecture.leakage > 0:
        ledger.add("leakage", place, hardware.architecture.leakage * costs.time, 1)
    ledger.add_writes(place, counts.cells)


def bill_read(
    hardware: Hardware,
    ledger: Ledger,
    place: str,
    counts: ReadCounts,
    costs: ReadCosts,
    conduction: float,
    vectors: int,
) -> None:
    """Bill `vectors` reads at `place`; conduction: sum of squared drives times line conductance, siemens."""
    cells = cell_energy(hardware, conduction, vectors, counts) if costs.bills_cells else 0.0
    ledger.add("cell reads", place, cells, vectors if costs.bills_cells else 0, vectors * costs.time)
    ledger.add_terms(place, costs.converters, vectors)
    if costs.leakage > 0:
        ledger.add("leakage", place, vectors * costs.time * costs.leakage, vectors)
