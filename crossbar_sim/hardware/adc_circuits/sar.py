"""Successive approximation by a bank of binary capacitors."""

from __future__ import annotations

import numpy as np

from crossbar_sim.hardware.adc_circuits.base import ADCCircuit, Draw, Floats, circuit


@circuit("sar")
class SAR(ADCCircuit):
    """From the largest capacitor down: capacitor i, 2^i units of 1 + mismatch z, stays if v + 1/2 is at least the sum
    so far, so its value spreads by mismatch 2^(i/2)."""

    has_units = True

    def thresholds(self, bits: int, codes: int, mismatch: float, draw: Draw) -> Floats | None:
        units = 2.0 ** np.arange(bits)
        capacitors = units + mismatch * np.sqrt(units) * draw((bits,))
        bits_of = (np.arange(1, codes)[:, None] >> np.arange(bits)) & 1
        sums = capacitors @ bits_of.T
        # a larger code whose sum is smaller (at a major transition) takes the codes below it: they are missing
        return np.minimum.accumulate(sums[..., ::-1], axis=-1)[..., ::-1].copy()
