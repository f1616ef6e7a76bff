"""Laws of a device: spread by conductance, any number by conductance, and lifetime of a cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import ndtri

from crossbar_sim.devices.compiled import spread_of_all
from crossbar_sim.spec.spec import ASSUMPTION, Spec, changed_from
from crossbar_sim.spec.units import One, Siemens

Floats = NDArray[np.float64]
Positive = Field(gt=0)


class SourcedLaw(Spec):
    """A law that carries its own source: citation key, place in it, how the numbers came about, where they hold."""

    source: str
    where: str = ""
    kind: Literal["measured", "fitted", "assumed"]
    valid: str = ""

    def _said_of_change(self, new: Self, changed: list[str], given: Mapping[str, Any]) -> dict[str, Any]:
        """A law that changes is an assumption, unless another source is given with the change."""
        if not set(changed) - {"source", "where", "kind", "valid"} or "source" in changed:
            return {}
        return {"source": ASSUMPTION, "where": changed_from(str(self)[:80], self), "kind": "assumed"}


class SpreadLaw(NamedTuple):
    """sigma(G) = sigma_scale * max(sum_k c_k (G / conductance_scale)^k, 0), for compiled code.

    conductance_scale: siemens
    coefficients: c_k
    sigma_scale: siemens
    """

    conductance_scale: float
    coefficients: Floats
    sigma_scale: float


NO_SPREAD = SpreadLaw(1.0, np.empty(0), 1.0)
"""In place of `ConductancePolynomial.numbers` where there is no such law."""


class ConductancePolynomial(SourcedLaw):
    """Standard deviation of a conductance: sigma(G) = sigma_scale * max(sum_k c_k (G / conductance_scale)^k, 0).

    One law covers a constant (one coefficient), a proportional (0, c1) and any published polynomial.
    """

    coefficients: tuple[float, ...] = Field(min_length=1)
    conductance_scale: Annotated[Siemens, Positive]
    sigma_scale: Annotated[Siemens, Positive]

    def __call__(self, conductance: Floats) -> Floats:
        """sigma in siemens, same shape as `conductance` (siemens)."""
        x = np.ascontiguousarray(conductance, dtype=np.float64)
        spread: Floats = spread_of_all(x.reshape(-1), self.numbers)
        return spread.reshape(x.shape)

    @property
    def numbers(self) -> SpreadLaw:
        """The law for compiled code."""
        return SpreadLaw(self.conductance_scale, np.array(self.coefficients), self.sigma_scale)

    def __str__(self) -> str:
        return f"polynomial {list(self.coefficients)}"


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


class Lifetime(SourcedLaw):
    """How many writes one cell takes before it is stuck; the device's `endurance` is the scale.

    weibull: writes = endurance (-ln(1 - u))^(1 / shape), so endurance is where 63.2 % have failed.
    log_normal: writes = endurance exp(shape z), so endurance is the median. u and z belong to the cell.
    """

    distribution: Literal["weibull", "log_normal"]
    shape: Annotated[One, Positive]
    stuck_at: Literal["as_is", "lrs", "hrs"] = "as_is"

    def writes(self, endurance: float, uniform: Floats) -> Floats:
        """Lifetime in writes of cells with these uniform random numbers in (0, 1)."""
        if self.distribution == "weibull":
            return endurance * (-np.log1p(-uniform)) ** (1 / self.shape)
        return endurance * np.exp(self.shape * ndtri(uniform))

    def __str__(self) -> str:
        return f"{self.distribution} of shape {self.shape:g}, stuck at {self.stuck_at}"
