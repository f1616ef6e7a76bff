"""ReadPath: one read direction of a matrix, with its converters' range registers and its read counter."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from crossbar_sim.counter_random import Key
from crossbar_sim.hardware import Hardware
from crossbar_sim.mvm import Conversion, Programmed, Reading, read

RANGE_DECAY = 0.95  # per batch in training mode: how fast a range register forgets an old peak


class ReadPath:
    """Forward or transposed reads. The ADC range registers are calibrated by the first read and, while
    `tracking`, follow the largest current of the batch before: range <- max(0.95 range, peak)."""

    def __init__(self, hardware: Hardware, programmed: Programmed, key: Key) -> None:
        self.hardware, self.programmed, self.key = hardware, programmed, key
        self.reads = 0
        self.clipped = 0
        self.conversions = 0
        self.ranges: NDArray[np.float32] | None = None

    def read(self, x: torch.Tensor, tracking: bool) -> Reading:
        """The products of the vectors x (vectors, inputs); counts the reads and moves the range registers."""
        adc, dac = self.hardware.adc, self.hardware.dac
        dac_steps, adc_steps = (0 if dac.exact else dac.steps), (0 if adc.exact else adc.steps)
        grid = self.programmed.grid
        if adc_steps and self.ranges is None:
            self.ranges = self._full_scale()
            if adc.range == "calibrated":
                trial = read(x, self.programmed, Conversion(dac_steps, 0, self.ranges), self.key, self.reads)
                self.ranges = np.where(trial.peaks > 0, trial.peaks, self.ranges)
        ranges = self.ranges if self.ranges is not None else np.ones(grid, np.float32)
        result = read(x, self.programmed, Conversion(dac_steps, adc_steps, ranges), self.key, self.reads)
        self.reads += len(x)
        self.clipped += int(result.clipped.sum())
        self.conversions += result.output.numel() * grid[0]
        if adc_steps and tracking and adc.range == "calibrated":
            self.ranges = np.maximum(np.float32(RANGE_DECAY) * ranges, result.peaks)
        return result

    def _full_scale(self) -> NDArray[np.float32]:
        """Every line at full drive on cells at the end of their window, ampere."""
        device = self.hardware.device
        largest = device.read_voltage * device.window * self.programmed.tile_inputs
        return np.full(self.programmed.grid, largest, np.float32)
