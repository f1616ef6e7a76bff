"""Read noise beyond a polynomial: 1/f noise that grows with time, and random telegraph noise of single cells."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Discriminator, Field, Tag

from crossbar_sim.devices.laws import ConductancePolynomial, SourcedLaw, StateLaw
from crossbar_sim.runtime.counter_random import Key, uniforms_at
from crossbar_sim.runtime.draws import DRAWS_PER_WRITE, TELEGRAPH_DRAW
from crossbar_sim.spec.units import One, Second, Siemens

Floats = NDArray[np.float64]
OLDEST = 1e12
"""Seconds, more than 30,000 years."""


class FlickerNoise(SourcedLaw):
    """1/f noise of a read: sigma = s amplitude(x) sqrt(ln((t + t0 + t_read) / (2 t_read))), zero where ln < 0.

    t counts from the end of programming, t0 is `reference_time`, t_read `integration_time`, and
    x = G / conductance_scale. s is `sigma_scale`; None: the conductance itself.
    """

    law: Literal["flicker"]
    amplitude: StateLaw
    conductance_scale: Annotated[Siemens, Field(gt=0)]
    sigma_scale: Annotated[Siemens, Field(gt=0)] | None = None
    reference_time: Annotated[Second, Field(ge=0)]
    integration_time: Annotated[Second, Field(gt=0)]

    def __call__(self, conductance: Floats, age: float | Floats = 0.0) -> Floats:
        """sigma in siemens of cells at `conductance` (siemens), programmed `age` seconds ago."""
        time = np.asarray(age, np.float64) + self.reference_time + self.integration_time
        growth = np.sqrt(np.log(np.maximum(time / (2 * self.integration_time), 1.0)))
        scale = conductance if self.sigma_scale is None else self.sigma_scale
        return np.asarray(scale * self.amplitude(conductance / self.conductance_scale) * growth)

    def __str__(self) -> str:
        return "1/f, by state and time"


class TelegraphNoise(SourcedLaw):
    """Random telegraph noise: a cell with a trap toggles between two conductances, amplitude * G apart.

    G is its mean over time; `high` is the share of time at the upper value. Var(G) = (amplitude G)^2 high (1 - high).
    `cells` is the share of cells with a trap, drawn anew with every write of a cell.
    """

    amplitude: Annotated[One, Field(gt=0, le=1)]
    high: Annotated[One, Field(gt=0, lt=1)] = 0.5
    cells: Annotated[One, Field(gt=0, le=1)] = 1.0

    def trapped(self, writes: NDArray[np.integer], key: Key) -> NDArray[np.bool_]:
        """Which cells toggle, given the number of writes of each."""
        last = np.maximum(writes.reshape(-1).astype(np.int64) - 1, 0)
        counters = (last * DRAWS_PER_WRITE + TELEGRAPH_DRAW).astype(np.uint32)
        return (uniforms_at(counters, key) < self.cells).reshape(writes.shape)

    def sigma(self, conductance: Floats) -> Floats:
        """Standard deviation (siemens) of a cell with a trap, seen at a moment of no particular choice."""
        return np.asarray(self.amplitude * conductance * np.sqrt(self.high * (1 - self.high)))

    def __str__(self) -> str:
        return f"two states {self.amplitude:.3g} G apart, {self.cells:.3g} of the cells"


def _kind_of(value: Any) -> str:
    law = value.get("law", "polynomial") if isinstance(value, dict) else getattr(value, "law", "polynomial")
    return str(law)


ReadNoise = Annotated[
    Annotated[ConductancePolynomial, Tag("polynomial")] | Annotated[FlickerNoise, Tag("flicker")],
    Discriminator(_kind_of),
]


def within(law: ConductancePolynomial | FlickerNoise, conductances: Floats, largest: float) -> bool:
    """Whether the spread at these conductances (siemens) is at most `largest` (siemens), OLDEST cells too."""
    with np.errstate(all="ignore"):
        spread = law(conductances) if isinstance(law, ConductancePolynomial) else law(conductances, OLDEST)
    return bool((spread <= largest).all())
