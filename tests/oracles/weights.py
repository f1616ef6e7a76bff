"""Slow, obvious twins of the fast kernels, in float64 loops."""

from __future__ import annotations

import numpy as np

from crossbar_sim.reading.programmed import Programmed
from tests.oracles.reads import Conversion


def naive_read(x: np.ndarray, programmed: Programmed, conversion: Conversion) -> tuple[np.ndarray, np.ndarray]:
    """The noise-free analog product and its clipped conversions per tile, one vector, tile and column at a time."""
    outputs = programmed.current.shape[1]
    y = np.zeros((len(x), outputs))
    clipped = np.zeros(programmed.grid, int)
    for b, vector in enumerate(np.asarray(x, float)):
        scaled = vector * programmed.input_scale
        largest = np.abs(scaled).max()
        codes = scaled / largest if largest > 0 else scaled
        if conversion.dac_steps:
            codes = np.rint(codes * conversion.dac_steps) / conversion.dac_steps
        for t in range(programmed.grid[0]):
            rows = slice(t * programmed.tile_inputs, (t + 1) * programmed.tile_inputs)
            for j in range(outputs):
                current = float(codes[rows] @ programmed.current[rows, j].astype(float))
                if conversion.adc_steps:
                    u = j // programmed.tile_outputs
                    code = np.rint(current / conversion.ranges[t, u] * conversion.adc_steps)
                    clipped[t, u] += abs(code) > conversion.adc_steps
                    code = np.clip(code, -conversion.adc_steps, conversion.adc_steps)
                    current = code * conversion.ranges[t, u] / conversion.adc_steps
                y[b, j] += current
        y[b] *= largest * programmed.output_scale
    return y, clipped


def naive_whole_read(x: np.ndarray, programmed: Programmed, conversion: Conversion) -> tuple[np.ndarray, np.ndarray]:
    """The product in whole numbers, bit for bit: integer sums, then one float32 rounding per operation of the ADC."""
    assert programmed.levels is not None
    levels, single = programmed.levels.astype(np.int64), np.float32
    unit = single(programmed.level / conversion.dac_steps)
    outputs = programmed.current.shape[1]
    y, clipped = np.zeros((len(x), outputs), single), np.zeros(programmed.grid, int)
    for b, vector in enumerate(x):
        scaled = vector * programmed.input_scale
        largest = np.abs(scaled).max()
        codes = np.rint(scaled * (single(1) / largest) * single(conversion.dac_steps)).astype(np.int64)
        for t in range(programmed.grid[0]):
            rows = slice(t * programmed.tile_inputs, (t + 1) * programmed.tile_inputs)
            for j in range(outputs):
                total, u = int(codes[rows] @ levels[rows, j]), j // programmed.tile_outputs
                full, limit = conversion.ranges[t, u], single(conversion.adc_steps)
                reading, step = single(total), unit
                if conversion.adc_steps:
                    code = np.rint(single(total) * (limit / full * unit))
                    clipped[t, u] += abs(code) > limit
                    reading, step = np.clip(code, -limit, limit), full / limit
                # one rounding for product and sum, as the fused instruction does
                y[b, j] = single(np.longdouble(reading) * np.longdouble(step) + np.longdouble(y[b, j]))
        y[b] = y[b] * largest * programmed.output_scale
    return y, clipped
