"""The ADC circuit without errors of its own."""

from __future__ import annotations

from crossbar_sim.hardware.adc_circuits.base import ADCCircuit, Draw, Floats, circuit


@circuit("uniform")
class Uniform(ADCCircuit):
    """Rounds to the nearest code, ties to even."""

    has_units = False

    def thresholds(self, bits: int, codes: int, mismatch: float, draw: Draw) -> Floats | None:
        return None
