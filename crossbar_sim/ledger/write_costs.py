"""What programming costs, as pure functions of the hardware and of counts: each term apart.

`count_writes` takes the counts from simulated writes; an estimate may build `WriteCounts` itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from crossbar_sim.cells.written import Written
from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.ledger.compiled import half_selected, write_totals
from crossbar_sim.ledger.neurosim import neurosim_writes
from crossbar_sim.spec.arrays import Floats
from crossbar_sim.spec.errors import SpecError


@dataclass(frozen=True)
class WriteCounts:
    """What programming operations did: cells, pulses, verify reads; joule in the cells; seconds.

    word_line_slots: pulses of all word lines, cells of a row side by side; rows: row write operations; set_energy,
    reset_energy: conduction of the programmed cells; verify_cell_energy: of their verify reads, without sensing;
    squared_volts: sum of V^2 over all pulses;
    half_select_energy: conduction of the other cells of a passive array; line_energy: only where the accounting
    counts lines in a way of its own.
    """

    cells: int
    set_pulses: int
    reset_pulses: int
    verify_reads: int
    word_line_slots: int
    rows: int
    set_energy: float
    reset_energy: float
    verify_cell_energy: float
    squared_volts: float
    time: float
    half_select_energy: float = 0.0
    line_energy: float | None = None


@dataclass(frozen=True)
class WriteCosts:
    """(component, events, joule) of programming, and its seconds."""

    terms: tuple[tuple[str, int, float], ...]
    time: float

    @property
    def energy(self) -> float:
        """Joule of all terms."""
        return math.fsum(joule for _, _, joule in self.terms)


def write_costs(hardware: Hardware, counts: WriteCounts) -> WriteCosts:
    """Every term of programming. Terms whose circuits the design does not describe are left out."""
    verified = hardware.accounting == "physical"
    pulses, reads = counts.set_pulses + counts.reset_pulses, counts.verify_reads if verified else 0
    lines = line_energy(hardware, counts) if counts.line_energy is None else counts.line_energy
    terms = [
        ("SET pulses", counts.set_pulses, counts.set_energy),
        ("RESET pulses", counts.reset_pulses, counts.reset_energy),
        ("verify reads", reads, counts.verify_cell_energy if verified else 0.0),
        ("verify sensing", reads, reads * hardware.adc.energy),
        ("line charging", pulses + counts.word_line_slots, lines),
    ]
    if hardware.tile.access == "passive":
        terms.append(("half-select", pulses, counts.half_select_energy))
    circuits = hardware.write_circuits
    if circuits is not None and verified:
        terms.append(("row drivers", counts.rows, counts.rows * circuits.row_energy))
        rail = counts.set_energy + counts.reset_energy + counts.half_select_energy + lines
        terms.append(("charge pump", pulses, rail * (1 / circuits.pump_efficiency - 1)))
    return WriteCosts(tuple(terms), counts.time)


def line_energy(hardware: Hardware, counts: WriteCounts) -> float:
    """Joule of charging lines, each once per pulse: the bit and source line of every pulsed cell, every word line.

    Without `write_circuits`: C (V_set^2 n_set + V_reset^2 n_reset + V_set^2 slots) with the tile's one capacitance.
    """
    device, circuits = hardware.device, hardware.write_circuits
    squared = counts.squared_volts
    if circuits is None:
        return hardware.tile.line_capacitance * (squared + counts.word_line_slots * device.set_voltage**2)
    gates = counts.word_line_slots * circuits.word_line_capacitance * circuits.word_line_voltage**2
    return (circuits.bit_line_capacitance + circuits.source_line_capacitance) * squared + gates


def half_select_factor(scheme: str, nonlinearity: float) -> float:
    """Energy of a half-selected cell over that of the same cell fully selected: (1/n) I(V/n) / I(V).

    The selector's current falls as a power of the voltage: I(V/n) = I(V) n^(-log2 N), N = I(V) / I(V/2); N = 2 is a
    resistor. scheme: 'V/2' (cells that share a line with a selected one) or 'V/3' (every other cell).
    """
    divisor = 2.0 if scheme == "V/2" else 3.0
    return divisor ** -(1.0 + math.log2(nonlinearity))


def billed_by_cell(hardware: Hardware) -> bool:
    """Whether the bill of a write needs what each cell did; else that of each row will do."""
    return hardware.accounting == "neurosim" or hardware.tile.access == "passive"


def count_writes(
    hardware: Hardware, result: Written, shape: tuple[int, ...], conductance: Floats | None = None
) -> WriteCounts:
    """Counts of one programming operation on cells of `shape` (planes, rows, columns).

    Row-parallel: the cells of a row share their pulse slots, rows follow one another, tiles work side by side.
    Cell-serial: one cell of a tile after the other, each a row write operation of its own.
    conductance: of every cell of that shape, siemens; only passive arrays need it.
    """
    device, tile = hardware.device, hardware.tile
    serial = hardware.programming_order == "cell_serial"
    sums, slots, rows, seconds = write_totals(
        result.work, tile.rows, serial, device.pulse_width, device.reset_width - device.pulse_width, device.read_time
    )
    _, sets, resets, set_energy, reset_energy, reads, verify_energy, squared = sums.tolist()
    reads = int(reads)
    operations = result.count if serial else rows
    if hardware.accounting == "neurosim":
        lines = neurosim_writes(hardware, result, shape)
        return WriteCounts(
            cells=result.count,
            set_pulses=lines.set_pulses,
            reset_pulses=lines.reset_pulses,
            verify_reads=reads,
            word_line_slots=lines.slots,
            rows=operations,
            set_energy=lines.set_energy,
            reset_energy=lines.reset_energy,
            verify_cell_energy=0.0,
            squared_volts=squared,
            time=seconds,
            line_energy=lines.line_energy,
        )
    cells, others = max(verify_energy - reads * hardware.adc.energy, 0.0), 0.0
    if tile.access == "passive":
        if conductance is None:
            raise SpecError("half-selected cells of a passive array are billed from their conductances; give them")
        others = half_select_energy(hardware, result, conductance.reshape(shape))
    return WriteCounts(
        cells=result.count,
        set_pulses=int(sets),
        reset_pulses=int(resets),
        verify_reads=reads,
        word_line_slots=int(slots),
        rows=operations,
        set_energy=set_energy,
        reset_energy=reset_energy,
        verify_cell_energy=cells,
        squared_volts=squared,
        time=seconds,
        half_select_energy=others,
    )


def half_select_energy(hardware: Hardware, result: Written, conductance: Floats) -> float:
    """Joule in the cells of a passive array that are not selected while others are programmed.

    Each stands at its present conductance (planes, rows, columns). 'V/2': in every pulse slot of a row, the row's
    cells that take no pulse, and for every pulsed cell the other cells of its bit line. 'V/3': in every slot, all other
    cells. Row-parallel slots: the cells of a row take their pulses together; cell-serial: one after the other.
    """
    device, tile = hardware.device, hardware.tile
    factor = half_select_factor(tile.half_select, tile.selector_nonlinearity)
    set_sum, reset_sum = half_selected(
        result.cells,
        result.set_pulses,
        result.reset_pulses,
        conductance,
        tile.rows,
        tile.plane_columns,
        hardware.programming_order == "cell_serial",
        tile.half_select == "V/3",
    )
    square_time = device.set_voltage**2 * device.pulse_width, device.reset_voltage**2 * device.reset_width
    return factor * float(square_time[0] * set_sum + square_time[1] * reset_sum)
