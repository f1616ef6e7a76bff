"""The exponential step: how far a pulse moves a cell falls off, or grows, exponentially with the state."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from crossbar_sim.devices.pulse_response.base import StatedSteps, Steps
from crossbar_sim.spec.errors import SpecError
from crossbar_sim.spec.units import One

SMALLEST_STEP = 0.01
"""Of an exponential step, relative to the nominal one: smaller ones would never lead to the end of the window."""


class ExponentialStep(StatedSteps):
    """step(u) = s (1 + weight exp(-rate u)), with a weight and a rate for each polarity.

    u is the share of the window between the cell and the end where the pulse's polarity starts (g_min for SET, g_max
    for RESET), s the nominal step. aihwkit's ExpStepDevice (Rasch et al. 2021), s (1 - A exp(gamma z)) with
    z = a (2 u - 1) + b for SET, has weight -A exp(gamma (b - a)) and rate -2 a gamma; for RESET, whose u runs
    backwards, weight -A exp(-gamma (a + b)) and rate -2 a gamma.
    """

    law: Literal["exponential"]
    set_weight: One
    set_rate: Annotated[One, Field(ge=-50, le=50)]
    reset_weight: One
    reset_rate: Annotated[One, Field(ge=-50, le=50)]

    adds_up: ClassVar[bool] = False

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
