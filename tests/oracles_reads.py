"""A slow, obvious twin of a noise-free forward read, for every mapping: one tile, bit, slice and column at a time."""

from __future__ import annotations

import numpy as np

from crossbar_sim.matrix import MappedMatrix


def naive_forward(matrix: MappedMatrix, x: np.ndarray, ranges: np.ndarray | None) -> np.ndarray:
    """x (vectors, inputs) -> (vectors, outputs) through the cells; ranges (row tiles, column tiles x slices) of the
    mid-tread ADCs in ampere, None: exact."""
    hardware = matrix.hardware
    tile_spec, device, dac = hardware.tile, hardware.device, hardware.dac
    volt, steps, base = device.read_voltage, hardware.adc.steps, 2 ** (tile_spec.slice_bits or 1)
    conductance = matrix.crossbar.conductance
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
            of_tile = matrix.limit[t, tile.outputs]
            for worth, drive in planes:
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
                    y[b, tile.outputs] += worth * full * share * sums * of_tile / (volt * device.window)
        y[b] *= largest / dac.steps
    return y
