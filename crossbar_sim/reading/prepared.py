"""PreparedReads: both read directions of one matrix, prepared by the first read after its cells changed."""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.cells.cells import Cells
from crossbar_sim.devices.laws import NO_SPREAD
from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.mapping.layout import Layout
from crossbar_sim.mapping.tiles import cut
from crossbar_sim.reading.compiled.prepare import BLOCK, prepare_reads
from crossbar_sim.reading.path import ReadPath, Scales, Stream
from crossbar_sim.runtime.threads import in_parts
from crossbar_sim.wires.tile import SeenCells

NO_NOISE = np.empty((0, 0, 0))
LEAST_CELLS = 1 << 16
"""Cells whose preparation for reads is worth a thread of its own."""


class RowOrder(Protocol):
    """Which row each input is on."""

    row_of: NDArray[np.int64]


class PreparedReads:
    """Forward and transposed reads of the cells of one matrix.

    Whoever writes the cells, lets them age or moves inputs to other rows says `cells_changed()`, as often as it likes;
    the next read, or whoever asks for what reads need, prepares both directions once. rows: which row each input is on
    then; conversions: of one forward and of one transposed vector; stream: random number keys by name.
    """

    def __init__(
        self,
        hardware: Hardware,
        layout: Layout,
        cells: Cells,
        rows: RowOrder,
        scales: Scales,
        conversions: tuple[int, int],
        stream: Stream,
    ) -> None:
        self._hardware, self._layout, self._cells, self._rows = hardware, layout, cells, rows
        tiles = cut("", layout.inputs, layout.outputs, hardware.tile)
        self._seen = SeenCells(hardware.tile, tiles, cells.present)
        self._changed = True
        self.paths = (
            ReadPath(hardware, layout, scales, False, conversions[0], stream, self.prepare),
            ReadPath(hardware, layout, scales, True, conversions[1], stream, self.prepare),
        )

    def cells_changed(self) -> None:
        """Forget what was prepared: the cells hold other conductances, or inputs are on other rows."""
        self._changed = True
        for path in self.paths:
            path.forget()

    @property
    def seen(self) -> SeenCells:
        """What reads see of the cells as they are now."""
        self.prepare()
        return self._seen

    def prepare(self) -> None:
        """Make what reads in both directions need, unless the cells are still those it was made of."""
        if not self._changed:
            return
        self._changed = False
        self._seen.update()
        device, layout, seen = self._hardware.device, self._layout, self._seen
        forward, back = (path.cells for path in self.paths)
        law, sigmas = device.noise_of_state, NO_NOISE
        if law is None and device.reads_noisy:
            sigmas = self._cells.read_sigma()
        column_sums = np.empty((-(-layout.inputs // BLOCK), layout.columns))
        in_parts(
            prepare_reads,
            len(column_sums),
            LEAST_CELLS // (BLOCK * layout.columns) + 1,
            self._cells.present,
            seen.forward,
            seen.back,
            seen.forward is seen.back,
            seen.wired,
            layout.spec.sides,
            self._rows.row_of,
            layout.places,
            layout.places_back,
            device.read_voltage,
            NO_SPREAD if law is None else law.numbers,
            sigmas,
            *forward.padded,
            forward.line_conductance,
            *back.padded,
            column_sums,
        )
        back.line_conductance[:] = np.add.reduce(column_sums)
        for path, cells in zip(self.paths, (seen.forward, seen.back), strict=True):
            path.settle(cells, self._rows.row_of, self._level)

    @cached_property
    def _level(self) -> float | None:
        """Ampere between neighbouring levels at full drive, where every cell stands exactly on one."""
        device, levels = self._hardware.device, self._hardware.cell_levels
        if levels is None or not self._hardware.cells_stay_on_levels or self._hardware.tile.wired:
            return None
        return device.read_voltage * device.window / (levels - 1)
