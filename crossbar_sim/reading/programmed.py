"""Programmed: what reads of the cells in one direction need, as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.reading.compiled import levels as level_kernels
from crossbar_sim.reading.compiled.llvm.vector_code import PANEL
from crossbar_sim.reading.compiled.settings import PreparedDirection

Singles = NDArray[np.float32]


@dataclass
class Programmed:
    """What reads in one direction need, computed once when cells are programmed (the arrays are refilled then).

    current (inputs, outputs): ampere of each differential pair at full drive; variance (same shape): its
    read-noise variance, ampere^2, or None; both are views of arrays whose columns are padded for the kernel;
    line_conductance (inputs,): siemens along each driven line; input_scale, output_scale: digital factors
    before the DAC and after the ADC; tile_inputs, tile_outputs: how many inputs and outputs share one tile;
    tile_scale (grid): digital factor of each tile's conversions before they are added up.
    What `settle` finds: levels, current as whole numbers of at most `largest_level` in units of `level` ampere, or
    None; even, whether the variance is the same everywhere.
    """

    current: Singles
    variance: Singles | None
    line_conductance: Singles
    input_scale: Singles
    output_scale: Singles
    tile_inputs: int
    tile_outputs: int
    tile_scale: Singles
    levels: NDArray[np.int16] | None = None
    level: float = 0.0
    largest_level: int = 0
    even: bool = False

    @classmethod
    def empty(cls, inputs: int, outputs: int, tile_inputs: int, tile_outputs: int, noisy: bool) -> Programmed:
        """All zeros, to be filled in place."""
        padded = (inputs, -(-outputs // PANEL) * PANEL)
        return cls(
            np.zeros(padded, np.float32)[:, :outputs],
            np.zeros(padded, np.float32)[:, :outputs] if noisy else None,
            np.zeros(inputs, np.float32),
            np.zeros(inputs, np.float32),
            np.zeros(outputs, np.float32),
            tile_inputs,
            tile_outputs,
            np.ones((-(-inputs // tile_inputs), -(-outputs // tile_outputs)), np.float32),
        )

    @property
    def to_fill(self) -> PreparedDirection:
        """The arrays that `empty` made, of which current and variance (current again without noise) are views."""
        variance = self.current if self.variance is None else self.variance
        return PreparedDirection(_base(self.current), _base(variance), self.line_conductance)

    def settle(self, level: float | None) -> None:
        """Look once, after the arrays were refilled, for what makes reads cheaper: cells that stand exactly on levels
        of `level` ampere (None: they need not) are read in whole numbers, without rounding until the ADC."""
        self.even = self.variance is not None and bool(level_kernels.same_everywhere(self.variance))
        levels, self.levels = self.levels, None
        if level is not None and self.variance is None and len(self.current) > 0:
            if levels is None:
                levels = np.zeros(_base(self.current).shape, np.int16)
            largest = level_kernels.whole_levels(self.current, level, levels)
            if largest >= 0:
                self.levels = levels
                self.level = level
                self.largest_level = largest

    def reads_whole(self, dac_steps: int) -> bool:
        """Whether reads are sums of whole numbers that float32 holds exactly."""
        largest_sum = self.tile_inputs * dac_steps * max(self.largest_level, 1)
        return self.levels is not None and 0 < dac_steps < 1 << 15 and largest_sum < 1 << 24

    def fits_bytes(self, dac_steps: int) -> bool:
        """Whether codes and levels have at most 7 bits and a sign."""
        return dac_steps <= 127 and self.largest_level <= 127

    def packed(self, dac_steps: int) -> tuple[NDArray[Any], NDArray[np.int32]]:
        """The levels as `levels.pack` orders them, in bytes where they fit."""
        assert self.levels is not None
        kind, rows = (np.int8, 4) if self.fits_bytes(dac_steps) else (np.int16, 2)
        columns = self.levels.shape[1]
        shape = (self.grid[0], columns // PANEL, -(-self.tile_inputs // rows), PANEL, rows)
        levels, start = np.empty(shape, kind), np.empty((self.grid[0], columns), np.int32)
        level_kernels.pack(self.levels, self.tile_inputs, levels, start)
        return levels, start

    @cached_property
    def grid(self) -> tuple[int, int]:
        """Tiles along inputs and outputs."""
        inputs, outputs = self.current.shape
        return -(-inputs // self.tile_inputs), -(-outputs // self.tile_outputs)

    @property
    def padded_current(self) -> Singles:
        """`current` with the columns that it is padded by."""
        return _base(self.current)

    @property
    def padded_variance(self) -> Singles | None:
        """`variance` with the columns that it is padded by."""
        return None if self.variance is None else _base(self.variance)


def _base(view: Singles) -> Singles:
    assert isinstance(view.base, np.ndarray)
    return view.base
