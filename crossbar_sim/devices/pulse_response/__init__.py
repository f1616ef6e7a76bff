"""How far one pulse moves a cell: one law, one file; a new law is one more name in `StepLaw`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from crossbar_sim.devices.pulse_response.exponential import ExponentialStep
from crossbar_sim.devices.pulse_response.soft_bounds import SoftBounds

StepLaw = Annotated[SoftBounds | ExponentialStep, Field(discriminator="law")]

__all__ = ["StepLaw"]
