"""Power, area, energy and throughput of a design, from the same cost functions that bill a simulated read."""

from __future__ import annotations

import math
from dataclasses import dataclass

from crossbar_sim.hardware.architecture import LEVELS, Level
from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.ledger.read_costs import ReadCounts, array_counts, component_energy, read_costs
from crossbar_sim.spec.units import engineering


@dataclass(frozen=True)
class LevelSheet:
    """One array, core, tile or chip, all its arrays reading without pause: watt, square metres, operations per second.

    One multiply-accumulate counts as two operations. power includes leakage. area: what the design states; cells and
    converters without a stated area count as nothing.
    """

    level: Level
    arrays: int
    power: float
    area: float
    operations_per_second: float


@dataclass(frozen=True)
class Datasheet:
    """What one vector on one full array costs by ledger component, counting circuits up to each level."""

    hardware: str
    mvm_time: float
    mvm_operations: int
    mvm_energy: dict[Level, dict[str, float]]
    levels: tuple[LevelSheet, ...]

    def energy(self, level: Level) -> float:
        """Joule of one vector on one full array, with its share of everything up to `level`."""
        return math.fsum(self.mvm_energy[level].values())

    def __getitem__(self, level: Level) -> LevelSheet:
        return next(sheet for sheet in self.levels if sheet.level == level)

    def __str__(self) -> str:
        top = self.levels[-1].level
        energy = self.energy(top)
        per_operation = engineering(energy / self.mvm_operations, "J")
        lines = [
            f"  one vector   {engineering(self.mvm_time, 's')}, {self.mvm_operations} operations, {per_operation} each",
            f"  {'':<9}{'arrays':>9}{'power':>11}{'area':>15}{'throughput':>15}{'J per array MVM':>18}",
        ]
        for sheet in self.levels:
            area = f"{sheet.area * 1e6:.4g} mm²" if sheet.area else "not stated"
            rate = f"{sheet.operations_per_second / 1e9:.5g} GOPS"
            lines.append(
                f"  {sheet.level:<9}{sheet.arrays:>9}{engineering(sheet.power, 'W', 4):>11}{area:>15}{rate:>15}"
                f"{engineering(self.energy(sheet.level), 'J', 4):>18}"
            )
        parts = sorted(self.mvm_energy[top].items(), key=lambda item: -item[1])
        lines.append(
            "  energy       " + ", ".join(f"{name} {joule / energy:.1%}" for name, joule in parts[:6] if joule)
        )
        return "\n".join(lines)


def datasheet(hardware: Hardware) -> Datasheet:
    """Power, area and throughput by level.

    Cells without a stated energy stand in the middle of their window and every line is at full drive: an upper bound.
    Without an architecture there is one level, the array.
    """
    design, counts = hardware.architecture, array_counts(hardware)
    costs = read_costs(hardware, counts)
    tile, middle = hardware.tile, (hardware.device.g_min + hardware.device.g_max) / 2
    weights = tile.rows * tile.columns // (2 if design is None else design.cells_per_weight)
    operations = 2 * weights
    terms = _built_in(hardware, counts, middle)
    energies: dict[Level, dict[str, float]] = {}
    sheets: list[LevelSheet] = []
    area = tile.rows * tile.columns * tile.cell_area
    for level in _levels(hardware):
        leakage, arrays = 0.0, 1
        if design is not None:
            arrays = design.arrays(level)
            area *= arrays / (sheets[-1].arrays if sheets else 1)
            for part in (part for part in design.components if part.level == level):
                area += part.count * part.area
                if part.costs:
                    joule = component_energy(design, part, counts, costs.time)
                    terms[part.billed_as] = terms.get(part.billed_as, 0.0) + joule
            below = LEVELS[: LEVELS.index(level) + 1]
            leakage = sum(
                part.leakage * part.count * (arrays // design.arrays(part.level))
                for part in design.components
                if part.level in below
            )
        energies[level] = dict(terms)
        power = math.fsum(terms.values()) * arrays / costs.time + leakage
        sheets.append(LevelSheet(level, arrays, power, area, operations * arrays / costs.time))
    return Datasheet(hardware.name, costs.time, operations, energies, tuple(sheets))


def _levels(hardware: Hardware) -> list[Level]:
    """The array, and every level that groups several parts or has circuits of its own."""
    design = hardware.architecture
    if design is None:
        return ["array"]
    own, sizes = {part.level for part in design.components}, {level: design.arrays(level) for level in LEVELS}
    below = {level: sizes[LEVELS[max(index - 1, 0)]] for index, level in enumerate(LEVELS)}
    return [level for level in LEVELS if level == "array" or level in own or sizes[level] > below[level]]


def _built_in(hardware: Hardware, counts: ReadCounts, conductance: float) -> dict[str, float]:
    """Joule of one vector in what every design bills itself: cells and converters, unless a component states them."""
    plain = hardware.replace(architecture=None)
    stated = frozenset() if hardware.architecture is None else hardware.architecture.replaced()
    costs = read_costs(plain, counts)
    terms = {name: joule for name, _, joule in costs.converters if name != "arithmetic"}
    conduction = hardware.tile.rows * hardware.tile.columns * conductance
    terms["cell reads"] = costs.cell_energy(conduction, 1)
    return {name: joule for name, joule in terms.items() if name not in stated}
