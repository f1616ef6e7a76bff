"""DeviceModel: one memory cell as published; every number with its source."""

from __future__ import annotations

import math
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from crossbar_sim.devices.amplitude import IncrementalAmplitude
from crossbar_sim.devices.current_voltage import CurrentVoltage
from crossbar_sim.devices.disturbance import Disturbance
from crossbar_sim.devices.laws import ConductancePolynomial, Lifetime
from crossbar_sim.devices.pulse_response.labelled import LABELS, Steps, labelled_steps, travelled
from crossbar_sim.devices.pulse_response.step_laws import ExponentialStep, StepLaw
from crossbar_sim.devices.read_noise import FlickerNoise, ReadNoise, TelegraphNoise
from crossbar_sim.devices.retention import Arrhenius, Retention
from crossbar_sim.library import shelf_names, shelf_path
from crossbar_sim.spec.errors import SpecError
from crossbar_sim.spec.spec import SourcedSpec
from crossbar_sim.spec.units import Joule, Ohm, One, Second, Siemens, Volt, engineering

Positive = Field(gt=0)
NotNegative = Field(ge=0)
Share = Field(ge=0, le=1)
SLOWEST_PACE = 0.05
"""Of a cell, with a normal spread of steps from device to device."""
FINEST = 1e-6
"""Of g_max: what a verify read is at least asked to tell; pulses are simulated ten times finer."""
ENTRY_POINTS = "crossbar_sim.devices"
LAWS = (
    "programming_error",
    "read_noise",
    "telegraph_noise",
    "lifetime",
    "retention",
    "heat",
    "incremental_amplitude",
    "disturbance",
    "current_voltage",
    "step_law",
)
Law = (
    ConductancePolynomial
    | FlickerNoise
    | TelegraphNoise
    | Lifetime
    | Retention
    | Arrhenius
    | IncrementalAmplitude
    | Disturbance
    | CurrentVoltage
    | StepLaw
)


