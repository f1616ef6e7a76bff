"""ReadPath: one read direction of a matrix, with its converters' range registers and its read counter."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from crossbar_sim.counter_random import Key
from crossbar_sim.hardware import Hardware
from crossbar_sim.mvm import Conversion, Programmed, Reading, read
from crossbar_sim.read_costs import read_costs, read_counts

RANGE_DECAY = np.float32(0.95)  # per batch in training mode: how fast a range register forgets an old peak


class ReadPath:
    """Forward or transposed reads. The ADC range registers are calibrated by the first read and, while
    `tracking`, follow the largest current of the batch before: range <- max(0.95 range, peak)."""

    def __init__(self, hardware: Hardware, programmed: Programmed, lines_per_input: int, key: Key) -> None:
        self.programmed, self.key = programmed, key
        inputs, outputs = programmed.current.shape
        self.counts = read_counts(hardware, inputs, outputs, programmed.grid, lines_per_input)
        self.costs = read_costs(hardware, self.counts)
        self.dac_steps = 0 if hardware.dac.exact else hardware.dac.steps
        self.adc_steps = 0 if hardware.adc.exact else hardware.adc.steps
        self.calibrated = hardware.adc.range == "calibrated"
        device = hardware.device
        largest = device.read_voltage * device.window * programmed.tile_inputs
        self.full_scale = np.full(programmed.grid, largest, np.float32)
        self.ranges: NDArray[np.float32] | None = None if self.adc_steps and self.calibrated else self.full_scale
        self.reads = 0
        self.clipped = 0
        self.conversions = 0

    def read(self, x: torch.Tensor, tracking: bool) -> Reading:
        """The products of the vectors x (vectors, inputs); counts the reads and moves the range registers."""
        if self.ranges is None:
            trial = read(x, self.programmed, Conversion(self.dac_steps, 0, self.full_scale), self.key, self.reads)
            self.ranges = np.where(trial.peaks > 0, trial.peaks, self.full_scale)
        conversion = Conversion(self.dac_steps, self.adc_steps, self.ranges)
        result = read(x, self.programmed, conversion, self.key, self.reads)
        self.reads += len(x)
        self.clipped += int(result.clipped.sum())
        self.conversions += result.output.numel() * self.programmed.grid[0]
        if tracking and self.calibrated and self.adc_steps:
            self.ranges = np.maximum(RANGE_DECAY * self.ranges, result.peaks)
        return result

    def state(self) -> tuple[int, int, int, NDArray[np.float32] | None]:
        """What reading changes."""
        return self.reads, self.clipped, self.conversions, self.ranges

    def restore(self, state: tuple[int, int, int, NDArray[np.float32] | None]) -> None:
        """Back to an earlier `state()`."""
        self.reads, self.clipped, self.conversions, self.ranges = state
