"""calibrate: set the range registers of the converters from data."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from crossbar_sim.chip.simulated import SimulatedMatrix
from crossbar_sim.quality.probes import Batches, Loss, Watched, compare, decibels, matrices_of, unbilled, watch
from crossbar_sim.reading.path import ReadPath
from crossbar_sim.spec.arrays import Floats, Singles
from crossbar_sim.spec.errors import MappingError
from crossbar_sim.spec.units import engineering

HALVINGS = 24  # of the interval in which a percentile is searched


@dataclass(frozen=True)
class Calibrated:
    """One matrix, one direction: smallest and largest range of its tiles (ampere; None: nothing to set), share of the
    data's conversions that it clips, signal-to-noise ratio against the exact product with the masters, dB, and the
    input that drives a line fully (None: the largest of each vector)."""

    matrix: str
    transposed: bool
    vectors: int
    smallest_range: float | None
    largest_range: float | None
    clipped_share: float
    snr_dB: float | None
    full_drive: float | None


@dataclass(frozen=True)
class Calibration:
    """What `calibrate` set, matrix by matrix in the order of their first read."""

    percentile: float
    held: bool
    layers: tuple[Calibrated, ...]

    def rows(self) -> list[dict[str, Any]]:
        """One record per matrix and direction, ready for JSON."""
        return [asdict(layer) for layer in self.layers]

    def __str__(self) -> str:
        rule = "largest |current|" if self.percentile == 100 else f"{self.percentile:g} % of |current|"
        lines = [f"Calibration: ADC ranges from the {rule}{', held' * self.held}"]
        for layer in self.layers:
            name = layer.matrix + " (transposed)" * layer.transposed
            if layer.smallest_range is None or layer.largest_range is None:
                span = "no register"
            else:
                span = f"{engineering(layer.smallest_range, 'A')} to {engineering(layer.largest_range, 'A')}"
            if layer.full_drive is not None:
                span += f", input {layer.full_drive:.3g}"
            lines.append(f"  {name:<34}{span:<24}{layer.clipped_share:>7.2%} clipped{decibels(layer.snr_dB):>10}")
        return "\n".join(lines)


def calibrate(
    model: nn.Module,
    data: Batches,
    *,
    percentile: float = 100.0,
    loss: Loss | None = None,
    hold: bool = False,
    bill: bool = True,
) -> Calibration:
    """Set the range register of every tile to the smallest range that clips at most 100 - percentile % of the
    conversions of `data`: at 100, to the largest |current|. DACs with range 'calibrated' first get the largest |input|.

    data: one batch, or several. They pass once, in evaluation mode and with ranges that clip nothing, and that pass is
    billed to the phase 'deploy' unless bill=False; the search for the percentile and the report are not billed.
    loss: of the model's output; with it the registers of the transposed reads are set too, from its gradients.
    hold: the registers stay in training mode too, where they follow the currents otherwise; hold=False lets go again.
    What the data does not reach keeps its registers. ADCs with range 'full_scale' or 'granular' have none, DACs with
    range 'vector' neither, exact converters neither.
    """
    if not 50 <= percentile <= 100:
        raise MappingError(f"percentile must be 50 to 100 (no clipping), got {percentile:g}")
    matrices = matrices_of(model)
    watched = Watched()
    covering: dict[tuple[SimulatedMatrix, bool], Singles] = {}
    drives: dict[tuple[SimulatedMatrix, bool], float] = {}

    def cover(matrix: SimulatedMatrix, x: torch.Tensor, transposed: bool) -> None:
        """Widen the ranges to these reads before they happen."""
        watched(matrix, x, transposed)
        path = matrix.path(transposed)
        if path.has_drive_register:
            drives[matrix, transposed] = max(drives.get((matrix, transposed), 0.0), path.largest_drive(x.float()))
            path.registers.full_drive = drives[matrix, transposed] or None
        if path.has_registers:
            peaks = _read_with(path, x, path.largest_current)[0]
            covering[matrix, transposed] = np.maximum(covering.get((matrix, transposed), peaks), peaks)
            path.registers.ranges = _positive(covering[matrix, transposed], path)

    ledger = matrices[0].ledger
    with ledger.phase("deploy"), nullcontext() if bill else unbilled(matrices):
        before = [(matrix, matrix.read_state()) for matrix in matrices]
        try:
            watch(model, data, cover, loss)
        except MappingError:
            for matrix, state in before:
                matrix.restore_reads(state)
            raise
    layers = []
    for (matrix, transposed), x in watched.vectors().items():
        path = matrix.path(transposed)
        if path.has_registers:
            largest = covering[matrix, transposed]
            if path.has_drive_register:  # the register of the DACs may have risen since: the currents are smaller
                largest = _read_with(path, x, path.largest_current)[0]
            path.registers.ranges = _positive(
                largest if percentile == 100 else _search(path, x, largest, percentile), path
            )
        if path.has_registers or path.has_drive_register:
            path.held = hold
        result = compare(matrix, x, transposed)
        registers = path.registers.ranges if path.has_registers else None
        smallest, widest = (None, None) if registers is None else map(float, (registers.min(), registers.max()))
        drive = drives.get((matrix, transposed))
        layers.append(Calibrated(matrix.name, transposed, len(x), smallest, widest, result.clipped, result.snr, drive))
    return Calibration(percentile, hold, tuple(layers))


def _search(path: ReadPath, x: torch.Tensor, largest: Singles, percentile: float) -> Singles:
    """Per tile the smallest range that clips at most 100 - percentile % of the conversions, by halving."""
    allowed = 1 - percentile / 100 + 1e-9  # 1e-9: a share that equals it may differ by rounding
    low, high = np.zeros_like(largest), _positive(largest, path)
    for _ in range(HALVINGS):
        middle = ((low + high) / 2).astype(np.float32)
        fits = _read_with(path, x, middle)[1] <= allowed
        low, high = np.where(fits, low, middle), np.where(fits, middle, high)
    return high


def _read_with(path: ReadPath, x: torch.Tensor, ranges: Singles) -> tuple[Singles, Floats]:
    """Largest |current| and share of clipped conversions, per tile, with these ranges; leaves no trace."""
    before, conversions = path.state(), path.registers.conversions
    path.registers.ranges = ranges
    result = path.read(x, tracking=False)
    total = path.registers.conversions - conversions
    path.restore(before)
    outputs = path.programmed.current.shape[1]
    starts = np.arange(0, outputs, path.programmed.tile_outputs)
    width = np.diff(np.append(starts, outputs)) / outputs
    return result.peaks, result.clipped / (total / ranges.shape[0] * width)


def _positive(ranges: Singles, path: ReadPath) -> Singles:
    """Tiles that saw no current keep the full scale."""
    return np.where(ranges > 0, ranges, path.largest_current)
