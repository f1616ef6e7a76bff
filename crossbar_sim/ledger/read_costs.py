"""What a read costs, as pure functions of the hardware and of counts: simulated chips and estimates call the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from crossbar_sim.hardware.architecture import Architecture, Component
from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.mapping.layout import Layout


@dataclass(frozen=True)
class ReadCounts:
    """What one vector does on all arrays it is read from.

    inputs, outputs: numbers that enter and leave digitally; drives, senses: lines driven and sensed, summed over the
    arrays; cycles: array reads one after the other (input bits, slices of a transposed read); rounds: conversions of
    each sensed line.
    """

    arrays: int
    inputs: int
    outputs: int
    drives: int
    senses: int
    cycles: int
    rounds: int
    input_bits: int
    output_bits: int

    @property
    def conversions(self) -> int:
        """Of all sensed lines and rounds."""
        return self.senses * self.rounds

    def events(self, per: str) -> int:
        """How often the event `per` of a Component happens."""
        return {
            "vector": 1,
            "input": self.inputs,
            "output": self.outputs,
            "input_bit": self.inputs * self.input_bits,
            "output_bit": self.outputs * self.output_bits,
            "drive": self.drives * self.cycles,
            "sense": self.senses * self.cycles,
            "read": self.arrays * self.cycles,
            "conversion": self.conversions,
            "conversion_bit": self.conversions * self.output_bits,
            "time": self.arrays,
        }[per]


@dataclass(frozen=True)
class ReadCosts:
    """What one vector costs: (component, events, joule), seconds, and the watt that leaks meanwhile.

    `bills_cells`: whether the cells are billed on top. conduction_energy: joule in them per siemens of conduction;
    line_energy: joule of charging their lines, in each of `cycles`.
    """

    converters: tuple[tuple[str, int, float], ...]
    time: float
    leakage: float
    bills_cells: bool
    conduction_energy: float
    line_energy: float
    cycles: int

    def cell_energy(self, conduction: float, vectors: int) -> float:
        """Joule in the cells of `vectors` reads; conduction: sum of squared drives times line conductance, siemens."""
        return self.conduction_energy * conduction + vectors * self.cycles * self.line_energy


class VectorCosts(NamedTuple):
    """What one vector does, and what that costs."""

    counts: ReadCounts
    costs: ReadCosts


BothWays = tuple[VectorCosts, VectorCosts]
"""Of a forward and of a transposed vector."""


def both_ways(hardware: Hardware, layout: Layout) -> BothWays:
    """Counts and costs of one vector that a matrix reads forward, and of one that it reads transposed."""
    forward, back = (read_counts(hardware, layout, transposed) for transposed in (False, True))
    return VectorCosts(forward, read_costs(hardware, forward)), VectorCosts(back, read_costs(hardware, back))


def read_counts(hardware: Hardware, layout: Layout, transposed: bool = False) -> ReadCounts:
    """Counts of one read of a matrix on its arrays, in either direction; each array has its own DACs and ADCs.

    A transposed read drives every cell of an output and senses the rows slice after slice.
    """
    spec = layout.spec
    arrays = layout.row_tiles * layout.column_tiles
    if transposed:
        drives, senses = layout.columns * spec.cells_per_weight * layout.row_tiles, layout.inputs * layout.column_tiles
        return _counts(hardware, arrays, (layout.outputs, layout.inputs), (drives, senses), phases=spec.slices)
    drives, senses = layout.inputs * layout.column_tiles, layout.columns * spec.slices * layout.row_tiles
    return _counts(hardware, arrays, (layout.inputs, layout.outputs), (drives, senses))


def array_counts(hardware: Hardware) -> ReadCounts:
    """Counts of one vector on one full array: every row driven, every column converted.

    Without an architecture the two columns of a pair share one conversion.
    """
    tile = hardware.tile
    if hardware.architecture is None:
        return read_counts(hardware, Layout(tile, tile.rows, tile.outputs))
    return _counts(hardware, 1, (tile.rows, tile.columns), (tile.rows, tile.columns))


def _counts(
    hardware: Hardware, arrays: int, numbers: tuple[int, int], lines: tuple[int, int], phases: int = 1
) -> ReadCounts:
    """numbers: that enter and leave; lines: driven and sensed; phases: one after the other, each with all bits."""
    cycles = conversions = hardware.dac.reads
    if hardware.architecture is not None:
        cycles = hardware.architecture.input_cycles or cycles
        conversions = hardware.architecture.conversions or cycles
    inputs, outputs = numbers
    drives, senses = lines
    return ReadCounts(
        arrays=arrays,
        inputs=inputs,
        outputs=outputs,
        drives=drives,
        senses=senses,
        cycles=cycles * phases,
        rounds=conversions * phases,
        input_bits=hardware.dac.bits,
        output_bits=hardware.adc.bits,
    )


def read_time(hardware: Hardware, counts: ReadCounts) -> float:
    """Seconds per vector: reading, then converting, the columns of an ADC one after the other.

    t = overhead + cycles t_cycle + rounds columns_per_adc / sample_rate; pipelined: the larger of the two terms.
    """
    design, conversion = hardware.architecture, hardware.adc.columns_per_adc / hardware.adc.sample_rate
    if design is None:
        return counts.cycles * hardware.device.read_time + counts.rounds * conversion
    cycle = hardware.device.read_time if design.cycle_time is None else design.cycle_time
    reading, converting = counts.cycles * cycle, counts.rounds * conversion
    return design.overhead_time + (max(reading, converting) if design.pipelined else reading + converting)


def read_costs(hardware: Hardware, counts: ReadCounts) -> ReadCosts:
    """Converters, digital scaling and every component of the architecture, for one vector.

    In the cells, 'physical': V_read^2 t_read conduction. 'neurosim': no conduction (it is inside NeuroSim's converter);
    instead the lines, C_bit V_read^2 per sensed line and C_word V_word^2 per driven line and cycle.
    """
    adc, digital = hardware.adc, hardware.digital
    design = hardware.architecture
    time = read_time(hardware, counts)
    scaled = counts.inputs + counts.outputs
    terms = [
        ("DAC", counts.drives, counts.drives * hardware.dac.energy),
        ("ADC", counts.conversions, counts.conversions * adc.energy),
        ("shift-add", counts.conversions, counts.conversions * digital.shift_add),
        ("arithmetic", scaled, scaled * digital.multiply_energy),
    ]
    stated: frozenset[str] = frozenset() if design is None else design.replaced()
    terms = [term for term in terms if term[0] not in stated]
    if design is not None:
        for part in design.components:
            if part.costs:
                terms.append((part.billed_as, counts.events(part.per), component_energy(design, part, counts, time)))
    device, circuits = hardware.device, hardware.write_circuits
    conduction_energy, line_energy = device.read_voltage**2 * device.read_time, 0.0
    if hardware.accounting == "neurosim" and circuits is not None:
        bit_lines = counts.senses * circuits.bit_line_capacitance * device.read_voltage**2
        word_lines = counts.drives * circuits.word_line_capacitance * circuits.word_line_voltage**2
        conduction_energy, line_energy = 0.0, bit_lines + word_lines
    return ReadCosts(
        converters=tuple(terms),
        time=time,
        leakage=0.0 if design is None else design.leakage,
        bills_cells="cell reads" not in stated,
        conduction_energy=conduction_energy,
        line_energy=line_energy,
        cycles=counts.cycles,
    )


def component_energy(design: Architecture, part: Component, counts: ReadCounts, time: float) -> float:
    """Joule of one vector in a component: events times energy, or its power for the time of the arrays' share."""
    if part.per == "time":
        power = 0.0 if part.power is None else part.power
        return power * part.count * time * counts.arrays / design.arrays(part.level)
    return counts.events(part.per) * part.event_energy
