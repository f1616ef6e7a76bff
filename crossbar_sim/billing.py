"""What programming and reading cost: every energy and time term of a matrix on tiles, into the ledger."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossbar_sim.crossbar import Programming
from crossbar_sim.devices import DeviceModel
from crossbar_sim.hardware import Hardware
from crossbar_sim.ledger import Ledger
from crossbar_sim.mvm import Programmed


@dataclass(frozen=True)
class Written:
    """Totals of one programming operation, all that its bill needs; slots: word-line activations."""

    cells: int
    set_pulses: int
    reset_pulses: int
    verify_reads: int
    set_energy: float
    reset_energy: float
    verify_energy: float
    slots: float
    seconds: float


def bill_programming(
    hardware: Hardware, ledger: Ledger, place: str, result: Programming, shape: tuple[int, ...]
) -> None:
    """Bill one programming operation on cells of `shape` (2, inputs, outputs) at `place`."""
    slots, seconds = programming_slots(hardware, result, shape)
    pulses = int(result.set_pulses.sum()), int(result.reset_pulses.sum()), int(result.verify_reads.sum())
    energies = float(result.set_energy.sum()), float(result.reset_energy.sum()), float(result.verify_energy.sum())
    bill_written(hardware, ledger, place, Written(result.count, *pulses, *energies, slots, seconds))


def bill_written(hardware: Hardware, ledger: Ledger, place: str, written: Written) -> None:
    """Bill a programming operation by its totals, simulated or expected."""
    device, tile = hardware.device, hardware.tile
    squared = device.set_voltage**2 * written.set_pulses + device.reset_voltage**2 * written.reset_pulses
    lines = tile.line_capacitance * (squared + written.slots * device.set_voltage**2)
    events = written.set_pulses + written.reset_pulses + round(written.slots)
    ledger.add("SET pulses", place, written.set_energy, written.set_pulses, written.seconds)
    ledger.add("RESET pulses", place, written.reset_energy, written.reset_pulses)
    ledger.add("verify reads", place, written.verify_energy, written.verify_reads)
    ledger.add("line charging", place, lines, events)
    ledger.add_writes(place, written.cells)


def programming_slots(hardware: Hardware, result: Programming, shape: tuple[int, ...]) -> tuple[int, float]:
    """Word-line activations and seconds. Row-parallel: the cells of a row share their pulse slots, rows
    follow one another, tiles work side by side. Cell-serial: one cell of a tile after the other."""
    device, tile = hardware.device, hardware.tile
    longer = device.reset_width - device.pulse_width
    pulse_time = result.pulses * device.pulse_width + result.reset_pulses * longer
    cell_time = pulse_time + result.verify_reads * device.read_time
    slots, seconds = np.zeros(shape, np.int64), np.zeros(shape)
    slots.reshape(-1)[result.cells] = result.pulses
    seconds.reshape(-1)[result.cells] = cell_time
    rows, columns = slots.shape[1:]
    column_starts, row_starts = np.arange(0, columns, tile.outputs), np.arange(0, rows, tile.rows)
    if hardware.programming_order == "row_parallel":
        slots = np.maximum.reduceat(slots.max(axis=0), column_starts, axis=1)
        seconds = np.maximum.reduceat(seconds.max(axis=0), column_starts, axis=1)
    else:
        slots = np.add.reduceat(slots.sum(axis=0), column_starts, axis=1)
        seconds = np.add.reduceat(seconds.sum(axis=0), column_starts, axis=1)
    return int(slots.sum()), float(np.add.reduceat(seconds, row_starts, axis=0).max())


@dataclass(frozen=True)
class ReadCosts:
    """What one vector costs beside the conduction of the cells: (component, events, joule), and seconds."""

    converters: tuple[tuple[str, int, float], ...]
    time: float


def read_costs(hardware: Hardware, programmed: Programmed, lines_per_input: int) -> ReadCosts:
    """Each tile has its own DACs and ADCs; partial sums of row tiles are added, inputs and outputs scaled digitally."""
    inputs, outputs = programmed.current.shape
    row_tiles, column_tiles = programmed.grid
    drives, conversions = inputs * lines_per_input * column_tiles, outputs * row_tiles
    adc, digital = hardware.adc, hardware.digital
    return ReadCosts(
        (
            ("DAC", drives, drives * hardware.dac.energy),
            ("ADC", conversions, conversions * adc.energy),
            ("shift-add", conversions, conversions * digital.shift_add),
            ("arithmetic", inputs + outputs, (inputs + outputs) * digital.multiply),
        ),
        hardware.device.read_time + adc.columns_per_adc / adc.sample_rate,
    )


def bill_read(
    ledger: Ledger, place: str, device: DeviceModel, costs: ReadCosts, conduction: float, vectors: int
) -> None:
    """Bill `vectors` reads at `place`; conduction: sum of squared drives times line conductance, siemens."""
    cells = device.read_voltage**2 * device.read_time * conduction
    ledger.add("cell reads", place, cells, vectors, vectors * costs.time)
    for component, events, energy in costs.converters:
        ledger.add(component, place, vectors * energy, vectors * events)
