"""Sensitivity: every assumed number of a design halved and doubled; does the methods' ranking by energy change?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.estimates.counted import Workload
from benchmarks.estimates.estimate import count_shape, make_method
from benchmarks.estimates.models import find_shape
from benchmarks.record import Record
from crossbar_sim import CrossbarError, Hardware, SpecError
from crossbar_sim.counting.activity import Activity
from crossbar_sim.devices import ConductancePolynomial, FlickerNoise, TelegraphNoise
from crossbar_sim.spec.spec import SourcedSpec
from crossbar_sim.spec.units import engineering
from peft_methods import METHODS

PARTS = ("device", "tile", "dac", "adc", "digital")
FACTORS = (0.5, 2.0)
SPREADS = ("programming_error", "read_noise", "telegraph_noise")
"""Laws of the device that are varied: their standard deviation."""


@dataclass(frozen=True)
class Constant:
    """One number of the design: its part, name, value with unit, kind of source, and the range it is stated for."""

    part: str
    name: str
    value: str
    kind: str
    source: str
    valid: str


@dataclass(frozen=True)
class Variation:
    """One constant times `factor`: joule per method, or the reason why such a design is not possible."""

    constant: Constant
    factor: float
    energy: dict[str, float]
    refused: str | None = None


class VariationRecord(Record):
    """One number of the design, changed."""

    part: str
    """device, tile, dac, adc or digital."""
    name: str
    """Of the field."""
    value: str
    """As designed, with its unit."""
    kind: str
    """assumed or fitted."""
    source: str
    """Citation key or 'assumption'."""
    valid: str
    """Range the number is stated for; empty if none is."""
    factor: float
    """It is multiplied by."""
    energy_J: dict[str, float]
    """Of one adaptation, by method; empty if there is no such design."""
    changes_places: tuple[tuple[str, str], ...]
    """Pairs of methods that change places: (frugal as designed, frugal as varied)."""
    refused: str | None
    """Why there is no such design."""


class SensitivityRecord(Record):
    """Energy of one adaptation per method, as designed and with one number changed at a time."""

    model: str
    """Its name or file."""
    hardware: str
    """Its name."""
    energy_J: dict[str, float]
    """Of one adaptation as designed, by method."""
    ranking: tuple[str, ...]
    """Methods as designed, the most frugal first."""
    left_out: dict[str, str]
    """Methods that the model cannot have, with the reason."""
    ranking_changes: bool
    """With any number changed."""
    variations: tuple[VariationRecord, ...]
    """Every number halved and doubled."""


@dataclass(frozen=True)
class Sensitivity:
    """Joule of one adaptation (training alone, without deployment) per method: as designed and varied."""

    model: str
    hardware: str
    energy: dict[str, float]
    left_out: dict[str, str]
    variations: tuple[Variation, ...]

    @property
    def ranking(self) -> list[str]:
        """Methods as designed, the most frugal first."""
        return sorted(self.energy, key=lambda name: self.energy[name])

    def changes(self, variation: Variation) -> list[tuple[str, str]]:
        """Pairs of methods that change places: (frugal as designed, frugal as varied)."""
        order, energy = self.ranking, variation.energy
        return [
            (first, second)
            for index, first in enumerate(order)
            for second in order[index + 1 :]
            if energy and energy[first] > energy[second]
        ]

    def energy_range(self, constant: Constant, method: str) -> tuple[float, float]:
        """Energy halved and doubled, over the energy as designed; 1 where the design is not possible."""
        found = {v.factor: v.energy.get(method, self.energy[method]) for v in self.variations if v.constant == constant}
        low, high = (found.get(factor, self.energy[method]) / self.energy[method] for factor in FACTORS)
        return low, high

    @property
    def constants(self) -> list[Constant]:
        """Every constant that was varied, the one that moves any method's energy most first."""
        distinct = list(dict.fromkeys(variation.constant for variation in self.variations))
        return sorted(distinct, key=lambda c: -max(abs(s - 1) for m in self.energy for s in self.energy_range(c, m)))

    def record(self) -> SensitivityRecord:
        """Everything, for scripts."""
        return SensitivityRecord(
            model=self.model,
            hardware=self.hardware,
            energy_J=self.energy,
            ranking=tuple(self.ranking),
            left_out=self.left_out,
            ranking_changes=any(self.changes(variation) for variation in self.variations),
            variations=tuple(
                VariationRecord(
                    part=v.constant.part,
                    name=v.constant.name,
                    value=v.constant.value,
                    kind=v.constant.kind,
                    source=v.constant.source,
                    valid=v.constant.valid,
                    factor=v.factor,
                    energy_J=v.energy,
                    changes_places=tuple(self.changes(v)),
                    refused=v.refused,
                )
                for v in self.variations
            ),
        )

    def __str__(self) -> str:
        lines = [f"energy of one adaptation on {self.model}, {self.hardware}, the most frugal first:"]
        lines += [f"  {name:<20}{engineering(self.energy[name], 'J')}" for name in self.ranking]
        lines.append("constants halved and doubled, and the energy of the method they move most:")
        for constant in self.constants:
            most = max(self.energy, key=lambda m: max(abs(s - 1) for s in self.energy_range(constant, m)))
            low, high = self.energy_range(constant, most)
            lines.append(
                f"  {constant.part + '.' + constant.name:<26}{constant.kind:<9}{constant.value:<10}"
                f"{low:>7.3f} to {high:.3f} ({most})"
            )
        for variation in self.variations:
            where = f"{variation.constant.part}.{variation.constant.name} x {variation.factor:g}"
            if variation.refused is not None:
                lines.append(f"not possible: {where}: {variation.refused}")
            for first, second in self.changes(variation):
                lines.append(f"changes the ranking: {where}: {second} before {first}")
        if not any(self.changes(variation) for variation in self.variations):
            lines.append("no single constant changes the ranking")
        return "\n".join(lines)


