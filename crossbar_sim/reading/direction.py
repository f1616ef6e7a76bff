"""Direction: all that is known of one read direction of a matrix before anything is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.mapping.layout import Layout
from crossbar_sim.reading.adc_bank import ADCBank
from crossbar_sim.reading.programmed import Programmed
from crossbar_sim.reading.readers.base import Converters
from crossbar_sim.runtime.counter_random import Key

Stream = Callable[..., Key]
"""The key of the random numbers of a name, or of several names."""


class Scales(NamedTuple):
    """Digital factors of a matrix."""

    column: NDArray[np.float64]
    """(outputs,): the largest weight of each column."""
    tile: NDArray[np.float64]
    """(row tiles, column tiles): the largest weight of each tile relative to that."""


@dataclass
class Direction:
    """One read direction: its converters, its random numbers, and the cells as reads take them.

    keys: of the read noise, one for each bit that is driven; programmed, row_of (inputs,): what was prepared of the
    cells, refilled when they change; seen: gives what it was prepared of, (planes, rows, columns) siemens.
    """

    hardware: Hardware
    layout: Layout
    transposed: bool
    converters: Converters
    keys: tuple[Key, ...]
    programmed: Programmed
    seen: Callable[[], NDArray[np.float64]] = lambda: np.empty((0, 0, 0))
    row_of: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    @classmethod
    def of(cls, hardware: Hardware, layout: Layout, scales: Scales, transposed: bool, stream: Stream) -> Direction:
        """With arrays to be filled; stream: random number keys by name."""
        adc, dac = hardware.adc, hardware.dac
        name = "backward" if transposed else "forward"
        keys = (stream(name), *(stream(name, f"bit {bit}") for bit in range(1, dac.reads)))
        widths = (layout.spec.plane_columns, hardware.tile.rows)
        lines = layout.columns if transposed else layout.inputs
        programmed = Programmed.empty(
            lines,
            layout.sensed(transposed),
            *(widths if transposed else widths[::-1]),
            noisy=hardware.device.reads_noisy,
        )
        _set_scales(programmed, hardware, layout, scales, transposed)
        bank = None
        if not (adc.exact or adc.plain):
            columns = programmed.current.shape[1]
            bank = ADCBank(adc, programmed.tile_outputs, columns, programmed.grid[0], stream(name, "adc"))
        converters = Converters(0 if dac.exact else dac.steps, 0 if adc.exact else adc.steps, bank)
        return cls(hardware, layout, transposed, converters, keys, programmed)

    @property
    def places(self) -> NDArray[np.int64]:
        """(slices, columns): where each is among the sums that a read senses."""
        return self.layout.places_back if self.transposed else self.layout.places


def _set_scales(programmed: Programmed, hardware: Hardware, layout: Layout, scales: Scales, transposed: bool) -> None:
    """The digital factors before the DACs and after the ADCs; beyond the reader where a layout is not plain."""
    full = hardware.device.read_voltage * hardware.device.window * layout.full_scale
    scale, plain = scales.column, layout.plain
    programmed.input_scale[:] = scale if plain and transposed else 1.0
    programmed.output_scale[:] = scale / full if plain and not transposed else 1.0 / full
    tiles = scales.tile.T if transposed else scales.tile
    programmed.tile_scale[:] = np.repeat(tiles, layout.spec.slices, axis=1)
