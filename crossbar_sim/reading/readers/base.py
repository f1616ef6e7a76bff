"""Reader: one way of reading the cells of one direction, chosen when they settle."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

Singles = NDArray[np.float32]


class Transfer(Protocol):
    """An ADC circuit: from currents to what the digital side takes them for."""

    def __call__(self, sums: torch.Tensor, full: torch.Tensor, row_tile: int) -> tuple[torch.Tensor, torch.Tensor]:
        """sums (vectors, columns) and the range (columns,) in ampere -> read currents, and which were clipped."""
        ...


@dataclass(frozen=True, slots=True)
class Converters:
    """What of the converters never changes: the largest DAC and ADC codes (0: exact).

    circuit: the ADC circuit where it is more than rounding (None: it is not); adc_steps then only has to be positive.
    serial: lines conduct as if driven fully once per bit of their code that is set.
    """

    dac_steps: int
    adc_steps: int
    circuit: Transfer | None = None
    serial: bool = False


@dataclass(slots=True)
class Reading:
    """Result of a read: output (vectors, outputs); conduction, the sum over vectors and lines of squared drive
    times line conductance (siemens); per tile (grid) the largest |current| and the clipped conversions."""

    output: torch.Tensor
    conduction: float
    peaks: Singles
    clipped: NDArray[np.int64]


class Reader(ABC):
    """y = m output_scale * sum over row tiles of ADC(DAC(x input_scale / m) G + noise), m = max|x input_scale|."""

    @abstractmethod
    def read(self, x: torch.Tensor, full_drive: float, ranges: Singles, first_read: int) -> Reading:
        """Read the vectors x (vectors, inputs) float32, which are reads number first_read, first_read + 1, ...

        full_drive: the |x input_scale| that drives a line fully, beyond which it is clipped (m is this then); 0: the
        largest of each vector. ranges (grid): of the ADCs, ampere. A NaN in x makes its whole output row NaN.
        """
