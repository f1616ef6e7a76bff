"""BitPlanesReader: the bits of a serial DAC one after the other, each by a reader of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from crossbar_sim.reading.readers.base import Reader, Reading, Singles
from crossbar_sim.reading.readers.torch_twin import drive_codes


class BitPlanesReader(Reader):
    """Every conversion of every bit of any cells: with noise, on any device, by any ADC circuit.

    bits: a reader of full drives (one DAC step, no input scale) for each magnitude bit, the lowest first; steps: the
    largest code. Each bit drives its line fully, in the direction of the code's sign; the sums are shifted and added.
    """

    def __init__(self, bits: Sequence[Reader], input_scale: Singles, steps: int) -> None:
        self._bits = bits
        self._input_scale = torch.from_numpy(input_scale)
        self._steps = steps

    def read(self, x: torch.Tensor, full_drive: float, ranges: Singles, first_read: int) -> Reading:
        codes, largest = drive_codes(x * self._input_scale.to(x.device), self._steps, full_drive)
        magnitude, sign = codes.abs().nan_to_num().int(), codes.sign()
        readings = [
            reader.read(sign * (magnitude >> bit & 1), 1.0, ranges, first_read) for bit, reader in enumerate(self._bits)
        ]
        total = torch.stack([one.output * 2.0**bit for bit, one in enumerate(readings)]).sum(dim=0)
        unknown = 0.0 * float(codes.sum())  # NaN where a code is
        return Reading(
            total * (largest / self._steps),
            sum((one.conduction for one in readings), start=unknown),
            np.maximum.reduce([one.peaks for one in readings]),
            np.add.reduce([one.clipped for one in readings]),
        )
