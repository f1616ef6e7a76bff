"""SlicesReader: sensed sums put together to outputs."""

from __future__ import annotations

import torch

from crossbar_sim.mapping.layout import Layout
from crossbar_sim.reading.readers.base import Reader, Reading, Singles


class SlicesReader(Reader):
    """Shift-add of slices and subtraction of references, after another reader's sums."""

    def __init__(self, sums: Reader, layout: Layout, transposed: bool) -> None:
        self._sums = sums
        self._layout = layout
        self._transposed = transposed

    def read(self, x: torch.Tensor, full_drive: float, ranges: Singles, first_read: int) -> Reading:
        result = self._sums.read(x, full_drive, ranges, first_read)
        result.output = self._layout.put_together(result.output, self._transposed)
        return result
