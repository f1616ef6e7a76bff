"""What programming and reading cost: every energy and time term of a matrix on tiles, into the ledger."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossbar_sim.crossbar import Programming
from crossbar_sim.devices import DeviceModel
from crossbar_sim.hardware import Hardware
from crossbar_sim.layout import Layout
from crossbar_sim.ledger import Ledger


def bill_programming(hardware: Hardware, ledger: Ledger, place: str, result: Programming, layout: Layout) -> None:
    """Bill one programming operation on cells of a matrix at `place`."""
    device, tile = hardware.device, hardware.tile
    set_pulses, reset_pulses = int(result.set_pulses.sum()), int(result.reset_pulses.sum())
    slots, seconds = programming_slots(hardware, result, layout)
    lines = tile.line_capacitance * (result.squared_volts + slots * device.set_voltage**2)
    ledger.add("SET pulses", place, float(result.set_energy.sum()), set_pulses, seconds)
    ledger.add("RESET pulses", place, float(result.reset_energy.sum()), reset_pulses)
    ledger.add("verify reads", place, float(result.verify_energy.sum()), int(result.verify_reads.sum()))
    ledger.add("line charging", place, lines, set_pulses + reset_pulses + slots)
    ledger.add_writes(place, result.count)


def programming_slots(hardware: Hardware, result: Programming, layout: Layout) -> tuple[int, float]:
    """Word-line activations and seconds. Row-parallel: the cells of a row share their pulse slots, rows
    follow one another, tiles work side by side. Cell-serial: one cell of a tile after the other."""
    device, tile = hardware.device, hardware.tile
    longer = device.reset_width - device.pulse_width
    pulse_time = result.pulses * device.pulse_width + result.reset_pulses * longer
    cell_time = pulse_time + result.verify_reads * device.read_time
    slots, seconds = np.zeros(layout.shape, np.int64), np.zeros(layout.shape)
    slots.reshape(-1)[result.cells] = result.pulses
    seconds.reshape(-1)[result.cells] = cell_time
    rows, columns = slots.shape[1:]
    column_starts, row_starts = np.arange(0, columns, layout.tile_columns), np.arange(0, rows, tile.rows)
    if hardware.programming_order == "row_parallel":
        slots = np.maximum.reduceat(slots.max(axis=0), column_starts, axis=1)
        seconds = np.maximum.reduceat(seconds.max(axis=0), column_starts, axis=1)
    else:
        slots = np.add.reduceat(slots.sum(axis=0), column_starts, axis=1)
        seconds = np.add.reduceat(seconds.sum(axis=0), column_starts, axis=1)
    return int(slots.sum()), float(np.add.reduceat(seconds, row_starts, axis=0).max())


@dataclass(frozen=True)
class ReadCounts:
    """Events of one vector: values in and out, word or bit lines driven (all bits of a value together), ADC
    conversions, and reads of the cells one after the other."""

    inputs: int
    outputs: int
    drives: int
    conversions: int
    reads: int


@dataclass(frozen=True)
class ReadCosts:
    """What one vector costs beside the conduction of the cells: (component, events, joule), and seconds."""

    counts: ReadCounts
    converters: tuple[tuple[str, int, float], ...]
    time: float


def read_costs(hardware: Hardware, counts: ReadCounts) -> ReadCosts:
    """Partial sums of tiles, slices and bits are shifted and added, inputs and outputs scaled digitally."""
    adc, digital, scaled = hardware.adc, hardware.digital, counts.inputs + counts.outputs
    return ReadCosts(
        counts,
        (
            ("DAC", counts.drives, counts.drives * hardware.dac.energy),
            ("ADC", counts.conversions, counts.conversions * adc.energy),
            ("shift-add", counts.conversions, counts.conversions * digital.shift_add),
            ("arithmetic", scaled, scaled * digital.multiply),
        ),
        counts.reads * (hardware.device.read_time + adc.columns_per_adc / adc.sample_rate),
    )


def bill_read(
    ledger: Ledger, place: str, device: DeviceModel, costs: ReadCosts, conduction: float, vectors: int
) -> None:
    """Bill `vectors` reads at `place`; conduction: sum of squared drives times line conductance, siemens."""
    cells = device.read_voltage**2 * device.read_time * conduction
    ledger.add("cell reads", place, cells, vectors, vectors * costs.time)
    for component, events, energy in costs.converters:
        ledger.add(component, place, vectors * energy, vectors * events)
