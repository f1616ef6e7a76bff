"""Objectives and constraints: the numbers that designs are judged by, and what is known of each at which cost."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, model_validator

from benchmarks.explore.counting import CountedDesign
from benchmarks.explore.simulating import SimulatedRun
from crossbar_sim import SpecError
from crossbar_sim.spec.spec import Spec, nearest
from crossbar_sim.spec.units import unit_scale

Goal = Literal["min", "max"]
SCORE = "accuracy_mean"
"""The problem's score: of the test samples where a run is whole, else of the validation samples."""
SIMULATED = {SCORE: "accuracy"} | {
    name: name
    for name, field in SimulatedRun.model_fields.items()
    if name not in CountedDesign.model_fields and name not in ("accuracy", "standard_error") and field.is_required()
}
"""Name of a number that only a simulation knows -> its field in the record of a run."""
COUNTED = tuple(name for name, field in CountedDesign.model_fields.items() if field.annotation is not str)
"""Names of numbers that counting knows."""
UNITS = {"J": "J", "s": "s", "m2": "m2", "bytes": "B", "W": "W"}


def unit_of(name: str) -> str:
    """The SI unit of a number, by the end of its name; '' for a count or a share."""
    return UNITS.get(name.rpartition("_")[2], "")


def check_name(name: str) -> None:
    """SpecError for a number that neither counting nor a simulation gives."""
    known = [*COUNTED, *SIMULATED]
    if name not in known:
        raise SpecError(f"no record has '{name}'{nearest(name, known)}")


class Bound(Spec):
    """A constraint: at most, at least or both, in `unit` (None: SI)."""

    at_most: float | None = None
    at_least: float | None = None
    unit: str | None = None

    @model_validator(mode="after")
    def _bounds_something(self) -> Bound:
        if self.at_most is None and self.at_least is None:
            raise SpecError("a constraint says at_most, at_least or both")
        return self

    def excess(self, name: str, value: float) -> float:
        """By how much the value is outside, relative to the bound; 0 or less inside."""
        scale = 1.0 if self.unit is None else unit_scale(self.unit, unit_of(name) or "1")
        over = [] if self.at_most is None else [(value - self.at_most * scale, self.at_most * scale)]
        over += [] if self.at_least is None else [(self.at_least * scale - value, self.at_least * scale)]
        return max(excess / (abs(bound) or 1.0) for excess, bound in over)

    def __str__(self) -> str:
        parts = [
            f"{word} {bound:g}"
            for word, bound in (("at least", self.at_least), ("at most", self.at_most))
            if bound is not None
        ]
        return " and ".join(parts) + (f" {self.unit}" if self.unit else "")


def _as_bound(given: Any) -> Any:
    return given if isinstance(given, Bound) else Bound(**given)


AnyBound = Annotated[Bound, BeforeValidator(_as_bound)]
