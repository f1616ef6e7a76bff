"""Step laws: how far one pulse moves a cell, by where the cell stands; soft bounds and the exponential step.

Both are stated by aihwkit (SoftBoundsDevice, ExpStepDevice; Rasch et al. 2021) in units of weight. Here u is the share
of the window that lies between the cell and the end where the pulse's polarity starts: g_min for SET, g_max for RESET.
The nominal step s is window / full_swing_pulses, or window / reset_full_swing_pulses for RESET.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from crossbar_sim.devices.laws import SourcedLaw
from crossbar_sim.devices.pulse_response.labelled import Steps
from crossbar_sim.spec.errors import SpecError
from crossbar_sim.spec.units import One

SMALLEST_STEP = 0.01
"""Of an exponential step, relative to the nominal one: smaller ones would never lead to the end of the window."""


class SoftBounds(SourcedLaw):
    """step(u) = s (1 - u) / (1 - u0): the nearer the end, the smaller; the end itself is never reached.

    u0 is `symmetry_point` for SET and 1 - `symmetry_point` for RESET, a share of the window counted from g_min: there
    both polarities have their nominal step. Open-loop trains aim no nearer to the end than half a nominal step.
    """

    law: Literal["soft_bounds"]
    symmetry_point: Annotated[One, Field(gt=0, lt=1)] = 0.5

    def steps(self, pulses: float, window: float, reset: bool) -> Steps:
        """The law in siemens, `pulses` nominal ones to the window."""
        behind = self.symmetry_point if reset else 1 - self.symmetry_point
        return Steps(rate=1 / (pulses * behind), reach=window, end=window * (1 - 0.5 / pulses))

    def __str__(self) -> str:
        return f"soft bounds, symmetry point at {self.symmetry_point:.3g} of the window"


class ExponentialStep(SourcedLaw):
    """step(u) = s (1 + weight exp(-rate u)), with a weight and a rate for each polarity.

    aihwkit's s (1 - A exp(gamma z)) with z = a (2 u - 1) + b for SET has weight -A exp(gamma (b - a)) and rate
    -2 a gamma; for RESET, whose u runs backwards, weight -A exp(-gamma (a + b)) and rate -2 a gamma.
    """

    law: Literal["exponential"]
    set_weight: One
    set_rate: Annotated[One, Field(ge=-50, le=50)]
    reset_weight: One
    reset_rate: Annotated[One, Field(ge=-50, le=50)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        for polarity, weight, rate in (
            ("set", self.set_weight, self.set_rate),
            ("reset", self.reset_weight, self.reset_rate),
        ):
            least = 1 + min(weight, weight * math.exp(-rate))
            if least < SMALLEST_STEP:
                raise SpecError(
                    f"ExponentialStep: the {polarity} step falls to {least:.3g} of the nominal one inside the window; "
                    f"it must stay above {SMALLEST_STEP}: change {polarity}_weight or {polarity}_rate"
                )
        return self

    def steps(self, pulses: float, window: float, reset: bool) -> Steps:
        """The law in siemens, `pulses` nominal ones to the window."""
        weight, rate = (self.reset_weight, self.reset_rate) if reset else (self.set_weight, self.set_rate)
        return Steps(step=window / pulses, bulge=weight * window / pulses, fall=rate / window)

    def __str__(self) -> str:
        return (
            f"exponential steps, SET 1 + {self.set_weight:.3g} exp(-{self.set_rate:g} u), "
            f"RESET 1 + {self.reset_weight:.3g} exp(-{self.reset_rate:g} u)"
        )


StepLaw = Annotated[SoftBounds | ExponentialStep, Field(discriminator="law")]
