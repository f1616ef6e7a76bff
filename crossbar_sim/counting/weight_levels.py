"""At which levels the cells of a matrix stand, and how hard inputs drive them, where no data is at hand."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from scipy.special import ndtr, ndtri

from crossbar_sim.hardware.converters import DAC
from crossbar_sim.hardware.hardware import Hardware
from crossbar_sim.mapping.encoding import to_conductance
from crossbar_sim.mapping.layout import Layout
from crossbar_sim.mapping.tiles import column_scale, tile_scale
from crossbar_sim.spec.arrays import Floats

CONTINUOUS = 17  # levels that stand for a device without levels
TOP_QUANTILES = 64  # of a Gaussian maximum, for its mean
QUANTILES = 4096  # of a Gaussian weight


def level_count(hardware: Hardware) -> int:
    """Levels of a cell: the device's, or those of a slice's digits; for a continuous device those that stand for it."""
    return hardware.cell_levels or CONTINUOUS


def levels_of(weight: torch.Tensor, scale: Floats | None, layout: Layout, hardware: Hardware) -> tuple[float, ...]:
    """Share of the cells at each level: counted if the weight (outputs, inputs) has values, of Gaussian weights on the
    meta device. scale (outputs,): the largest weight of each column; None: taken from the weight."""
    count = level_count(hardware)
    if weight.device.type == "meta":
        sharing = {
            "column": layout.inputs,
            "tile": min(layout.inputs, layout.spec.rows) * min(layout.outputs, layout.spec.outputs),
            "matrix": weight.numel(),
        }[layout.spec.scale]
        return gaussian_levels(sharing, count, hardware)
    values = weight.detach().cpu().double().numpy().T
    of_tile = tile_scale(values if scale is None else np.zeros_like(values), layout.spec)
    column = column_scale(values, layout.spec.scale) if scale is None else scale
    limit = column * np.repeat(of_tile, layout.spec.outputs, axis=1)[:, : layout.outputs]
    return _histogram(to_conductance(values, limit, hardware.device, layout), count, hardware)


@cache
def gaussian_levels(weights: int, levels: int, hardware: Hardware) -> tuple[float, ...]:
    """Share of the cells at each level if `weights` Gaussian weights share one scale, their largest magnitude.

    Of a one-sided pair one cell is at level 0, the other at the level of |w| / max |w|; the largest is taken at its
    mean. Other mappings: the histogram of evenly spaced quantiles.
    """
    largest = _largest_gaussian(weights)
    if not hardware.tile.scheme.one_sided or hardware.tile.slices > 1:
        quantiles = ndtri((np.arange(QUANTILES) + 0.5) / QUANTILES)[:, None]
        layout = Layout(hardware.tile, QUANTILES, 1)
        limit = np.full((layout.row_tiles, 1), largest)
        return _histogram(to_conductance(quantiles, limit, hardware.device, layout), levels, hardware)
    edges = (np.arange(levels - 1) + 0.5) / (levels - 1) * largest
    below = np.concatenate([2 * ndtr(edges) - 1, [1.0]])
    shares = np.diff(below, prepend=0.0) / 2
    shares[0] += 0.5
    return tuple(shares.tolist())


def gaussian_drive(values: int, dac: DAC) -> float:
    """Squared drives of all reads of a vector of that many Gaussian values, mean over its values.

    One read: (x / max |x|)^2. Bit by bit: the bits of the code that are set.
    """
    return _one_shot_drive(values) if dac.reads == 1 else _serial_drive(values, dac.steps)


@cache
def _one_shot_drive(values: int) -> float:
    if values == 1:
        return 1.0
    quantiles = (np.arange(TOP_QUANTILES) + 0.5) / TOP_QUANTILES
    largest = ndtri((quantiles ** (1 / values) + 1) / 2)
    density = np.exp(-(largest**2) / 2) / math.sqrt(2 * math.pi)
    inside = 1 - 2 * largest * density / (2 * ndtr(largest) - 1)  # mean square below the largest
    return float(np.mean((1 + (values - 1) * inside / largest**2) / values))


@cache
def _serial_drive(values: int, steps: int) -> float:
    size = ndtri(0.5 + 0.5 * (np.arange(QUANTILES) + 0.5) / QUANTILES)
    codes = np.rint(np.minimum(size / _largest_gaussian(values), 1.0) * steps).astype(np.int64)
    return float(np.bitwise_count(codes).mean())


def _largest_gaussian(values: int) -> float:
    quantiles = (np.arange(TOP_QUANTILES) + 0.5) / TOP_QUANTILES
    return float(np.mean(ndtri((quantiles ** (1 / values) + 1) / 2)))


def _histogram(targets: Floats, count: int, hardware: Hardware) -> tuple[float, ...]:
    device = hardware.device
    nearest = np.rint((targets - device.g_min) / device.window * (count - 1)).astype(np.int64)
    return tuple((np.bincount(nearest.reshape(-1), minlength=count) / targets.size).tolist())
