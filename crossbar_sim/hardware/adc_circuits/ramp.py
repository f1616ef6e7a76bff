"""A staircase that all columns are compared with."""

from __future__ import annotations

import numpy as np

from crossbar_sim.hardware.adc_circuits.base import ADCCircuit, Draw, Floats, circuit


@circuit("ramp")
class Ramp(ADCCircuit):
    """The code is the number of staircase steps, each 1 + mismatch z, that v + 1/2 has passed."""

    has_units = True

    def thresholds(self, bits: int, codes: int, mismatch: float, draw: Draw) -> Floats | None:
        steps = 1.0 + mismatch * draw((codes - 1,))
        return np.cumsum(np.maximum(steps, 0.0), axis=-1)
