"""How writes and pulses of cells are counted: in few bytes for as long as these hold them, then in more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.integer[Any]]
COUNTS = ("writes", "pulses")
"""What of the state of cells is counted so."""


@dataclass
class Counting:
    """Counts of one kind: at first of type `narrow`, of type `wide` once one of them might not fit. at_most: no count
    is larger."""

    narrow: type[np.integer[Any]]
    wide: type[np.integer[Any]]
    at_most: int = 0

    def zeros(self, shape: tuple[int, ...]) -> Counts:
        """Of cells that nothing has happened to."""
        return np.zeros(shape, self.narrow)

    def room_for(self, counts: Counts, more: int) -> Counts:
        """The same counts, to each of which so many may be added."""
        self.at_most += more
        if self.at_most <= np.iinfo(counts.dtype).max:
            return counts
        self.at_most = int(counts.max(initial=0)) + more
        return counts if self.at_most <= np.iinfo(counts.dtype).max else counts.astype(self.wide)

    def counted(self, counts: Counts) -> Counts:
        """Counts of any type, as these are kept."""
        self.at_most = int(counts.max(initial=0))
        return counts.astype(self.narrow if self.at_most <= np.iinfo(self.narrow).max else self.wide)
