"""ReadPath: one read direction of a matrix, with its converters' range registers and its read counter."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from crossbar_sim.cells.cells import Cells
from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.reading.choose import choose, sums_reader
from crossbar_sim.reading.direction import Direction
from crossbar_sim.reading.programmed import Programmed
from crossbar_sim.reading.readers.base import Converters, Reader, Reading, Singles
from crossbar_sim.reading.readers.lossless import is_lossless
from crossbar_sim.reading.registers import RANGE_DECAY, Registers
from crossbar_sim.spec.errors import MappingError


class ReadPath:
    """Forward or transposed reads of one matrix.

    The ADC range registers are calibrated by the first read and, while `tracking`, follow the largest current of the
    batch before: range <- max(0.95 range, peak). A DAC range register follows the largest input in the same way. Both
    stay while `held`. has_registers, has_drive_register: whether the range of the ADCs, and the input that drives a
    line fully, can be set. readers: by type of torch device, those chosen since the cells changed.

    name: of the matrix; scale (outputs,): the largest weight of each column; conversions: of one vector; cells: what is
    read; prepare: makes what `direction` knows of them, called before the first read after they changed.
    """

    def __init__(
        self,
        name: str,
        direction: Direction,
        scale: NDArray[np.float64],
        conversions: int,
        cells: Cells,
        prepare: Callable[[], None],
    ) -> None:
        self.name = name
        hardware, layout = direction.hardware, direction.layout
        programmed, transposed = direction.programmed, direction.transposed
        self.direction, self.readers = direction, dict[str, Reader]()
        self._layout = layout
        self._conversions = conversions
        self._cells = cells
        self._version = cells.version
        self.prepare = prepare
        self._scale = torch.from_numpy(scale.astype(np.float32))
        self._scales_outputs = not (layout.plain or transposed)
        self._scales_inputs = transposed and not layout.plain
        lossless = is_lossless(hardware, layout, transposed)
        self._drives_references = transposed and layout.spec.references > 0 and not lossless
        self.adc_steps = direction.converters.adc_steps
        device = hardware.device
        sensed = device.g_max if layout.spec.references and not transposed else device.window  # siemens of one weight
        largest = device.read_voltage * sensed * programmed.tile_inputs
        self.largest_current = np.full(programmed.grid, largest, np.float32)
        self.registers = Registers(ranges=_fixed_ranges(hardware, programmed, self.largest_current))
        self.held = False
        self.has_registers = self.adc_steps > 0 and hardware.adc.range == "calibrated"
        self.has_drive_register = direction.converters.dac_steps > 0 and hardware.dac.range == "calibrated"

    @property
    def programmed(self) -> Programmed:
        """What reads need, of the cells as they are now."""
        self.prepare()
        return self.direction.programmed

    def resettle(self, level: float | None) -> None:
        """Read the present cells as whole levels of `level` ampere if they stand on such (None: as currents)."""
        self.programmed.settle(level)
        self.readers.clear()

    def reader(self, device: str = "cpu") -> Reader:
        """What reads the present cells for vectors on this type of torch device."""
        if self._version != self._cells.version:
            self._version = self._cells.version
            self.readers.clear()
        if device not in self.readers:
            self.prepare()
            self.readers[device] = choose(self.direction, device)
        return self.readers[device]

    def read(self, x: torch.Tensor, tracking: bool) -> Reading:
        """The products of the vectors x (vectors, inputs); counts the reads and moves the range registers.

        Raises MappingError for NaN and infinity in x; nothing is counted then, and no register moves.
        """
        registers = self.registers
        count = x.shape[0]
        ranges = registers.ranges
        full_drive = largest = 0.0
        tracking = tracking and not self.held
        chosen = self.readers if self._version == self._cells.version else {}
        reader = chosen.get(x.device.type) or self.reader(x.device.type)
        if self._scales_inputs:
            x = self._driven(x)
        if self.has_drive_register:
            largest = self._largest(x)
            full_drive = largest if registers.full_drive is None else registers.full_drive
        if ranges is None:
            ranges = self._calibrated(x, full_drive)
        result = reader.read(x, full_drive, ranges, registers.reads)
        if not math.isfinite(result.conduction + largest):
            side = "output gradient" if self.direction.transposed else "input"
            raise MappingError(f"{self.name}: NaN or infinity in its {side}; lower the learning rate or check the data")
        if count == 0:
            return result
        if self._scales_outputs:
            result.output = result.output * self._scale
        registers.reads += count
        registers.clipped += int(np.add.reduce(result.clipped, axis=None))
        registers.conversions += count * self._conversions
        registers.ranges = ranges
        if tracking and self.has_registers:
            registers.ranges = np.maximum(RANGE_DECAY * ranges, result.peaks)
        if largest > 0.0 and (tracking or registers.full_drive is None):
            registers.full_drive = max(float(RANGE_DECAY) * full_drive, largest)
        return result

    def largest_drive(self, x: torch.Tensor) -> float:
        """The largest |input| of the DACs when the vectors x (vectors, inputs) are read."""
        return self._largest(self._driven(x) if self._scales_inputs else x)

    def _largest(self, driven: torch.Tensor) -> float:
        scaled = driven
        if self._layout.plain:  # otherwise the lines are driven as they are
            scaled = driven * torch.from_numpy(self.direction.programmed.input_scale).to(driven.device)
        return float(scaled.abs().max()) if len(driven) else 0.0

    def _driven(self, x: torch.Tensor) -> torch.Tensor:
        """What the lines of x are driven with, where that is more than the reader's input scale."""
        x = x * self._scale
        return self._layout.drive_references(x) if self._drives_references else x

    def _calibrated(self, x: torch.Tensor, full_drive: float) -> Singles:
        """Ranges that hold the currents of these vectors; tiles that see none get the largest one possible."""
        exact = Converters(self.direction.converters.dac_steps, 0)
        reader = sums_reader(self.direction, exact, x.device.type)
        peaks = reader.read(x, full_drive, self.largest_current, self.registers.reads).peaks
        return np.where(peaks > 0, peaks, self.largest_current)

    def state(self) -> Registers:
        """A copy of what reading changes."""
        return self.registers.copy()

    def restore(self, state: Registers) -> None:
        """Back to an earlier `state()`."""
        self.registers = state.copy()


def _fixed_ranges(hardware: Hardware, programmed: Programmed, largest_current: Singles) -> Singles | None:
    """Ranges that do not depend on what is read; None if they do."""
    adc = hardware.adc
    dac = hardware.dac
    device = hardware.device
    if adc.exact or adc.range == "full_scale":
        return largest_current
    if adc.range == "calibrated":
        return None
    bits = hardware.tile.slice_bits
    levels = 2**bits if bits is not None else device.levels
    if levels is None:
        return largest_current
    inputs = dac.steps if dac.reads == 1 and not dac.exact else 1
    one_code = device.read_voltage * device.window / (levels - 1) / inputs
    return np.full(programmed.grid, adc.steps * one_code, np.float32)
