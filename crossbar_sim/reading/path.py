"""ReadPath: one read direction of a matrix, with its converters' range registers and its read counter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.mapping.layout import Layout
from crossbar_sim.reading.adc_circuits import ADCBank
from crossbar_sim.reading.mvm import Conversion, Programmed, Reading, Singles, read
from crossbar_sim.reading.readers.bit_serial import SlicedLevels, read_bits
from crossbar_sim.reading.registers import RANGE_DECAY, Registers
from crossbar_sim.runtime.counter_random import Key

Stream = Callable[..., Key]
"""The key of the random numbers of a name, or of several names."""


class Scales(NamedTuple):
    """Digital factors of a matrix.

    column (outputs,): the largest weight of each column; tile (row tiles, column tiles): of each tile relative to that.
    """

    column: NDArray[np.float64]
    tile: NDArray[np.float64]


class ReadPath:
    """Forward or transposed reads of one matrix.

    The ADC range registers are calibrated by the first read and, while `tracking`, follow the largest current of the
    batch before: range <- max(0.95 range, peak). A DAC range register follows the largest input in the same way. Both
    stay while `held`. has_registers, has_drive_register: whether the range of the ADCs, and the input that drives a
    line fully, can be set.
    conversions: of one vector; stream: random number keys by name; prepare: called before a read whose cells changed.
    """

    def __init__(
        self,
        hardware: Hardware,
        layout: Layout,
        scales: Scales,
        transposed: bool,
        conversions: int,
        stream: Stream,
        prepare: Callable[[], None],
    ) -> None:
        device, tile, dac, adc = hardware.device, hardware.tile, hardware.dac, hardware.adc
        self.hardware, self.layout, self.transposed = hardware, layout, transposed
        direction = "backward" if transposed else "forward"
        self.key = stream(direction)
        self._plane_keys = [self.key, *(stream(direction, f"bit {bit}") for bit in range(1, dac.reads))]
        widths = (layout.spec.plane_columns, tile.rows) if transposed else (tile.rows, layout.spec.plane_columns)
        self.cells = Programmed.empty(
            layout.columns if transposed else layout.inputs,
            layout.sensed(transposed),
            *widths,
            device.reads_noisy,
        )
        self._scale = torch.from_numpy(scales.column.astype(np.float32))
        self._set_scales(scales)
        self._conversions, self._bits, self._prepare = conversions, dac.reads, prepare
        self.dac_steps = 0 if dac.exact else dac.steps
        self.adc_steps = 0 if adc.exact else adc.steps
        self._bank = None
        if not (adc.exact or adc.plain):
            self._bank = ADCBank(
                adc,
                self.cells.tile_outputs,
                self.cells.current.shape[1],
                self.cells.grid[0],
                stream(direction, "adc"),
            )
        most = (
            device.g_max if layout.spec.references and not transposed else device.window
        )  # siemens of one sensed weight
        self.largest_current = np.full(self.cells.grid, device.read_voltage * most * self.cells.tile_inputs, np.float32)
        self.registers = Registers(ranges=self._fixed_ranges())
        self.held = False
        self.has_registers = self.adc_steps > 0 and adc.range == "calibrated"
        self.has_drive_register = self.dac_steps > 0 and dac.range == "calibrated"

    def largest_drive(self, x: torch.Tensor) -> float:
        """The largest |input| of the DACs when the vectors x (vectors, inputs) are read."""
        return self._largest(self._driven(x)) if len(x) else 0.0

    def _largest(self, x: torch.Tensor) -> float:
        return float((x * torch.from_numpy(self.cells.input_scale)).abs().max())

    def _driven(self, x: torch.Tensor) -> torch.Tensor:
        """What the lines of x are driven with, where that is more than the kernel's input scale."""
        if not self.transposed or self.layout.plain:
            return x
        x = x * self._scale
        return self.layout.drive_references(x) if self.layout.spec.references and not self._lossless else x

    def read(self, x: torch.Tensor, tracking: bool) -> Reading:
        """The products of the vectors x (vectors, inputs); counts the reads and moves the range registers."""
        self._prepare()
        registers, count, tracking = self.registers, x.shape[0], tracking and not self.held
        x = self._driven(x)
        full_drive = self._full_drive(x, tracking) if self.has_drive_register else 0.0
        if registers.ranges is None:
            peaks = self._analog(x, Conversion(self.dac_steps, 0, self.largest_current, full_drive)).peaks
            registers.ranges = np.where(peaks > 0, peaks, self.largest_current)
        if self._lossless:
            result = self._product(x, full_drive)
        else:
            conversion = Conversion(self.dac_steps, self.adc_steps, registers.ranges, full_drive, self._bank)
            result = self._converted(x, conversion)
        if not (self.layout.plain or self.transposed):
            result.output = result.output * self._scale
        registers.reads += count
        registers.clipped += int(np.add.reduce(result.clipped, axis=None))
        registers.conversions += count * self._conversions
        if tracking and self.has_registers:
            registers.ranges = np.maximum(RANGE_DECAY * registers.ranges, result.peaks)
        return result

    def _converted(self, x: torch.Tensor, conversion: Conversion) -> Reading:
        """Every sensed sum of every vector, converted; bits, slices and references put together."""
        if self._bits > 1 and x.device.type == "cpu":
            serial = self._serial
            if serial is not None and serial.suit(conversion):
                return read_bits(x, serial, conversion)
        result = self._analog(x, conversion)
        if not self.layout.plain:
            result.output = self.layout.put_together(result.output, self.transposed)
        return result

    def _analog(self, x: torch.Tensor, conversion: Conversion) -> Reading:
        """Every sensed sum of every vector, converted; the bits of a serial DAC shifted and added."""
        first = self.registers.reads
        if self._bits == 1:
            return read(x, self.cells, conversion, self.key, first)
        codes, largest = self._codes(x, conversion.full_drive)
        magnitude, sign = codes.abs().nan_to_num().int(), codes.sign()
        plane = replace(conversion, dac_steps=1, full_drive=1.0)
        readings = [
            read(sign * (magnitude >> bit & 1), self._unscaled, plane, key, first)
            for bit, key in enumerate(self._plane_keys)
        ]
        total = torch.stack([one.output * 2.0**bit for bit, one in enumerate(readings)]).sum(dim=0)
        return Reading(
            total * (largest / conversion.dac_steps),
            sum(one.conduction for one in readings),
            np.maximum.reduce([one.peaks for one in readings]),
            np.add.reduce([one.clipped for one in readings]),
        )

    def _product(self, x: torch.Tensor, full_drive: float) -> Reading:
        """One product in place of all bits and slices, where no conversion can round or clip; the cells conduct as in
        the reads that it stands for: once per bit that is set."""
        whole, serial = self._whole, self.hardware.dac.reads > 1
        exact = Conversion(self.dac_steps, 0, np.ones(whole.grid, np.float32), full_drive, serial=serial)
        return read(x, whole, exact, self.key, self.registers.reads)

    def _codes(self, x: torch.Tensor, full_drive: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Signed DAC codes (vectors, lines) and the input that the largest code stands for (vectors, 1)."""
        scaled = x * torch.from_numpy(self.cells.input_scale)
        largest = scaled.abs().amax(dim=1, keepdim=True)
        if full_drive:
            largest = torch.full_like(largest, full_drive)
        fraction = torch.where(largest > 0, scaled / largest, 0.0).clamp(-1, 1)
        return torch.round(fraction * self.dac_steps), largest

    def _full_drive(self, x: torch.Tensor, tracking: bool) -> float:
        """What drives a line fully by its register, which follows the largest input."""
        registers, largest = self.registers, self._largest(x) if len(x) else 0.0
        now = registers.full_drive
        if now is None:
            now = registers.full_drive = largest
        if tracking:
            registers.full_drive = max(float(RANGE_DECAY) * now, largest)
        return now

    @cached_property
    def _lossless(self) -> bool:
        """Whether the reads of bits and slices add up to one product: noise-free, and the ADC exact or every possible
        sum one of its codes (cells on their levels, without wires or drift, and codes enough for a whole tile)."""
        device, tile, dac, adc = self.hardware.device, self.hardware.tile, self.hardware.dac, self.hardware.adc
        if device.reads_noisy or (self.layout.plain and dac.reads == 1):
            return False
        if adc.exact:
            return dac.exact or not (self.transposed and tile.references)
        levels, on_levels = self.hardware.cell_levels, self.hardware.cells_stay_on_levels
        if levels is None or not on_levels or tile.wired or tile.references or dac.exact:
            return False
        inputs = dac.steps if dac.reads == 1 else 1
        largest = self.cells.tile_inputs * (levels - 1) * inputs
        return adc.plain and adc.range == "granular" and largest <= adc.steps

    @property
    def programmed(self) -> Programmed:
        """What reads need, of the cells as they are now."""
        self._prepare()
        return self.cells

    def forget(self) -> None:
        """The cells changed."""
        for derived in ("_whole", "_unscaled", "_serial"):
            self.__dict__.pop(derived, None)

    def settle(self, seen: NDArray[np.float64], row_of: NDArray[np.int64], level: float | None) -> None:
        """`cells` was filled from the conductances `seen` (planes, rows, columns), each input on its row."""
        self._seen, self._row_of = seen, row_of
        self.cells.settle(level)

    @cached_property
    def _whole(self) -> Programmed:
        """Slices and references put together into one product."""
        parts, layout = self.cells, self.layout
        net = layout.net(self._seen[:, self._row_of])
        current = self.hardware.device.read_voltage * (net.T if self.transposed else net)
        (inputs, outputs), widths = current.shape, (layout.spec.rows, layout.spec.outputs)
        whole = Programmed.empty(inputs, outputs, *(widths[::-1] if self.transposed else widths), noisy=False)
        lines = layout.column_of if self.transposed else slice(None)
        whole.current[:], whole.line_conductance[:] = current, parts.line_conductance[lines]
        whole.input_scale[:], whole.output_scale[:] = parts.input_scale[lines], parts.output_scale[:outputs]
        whole.tile_scale[:] = parts.tile_scale[:, :: layout.spec.slices]
        if self._on_levels:
            device, levels = self.hardware.device, self.hardware.cell_levels or 0
            whole.settle(device.read_voltage * device.window * layout.swing / (levels**layout.spec.slices - 1))
        return whole

    @property
    def _on_levels(self) -> bool:
        """Whether reads see every cell exactly on a level."""
        return self.hardware.cells_stay_on_levels and not self.hardware.tile.wired

    @cached_property
    def _serial(self) -> SlicedLevels | None:
        """The cells for bit-serial reads in whole numbers; None where they have to be read as currents."""
        layout = self.layout
        if self.hardware.dac.reads == 1 or layout.spec.references:
            return None
        return SlicedLevels.of(
            self.programmed, layout.places_back if self.transposed else layout.places, layout.slice_weights
        )

    @cached_property
    def _unscaled(self) -> Programmed:
        return replace(self.cells, input_scale=np.ones_like(self.cells.input_scale))

    def _set_scales(self, scales: Scales) -> None:
        """The digital factors before the DACs and after the ADCs; beyond the kernel where a layout is not plain."""
        programmed, layout, scale = self.cells, self.layout, scales.column
        full = self.hardware.device.read_voltage * self.hardware.device.window * layout.swing
        plain, back = layout.plain, self.transposed
        programmed.input_scale[:] = scale if plain and back else 1.0
        programmed.output_scale[:] = scale / full if plain and not back else 1.0 / full
        tiles = scales.tile.T if back else scales.tile
        programmed.tile_scale[:] = np.repeat(tiles, layout.spec.slices, axis=1)

    def _fixed_ranges(self) -> Singles | None:
        """Ranges that do not depend on what is read; None if they do."""
        adc, dac, device = self.hardware.adc, self.hardware.dac, self.hardware.device
        if adc.exact or adc.range == "full_scale":
            return self.largest_current
        if adc.range == "calibrated":
            return None
        bits = self.layout.spec.slice_bits
        levels = 2**bits if bits is not None else device.levels
        if levels is None:
            return self.largest_current
        inputs = dac.steps if dac.reads == 1 and not dac.exact else 1
        one_code = device.read_voltage * device.window / (levels - 1) / inputs
        return np.full(self.cells.grid, adc.steps * one_code, np.float32)

    def state(self) -> Registers:
        """A copy of what reading changes."""
        return self.registers.copy()

    def restore(self, state: Registers) -> None:
        """Back to an earlier `state()`."""
        self.registers = state.copy()
