"""CellTargets: what each cell of a matrix was last programmed to, and which cells new weights ask to be written."""

from __future__ import annotations

import numpy as np
import torch

from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.mapping.compiled import clamp
from crossbar_sim.mapping.encoding import read_weights, retarget
from crossbar_sim.mapping.layout import Layout
from crossbar_sim.mapping.pulsing import pulsed_cells
from crossbar_sim.mapping.tiles import column_scale, tile_scale
from crossbar_sim.runtime.counter_random import Key
from crossbar_sim.spec.arrays import Floats, Integers
from crossbar_sim.wear.levelling import Rows


class CellTargets:
    """Weights as levels of cells, and levels as weights.

    scale (outputs,): the largest |w| each column can hold; None takes it from the weight; `of_tile` (row tiles, column
    tiles): the share of it that a tile can hold; `limit` (row tiles, outputs): the product of both. `target` (planes,
    inputs, columns), siemens: NaN where a cell stands wherever pulses left it. `rows`: on which row each input is.
    """

    def __init__(
        self, hardware: Hardware, layout: Layout, weight: torch.Tensor, scale: Floats | None, key: Key
    ) -> None:
        tile = hardware.tile
        self.device = hardware.device
        self.layout = layout
        transposed = weight.detach().cpu().double().numpy().T
        self.of_tile = tile_scale(transposed if scale is None else np.zeros_like(transposed), tile)
        if scale is None:
            scale = column_scale(transposed, tile.scale)
        self.scale = np.ascontiguousarray(scale, np.float64)
        self.limit = self.scale * np.repeat(self.of_tile, tile.outputs, axis=1)[:, : layout.outputs]
        largest = self.scale[None]
        if tile.scale == "tile":
            largest = np.repeat(self.limit, tile.rows, axis=0)[: layout.inputs]
        self.largest = np.ascontiguousarray(largest.T, np.float32)
        self.target = np.full(layout.shape, np.nan)
        self.rows = Rows(hardware.wear_levelling, layout.inputs, tile.rows, key)

    def clamp(self, weight: torch.Tensor) -> bool:
        """Clip a weight (outputs, inputs) in place to what the cells can hold; False if it is not finite."""
        return bool(clamp(weight.numpy(), self.largest))

    def changes(self, weight: torch.Tensor) -> tuple[Integers, Floats]:
        """Flat indices of the cells whose target is another for this weight (outputs, inputs), and their targets."""
        return retarget(weight.numpy(), self.limit, self.device, self.layout, self.rows.row_of, self.target)

    def moves(self, writes: Integers) -> tuple[Integers, Floats] | None:
        """Flat indices of the cells that get another target because wear levelling moves rows after a write, and their
        targets; None: all rows stay. writes (planes, inputs, columns): of each cell so far."""
        moved = self.rows.after_write(writes)
        if moved is None:
            return None
        target = self.target.copy()
        target[:, moved] = self.target[:, self.rows.row_of]
        cells = np.flatnonzero(target != self.target)
        self.rows.row_of, self.target = moved, target
        return cells, target.reshape(-1)[cells]

    def pulsed(self, pulses: Integers, present: Floats) -> tuple[Integers, Integers]:
        """Flat indices of the cells that blind pulses per weight (outputs, inputs) reach where the cells stand at
        `present` (planes, inputs, columns), and the pulses of each."""
        rows = self.rows.row_of
        cells, counts = pulsed_cells(pulses, present[:, rows], self.device)
        plane, row, column = np.unravel_index(cells, present.shape)
        return np.ravel_multi_index((plane, rows[row], column), present.shape).astype(np.int64), counts

    def forget(self, cells: Integers) -> None:
        """These cells (flat indices) have no target any more: they stand wherever pulses left them."""
        self.target.reshape(-1)[cells] = np.nan

    def weight(self, present: Floats) -> torch.Tensor:
        """The weights (outputs, inputs) that conductances (planes, inputs, columns) stand for."""
        weight = np.empty((self.layout.outputs, self.layout.inputs), np.float32)
        read_weights(present, self.limit, self.device, self.layout, self.rows.row_of, weight)
        return torch.from_numpy(weight)
