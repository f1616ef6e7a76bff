"""Soft bounds: the nearer a cell is to the end of the window, the smaller its step."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from crossbar_sim.devices.pulse_response.base import StatedSteps, Steps
from crossbar_sim.spec.units import One


class SoftBounds(StatedSteps):
    """step(u) = s (1 - u) / (1 - u0): the nearer the end, the smaller; the end itself is never reached.

    u is the share of the window between the cell and the end where the pulse's polarity starts (g_min for SET, g_max
    for RESET), s the nominal step. u0 is `symmetry_point` for SET and 1 - `symmetry_point` for RESET, a share of the
    window counted from g_min: there both polarities have their nominal step. Open-loop trains aim no nearer to the end
    than half a nominal step. aihwkit states it as SoftBoundsDevice (Rasch et al. 2021), in units of weight.
    """

    law: Literal["soft_bounds"]
    symmetry_point: Annotated[One, Field(gt=0, lt=1)] = 0.5

    def steps(self, pulses: float, window: float, reset: bool) -> Steps:
        """The law in siemens, `pulses` nominal ones to the window."""
        behind = self.symmetry_point if reset else 1 - self.symmetry_point
        return Steps(rate=1 / (pulses * behind), reach=window, end=window * (1 - 0.5 / pulses))

    def __str__(self) -> str:
        return f"soft bounds, symmetry point at {self.symmetry_point:.3g} of the window"
