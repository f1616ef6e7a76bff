"""Slow, obvious twins of noise-free reads: one tile, bit, slice and column at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from crossbar_sim.chip.simulated import SimulatedMatrix
from crossbar_sim.reading.readers.base import Converters, Reading
from crossbar_sim.reading.readers.bit_serial import SlicedLevels


@dataclass
class Conversion:
    """Converters of one read: largest DAC and ADC codes (0 = exact), the ADC ranges (grid) in ampere, the input that
    drives a line fully (0: the largest of each vector), and whether lines conduct once per bit that is set."""

    dac_steps: int
    adc_steps: int
    ranges: np.ndarray
    full_drive: float = 0.0
    serial: bool = False

    @property
    def converters(self) -> Converters:
        """What of them a reader is made of."""
        return Converters(self.dac_steps, self.adc_steps, serial=self.serial)


def naive_forward(matrix: SimulatedMatrix, x: np.ndarray, ranges: np.ndarray | None) -> np.ndarray:
    """x (vectors, inputs) -> (vectors, outputs) through the cells; ranges (row tiles, column tiles x slices) of the
    mid-tread ADCs in ampere, None: exact."""
    hardware = matrix.hardware
    tile_spec, device, dac = hardware.tile, hardware.device, hardware.dac
    volt, steps, base = device.read_voltage, hardware.adc.steps, 2 ** (tile_spec.slice_bits or 1)
    conductance = matrix.cells.conductance
    y = np.zeros((len(x), matrix.master.shape[0]))
    for b, vector in enumerate(x.astype(float)):
        largest = np.abs(vector).max()
        codes = np.rint(vector / largest * dac.steps)
        if dac.drive == "bit_serial":
            planes = [
                (2.0**bit, np.sign(codes) * (np.abs(codes).astype(int) >> bit & 1)) for bit in range(dac.bits - 1)
            ]
        else:
            planes = [(1.0, codes)]
        full = 1.0 if dac.drive == "bit_serial" else dac.steps
        for index, tile in enumerate(matrix.tiles):
            t, u = divmod(index, matrix.layout.column_tiles)
            cells = conductance[:, tile.inputs, tile.plane_columns]
            of_tile = matrix.targets.limit[t, tile.outputs]
            for weight, drive in planes:
                for s in range(tile_spec.slices):
                    read = []
                    for column in range(cells.shape[2]):
                        volts = volt * drive[tile.inputs] / full
                        current = volts @ cells[s * tile_spec.sides, :, column]
                        if tile_spec.sides == 2:
                            current -= volts @ cells[s * 2 + 1, :, column]
                        if ranges is not None:
                            limit = float(ranges[t, u * tile_spec.slices + s])
                            current = np.clip(np.rint(current / limit * steps), -steps, steps) * limit / steps
                        read.append(current)
                    sums = np.array(read)
                    if tile_spec.mapping == "offset":
                        sums = 2 * (sums[:-1] - sums[-1])
                    share = base**s * (base - 1) / (base**tile_spec.slices - 1) if tile_spec.slices > 1 else 1.0
                    y[b, tile.outputs] += weight * full * share * sums * of_tile / (volt * device.window)
        y[b] *= largest / dac.steps
    return y


def naive_bit_serial_read(x: np.ndarray, cells: SlicedLevels, conversion: Conversion) -> Reading:
    """`BitSerialReader` in Python's integers, bit for bit: one float32 rounding per operation after the sums."""
    programmed, single = cells.programmed, np.float32
    assert programmed.levels is not None
    levels, steps, limit = programmed.levels.astype(int), conversion.dac_steps, single(conversion.adc_steps)
    y = np.zeros((len(x), cells.places.shape[1]), single)
    peaks, clipped, conduction = np.zeros(programmed.grid, single), np.zeros(programmed.grid, int), 0.0
    for b, vector in enumerate(x):
        scaled = vector * programmed.input_scale
        largest = single(conversion.full_drive) or np.abs(scaled).max()
        if not np.isfinite(largest):
            y[b], conduction = np.nan, np.nan
            continue
        fractions = np.clip(scaled / largest, -1, 1) if largest else np.zeros_like(scaled)
        codes = np.rint(fractions * single(steps)).astype(int)
        bits_set = np.array([abs(int(code)).bit_count() for code in codes])
        conduction += float(bits_set @ programmed.line_conductance.astype(float))
        for t in range(programmed.grid[0]):
            rows = slice(t * programmed.tile_inputs, (t + 1) * programmed.tile_inputs)
            for s, places in enumerate(cells.places):
                for j, place in enumerate(places):
                    u, total = place // programmed.tile_outputs, 0
                    full = conversion.ranges[t, u]
                    for bit in range(steps.bit_length()):
                        plane = np.sign(codes[rows]) * (np.abs(codes[rows]) >> bit & 1)
                        current = single(int(plane @ levels[rows, place]))
                        code = np.rint(current * (limit / full * single(programmed.level)))
                        clipped[t, u] += abs(code) > limit
                        peaks[t, u] = max(peaks[t, u], abs(current) * single(programmed.level))
                        total += int(np.clip(code, -limit, limit)) * 2**bit
                    weight = full / limit * programmed.tile_scale[t, u] * cells.slice_weights[s]
                    # one rounding for product and sum, as the fused instruction does
                    y[b, j] = single(np.longdouble(total) * np.longdouble(weight) + np.longdouble(y[b, j]))
        y[b] = y[b] * programmed.output_scale[cells.places[0]] * (largest / single(steps))
    return Reading(torch.from_numpy(y), conduction, peaks, clipped)
