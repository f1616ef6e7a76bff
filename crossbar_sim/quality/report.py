"""quality: how well each matrix of a model computes on its tiles, on given data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from crossbar_sim.chip.chip import unrecorded
from crossbar_sim.chip.simulated import SimulatedMatrix
from crossbar_sim.ledger.ledger import Ledger
from crossbar_sim.quality.probes import Batches, Watched, compare, decibels, matrices_of, unbilled, watch

BINS = 16  # of the conductance histogram where a device has no levels


@dataclass(frozen=True)
class MatrixQuality:
    """One matrix on its tiles.

    snr_dB: of its outputs against the exact products of the same inputs with the float master (None: nothing to
    compare). clipped_share: of its ADC conversions. adc_use: largest |current| / range, mean over tiles (None: an
    exact ADC). dac_use: root mean square of the line voltages / read voltage. utilisation: share of its tiles' cells
    that hold a weight. weight_error: standard deviation of (weight that the cells hold - master) / column scale.
    conductances: cells per level from g_min to g_max (16 equal steps without levels). gains_dB: by how much snr_dB
    rises when one non-ideality is off, each alone.
    """

    matrix: str
    hardware: str
    inputs: int
    outputs: int
    tiles: int
    utilisation: float
    vectors: int
    snr_dB: float | None
    clipped_share: float
    adc_use: float | None
    dac_use: float
    weight_error: float
    conductances: tuple[int, ...]
    gains_dB: dict[str, float | None]

    @property
    def effective_bits(self) -> float | None:
        """(SNR - 1.76 dB) / 6.02 dB: the bits of an ideal converter with that SNR for a full-scale sine."""
        return None if self.snr_dB is None else (self.snr_dB - 1.76) / 6.02


@dataclass(frozen=True)
class Quality:
    """What `quality` found, matrix by matrix in the order of their first read."""

    matrices: tuple[MatrixQuality, ...]

    def rows(self) -> list[dict[str, Any]]:
        """One record per matrix, ready for JSON."""
        return [
            {**asdict(one), "conductances": list(one.conductances), "effective_bits": one.effective_bits}
            for one in self.matrices
        ]

    def __str__(self) -> str:
        effects = list(dict.fromkeys(effect for one in self.matrices for effect in one.gains_dB))
        head = f"{'matrix':<30}{'SNR':>9}{'bits':>6}{'clipped':>9}{'ADC':>6}{'DAC':>6}{'cells':>7}{'w error':>9}"
        lines = [head + "".join(f"{'-' + effect:>19}" for effect in effects)]
        for one in self.matrices:
            bits = "-" if one.effective_bits is None else f"{one.effective_bits:.1f}"
            use = "-" if one.adc_use is None else f"{one.adc_use:.0%}"
            gains = "".join(f"{decibels(one.gains_dB.get(effect)):>19}" for effect in effects)
            lines.append(
                f"{one.matrix:<30}{decibels(one.snr_dB):>9}{bits:>6}{one.clipped_share:>9.3%}{use:>6}"
                f"{one.dac_use:>6.0%}{one.utilisation:>7.1%}{one.weight_error:>9.2%}{gains}"
            )
        return "\n".join(lines)


def quality(model: nn.Module, data: Batches, *, each: bool = False, seed: int = 0) -> Quality:
    """Measure every matrix that `data` (one batch, or several, run in evaluation mode) reaches.

    The inputs of a matrix are what the model feeds it, with everything that went wrong in earlier layers; its error is
    its own. Looking does not change the run: nothing is billed, counters and registers stay.
    each: also switch every active non-ideality off alone, on copies of the matrix that are freshly programmed from its
    master with `seed` and whose registers fit the data, and compare with such a copy that has them all.
    Raises MappingError if nothing is on tiles or there is no data.
    """
    matrices, watched = matrices_of(model), Watched()
    with unbilled(matrices), unrecorded(matrices):
        watch(model, data, watched)
        found = [_measure(matrix, x, each, seed) for (matrix, _), x in watched.vectors().items()]
    return Quality(tuple(found))


def _measure(matrix: SimulatedMatrix, x: torch.Tensor, each: bool, seed: int) -> MatrixQuality:
    result = compare(matrix, x)
    outputs, inputs = matrix.master.shape
    error = ((matrix.weight() - matrix.master) / matrix.largest_weight).detach().cpu().double().numpy()
    drive = x[x.abs().amax(dim=1) > 0]
    volts = drive / drive.abs().amax(dim=1, keepdim=True)
    return MatrixQuality(
        matrix=matrix.name,
        hardware=matrix.hardware.name,
        inputs=inputs,
        outputs=outputs,
        tiles=len(matrix.tiles),
        utilisation=float(np.mean([tile.utilisation for tile in matrix.tiles])),
        vectors=len(x),
        snr_dB=result.snr,
        clipped_share=result.clipped,
        adc_use=result.adc_use,
        dac_use=float(volts.square().mean().sqrt()) if len(volts) else 0.0,
        weight_error=float(error.std()),
        conductances=_histogram(matrix),
        gains_dB=_gains(matrix, x, seed) if each else {},
    )


def _histogram(matrix: SimulatedMatrix) -> tuple[int, ...]:
    """Cells by the nearest level."""
    device = matrix.hardware.device
    levels = device.levels if device.levels is not None else BINS + 1
    share = (matrix.cells.awake().present.reshape(-1) - device.g_min) / device.window * (levels - 1)
    nearest = np.rint(share) if device.levels is not None else np.floor(share)
    last = levels - 1 if device.levels is not None else BINS - 1
    return tuple(np.bincount(np.clip(nearest, 0, last).astype(np.int64), minlength=last + 1).tolist())


def _gains(matrix: SimulatedMatrix, x: torch.Tensor, seed: int) -> dict[str, float | None]:
    def snr(*off: str) -> float | None:
        hardware = matrix.hardware.without(*off)
        return compare(
            SimulatedMatrix(hardware, Ledger(), seed, matrix.name, matrix.master, matrix.targets.scale), x
        ).snr

    whole = snr()
    gains: dict[str, float | None] = {}
    for effect in matrix.hardware.active_non_idealities:
        alone = snr(effect)
        gains[effect] = None if whole is None or alone is None else alone - whole
    return gains
