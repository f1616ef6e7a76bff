"""What an ADC circuit is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Draw = Callable[[tuple[int, ...]], Floats]
"""Normal numbers of a shape, the same for ever."""


class ADCCircuit(ABC):
    """How a converter finds the code of a value, in codes above the lowest.

    has_units: whether it is made of units (capacitors, steps) whose `mismatch` can spread.
    """

    has_units: bool

    @abstractmethod
    def thresholds(self, bits: int, codes: int, mismatch: float, draw: Draw) -> Floats | None:
        """(..., codes - 1): the value + 1/2 from which on each code above the lowest is reached, per converter; None:
        the nearest code, ties to even.

        bits, codes: resolution and number of codes; mismatch: relative standard deviation of a unit; draw: gives normal
        numbers (..., count) for `count` units of every converter.
        """


CIRCUITS: dict[str, ADCCircuit] = {}
"""By the name in a TOML."""


def circuit(name: str) -> Callable[[type[ADCCircuit]], type[ADCCircuit]]:
    """Register a circuit under the name that a TOML gives it."""

    def register(kind: type[ADCCircuit]) -> type[ADCCircuit]:
        CIRCUITS[name] = kind()
        return kind

    return register
