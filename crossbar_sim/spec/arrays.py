"""Array types, each named once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Integers = NDArray[np.int64]
Switches = NDArray[np.bool_]
Words = NDArray[np.uint32]
