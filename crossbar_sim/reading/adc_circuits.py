"""ADC circuits beyond plain rounding: SAR and ramp converters with their static errors, and mid-rise codes."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri

from crossbar_sim.hardware.converters import ADC
from crossbar_sim.runtime.counter_random import Key, uniforms_at

GAIN_DRAW, OFFSET_DRAW, UNIT_DRAW = 0, 1, 2


class Transfer(Protocol):
    """From currents to what the digital side takes them for."""

    def __call__(self, sums: torch.Tensor, full: torch.Tensor, row_tile: int) -> tuple[torch.Tensor, torch.Tensor]:
        """sums (vectors, columns) and the range (columns,) in ampere -> read currents, and which were clipped."""
        ...


class ADCBank:
    """All converters of one read direction: each serves `columns_per_adc` columns of a tile.

    A current I is v = (I / full + 1) / 2 (codes - 1) codes above the lowest. A converter sees v (1 + gain) + offset
    about mid-range. SAR, from the largest capacitor down: capacitor i, 2^i units of 1 + mismatch z, stays if v + 1/2
    is at least the sum so far, so its value spreads by mismatch 2^(i/2). Ramp: the code is the number of staircase
    steps, each 1 + mismatch z, that v + 1/2 has passed.
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
        self.thresholds = self._thresholds()

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

    def _thresholds(self) -> NDArray[np.float64] | None:
        """(row tiles, converters, codes - 1): the value from which on each code above the lowest is reached."""
        adc, count = self.adc, self.adc.code_count
        if adc.circuit == "uniform":
            return None
        if adc.circuit == "ramp":
            steps = 1.0 + adc.mismatch * self._normal(UNIT_DRAW, (*self._shape, count - 1))
            return np.cumsum(np.maximum(steps, 0.0), axis=-1)
        units = 2.0 ** np.arange(adc.bits)
        capacitors = units + adc.mismatch * np.sqrt(units) * self._normal(UNIT_DRAW, (*self._shape, adc.bits))
        codes = np.arange(1, count)
        bits = (codes[:, None] >> np.arange(adc.bits)) & 1
        sums = capacitors @ bits.T
        # a larger code whose sum is smaller (at a major transition) takes the codes below it: they are missing
        return np.minimum.accumulate(sums[..., ::-1], axis=-1)[..., ::-1].copy()
