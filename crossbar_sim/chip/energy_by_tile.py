"""Energy by tile: what the ledger holds per matrix, shared out over the tiles of the matrix."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from crossbar_sim.cells.compiled.row_work import COLUMN
from crossbar_sim.chip.interface import TiledChip
from crossbar_sim.chip.simulated import SimulatedMatrix, simulated
from crossbar_sim.hardware.components import PROGRAMMING
from crossbar_sim.spec.arrays import Floats

DRIVEN, SENSED = ("DAC", "registers"), ("ADC", "shift-add", "sample-and-hold")


def energy_by_tile(chip: TiledChip, phase: str | None = None) -> dict[str, float]:
    """Joule per tile ('name[row,column]' as in `chip.plan`), and per place for what is on no tile, of a phase.

    Pulses and verify reads: of the cells of each tile. Other programming terms: in proportion to pulses. Conduction of
    reads: to the tile's conductance now; converters: to its driven or sensed lines; everything else: equally.
    """
    found: dict[str, list[float]] = {}
    for (name, _), joule in parts_by_tile(chip, phase).items():
        found.setdefault(name, []).append(joule)
    return {name: math.fsum(parts) for name, parts in found.items()}


def parts_by_tile(chip: TiledChip, phase: str | None = None) -> Mapping[tuple[str, tuple[str, str, str]], float]:
    """Joule by tile and ledger row (phase, component, place); the parts of a row add up to it exactly (math.fsum).

    Raises MappingError for matrices that are only counted.
    """
    parts: dict[tuple[str, tuple[str, str, str]], float] = {}
    for row, entry in chip.ledger.entries.items():
        at, component, place = row
        if phase is not None and phase not in (at, at.split("/")[0]):
            continue
        matrix = chip.matrices.get(place)
        if matrix is None:
            parts[place, row] = entry.energy
            continue
        names = [tile.name for tile in matrix.tiles]
        shares = _shares(simulated(matrix, "; simulate to know the energy of each tile"), at, component)
        parts |= {(name, row): joule for name, joule in zip(names, _shared(entry.energy, shares), strict=True)}
    return parts


def _shares(matrix: SimulatedMatrix, phase: str, component: str) -> Floats:
    """Weight of each tile of the matrix (in the order of `matrix.tiles`) in one component."""
    bill = matrix.bill
    spec = matrix.layout.spec
    tiles = matrix.tiles
    if len(tiles) == 1:
        return np.ones(1)
    index = tuple(np.array([(t.inputs.start // spec.rows, t.outputs.start // spec.outputs) for t in tiles]).T)
    if component in PROGRAMMING and phase in bill.programmed:
        sums = bill.programmed[phase][index].T
        done = {
            "SET pulses": sums[COLUMN.set_joule],
            "RESET pulses": sums[COLUMN.reset_joule],
            "verify sensing": sums[COLUMN.verify_reads],
            "verify reads": sums[COLUMN.verify_joule] - sums[COLUMN.verify_reads] * matrix.hardware.adc.energy,
        }
        return np.asarray(np.maximum(done.get(component, sums[COLUMN.set_pulses] + sums[COLUMN.reset_pulses]), 0.0))
    if component == "cell reads":
        rows = np.add.reduceat(matrix.cells.awake().present.sum(axis=0), np.arange(0, matrix.layout.inputs, spec.rows))
        return np.asarray(np.add.reduceat(rows, np.arange(0, matrix.layout.columns, spec.plane_columns), axis=1)[index])
    along_inputs = component in (SENSED if bill.reads_transposed(phase) else DRIVEN)
    if along_inputs or component in (*DRIVEN, *SENSED):
        lines = [t.inputs if along_inputs else t.outputs for t in tiles]
        return np.array([float(line.stop - line.start) for line in lines])
    return np.ones(len(tiles))


def _shared(total: float, weights: Floats) -> list[float]:
    """`total` in proportion to the weights (equally, if all are zero); math.fsum of the parts is the total again."""
    if not weights.any():
        weights = np.ones(weights.size)
    parts = [float(part) for part in total * (weights / weights.sum())]
    largest = int(np.argmax(parts))
    for _ in range(3):
        parts[largest] += total - math.fsum(parts)
    return parts
