"""Encoding: the conductances that the cells of a weight get, and the weights that conductances stand for."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from crossbar_sim.devices import DeviceModel
from crossbar_sim.mapping import compiled as mapping_kernels
from crossbar_sim.mapping.compiled import Decoding, Encoding, Places, Targets
from crossbar_sim.mapping.kept_targets import FirstTargets, KeptTargets, reference_cells
from crossbar_sim.mapping.layout import Layout
from crossbar_sim.mapping.pulsing import pulsed_cells
from crossbar_sim.mapping.tiles import column_scale, tile_scale
from crossbar_sim.runtime.threads import in_parts
from crossbar_sim.spec.arrays import Floats, Integers
from crossbar_sim.spec.errors import MappingError

LEAST_WEIGHTS = 1 << 16
"""Weights that are worth a thread of their own."""


def to_conductance(weight: Floats, limit: Floats, device: DeviceModel, layout: Layout) -> Floats:
    """Target conductances (planes, inputs, columns) siemens of weights (inputs, outputs), on the device's levels.

    limit (row tiles, outputs): the weight that stands at the end of the window; weights beyond it are clipped to it.
    Raises MappingError for weights that are not finite.
    """
    if not np.isfinite(weight).all():
        raise MappingError("weights to be mapped must be finite, got NaN or infinity; check the model's weights")
    kept = KeptTargets.nowhere(device, layout)
    retarget(np.ascontiguousarray(weight.T), limit, device, layout, np.arange(layout.inputs), kept)
    return kept.siemens


def retarget(
    weight: NDArray[np.floating],
    limit: Floats,
    device: DeviceModel,
    layout: Layout,
    row_of: Integers,
    kept: KeptTargets,
) -> tuple[Integers, Floats]:
    """Move the targets `kept` to those of `weight` (outputs, inputs), in place; input k is on row row_of[k].

    Returns the flat indices of the cells whose target changed (all, where there was none) and their new
    targets, siemens. A sliced weight is rounded to slices x slice_bits bits, whose digits lie evenly in the window;
    without levels every slice holds the weight itself. Weights must be finite.
    """
    spec = layout.spec
    size = kept.array.size
    targets = Targets(kept.array, np.empty(size, np.int64), np.empty(size))
    encoding = Encoding(
        limit=limit,
        rows=spec.rows,
        g_min=device.g_min,
        window=device.window,
        levels=device.levels if device.levels is not None else 0,
        sides=spec.sides,
        one_sided=spec.scheme.one_sided,
        slices=spec.slices,
        slice_bits=spec.slice_bits or 0,
        level_siemens=kept.level_siemens,
    )
    places = _places(layout, row_of)
    if spec.pair_update == "one_side":
        count = mapping_kernels.retarget_one_side(weight, encoding, places, targets)
    else:
        count = _retarget_side_by_side(np.ascontiguousarray(weight), encoding, places, targets)
    if spec.references:
        count = _target_references(device, layout, kept, targets, count)
    return targets.cells[:count], targets.goals[:count]


def _places(layout: Layout, row_of: Integers) -> Places:
    width = layout.spec.outputs if layout.spec.references else layout.outputs
    return Places(row_of, layout.column_of, width, layout.reference_of)


def _retarget_side_by_side(weight: NDArray[np.floating], encoding: Encoding, places: Places, targets: Targets) -> int:
    """`compiled.retarget` on all threads; the cells that changed then follow one another in `targets`."""
    outputs, inputs = weight.shape
    found: list[tuple[int, int]] = []  # first line and number of changed cells of each thread

    def retarget_lines(begin: int, end: int) -> None:
        found.append((begin, mapping_kernels.retarget(begin, end, weight, encoding, places, targets)))

    in_parts(retarget_lines, len(targets.target) * inputs, LEAST_WEIGHTS // outputs + 1)
    count = 0
    for line, changed in sorted(found):
        if (first := line * outputs) > count:  # below it a thread found fewer than there were places for
            for listed in (targets.cells, targets.goals):
                listed[count : count + changed] = listed[first : first + changed]
        count += changed
    return count


def _target_references(device: DeviceModel, layout: Layout, kept: KeptTargets, targets: Targets, count: int) -> int:
    """Reference cells stand in the middle of the window, on a level or not; they are written once."""
    middle, flat = device.g_min + 0.5 * device.window, reference_cells(layout)
    fresh = flat[kept.without(flat)]
    kept.set_middle(fresh, middle)
    targets.cells[count : count + fresh.size] = fresh
    targets.goals[count : count + fresh.size] = middle
    return count + fresh.size


def to_weight(conductance: Floats, limit: Floats, device: DeviceModel, layout: Layout) -> Floats:
    """Weights (inputs, outputs) that conductances (planes, inputs, columns) stand for; limit as in `to_conductance`."""
    weight = np.empty((layout.outputs, layout.inputs))
    read_weights(conductance, limit, device, layout, np.arange(layout.inputs), weight)
    return weight.T


def read_weights(
    conductance: Floats,
    limit: Floats,
    device: DeviceModel,
    layout: Layout,
    row_of: Integers,
    weight: NDArray[np.floating],
) -> None:
    """As `to_weight`, into `weight` (outputs, inputs), with input k on row row_of[k]."""
    decoding = Decoding(
        limit, layout.spec.rows, device.window * layout.full_scale, layout.spec.sides, layout.slice_weights
    )
    least = LEAST_WEIGHTS // layout.outputs + 1
    places = _places(layout, row_of)
    in_parts(mapping_kernels.read_weights, layout.inputs, least, conductance, decoding, places, weight)


class RowOrder(Protocol):
    """On which row each input is (inputs,), and the rows from now on after a write; None: all stay."""

    row_of: Integers

    def after_write(self, writes: Integers) -> Integers | None:
        """writes (planes, inputs, columns): of each cell so far."""


def scales_of(weight: torch.Tensor, layout: Layout) -> tuple[Floats, Floats]:
    """What each column (outputs,), and each tile (row tiles, column tiles) as a share of it, must hold for a weight
    (outputs, inputs)."""
    transposed = weight.detach().cpu().double().numpy().T
    return column_scale(transposed, layout.spec.scale), tile_scale(transposed, layout.spec)


class CellTargets:
    """Weights as levels of cells, and levels as weights.

    scale (outputs,): the largest |w| each column can hold; None takes it from the weight; `of_tile` (row tiles, column
    tiles): the share of it that a tile can hold; `limit` (row tiles, outputs): the product of both. `kept`: where cells
    are led; none where a cell stands wherever pulses left it. `rows`: on which row each input is.
    """

    def __init__(
        self, device: DeviceModel, layout: Layout, weight: torch.Tensor, scale: Floats | None, rows: RowOrder
    ) -> None:
        self.device = device
        self.layout = layout
        self.rows = rows
        self.kept = KeptTargets.nowhere(device, layout)
        self._lent = False
        if scale is None:
            self.rescale(*scales_of(weight, layout))
        else:
            self.rescale(scale, np.ones((layout.row_tiles, layout.column_tiles)))

    @property
    def target(self) -> Floats:
        """Of each cell (planes, inputs, columns), siemens, a new array; NaN where a cell stands wherever pulses left
        it."""
        return self.kept.siemens

    def lend(self) -> FirstTargets:
        """The targets as they are now, to be asked for whenever; later changes are made on a copy."""
        self._lent = True
        return FirstTargets(self.kept, self.layout)

    def own(self) -> KeptTargets:
        """The targets, to be changed."""
        if self._lent:
            self.kept, self._lent = self.kept.copy(), False
        return self.kept

    def rescale(self, scale: Floats, of_tile: Floats) -> None:
        """From now on columns and tiles can hold so much; every target stays what it is, siemens."""
        tile, layout = self.layout.spec, self.layout
        self.scale, self.of_tile = np.ascontiguousarray(scale, np.float64), of_tile
        self.limit = self.scale * np.repeat(self.of_tile, tile.outputs, axis=1)[:, : layout.outputs]
        largest = self.scale[None]
        if tile.scale == "tile":
            largest = np.repeat(self.limit, tile.rows, axis=0)[: layout.inputs]
        self.largest = np.ascontiguousarray(largest.T, np.float32)

    def clamp(self, weight: torch.Tensor) -> bool:
        """Clip a weight (outputs, inputs) in place to what the cells can hold; False if it is not finite."""
        return bool(mapping_kernels.clamp(weight.numpy(), self.largest))

    def changes(self, weight: torch.Tensor) -> tuple[Integers, Floats]:
        """Flat indices of the cells whose target is another for this weight (outputs, inputs), and their targets."""
        return retarget(weight.numpy(), self.limit, self.device, self.layout, self.rows.row_of, self.own())

    def moves(self, writes: Integers) -> tuple[Integers, Floats] | None:
        """Flat indices of the cells that get another target because wear levelling moves rows after a write, and their
        targets; None: all rows stay. writes (planes, inputs, columns): of each cell so far."""
        moved = self.rows.after_write(writes)
        if moved is None:
            return None
        kept, after = self.kept, self.kept.copy()
        after.array[:, moved] = kept.array[:, self.rows.row_of]
        cells = np.flatnonzero(after.array != kept.array)
        self.rows.row_of = moved
        self.kept, self._lent = after, False
        return cells, after.of(cells)

    def pulsed(self, pulses: Integers, present: Floats) -> tuple[Integers, Integers]:
        """Flat indices of the cells that blind pulses per weight (outputs, inputs) reach where the cells stand at
        `present` (planes, inputs, columns), and the pulses of each."""
        rows = self.rows.row_of
        cells, counts = pulsed_cells(pulses, present[:, rows], self.device)
        plane, row, column = np.unravel_index(cells, present.shape)
        return np.ravel_multi_index((plane, rows[row], column), present.shape).astype(np.int64), counts

    def forget(self, cells: Integers | NDArray[np.bool_]) -> None:
        """These cells (flat indices, or which of them all) have no target any more: they stand wherever pulses left
        them."""
        kept = self.own()
        if cells.dtype == np.bool_:
            np.copyto(kept.array, kept.none, where=cells)
        else:
            kept.array.reshape(-1)[cells] = kept.none

    def weight(self, present: Floats) -> torch.Tensor:
        """The weights (outputs, inputs) that conductances (planes, inputs, columns) stand for."""
        weight = np.empty((self.layout.outputs, self.layout.inputs), np.float32)
        read_weights(present, self.limit, self.device, self.layout, self.rows.row_of, weight)
        return torch.from_numpy(weight)
