"""The laws of pulses in float32: each number rounded once, after everything that is folded in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from crossbar_sim.cells.update_law import FoldedPolarity, UpdateLaw
from crossbar_sim.devices.pulse_law import Polarity, PulseLaw
from crossbar_sim.devices.pulse_response.base import Steps
from crossbar_sim.runtime.compiling import part

single: Any = np.float32


@part
def _single_steps(steps):
    """`Steps` in float32."""
    return Steps(
        single(steps.step),
        single(steps.rate),
        single(steps.reach),
        single(steps.bulge),
        single(steps.fall),
        single(steps.end),
    )


@part
def _single_polarity(polarity):
    return Polarity(_single_steps(polarity.steps), single(polarity.voltage), single(polarity.width))


@part
def single_law(law):
    """`PulseLaw` in float32, each number rounded once."""
    return PulseLaw(
        single(law.g_min),
        single(law.g_max),
        single(law.cycle_to_cycle),
        single(law.window_spread),
        single(law.least_factor),
        _single_polarity(law.up),
        _single_polarity(law.down),
        single(law.access_resistance),
        single(law.compliance_voltage),
        single(law.acceptance),
        single(law.most_pulses),
        single(law.read_voltage),
        single(law.read_time),
        single(law.sense_energy),
    )


@part
def _single_folded(polarity):
    return FoldedPolarity(_single_steps(polarity.steps), single(polarity.joule))


@part
def single_update_law(law):
    """`UpdateLaw` in float32, each number rounded once."""
    return UpdateLaw(
        single(law.g_min),
        single(law.g_max),
        single(law.least_held),
        _single_folded(law.up),
        _single_folded(law.down),
        single(law.cycle_to_cycle),
        single(law.window_spread),
        single(law.least_factor),
        single(law.base),
        single(law.access_resistance),
        single(law.compliance),
    )
