"""ADC circuits, one per file, which registers itself; a new one is imported here."""

from __future__ import annotations

from crossbar_sim.hardware.adc_circuits import ramp, sar, uniform
from crossbar_sim.hardware.adc_circuits.base import CIRCUITS, ADCCircuit

__all__ = ["CIRCUITS", "ADCCircuit", "ramp", "sar", "uniform"]
