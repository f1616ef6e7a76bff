"""What a programmed conductance becomes with time: power-law drift (PCM) or relaxation in log time (ReRAM)."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from crossbar_sim.devices.laws import SourcedLaw, StateLaw
from crossbar_sim.runtime.counter_random import Key, normals
from crossbar_sim.runtime.draws import DRAWS_PER_WRITE, RETENTION_DRAW
from crossbar_sim.spec.errors import SpecError
from crossbar_sim.spec.units import Joule, Second, Siemens

Floats = NDArray[np.float64]
BOLTZMANN = 1.380649e-23  # joule per kelvin


class PowerLawDrift(SourcedLaw):
    """G(t) = G ((t + t0) / t0)^-nu with nu = |mean(x) + spread(x) z|.

    t counts from the end of programming, t0 is `reference_time`, x = G / conductance_scale. z belongs to the
    cell and its last write: a cell keeps its exponent. None switches the `spread` off.
    """

    law: Literal["power_law"]
    reference_time: Annotated[Second, Field(gt=0)]
    conductance_scale: Annotated[Siemens, Field(gt=0)]
    mean: StateLaw
    spread: StateLaw | None = None

    @property
    def earliest(self) -> float:
        """Seconds after programming from which on the law holds."""
        return 0.0

    def apply(self, conductance: Floats, seconds: Floats, own: Floats) -> Floats:
        """`own` are standard normal numbers of the cell's last write."""
        x = conductance / self.conductance_scale
        exponent = np.abs(self.mean(x) + (0.0 if self.spread is None else self.spread(x) * own))
        return np.asarray(conductance * (1 + seconds / self.reference_time) ** -exponent)

    def __str__(self) -> str:
        spread = "" if self.spread is None else ", exponent spread by state"
        return f"power-law drift from {self.reference_time:g} s{spread}"


class LogRelaxation(SourcedLaw):
    """G(t) = G + mean_slope ln t + (spread_slope ln t + spread_offset) z, t in seconds, at least 1 s.

    z belongs to the cell and its last write: a cell keeps its place in the distribution. Clamped to the window.
    """

    law: Literal["log_time"]
    mean_slope: Siemens
    spread_slope: Siemens = 0.0
    spread_offset: Annotated[Siemens, Field(ge=0)] = 0.0

    @property
    def earliest(self) -> float:
        """Seconds after programming from which on the law holds."""
        return 1.0

    def apply(self, conductance: Floats, seconds: Floats, own: Floats) -> Floats:
        """`own` are standard normal numbers of the cell's last write."""
        log_time = np.log(seconds)
        spread = self.spread_slope * log_time + self.spread_offset
        return np.asarray(conductance + self.mean_slope * log_time + spread * own)

    def __str__(self) -> str:
        return "relaxation in log time, mean and spread"


Retention = Annotated[PowerLawDrift | LogRelaxation, Field(discriminator="law")]


class Arrhenius(SourcedLaw):
    """Heat speeds retention up: t seconds at `temperature` count as t exp(E_a / k (1 / T_ref - 1 / T)).

    T_ref, `reference_temperature`, is where the retention law was measured; E_a is the activation energy, joule.
    """

    activation_energy: Annotated[Joule, Field(gt=0)]
    reference_temperature: Annotated[float, Field(gt=0)]
    temperature: Annotated[float, Field(gt=0)]

    @property
    def acceleration(self) -> float:
        """Seconds at the reference temperature that one second at `temperature` is worth."""
        inverse = 1 / self.reference_temperature - 1 / self.temperature
        return math.exp(min(self.activation_energy / BOLTZMANN * inverse, 700.0))

    def __str__(self) -> str:
        return f"Arrhenius, {self.acceleration:.3g} times faster at {self.temperature:g} K"


def relaxed(
    law: PowerLawDrift | LogRelaxation | None,
    conductance: Floats,
    seconds: float | Floats,
    key: Key,
    writes: NDArray[np.integer] | None = None,
) -> Floats:
    """Conductances (siemens, any shape) `seconds` after they were programmed; the argument is left as it is.

    `seconds` is one number or one per cell, `writes` the number of writes of each cell (default 1): a rewritten cell
    draws anew. None as law: no change. Raises SpecError for a negative time, and below 1 s for log-time relaxation.
    """
    age = np.broadcast_to(np.asarray(seconds, np.float64), conductance.shape)
    if not (np.isfinite(age) & (age >= 0)).all():
        raise SpecError(f"the time since programming must be zero or more seconds, got {seconds!r}")
    if law is None:
        return conductance.copy()
    if age.size and age.min() < law.earliest:
        raise SpecError(f"log-time relaxation holds from 1 s after programming, got {age.min():g} s")
    count = np.ones(conductance.size, np.int64) if writes is None else writes.reshape(-1).astype(np.int64)
    last = np.maximum(count - 1, 0)
    own = normals((last * DRAWS_PER_WRITE + RETENTION_DRAW).astype(np.uint32), key)[0]
    return law.apply(conductance, age, own.reshape(conductance.shape))
