"""DeviceModel: one memory cell as published; every number with its source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from crossbar_sim.errors import SpecError
from crossbar_sim.library import shelf_names, shelf_path
from crossbar_sim.spec import SourcedSpec, Spec
from crossbar_sim.units import Joule, Ohm, One, Second, Siemens, Volt, engineering

Positive = Field(gt=0)


class ConductancePolynomial(Spec):
    """Standard deviation of a conductance: sigma(G) = sigma_scale * max(sum_k c_k (G / conductance_scale)^k, 0).

    One law covers a constant (one coefficient), a proportional (0, c1) and any published polynomial.
    """

    coefficients: tuple[float, ...] = Field(min_length=1)
    conductance_scale: Annotated[Siemens, Positive]
    sigma_scale: Annotated[Siemens, Positive]
    source: str
    where: str = ""
    kind: Literal["measured", "fitted", "assumed"]
    valid: str = ""

    @property
    def numbers(self) -> tuple[tuple[float, ...], float, float]:
        """Coefficients, conductance scale and sigma scale, for compiled code."""
        return self.coefficients, self.conductance_scale, self.sigma_scale

    def __call__(self, conductance: NDArray[np.float64]) -> NDArray[np.float64]:
        """sigma in siemens, same shape as `conductance` (siemens)."""
        x = np.asarray(conductance, dtype=np.float64) / self.conductance_scale
        return self.sigma_scale * np.maximum(np.polynomial.polynomial.polyval(x, self.coefficients), 0.0)


class DeviceModel(SourcedSpec):
    """A programmable conductance between `g_min` and `g_max`.

    None switches an effect off: `levels` (continuous conductance), `programming_error` (the target is
    reached exactly), `read_noise` (reads repeat exactly), `set_compliance_voltage` (SET current not limited).
    """

    name: str
    description: str = ""
    g_min: Annotated[Siemens, Field(ge=0)]
    g_max: Annotated[Siemens, Positive]
    levels: Annotated[int, Field(ge=2)] | None = None
    programming_error: ConductancePolynomial | None = None
    read_noise: ConductancePolynomial | None = None
    read_voltage: Annotated[Volt, Positive]
    read_time: Annotated[Second, Positive]
    set_voltage: Annotated[Volt, Positive]
    reset_voltage: Annotated[Volt, Positive]
    pulse_width: Annotated[Second, Positive]
    access_resistance: Annotated[Ohm, Field(ge=0)] = 0.0
    set_compliance_voltage: Annotated[Volt, Positive] | None = None
    programming: Literal["write_verify", "erase_write_verify", "open_loop"] = "write_verify"
    full_swing_pulses: Annotated[One, Positive]
    cycle_to_cycle: Annotated[One, Field(ge=0)] = 0.0
    verify_acceptance: Annotated[Siemens, Positive] | None = None
    max_pulses: Annotated[int, Field(ge=1, le=1500)] = 500
    endurance: Annotated[One, Positive]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.g_min >= self.g_max:
            raise SpecError(
                f"DeviceModel: g_min ({engineering(self.g_min, 'S')}) must be below g_max "
                f"({engineering(self.g_max, 'S')}); swap them or widen the window"
            )
        if self.programming != "open_loop" and self.verify_acceptance is None:
            raise SpecError(
                f"DeviceModel: programming = '{self.programming}' needs verify_acceptance (siemens); "
                "give it, or choose programming = 'open_loop'"
            )
        return self

    @property
    def window(self) -> float:
        """g_max - g_min, siemens."""
        return self.g_max - self.g_min

    @property
    def pulse_step(self) -> float:
        """Mean conductance change of one pulse, siemens."""
        return self.window / self.full_swing_pulses

    @property
    def pulses_per_level(self) -> float | None:
        """Pulses between neighbouring levels, or None for a continuous device."""
        return None if self.levels is None else self.full_swing_pulses / (self.levels - 1)

    def law(self, sense_energy: Joule) -> NDArray[np.float64]:
        """The numbers `kernels.program_cells` needs, in its order."""
        acceptance = self.verify_acceptance if self.verify_acceptance is not None else 0.0
        compliance = self.set_compliance_voltage if self.set_compliance_voltage is not None else 0.0
        return np.array([
            self.g_min, self.g_max, self.pulse_step, self.cycle_to_cycle, acceptance, self.max_pulses,
            self.set_voltage, self.reset_voltage, self.pulse_width, self.access_resistance, compliance,
            self.read_voltage, self.read_time, sense_energy,
        ])  # fmt: skip

    @classmethod
    def load(cls, name: str | Path) -> DeviceModel:
        """A device of the library by name, or any device by the path of its TOML file."""
        if str(name).endswith(".toml"):
            return cls.from_toml(name)
        return cls.from_toml(shelf_path("devices", str(name)))

    def __str__(self) -> str:
        noise = "off" if self.read_noise is None else f"σ(g_max) {engineering(self.sigma_read(self.g_max), 'S')}"
        error = "off"
        if self.programming_error is not None:
            low, high = self.programming_error(np.array([self.g_min, self.g_max]))
            error = f"σ {engineering(low, 'S')} at g_min, {engineering(high, 'S')} at g_max"
        per_level = "" if self.pulses_per_level is None else f", {self.pulses_per_level:.3g} per level"
        return "\n".join([
            f"DeviceModel {self.name}: {self.description}",
            f"  conductance        {engineering(self.g_min, 'S')} to {engineering(self.g_max, 'S')}, "
            f"{self.levels or 'continuous'} levels",
            f"  programming        {self.programming}, {self.full_swing_pulses:g} pulses full swing{per_level}",
            f"  programming error  {error}",
            f"  read noise         {noise}",
            f"  SET / RESET        {engineering(self.set_voltage, 'V')} / {engineering(self.reset_voltage, 'V')}, "
            f"{engineering(self.pulse_width, 's')} pulses",
            f"  read               {engineering(self.read_voltage, 'V')}, {engineering(self.read_time, 's')}",
            f"  endurance          {self.endurance:.0e} writes",
            f"  sources            {', '.join(self.sources()) or 'none given'}",
        ])  # fmt: skip

    def sigma_read(self, conductance: float) -> float:
        """Standard deviation of one read of a cell at `conductance`, siemens."""
        return 0.0 if self.read_noise is None else float(self.read_noise(np.array([conductance]))[0])

    def sources(self) -> list[str]:
        """Citation keys of everything this device states."""
        keys = {note.source for note in self.provenance.values()}
        keys |= {law.source for law in (self.programming_error, self.read_noise) if law is not None}
        return sorted(keys)


def device_names() -> list[str]:
    """Names of the devices that ship with the package."""
    return shelf_names("devices")
