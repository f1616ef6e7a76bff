"""Slow, obvious twins of the fast kernels, in float64 loops."""

from __future__ import annotations

import numpy as np

from crossbar_sim.devices import DeviceModel
from crossbar_sim.reading.mvm import Conversion, Programmed


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


def naive_write_verify(device: DeviceModel, start: float, goal: float, sense: float) -> dict[str, float]:
    """Closed-loop programming of one cell without any spread, pulse by pulse."""
    stairs = device.incremental_amplitude

    def energy(kind: str, voltage: float, g: float) -> float:
        current = voltage * g / (1 + g * device.access_resistance)
        if kind == "set" and device.set_compliance_voltage is not None:
            current = min(current, device.set_compliance_voltage * g)
        return voltage * current * device.pulse_width

    g, result = start, {"set": 0.0, "reset": 0.0, "verify": 0.0, "pulses": 0, "reads": 0, "squared": 0.0, "swing": 0.0}
    kinds: list[str] = []  # polarities of the pulses of the loop so far
    assert device.verify_acceptance is not None
    if device.programming == "erase_write_verify" and g > device.g_min + device.verify_acceptance:
        result["reset"] += energy("reset", device.reset_voltage, (g + device.g_min) / 2)
        result["pulses"] += 1
        result["squared"] += device.reset_voltage**2
        result["swing"] += g - device.g_min
        g = device.g_min
    while True:
        result["verify"] += device.read_voltage**2 * g * device.read_time + sense
        result["reads"] += 1
        if abs(g - goal) <= device.verify_acceptance:
            return {**result, "g": g}
        kind, nominal = ("set", device.set_voltage) if g < goal else ("reset", device.reset_voltage)
        step, voltage = device.pulse_step, nominal
        if stairs is not None:
            in_a_row = 0
            while in_a_row < len(kinds) and kinds[-1 - in_a_row] == kind:
                in_a_row += 1
            start_volt, stop = getattr(stairs, f"{kind}_start"), getattr(stairs, f"{kind}_stop")
            voltage = min(start_volt + in_a_row * stairs.increment, stop)
            step *= np.exp((voltage - nominal) / stairs.growth_voltage)
        after = min(g + step, device.g_max) if kind == "set" else max(g - step, device.g_min)
        result[kind] += energy(kind, voltage, (g + after) / 2)
        result["pulses"] += 1
        result["squared"] += voltage**2
        result["swing"] += abs(after - g)
        kinds.append(kind)
        g = after
