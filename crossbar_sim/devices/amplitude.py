"""Incremental step pulse programming (ISPP): each further pulse of a polarity is a step stronger than the last."""

from __future__ import annotations

from typing import Annotated, NamedTuple, Self

from pydantic import Field, model_validator

from crossbar_sim.devices.laws import SourcedLaw
from crossbar_sim.spec.errors import SpecError
from crossbar_sim.spec.units import Volt, engineering


class AmplitudeSteps(NamedTuple):
    """Incremental step pulse programming (ISPP) for compiled code, all in volt.

    increment: what each further pulse of one polarity has more
    growth_voltage: a pulse so much stronger moves e times as far
    set_start, set_stop: first and highest amplitude of SET pulses
    reset_start, reset_stop: of RESET pulses
    """

    increment: float
    growth_voltage: float
    set_start: float
    set_stop: float
    reset_start: float
    reset_stop: float


class IncrementalAmplitude(SourcedLaw):
    """ISPP: V_k = min(start + k increment, stop) for the k-th pulse of a polarity in a row, k = 0, 1, ...; a change of
    polarity starts anew. A pulse at V moves exp((V - V_nominal) / growth_voltage) times as far as one at V_nominal, the
    device's `set_voltage` or `reset_voltage`.
    """

    set_start: Annotated[Volt, Field(gt=0)]
    set_stop: Annotated[Volt, Field(gt=0)]
    reset_start: Annotated[Volt, Field(gt=0)]
    reset_stop: Annotated[Volt, Field(gt=0)]
    increment: Annotated[Volt, Field(gt=0)]
    growth_voltage: Annotated[Volt, Field(gt=0)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        for polarity, start, stop in (
            ("set", self.set_start, self.set_stop),
            ("reset", self.reset_start, self.reset_stop),
        ):
            if start > stop:
                raise SpecError(
                    f"IncrementalAmplitude: {polarity}_start ({engineering(start, 'V')}) must not lie above "
                    f"{polarity}_stop ({engineering(stop, 'V')}); swap them"
                )
        return self

    @property
    def numbers(self) -> AmplitudeSteps:
        """The law for compiled code."""
        return AmplitudeSteps(
            increment=self.increment,
            growth_voltage=self.growth_voltage,
            set_start=self.set_start,
            set_stop=self.set_stop,
            reset_start=self.reset_start,
            reset_stop=self.reset_stop,
        )

    def __str__(self) -> str:
        ranges = (self.set_start, self.set_stop, self.reset_start, self.reset_stop)
        set_start, set_stop, reset_start, reset_stop = (engineering(volt, "V") for volt in ranges)
        return (
            f"SET {set_start} to {set_stop}, RESET {reset_start} to {reset_stop}, by {engineering(self.increment, 'V')}"
        )
