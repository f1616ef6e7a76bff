"""The circuits around the cells: what each costs per event or per second, its area, and how arrays make up a chip."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from crossbar_sim.hardware.components import READING
from crossbar_sim.spec.errors import SpecError
from crossbar_sim.spec.spec import SourcedSpec, nearest
from crossbar_sim.spec.units import Farad, Hertz, Joule, One, Second, SquareMeter, Volt, Watt

Level = Literal["array", "core", "tile", "chip"]
LEVELS: tuple[Level, ...] = ("array", "core", "tile", "chip")
Event = Literal[
    "time",
    "vector",
    "input",
    "output",
    "input_bit",
    "output_bit",
    "drive",
    "sense",
    "read",
    "conversion",
    "conversion_bit",
]
NotNegative = Field(ge=0)
MOST = 1_000_000
"""Circuits of one kind, or cycles."""


class Component(SourcedSpec):
    """One kind of circuit: `count` of them in every array, core, tile or chip (`level`).

    Its cost is joule per event: `energy`, or `power` (watt of one, busy) over `rate` (events per second of one at that
    power). `per` names the event; with per = 'time' it draws `power` for as long as an array under it is read,
    each array bearing its share. A component with a cost replaces what the design bills under `billed_as` and under
    the names it `includes` without it; one without only adds `area` (of one) and `leakage` (watt of one, always).
    """

    name: str
    billed_as: str
    level: Level
    per: Event = "time"
    count: Annotated[int, Field(ge=1, le=MOST)] = 1
    energy: Annotated[Joule, NotNegative] | None = None
    power: Annotated[Watt, NotNegative] | None = None
    rate: Annotated[Hertz, Field(gt=0)] | None = None
    includes: tuple[str, ...] = ()
    area: Annotated[SquareMeter, NotNegative] = 0.0
    leakage: Annotated[Watt, NotNegative] = 0.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        for ledger_name in (self.billed_as, *self.includes):
            if ledger_name not in READING:
                raise SpecError(
                    f"component '{self.name}': no ledger component '{ledger_name}'{nearest(ledger_name, list(READING))}"
                )
        if self.per == "time" and (self.energy is not None or self.rate is not None):
            raise SpecError(
                f"component '{self.name}': per = 'time' takes a power only; name the event that costs energy"
            )
        if self.per != "time" and (self.energy is None) == (self.power is None):
            raise SpecError(
                f"component '{self.name}': give energy per {self.per}, or power and rate; exactly one of the two"
            )
        if self.per != "time" and (self.power is None) != (self.rate is None):
            raise SpecError(f"component '{self.name}': power and rate go together; give both or neither")
        return self

    @property
    def costs(self) -> bool:
        """Whether it has an energy or a power, beside area and leakage."""
        return self.energy is not None or self.power is not None

    @property
    def event_energy(self) -> float:
        """Joule per event; 0 where `per` is 'time'."""
        if self.energy is not None:
            return self.energy
        return 0.0 if self.power is None or self.rate is None else self.power / self.rate


class Architecture(SourcedSpec):
    """How a chip is put together: arrays in cores (ISAAC: IMAs), cores in tiles, tiles in a chip; circuits at each.

    `input_cycles`: array reads per input vector, None: as many as the DAC makes; `conversions`: conversions per sensed
    line and vector, None: one per array read; `cells_per_weight`: cells that together hold one weight in the stated
    throughput; `pipelined`: conversions of one cycle overlap the next read; `overhead_time`: seconds per vector
    besides; `cycle_time`: seconds of one array read, None: the device's read time.
    """

    input_cycles: Annotated[int, Field(ge=1, le=MOST)] | None = None
    conversions: Annotated[int, Field(ge=1, le=MOST)] | None = None
    cells_per_weight: Annotated[int, Field(ge=1, le=256)] = 2
    pipelined: bool = False
    overhead_time: Annotated[Second, NotNegative] = 0.0
    cycle_time: Annotated[Second, Field(gt=0)] | None = None
    arrays_per_core: Annotated[int, Field(ge=1, le=MOST)] = 1
    cores_per_tile: Annotated[int, Field(ge=1, le=MOST)] = 1
    tiles_per_chip: Annotated[int, Field(ge=1, le=MOST)] = 1
    components: tuple[Component, ...] = ()

    def arrays(self, level: Level) -> int:
        """Arrays in one array, core, tile or chip."""
        sizes = (1, self.arrays_per_core, self.cores_per_tile, self.tiles_per_chip)
        product = 1
        for size in sizes[: LEVELS.index(level) + 1]:
            product *= size
        return product

    def replaced(self) -> frozenset[str]:
        """Ledger components whose cost the components state."""
        return frozenset(name for part in self.components if part.costs for name in (part.billed_as, *part.includes))

    @property
    def leakage(self) -> float:
        """Watt that the whole chip draws while nothing happens."""
        chip = self.arrays("chip")
        return sum(part.leakage * part.count * (chip // self.arrays(part.level)) for part in self.components)

    def sources(self) -> set[str]:
        """Citation keys of everything stated."""
        return {note.source for spec in (self, *self.components) for note in spec.provenance.values()}


class WriteCircuits(SourcedSpec):
    """What programming costs beside the cells: lines, row drivers, the charge pump.

    Each line is charged once per pulse: word line to `word_line_voltage`, bit line and source line to the write
    voltage. `row_energy`: drivers and decoder, joule per row and write operation. `pump_efficiency`: share of the
    energy drawn that reaches the write rail.
    """

    word_line_capacitance: Annotated[Farad, NotNegative] = 0.0
    bit_line_capacitance: Annotated[Farad, NotNegative] = 0.0
    source_line_capacitance: Annotated[Farad, NotNegative] = 0.0
    word_line_voltage: Annotated[Volt, Field(ge=1e-6, le=1e3)]
    row_energy: Annotated[Joule, NotNegative] = 0.0
    pump_efficiency: Annotated[One, Field(gt=0, le=1)] = 1.0
