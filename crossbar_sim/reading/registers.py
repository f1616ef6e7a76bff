"""Registers: what reading changes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

RANGE_DECAY = np.float32(0.95)
"""Per batch in training mode: how fast a range register forgets an old peak."""


@dataclass
class Registers:
    """What reading one direction of a matrix changes.

    reads: vectors read so far; ranges (row tiles, column tiles): of the ADCs of each tile, ampere, None until the first
    read sets them; full_drive: the input that drives a line fully, None until the first read sets it; conversions,
    clipped: how many ADC conversions there were, and how many of them were clipped.
    """

    reads: int = 0
    ranges: NDArray[np.float32] | None = None
    full_drive: float | None = None
    conversions: int = 0
    clipped: int = 0

    def copy(self) -> Registers:
        """Another one that stays as it is when this one changes."""
        return replace(self)
