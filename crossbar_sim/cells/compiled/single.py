"""The laws of pulses in float64 and float32: each number rounded once, after all that is folded in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from crossbar_sim.cells.update_law import FoldedPolarity, UpdateLaw
from crossbar_sim.devices.pulse_law import Polarity, PulseLaw
from crossbar_sim.devices.pulse_response.base import Steps
from crossbar_sim.runtime.compiling import part

single: Any = np.float32
double: Any = np.float64


@part
def _steps_in(steps, number):
    return Steps(
        number(steps.step),
        number(steps.rate),
        number(steps.reach),
        number(steps.bulge),
        number(steps.fall),
        number(steps.end),
    )


@part
def _polarity_in(polarity, number):
    return Polarity(_steps_in(polarity.steps, number), number(polarity.voltage), number(polarity.width))


@part
def law_in(law, number):
    """`PulseLaw` in the precision `number`, `single` or `double`, of one or of a record of one."""
    return PulseLaw(
        number(law.g_min),
        number(law.g_max),
        number(law.cycle_to_cycle),
        number(law.window_spread),
        number(law.least_factor),
        _polarity_in(law.up, number),
        _polarity_in(law.down, number),
        number(law.access_resistance),
        number(law.compliance_voltage),
        number(law.acceptance),
        number(law.most_pulses),
        number(law.read_voltage),
        number(law.read_time),
        number(law.sense_energy),
    )


@part
def _single_folded(polarity):
    return FoldedPolarity(_steps_in(polarity.steps, single), single(polarity.joule))


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
