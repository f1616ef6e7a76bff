"""Encoding: the conductances that the cells of a weight get, and the weights that conductances stand for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.devices import DeviceModel
from crossbar_sim.mapping import compiled as mapping_kernels
from crossbar_sim.mapping.layout import Layout
from crossbar_sim.runtime.threads import in_parts
from crossbar_sim.spec.errors import MappingError

Floats = NDArray[np.float64]
LEAST_WEIGHTS = 1 << 16
"""Weights that are worth a thread of their own."""


def to_conductance(weight: Floats, limit: Floats, device: DeviceModel, layout: Layout) -> Floats:
    """Target conductances (planes, inputs, columns) siemens of weights (inputs, outputs), on the device's levels.

    limit (row tiles, outputs): the weight that stands at the end of the window; weights beyond it are clipped to it.
    Raises MappingError for weights that are not finite.
    """
    if not np.isfinite(weight).all():
        raise MappingError("weights to be mapped must be finite, got NaN or infinity; check the model's weights")
    target = np.full(layout.shape, np.nan)
    retarget(np.ascontiguousarray(weight.T), limit, device, layout, np.arange(layout.inputs), target)
    return target


def retarget(
    weight: NDArray[np.floating],
    limit: Floats,
    device: DeviceModel,
    layout: Layout,
    row_of: NDArray[np.int64],
    target: Floats,
) -> tuple[NDArray[np.int64], Floats]:
    """Move `target` (planes, inputs, columns) to the targets of `weight` (outputs, inputs), in place; input k is
    on row row_of[k].

    Returns the flat indices of the cells whose target changed (all, where target was NaN) and their new
    targets. A sliced weight is rounded to slices x slice_bits bits, whose digits lie evenly in the window; without
    levels every slice holds the weight itself. Weights must be finite.
    """
    cells, goals = np.empty(target.size, np.int64), np.empty(target.size)
    spec, references = layout.spec, layout.spec.references
    levels = device.levels if device.levels is not None else 0
    if spec.pair_update == "one_side":
        count = mapping_kernels.retarget_one_side(
            weight,
            limit,
            spec.rows,
            device.g_min,
            device.window,
            levels,
            row_of,
            layout.column_of,
            target,
            cells,
            goals,
        )
    else:
        arguments = (
            np.ascontiguousarray(weight),
            limit,
            spec.rows,
            device.g_min,
            device.window,
            levels,
            spec.sides,
            spec.mapping == "differential",
            spec.slices,
            spec.slice_bits or 0,
            row_of,
            layout.column_of,
            spec.outputs if references else layout.outputs,
            target,
            cells,
            goals,
        )
        found: list[tuple[int, int]] = []  # first line and number of changed cells of each thread
        in_parts(
            lambda begin, end: found.append((begin, mapping_kernels.retarget(begin, end, *arguments))),
            len(target) * layout.inputs,
            LEAST_WEIGHTS // layout.outputs + 1,
        )
        count = 0
        for line, changed in sorted(found):
            if (first := line * layout.outputs) > count:  # below it a thread found fewer than there were places for
                for listed in (cells, goals):
                    listed[count : count + changed] = listed[first : first + changed]
            count += changed
    if references:
        count = _target_references(device, layout, target, cells, goals, count)
    return cells[:count], goals[:count]


def _target_references(
    device: DeviceModel, layout: Layout, target: Floats, cells: NDArray[np.int64], goals: Floats, count: int
) -> int:
    """Reference cells stand in the middle of the window, on a level or not; they are written once."""
    middle = device.g_min + 0.5 * device.window
    flat = np.ravel_multi_index(np.ix_(*map(np.arange, layout.shape[:2]), np.unique(layout.reference_of)), layout.shape)
    fresh = flat[np.isnan(target.reshape(-1)[flat])]
    target.reshape(-1)[fresh] = middle
    cells[count : count + fresh.size], goals[count : count + fresh.size] = fresh, middle
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
    row_of: NDArray[np.int64],
    weight: NDArray[np.floating],
) -> None:
    """As `to_weight`, into `weight` (outputs, inputs), with input k on row row_of[k]."""
    arguments = (
        conductance,
        limit,
        layout.spec.rows,
        device.window * layout.swing,
        layout.spec.sides,
        layout.slice_weights,
        row_of,
        layout.column_of,
        layout.reference_of,
        weight,
    )
    least = LEAST_WEIGHTS // layout.outputs + 1
    in_parts(mapping_kernels.read_weights, layout.inputs, least, *arguments)
