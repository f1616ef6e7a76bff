"""What a read costs, as pure functions of the hardware and of counts: simulated chips and estimates call the same."""

from __future__ import annotations

from dataclasses import dataclass

from crossbar_sim.architecture import Architecture, Component
from crossbar_sim.hardware import Hardware


@dataclass(frozen=True)
class ReadCounts:
    """What one vector does on all arrays it is read from.

    inputs, outputs: numbers that enter and leave digitally; drives, senses: lines driven and sensed, summed over the
    arrays; cycles: array reads one after the other (input bits or phases); conversions: of all cycles together.
    """

    arrays: int
    inputs: int
    outputs: int
    drives: int
    senses: int
    cycles: int
    conversions: int
    input_bits: int
    output_bits: int

    def events(self, per: str) -> int:
        """How often the event `per` of a Component happens."""
        return {
            "vector": 1, "input": self.inputs, "output": self.outputs,
            "input_bit": self.inputs * self.input_bits, "output_bit": self.outputs * self.output_bits,
            "drive": self.drives * self.cycles, "sense": self.senses * self.cycles, "read": self.arrays * self.cycles,
            "conversion": self.conversions, "conversion_bit": self.conversions * self.output_bits,
            "time": self.arrays,
        }[per]  # fmt: skip


@dataclass(frozen=True)
class ReadCosts:
    """What one vector costs: (component, events, joule), seconds, and the watt that leaks meanwhile.

    `bills_cells`: whether the conduction of the cells is billed on top, from their state and the input.
    """

    converters: tuple[tuple[str, int, float], ...]
    time: float
    leakage: float = 0.0
    bills_cells: bool = True


def read_counts(
    hardware: Hardware, inputs: int, outputs: int, grid: tuple[int, int], lines_per_input: int, slices: int = 1
) -> ReadCounts:
    """Counts of one read of a matrix on `grid` = (row tiles, column tiles) arrays, in the direction of the read.

    Each input drives `lines_per_input` lines in every column tile, each output is sensed in every row tile; `slices`
    repeats arrays and sensed lines. Each array has its own DACs and ADCs.
    """
    cycles = conversions = 1
    if hardware.architecture is not None:
        cycles, conversions = hardware.architecture.input_cycles, hardware.architecture.conversions
    row_tiles, column_tiles = grid
    senses = outputs * row_tiles * slices
    return ReadCounts(
        row_tiles * column_tiles * slices, inputs, outputs, inputs * lines_per_input * column_tiles * slices, senses,
        cycles, senses * conversions, hardware.dac.bits, hardware.adc.bits,
    )  # fmt: skip


def array_counts(hardware: Hardware) -> ReadCounts:
    """Counts of one vector on one full array: every row driven, every column converted.

    Without an architecture the two columns of a pair share one conversion.
    """
    tile, design = hardware.tile, hardware.architecture
    if design is None:
        return read_counts(hardware, tile.rows, tile.outputs, (1, 1), 1)
    return read_counts(hardware, tile.rows, tile.columns, (1, 1), 1)


def read_time(hardware: Hardware) -> float:
    """Seconds per vector: reading, then converting, the columns of an ADC one after the other.

    t = overhead + cycles t_cycle + conversions columns_per_adc / sample_rate; pipelined: the larger of the two terms.
    """
    design, conversion = hardware.architecture, hardware.adc.columns_per_adc / hardware.adc.sample_rate
    if design is None:
        return hardware.device.read_time + conversion
    cycle = hardware.device.read_time if design.cycle_time is None else design.cycle_time
    reading, converting = design.input_cycles * cycle, design.conversions * conversion
    return design.overhead_time + (max(reading, converting) if design.pipelined else reading + converting)


def read_costs(hardware: Hardware, counts: ReadCounts) -> ReadCosts:
    """Converters, digital scaling and every component of the architecture, for one vector."""
    adc, digital, design, time = hardware.adc, hardware.digital, hardware.architecture, read_time(hardware)
    scaled = counts.inputs + counts.outputs
    terms = [
        ("DAC", counts.drives, counts.drives * hardware.dac.energy),
        ("ADC", counts.conversions, counts.conversions * adc.energy),
        ("shift-add", counts.conversions, counts.conversions * digital.shift_add),
        ("arithmetic", scaled, scaled * digital.multiply),
    ]
    if design is None:
        return ReadCosts(tuple(terms), time)
    stated = design.replaced()
    terms = [term for term in terms if term[0] not in stated]
    for part in design.components:
        if part.costs:
            terms.append((part.billed_as, counts.events(part.per), component_energy(design, part, counts, time)))
    return ReadCosts(tuple(terms), time, design.leakage, "cell reads" not in stated)


def component_energy(design: Architecture, part: Component, counts: ReadCounts, time: float) -> float:
    """Joule of one vector in a component: events times energy, or its power for the time of the arrays' share."""
    if part.per == "time":
        power = 0.0 if part.power is None else part.power
        return power * part.count * time * counts.arrays / design.arrays(part.level)
    return counts.events(part.per) * part.event_energy


def cell_energy(hardware: Hardware, conduction: float, vectors: int, counts: ReadCounts) -> float:
    """Joule in the cells of `vectors` reads; conduction: sum of squared drives times line conductance, siemens.

    'physical': V_read^2 t_read conduction. 'neurosim': no conduction (it is inside NeuroSim's converter); instead the
    lines, C_bit V_read^2 per sensed line and C_word V_word^2 per driven line and cycle.
    """
    device, circuits = hardware.device, hardware.write_circuits
    if hardware.accounting == "neurosim" and circuits is not None:
        bit_lines = counts.senses * circuits.bit_line_capacitance * device.read_voltage**2
        word_lines = counts.drives * circuits.word_line_capacitance * circuits.word_line_voltage**2
        return vectors * counts.cycles * (bit_lines + word_lines)
    return device.read_voltage**2 * device.read_time * conduction
