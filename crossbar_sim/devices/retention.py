"""What a programmed conductance becomes with time: power-law drift (PCM) or relaxation in log time (ReRAM)."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from crossbar_sim.counter_random import Key
from crossbar_sim.devices.kernels import DRAWS_PER_WRITE, normals
from crossbar_sim.spec import Spec
from crossbar_sim.units import Second, Siemens

Floats = NDArray[np.float64]
RETENTION_DRAW = 1020
"""Counter within a write, beyond those of its pulses."""


class StateLaw(Spec):
    """A number as a function of the relative conductance x = G / conductance_scale.

    log:   clip(slope ln x + offset, low, high)
    power: clip(offset x^slope, low, high)
    From x = `above` on, the polynomial sum_k polynomial[k] x^k holds instead (None: nowhere).
    """

    form: Literal["log", "power"] = "log"
    slope: float
    offset: float
    low: float = 0.0
    high: float
    above: float | None = None
    polynomial: tuple[float, ...] = ()

    def __call__(self, x: Floats) -> Floats:
        x = np.maximum(np.asarray(x, dtype=np.float64), 1e-7)
        value = self.slope * np.log(x) + self.offset if self.form == "log" else self.offset * x**self.slope
        value = np.clip(value, self.low, self.high)
        if self.above is not None:
            value = np.where(x < self.above, value, np.polynomial.polynomial.polyval(x, self.polynomial))
        return value


class PowerLawDrift(Spec):
    """G(t) = G ((t + t0) / t0)^-nu with nu = |mean(x) + spread(x) z|, then read noise that grows with time:
    sigma = G(t) flicker(x) sqrt(ln((t + t0 + t_read) / (2 t_read))).

    t counts from the end of programming, t0 is `reference_time`, x = G / conductance_scale. z belongs to the
    cell and its last write: a cell keeps its exponent. None switches `spread` or `flicker` off.
    """

    law: Literal["power_law"]
    reference_time: Annotated[Second, Field(gt=0)]
    conductance_scale: Annotated[Siemens, Field(gt=0)]
    mean: StateLaw
    spread: StateLaw | None = None
    flicker: StateLaw | None = None
    flicker_read_time: Annotated[Second, Field(gt=0)] = 250e-9
    source: str
    where: str = ""
    kind: Literal["measured", "fitted", "assumed"]
    valid: str = ""

    def flicker_sigma(self, conductance: Floats, seconds: float) -> Floats:
        """Relative standard deviation of a read `seconds` after programming to `conductance` (siemens)."""
        if self.flicker is None:
            return np.zeros_like(conductance)
        t, t_read = seconds + self.reference_time, self.flicker_read_time
        return self.flicker(conductance / self.conductance_scale) * math.sqrt(math.log((t + t_read) / (2 * t_read)))

    def apply(self, conductance: Floats, seconds: float, own: Floats, fresh: Floats) -> Floats:
        """`own` and `fresh` are standard normal numbers: of the cell's last write, and of this moment."""
        x = conductance / self.conductance_scale
        exponent = np.abs(self.mean(x) + (0.0 if self.spread is None else self.spread(x) * own))
        drifted = conductance * (1 + seconds / self.reference_time) ** -exponent
        return np.maximum(drifted * (1 + self.flicker_sigma(conductance, seconds) * fresh), 0.0)

    def __str__(self) -> str:
        spread = "" if self.spread is None else ", exponent spread by state"
        return f"power-law drift from {self.reference_time:g} s{spread}{', 1/f read noise' if self.flicker else ''}"


class LogRelaxation(Spec):
    """G(t) = G + mean_slope ln t + (spread_slope ln t + spread_offset) z, t in seconds, at least 1 s.

    z belongs to the cell and its last write: a cell keeps its place in the distribution. Clamped to the window.
    """

    law: Literal["log_time"]
    mean_slope: Siemens
    spread_slope: Siemens = 0.0
    spread_offset: Annotated[Siemens, Field(ge=0)] = 0.0
    source: str
    where: str = ""
    kind: Literal["measured", "fitted", "assumed"]
    valid: str = ""

    def apply(self, conductance: Floats, seconds: float, own: Floats, fresh: Floats) -> Floats:
        """`own` are standard normal numbers of the cell's last write; `fresh` is not used."""
        if seconds < 1:
            raise ValueError(f"log-time relaxation holds from 1 s after programming, got {seconds:g} s")
        log_time = math.log(seconds)
        spread = self.spread_slope * log_time + self.spread_offset
        return conductance + self.mean_slope * log_time + spread * own

    def __str__(self) -> str:
        return "relaxation in log time, mean and spread"


Retention = Annotated[PowerLawDrift | LogRelaxation, Field(discriminator="law")]


def relaxed(
    law: PowerLawDrift | LogRelaxation | None,
    conductance: Floats,
    seconds: float,
    key: Key,
    writes: NDArray[np.int64] | None = None,
) -> Floats:
    """Conductances (siemens, any shape) `seconds` after they were programmed; the argument is left as it is.

    `writes` is the number of writes of each cell (default 1): a rewritten cell draws anew. None as law: no change.
    Raises ValueError for a negative time, and below 1 s for log-time relaxation.
    """
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"the time since programming must be zero or more seconds, got {seconds!r}")
    if law is None:
        return conductance.copy()
    last = np.zeros(conductance.size, np.int64) if writes is None else np.maximum(writes.reshape(-1) - 1, 0)
    counters = (last * DRAWS_PER_WRITE + RETENTION_DRAW).astype(np.uint32)
    own = normals(counters, key)[0]
    moment = np.float64(seconds).view(np.uint64)
    now = np.uint32(key[0] ^ np.uint32(moment >> np.uint64(32))), np.uint32(key[1] ^ np.uint32(moment & 0xFFFFFFFF))
    fresh = normals(counters + np.uint32(1), now)[0]
    shape = conductance.shape
    return law.apply(conductance, seconds, own.reshape(shape), fresh.reshape(shape))
