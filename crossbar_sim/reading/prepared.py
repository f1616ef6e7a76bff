"""PreparedReads: both read directions of one matrix, prepared by the first read after its cells changed."""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.cells.cells import Cells
from crossbar_sim.devices.laws import NO_SPREAD
from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.mapping.layout import Layout
from crossbar_sim.mapping.tiles import cut
from crossbar_sim.reading.compiled.prepare import BLOCK, prepare_reads
from crossbar_sim.reading.compiled.settings import Conductances, NoiseLaw, Places
from crossbar_sim.reading.direction import Direction, Scales, Stream
from crossbar_sim.reading.path import ReadPath
from crossbar_sim.reading.registers import Registers
from crossbar_sim.runtime.compiling import FixedArguments, SameTypes
from crossbar_sim.runtime.threads import in_parts
from crossbar_sim.spec.arrays import Floats
from crossbar_sim.wires.tile import SeenCells

PREPARE = SameTypes(prepare_reads)
NO_NOISE = np.empty((0, 0, 0))
LEAST_CELLS = 1 << 16
"""Cells whose preparation for reads is worth a thread of its own."""


class RowOrder(Protocol):
    """Which row each input is on."""

    row_of: NDArray[np.int64]


class Seen(NamedTuple):
    """Siemens (planes, rows, columns) as reads see the cells: through wires, or as they are."""

    forward: Floats
    back: Floats


class PreparedReads:
    """Forward and transposed reads of the cells of one matrix.

    The first read after the version of the cells has changed, or whoever asks for what reads need, prepares both
    directions once. name: of the matrix; rows: which row each input is on then; conversions: of one forward and of one
    transposed vector; stream: random number keys by name. A copy has the registers and prepares anew. Without wires
    nothing keeps the conductances but the cells: cells that rest are made again for as long as they are looked at.
    """

    def __init__(
        self,
        name: str,
        hardware: Hardware,
        layout: Layout,
        cells: Cells,
        rows: RowOrder,
        scales: Scales,
        conversions: tuple[int, int],
        stream: Stream,
    ) -> None:
        self._made_of = name, hardware, layout, cells, rows, scales, conversions, stream
        self._hardware = hardware
        self._layout = layout
        self._cells = cells
        self._rows = rows
        self._wires: SeenCells | None = None
        if hardware.tile.wired:
            tiles = cut("", layout.inputs, layout.outputs, hardware.tile)
            self._wires = SeenCells(hardware.tile, tiles, cells.present)
        self._prepared_version = -1
        self._fill = FixedArguments(PREPARE, made=(Conductances, NoiseLaw)).call
        self.paths = tuple(
            ReadPath(
                name,
                Direction.of(hardware, layout, scales, transposed, stream),
                scales.column,
                conversions[transposed],
                cells,
                self.prepare,
            )
            for transposed in (False, True)
        )
        for path in self.paths:
            path.direction.seen = partial(self._seen_by, path.direction.transposed)

    def __getstate__(self) -> tuple[tuple[Any, ...], list[tuple[Registers, bool]]]:
        return self._made_of, [(path.registers, path.held) for path in self.paths]

    def __setstate__(self, state: tuple[tuple[Any, ...], list[tuple[Registers, bool]]]) -> None:
        made_of, read = state
        self.__init__(*made_of)  # type: ignore[misc]
        for path, (registers, held) in zip(self.paths, read, strict=True):
            path.registers, path.held = registers, held

    @property
    def seen(self) -> Seen:
        """What reads see of the cells as they are now."""
        self.prepare()
        return Seen(self._seen_by(False), self._seen_by(True))

    def _seen_by(self, transposed: bool) -> Floats:
        if self._wires is None:
            return self._cells.awake().present
        return self._wires.back if transposed else self._wires.forward

    def prepare(self) -> None:
        """Make what reads in both directions need, unless the cells are still those it was made of."""
        if self._prepared_version == self._cells.version:
            return
        self._prepared_version = self._cells.version
        device = self._hardware.device
        layout = self._layout
        cells, wires = self._cells.awake(), self._wires
        seen = Seen(cells.present, cells.present)
        if wires is not None:
            wires.update()
            seen = Seen(wires.forward, wires.back)
        forward, back = (path.direction for path in self.paths)
        noise = NoiseLaw(NO_SPREAD, NO_NOISE)
        if device.noise_of_state is not None:
            noise = NoiseLaw(device.noise_of_state.numbers, NO_NOISE)
        elif device.reads_noisy:
            noise = NoiseLaw(NO_SPREAD, cells.read_sigma())
        column_sums = np.empty((-(-layout.inputs // BLOCK), layout.columns))
        in_parts(
            self._fill,
            len(column_sums),
            LEAST_CELLS // (BLOCK * layout.columns) + 1,
            Conductances(
                cells.present,
                seen.forward,
                seen.back,
                seen.forward is seen.back,
                wires is not None,
                device.read_voltage,
            ),
            noise,
            Places(layout.spec.sides, self._rows.row_of, layout.places, layout.places_back),
            forward.programmed.to_fill,
            back.programmed.to_fill,
            column_sums,
        )
        back.programmed.line_conductance[:] = np.add.reduce(column_sums)
        for direction in (forward, back):
            direction.row_of = self._rows.row_of
            direction.programmed.settle(self._level)

    @cached_property
    def _level(self) -> float | None:
        """Ampere between neighbouring levels at full drive, where every cell stands exactly on one."""
        device, levels = self._hardware.device, self._hardware.cell_levels
        if levels is None or not self._hardware.cells_stay_on_levels or self._hardware.tile.wired:
            return None
        return device.read_voltage * device.window / (levels - 1)