class DeviceModel(SourcedSpec):
    """A programmable conductance between `g_min` and `g_max`.

    None switches an effect off: `levels` (continuous conductance), `programming_error` (the target is
    reached exactly), `read_noise` (reads repeat exactly), `set_compliance_voltage` (SET current not limited),
    the non-linearities (straight pulse response), `cycle_to_cycle_window` and `device_to_device` (no such
    spread), `stuck_at_lrs` and `stuck_at_hrs` (no faults), `lifetime` (cells never fail), `retention`
    (conductances stay), `heat` (retention at the temperature of its measurement), `telegraph_noise` (no cell toggles),
    `incremental_amplitude` (pulses of one voltage), `disturbance` (other cells stay while one is programmed),
    `current_voltage` (not known; reads do not use it), `step_law` (steps by the non-linearities).
    `reset_pulse_width` and `reset_full_swing_pulses` None: the same as for SET. `pulses_may_reverse`: a pulse whose
    relative spread exceeds its mean moves the cell backwards; otherwise it does not move it.
    """

    name: str
    description: str = ""
    g_min: Annotated[Siemens, Field(ge=0)]
    g_max: Annotated[Siemens, Positive]
    levels: Annotated[int, Field(ge=2)] | None = None
    programming_error: ConductancePolynomial | None = None
    read_noise: ReadNoise | None = None
    telegraph_noise: TelegraphNoise | None = None
    read_voltage: Annotated[Volt, Positive]
    read_time: Annotated[Second, Positive]
    set_voltage: Annotated[Volt, Positive]
    reset_voltage: Annotated[Volt, Positive]
    pulse_width: Annotated[Second, Positive]
    reset_pulse_width: Annotated[Second, Positive] | None = None
    access_resistance: Annotated[Ohm, Field(ge=0)] = 0.0
    set_compliance_voltage: Annotated[Volt, Positive] | None = None
    programming: Literal["write_verify", "erase_write_verify", "open_loop"] = "write_verify"
    full_swing_pulses: Annotated[One, Positive]
    reset_full_swing_pulses: Annotated[One, Positive] | None = None
    set_nonlinearity: One | None = None
    reset_nonlinearity: One | None = None
    step_law: StepLaw | None = None
    cycle_to_cycle: Annotated[One, Field(ge=0)] = 0.0
    pulses_may_reverse: bool = False
    cycle_to_cycle_window: Annotated[One, NotNegative] | None = None
    device_to_device: Annotated[One, NotNegative] | None = None
    device_to_device_distribution: Literal["normal", "log_normal"] = "normal"
    verify_acceptance: Annotated[Siemens, Positive] | None = None
    max_pulses: Annotated[int, Field(ge=1, le=1500)] = 500
    endurance: Annotated[One, Positive]
    lifetime: Lifetime | None = None
    stuck_at_lrs: Annotated[One, Share] | None = None
    stuck_at_hrs: Annotated[One, Share] | None = None
    retention: Retention | None = None
    heat: Arrhenius | None = None
    incremental_amplitude: IncrementalAmplitude | None = None
    disturbance: Disturbance | None = None
    current_voltage: CurrentVoltage | None = None

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
        if self.verify_acceptance is not None and self.verify_acceptance < FINEST * self.g_max:
            raise SpecError(
                f"DeviceModel: verify_acceptance ({engineering(self.verify_acceptance, 'S')}) must be at least "
                f"{FINEST:g} of g_max ({engineering(FINEST * self.g_max, 'S')}); no verify read is finer, and pulses "
                "are simulated to a tenth of that"
            )
        if self.programming == "open_loop" and self.incremental_amplitude is not None:
            raise SpecError(
                "DeviceModel: incremental_amplitude needs a verify read between pulses; choose programming = "
                "'write_verify' or 'erase_write_verify', or leave it out"
            )
        if self.disturbance is not None and self.incremental_amplitude is not None:
            raise SpecError(
                "DeviceModel: disturbance is stated for pulses of one voltage; leave out it or incremental_amplitude"
            )
        if self.disturbance is not None and isinstance(self.step_law, ExponentialStep):
            raise SpecError(
                "DeviceModel: disturbance adds weak pulses up in closed form, and an exponential step_law has none; "
                "leave out one of them, or choose law = 'soft_bounds'"
            )
        if self.step_law is not None and not (self.set_nonlinearity is None and self.reset_nonlinearity is None):
            raise SpecError(
                "DeviceModel: step_law and set_nonlinearity or reset_nonlinearity both state the pulse response; "
                "leave out one"
            )
        for key in ("set_nonlinearity", "reset_nonlinearity"):
            label = getattr(self, key)
            if label is not None and not LABELS[0] <= abs(label) <= LABELS[1]:
                raise SpecError(
                    f"DeviceModel: {key} must lie between 0.01 and 8 in size (got {label:g}); "
                    "leave it out for a straight pulse response"
                )
        if (self.stuck_at_lrs or 0.0) + (self.stuck_at_hrs or 0.0) > 1:
            raise SpecError("DeviceModel: stuck_at_lrs and stuck_at_hrs add up to more than 1; lower one")
        return self

    @property
    def window(self) -> float:
        """g_max - g_min, siemens."""
        return self.g_max - self.g_min

    @property
    def pulse_step(self) -> float:
        """Mean conductance change of one pulse, siemens; with a `step_law` the nominal one."""
        return self.window / self.full_swing_pulses

    @property
    def pulses_per_level(self) -> float | None:
        """Pulses between neighbouring levels, or None for a continuous device."""
        return None if self.levels is None else self.full_swing_pulses / (self.levels - 1)

    @property
    def reset_pulses_full_swing(self) -> float:
        """Pulses from g_max to g_min."""
        return self.full_swing_pulses if self.reset_full_swing_pulses is None else self.reset_full_swing_pulses

    @property
    def reset_width(self) -> float:
        """Width of a RESET pulse, seconds."""
        return self.pulse_width if self.reset_pulse_width is None else self.reset_pulse_width

    @property
    def programs_exactly(self) -> bool:
        """Whether every write ends at its target: no programming error and, in the open loop, no pulse spread."""
        blind = self.programming == "open_loop"
        spread = self.cycle_to_cycle > 0 or self.cycle_to_cycle_window or self.device_to_device
        return self.programming_error is None and not (blind and spread)

    def without_programming_error(self) -> Self:
        """A copy that ends every write at its target."""
        if self.programming != "open_loop":
            return self.replace(programming_error=None)
        return self.replace(
            programming_error=None, cycle_to_cycle=0.0, cycle_to_cycle_window=None, device_to_device=None
        )

    def steps(self, reset: bool = False) -> Steps:
        """How far one SET or RESET pulse moves a cell on average, by its distance from the end it starts at."""
        pulses = self.reset_pulses_full_swing if reset else self.full_swing_pulses
        if self.step_law is not None:
            return self.step_law.steps(pulses, self.window, reset)
        return labelled_steps(self.reset_nonlinearity if reset else self.set_nonlinearity, pulses, self.window)

    def pace(self, own: NDArray[np.float64]) -> NDArray[np.float64]:
        """The steps of cells relative to the device's, given one standard normal number of each."""
        spread = self.device_to_device or 0.0
        if self.device_to_device_distribution == "log_normal":
            return np.exp(spread * own)
        return np.maximum(1 + spread * own, SLOWEST_PACE)

    def response(self, pulses: NDArray[np.float64], reset: bool = False) -> NDArray[np.float64]:
        """Mean conductance (siemens) after `pulses` SET pulses from g_min, or RESET pulses from g_max."""
        if self.step_law is not None:
            gone = self.steps(reset).after(np.asarray(pulses, np.float64), self.window)
            return self.g_max - gone if reset else self.g_min + gone
        if reset:
            gone = travelled(pulses, self.reset_nonlinearity, self.reset_pulses_full_swing, self.window)
            return self.g_max - gone
        return self.g_min + travelled(pulses, self.set_nonlinearity, self.full_swing_pulses, self.window)

    def law(self, sense_energy: Joule) -> NDArray[np.float64]:
        """The numbers `kernels.program_cells` needs, in its order."""
        acceptance = self.verify_acceptance if self.verify_acceptance is not None else 0.0
        compliance = self.set_compliance_voltage if self.set_compliance_voltage is not None else 0.0
        up, down = self.steps(), self.steps(reset=True)
        return np.array(
            [
                self.g_min,
                self.g_max,
                self.cycle_to_cycle,
                (self.cycle_to_cycle_window or 0.0) * self.window,
                acceptance,
                self.max_pulses,
                *up[:3],
                *down[:3],
                self.set_voltage,
                self.reset_voltage,
                self.pulse_width,
                self.reset_width,
                self.access_resistance,
                compliance,
                self.read_voltage,
                self.read_time,
                sense_energy,
                *up[3:],
                *down[3:],
                -math.inf if self.pulses_may_reverse else 0.0,
            ]
        )

    @classmethod
    def load(cls, name: str | Path) -> DeviceModel:
        """A device of the library or of an installed package by name, or any device by the path of its TOML file."""
        if str(name).endswith(".toml"):
            return cls.from_toml(name)
        return cls.from_toml(installed_devices().get(str(name)) or shelf_path("devices", str(name)))

    def __str__(self) -> str:
        straight = self.set_nonlinearity is None and self.reset_nonlinearity is None
        bends = (
            "" if straight else (f", non-linearity {self.set_nonlinearity or 0:g} / {self.reset_nonlinearity or 0:g}")
        )
        steps = [] if self.step_law is None else [f"  steps              {self.step_law}"]
        widths = engineering(self.pulse_width, "s")
        if self.reset_pulse_width is not None:
            widths += f" / {engineering(self.reset_pulse_width, 's')}"
        noise = "off" if self.read_noise is None else f"σ(g_max) {engineering(self.sigma_read(self.g_max), 'S')}"
        error = "off"
        if self.programming_error is not None:
            low, high = self.programming_error(np.array([self.g_min, self.g_max]))
            error = f"σ {engineering(low, 'S')} at g_min, {engineering(high, 'S')} at g_max"
        per_level = "" if self.pulses_per_level is None else f", {self.pulses_per_level:.3g} per level"
        return "\n".join(
            [
                f"DeviceModel {self.name}: {self.description}",
                f"  conductance        {engineering(self.g_min, 'S')} to {engineering(self.g_max, 'S')}, "
                f"{self.levels or 'continuous'} levels",
                f"  programming        {self.programming}, {self.full_swing_pulses:g} pulses full swing"
                f"{per_level}{bends}",
                *steps,
                f"  programming error  {error}",
                f"  read noise         {noise}",
                f"  SET / RESET        {engineering(self.set_voltage, 'V')} / {engineering(self.reset_voltage, 'V')}, "
                f"{widths} pulses",
                f"  read               {engineering(self.read_voltage, 'V')}, {engineering(self.read_time, 's')}",
                f"  endurance          {self.endurance:.0e} writes",
                f"  sources            {', '.join(self.sources()) or 'none given'}",
            ]
        )

    @property
    def reads_noisy(self) -> bool:
        """Whether two reads of a cell differ."""
        return self.read_noise is not None or self.telegraph_noise is not None

    @property
    def noise_of_state(self) -> ConductancePolynomial | None:
        """The read noise, if it is a polynomial of the conductance alone."""
        law = self.read_noise
        return law if isinstance(law, ConductancePolynomial) and self.telegraph_noise is None else None

    @property
    def noise_grows(self) -> bool:
        """Whether the read noise depends on the time since a cell was programmed."""
        return isinstance(self.read_noise, FlickerNoise)

    def sigma_read(self, conductance: float) -> float:
        """Standard deviation of one read of a cell at `conductance`, just programmed and without a trap, siemens."""
        return 0.0 if self.read_noise is None else float(self.read_noise(np.array([conductance]))[0])

    def sources(self) -> list[str]:
        """Citation keys of everything this device states."""
        keys = {note.source for note in self.provenance.values()}
        return sorted(keys | {law.source for law in self.laws().values()})

    def laws(self) -> dict[str, Law]:
        """The laws that are on, by the name of their key; each carries its own source."""
        parts = {key: getattr(self, key) for key in LAWS}
        return {key: law for key, law in parts.items() if law is not None}


def device_names() -> list[str]:
    """Names of the devices that ship with the package, and of those that installed packages add."""
    return sorted({*shelf_names("devices"), *installed_devices()})


@cache
def installed_devices() -> dict[str, Path]:
    """Devices of other packages: entry points of the group `crossbar_sim.devices`.

    An entry point's name is the device's, its object the path of a TOML file, or a function that returns one.
    """
    found = {}
    for entry in entry_points(group=ENTRY_POINTS):
        target = entry.load()
        found[entry.name] = Path(str(target() if callable(target) else target))
    return found
