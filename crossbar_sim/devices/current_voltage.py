"""CurrentVoltage: the current of a cell at voltages at which it is no longer proportional to the voltage."""

from __future__ import annotations

from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from crossbar_sim.devices.laws import SourcedLaw
from crossbar_sim.spec.errors import SpecError
from crossbar_sim.spec.units import Siemens, Volt, engineering

Floats = NDArray[np.float64]
Positive = Field(gt=0)


class CurrentVoltage(SourcedLaw):
    """I(G, V) = G V + c2(G) V^2 + c3(G) V^3 with c(G) = sum_k c_k (log10(G / 1 S))^k; G is the slope at zero volt.

    quadratic, cubic: the c_k of c2 (A/V^2) and c3 (A/V^3). Beyond conductance_low and conductance_high I / G keeps
    the shape that it has there, so an open cell carries no current; voltages hold up to largest_voltage either
    way. The current must rise with the voltage all over these ranges, else SpecError: networks of such cells have
    exactly one solution.
    """

    quadratic: tuple[float, ...] = Field(min_length=1)
    cubic: tuple[float, ...] = Field(min_length=1)
    conductance_low: Annotated[Siemens, Positive]
    conductance_high: Annotated[Siemens, Positive]
    largest_voltage: Annotated[Volt, Positive]

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.conductance_low > self.conductance_high:
            raise SpecError("CurrentVoltage: conductance_low must not be above conductance_high; swap them")
        conductance = np.geomspace(self.conductance_low, self.conductance_high, 201)[:, None]
        voltage = np.linspace(-self.largest_voltage, self.largest_voltage, 201)
        falling = np.argwhere(self.slope(conductance, voltage) <= 0)
        if falling.size:
            g, v = conductance[falling[0][0], 0], voltage[falling[0][1]]
            raise SpecError(
                f"CurrentVoltage: the current falls with the voltage at {engineering(g, 'S')}, {engineering(v, 'V')}; "
                "lower largest_voltage or narrow the conductances"
            )
        return self

    def coefficients(self, conductance: Floats) -> tuple[Floats, Floats]:
        """c2 (A/V^2) and c3 (A/V^3) of conductances (siemens, any shape; 0 for an open cell)."""
        conductance = np.asarray(conductance, dtype=np.float64)
        within = np.clip(conductance, self.conductance_low, self.conductance_high)
        decades, share = np.log10(within), conductance / within
        polynomial = np.polynomial.polynomial.polyval
        return share * polynomial(decades, self.quadratic), share * polynomial(decades, self.cubic)

    def current(self, conductance: Floats, voltage: Floats) -> Floats:
        """Ampere through cells of `conductance` (siemens) at `voltage` (volt); the shapes broadcast."""
        c2, c3 = self.coefficients(conductance)
        return voltage * (conductance + voltage * (c2 + voltage * c3))

    def slope(self, conductance: Floats, voltage: Floats) -> Floats:
        """dI/dV in siemens."""
        c2, c3 = self.coefficients(conductance)
        return conductance + voltage * (2 * c2 + voltage * 3 * c3)

    def __str__(self) -> str:
        return f"I = G V + c2 V² + c3 V³ up to {engineering(self.largest_voltage, 'V')}, not used by reads"