def constants_of(hardware: Hardware, kinds: Sequence[str] = ("assumed",)) -> list[Constant]:
    """The numbers of a design whose provenance is of these kinds, and the device's laws of spread (SPREADS), each as
    one number: its standard deviation. Other laws and counts of levels are not numbers."""
    found = []
    for part in PARTS:
        spec: SourcedSpec = getattr(hardware, part)
        for name, note in spec.provenance.items():
            if note.kind in kinds and isinstance(getattr(spec, name), float) and getattr(spec, name):
                value = engineering(getattr(spec, name), spec.unit_of(name))
                found.append(Constant(part, name, value, note.kind, note.source, note.valid))
    for name, law in hardware.device.laws().items():
        if name in SPREADS and law.kind in kinds:
            found.append(Constant("device", name, "sigma(G)", law.kind, law.source, law.valid))
    return found


def varied(hardware: Hardware, constant: Constant, factor: float) -> Hardware:
    """The design with one number, or the sigma of one law, times `factor`; SpecError if that is none."""
    part: SourcedSpec = getattr(hardware, constant.part)
    value = scaled(getattr(part, constant.name), factor)
    return hardware.replace(**{constant.part: part.replace(**{constant.name: value})})


def scaled(value: Any, factor: float) -> Any:
    """The number, or the law with its standard deviation, times `factor`."""
    if isinstance(value, TelegraphNoise):
        return value.replace(amplitude=factor * value.amplitude)
    if isinstance(value, FlickerNoise) and value.sigma_scale is None:
        law = value.amplitude
        slope = factor * law.slope if law.form == "log" else law.slope
        return value.replace(
            amplitude=law.replace(
                slope=slope,
                offset=factor * law.offset,
                low=factor * law.low,
                high=factor * law.high,
                polynomial=tuple(factor * c for c in law.polynomial),
            )
        )
    if isinstance(value, ConductancePolynomial | FlickerNoise):
        return value.replace(sigma_scale=factor * (value.sigma_scale or 0.0))
    return factor * value


def sensitivity(
    model: str = "digits-vit",
    hardware: str | Path | Hardware = "milo2021_128x128",
    methods: Sequence[str] = (),
    *,
    kinds: Sequence[str] = ("assumed",),
    workload: Workload | None = None,
    activity: Activity | None = None,
) -> Sensitivity:
    """Halve and double every constant of these kinds, one at a time, by counting.

    methods: of METHODS; none: all that the model can have, the others are named with the reason. Raises SpecError
    for unknown names and for a method that does not fit.
    """
    design = hardware if isinstance(hardware, Hardware) else Hardware.load(hardware)
    shape, workload = find_shape(model), Workload(calibration=0, inferences=0) if workload is None else workload
    left_out: dict[str, str] = {}

    def energy(name: str, variant: Hardware) -> float:
        counted = count_shape(shape, make_method(shape, name), variant, workload, activity)
        return counted.chip.ledger.energy("adapt")

    usual: dict[str, float] = {}
    for name in methods or METHODS:
        try:
            usual[name] = energy(name, design)
        except CrossbarError as error:
            if methods:
                raise
            left_out[name] = str(error)
    variations = []
    for constant in constants_of(design, kinds):
        for factor in FACTORS:
            try:
                variant = varied(design, constant, factor)
            except SpecError as error:
                variations.append(Variation(constant, factor, {}, str(error)))
            else:
                variations.append(Variation(constant, factor, {name: energy(name, variant) for name in usual}))
    return Sensitivity(model, design.name, usual, left_out, tuple(variations))
