"""ADCBank: converters that do more than round: circuits with their static errors, and mid-rise codes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri

from crossbar_sim.hardware.adc_circuits import CIRCUITS
from crossbar_sim.hardware.converters import ADC
from crossbar_sim.runtime.counter_random import Key, uniforms_at

GAIN_DRAW = 0
OFFSET_DRAW = 1
UNIT_DRAW = 2


class ADCBank:
    """All converters of one read direction: each serves `columns_per_adc` columns of a tile.

    A current I is v = (I / full + 1) / 2 (codes - 1) codes above the lowest. A converter sees v (1 + gain) + offset
    about mid-range, and finds the code as its circuit does (`hardware.adc_circuits`).
    """

    def __init__(self, adc: ADC, tile_columns: int, columns: int, row_tiles: int, key: Key) -> None:
        self.adc = adc
        per_tile = -(-tile_columns // adc.columns_per_adc)
        column = np.arange(columns)
        self._converter_of = column // tile_columns * per_tile + column % tile_columns // adc.columns_per_adc
        self._shape = (row_tiles, int(self._converter_of[-1]) + 1)
        self._key = key
        self.gain = 1.0 + adc.gain_error * self._normal(GAIN_DRAW, self._shape)
        self.offset = adc.offset_error * self._normal(OFFSET_DRAW, self._shape)
        self.thresholds = CIRCUITS[adc.circuit].thresholds(
            adc.bits, adc.code_count, adc.mismatch, lambda units: self._normal(UNIT_DRAW, (*self._shape, *units))
        )

    def __call__(self, sums: torch.Tensor, full: torch.Tensor, row_tile: int) -> tuple[torch.Tensor, torch.Tensor]:
        top = self.adc.code_count - 1
        converter = torch.from_numpy(self._converter_of).to(sums.device)

        def of_column(values: NDArray[np.float64]) -> torch.Tensor:
            return torch.from_numpy(values[row_tile]).to(sums)[converter]

        middle = 0.5 * top
        value = sums / full * middle * of_column(self.gain) + of_column(self.offset) + middle
        if self.thresholds is None:
            code = torch.round(value)
        else:
            table = torch.from_numpy(self.thresholds[row_tile]).to(sums)[converter]
            passed = torch.searchsorted(table, (value + 0.5).T.contiguous(), right=True)
            code = passed.T.to(sums)
        clipped = (value < -0.5) | (value > top + 0.5)
        return (code.clamp(0, top) / middle - 1.0) * full, clipped

    def _normal(self, draw: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
        return ndtri(uniforms_at(np.full(int(np.prod(shape)), draw, np.uint32), self._key)).reshape(shape)
