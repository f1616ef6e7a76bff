"""DeviceModel: one memory cell as published; every number with its source."""

from __future__ import annotations

import math
from functools import cache, cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from crossbar_sim.devices.amplitude import IncrementalAmplitude
from crossbar_sim.devices.current_voltage import CurrentVoltage
from crossbar_sim.devices.disturbance import Disturbance
from crossbar_sim.devices.laws import ConductancePolynomial, Lifetime
from crossbar_sim.devices.pulse_law import Polarity, PulseLaw
from crossbar_sim.devices.pulse_response import StepLaw
from crossbar_sim.devices.pulse_response.base import Steps
from crossbar_sim.devices.pulse_response.labelled import LABELS, labelled_steps, travelled
from crossbar_sim.devices.read_noise import FlickerNoise, ReadNoise, TelegraphNoise, within
from crossbar_sim.devices.retention import Arrhenius, Retention
from crossbar_sim.library import shelf_names, shelf_path
from crossbar_sim.spec.errors import SpecError
from crossbar_sim.spec.spec import SourcedSpec
from crossbar_sim.spec.units import Joule, Ohm, One, Second, Siemens, Volt, engineering

Positive = Field(gt=0)
Conductance = Field(ge=1e-15, le=1e3)
"""What float32 holds with room for its products."""
Voltage = Field(ge=1e-6, le=1e3)
Spread = Field(ge=0, le=10)
Pulses = Field(gt=0, le=1e6)
"""Every pulse of an open loop is simulated, so that a write of one cell takes milliseconds at most."""
MOST_LEVELS = 65_536
"""As 16 bits tell apart."""
NotNegative = Field(ge=0)
Share = Field(ge=0, le=1)
LEAST_FACTOR = 0.05
"""Of a cell, with a normal spread of steps from device to device."""
FINEST = 1e-6
"""Of g_max: what a verify read is at least asked to tell; pulses are simulated ten times finer."""
WIDEST = 1e3
"""Times g_max: the largest standard deviation of a conductance."""
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
    """A programmable conductance between `g_min` and `g_max`; None switches an effect off."""

    kind_of_file: ClassVar[str | None] = "device"
    named_as_published: ClassVar[bool] = True
    name: str
    """Of the device; that of its TOML file."""
    description: str = ""
    """What it is, and where it was published."""
    g_min: Annotated[Siemens, Field(ge=0)]
    """Lower end of the window; freshly formed cells stand here."""
    g_max: Annotated[Siemens, Conductance]
    """Upper end of the window."""
    levels: Annotated[int, Field(ge=2, le=MOST_LEVELS)] | None = None
    """Conductances that a cell is led to, evenly spaced in the window; None: a continuous conductance."""
    programming_error: ConductancePolynomial | None = None
    """Spread of where a write ends around its target; None: the target is reached exactly."""
    read_noise: ReadNoise | None = None
    """Spread of a cell from read to read; None: reads repeat exactly."""
    telegraph_noise: TelegraphNoise | None = None
    """Cells with a trap toggle between two conductances; None: no cell toggles."""
    read_voltage: Annotated[Volt, Voltage]
    """Across a cell that is read at full drive, and in a verify read."""
    read_time: Annotated[Second, Positive]
    """Of one read."""
    set_voltage: Annotated[Volt, Voltage]
    """Of a SET pulse, which raises the conductance."""
    reset_voltage: Annotated[Volt, Voltage]
    """Of a RESET pulse, which lowers it; its size."""
    pulse_width: Annotated[Second, Positive]
    """Of a SET pulse."""
    reset_pulse_width: Annotated[Second, Positive] | None = None
    """Of a RESET pulse; None: as for SET."""
    access_resistance: Annotated[Ohm, Field(ge=0)] = 0.0
    """In series with the cell while it is programmed."""
    set_compliance_voltage: Annotated[Volt, Voltage] | None = None
    """Limits the current of a SET pulse to this times the conductance; None: not limited."""
    programming: Literal["write_verify", "erase_write_verify", "open_loop"] = "write_verify"
    """How a cell is led to its target: pulses and verify reads, the same after a RESET, or a train without reads."""
    full_swing_pulses: Annotated[One, Pulses]
    """SET pulses from g_min to g_max; with a `step_law` the window over the nominal step."""
    reset_full_swing_pulses: Annotated[One, Pulses] | None = None
    """RESET pulses from g_max to g_min; None: as for SET."""
    set_nonlinearity: One | None = None
    """Label of the bend of the SET pulse response; None: a straight one."""
    reset_nonlinearity: One | None = None
    """Label of the bend of the RESET pulse response; None: a straight one."""
    step_law: StepLaw | None = None
    """How far one pulse moves a cell; None: as the non-linearities say."""
    cycle_to_cycle: Annotated[One, Field(ge=0)] = 0.0
    """Standard deviation of one pulse's move, relative to its mean."""
    pulses_may_reverse: bool = False
    """Whether a pulse whose relative spread exceeds its mean moves the cell backwards; else it does not move it."""
    cycle_to_cycle_window: Annotated[One, NotNegative] | None = None
    """Standard deviation of one pulse's move as a share of the window; None: no such spread."""
    device_to_device: Annotated[One, Spread] | None = None
    """Standard deviation of the steps of a cell, relative to the device's; None: all cells alike."""
    device_to_device_distribution: Literal["normal", "log_normal"] = "normal"
    """Of these steps."""
    verify_acceptance: Annotated[Siemens, Positive] | None = None
    """A verify read accepts a cell so near to its target; the open loop needs none."""
    max_pulses: Annotated[int, Field(ge=1, le=1500)] = 500
    """After so many pulses a write-verify loop gives up."""
    endurance: Annotated[One, Positive]
    """Writes that a cell takes, as published."""
    lifetime: Lifetime | None = None
    """How writes until a failure are distributed; None: cells never fail."""
    stuck_at_lrs: Annotated[One, Share] | None = None
    """Share of cells that are stuck at g_max from the start; None: none."""
    stuck_at_hrs: Annotated[One, Share] | None = None
    """Share of cells that are stuck at g_min from the start; None: none."""
    retention: Retention | None = None
    """How conductances move with time; None: they stay."""
    heat: Arrhenius | None = None
    """How much faster they move at the chip's temperature; None: as measured."""
    incremental_amplitude: IncrementalAmplitude | None = None
    """Incremental step pulse programming (ISPP); None: pulses of one voltage."""
    disturbance: Disturbance | None = None
    """How far other cells move while one is programmed; None: they stay."""
    current_voltage: CurrentVoltage | None = None
    """How the current grows with the voltage; None: not known. Reads do not use it."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_window()
        self._check_verify()
        self._check_disturbance()
        self._check_pulse_response()
        self._check_spreads()
        if (self.stuck_at_lrs or 0.0) + (self.stuck_at_hrs or 0.0) > 1:
            raise SpecError("DeviceModel: stuck_at_lrs and stuck_at_hrs add up to more than 1; lower one")
        return self

    def _check_window(self) -> None:
        if self.g_min >= self.g_max:
            raise SpecError(
                f"DeviceModel: g_min ({engineering(self.g_min, 'S')}) must be below g_max "
                f"({engineering(self.g_max, 'S')}); swap them or widen the window"
            )

    def _check_verify(self) -> None:
        """What the loop needs, and what the open loop cannot have."""
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

    def _check_disturbance(self) -> None:
        """Weak pulses are added up in closed form."""
        if self.disturbance is None:
            return
        if self.incremental_amplitude is not None:
            raise SpecError(
                "DeviceModel: disturbance is stated for pulses of one voltage; leave out it or incremental_amplitude"
            )
        if self.step_law is not None and not self.step_law.adds_up:
            raise SpecError(
                f"DeviceModel: disturbance adds weak pulses up in closed form, and an {self.step_law.law} step_law has "
                "none; leave out one of them, or choose law = 'soft_bounds'"
            )

    def _check_pulse_response(self) -> None:
        """One statement of it, with labels that exist."""
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

    def _check_spreads(self) -> None:
        """No spread so wide that conductances leave the numbers that are computed with."""
        conductances = np.linspace(self.g_min, self.g_max, 65)
        for key, law in (("programming_error", self.programming_error), ("read_noise", self.read_noise)):
            if law is not None and not within(law, conductances, WIDEST * self.g_max):
                raise SpecError(f"DeviceModel: {key} exceeds {WIDEST:g} g_max within the window; correct its numbers")

    @cached_property
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

    @cached_property
    def reset_width(self) -> float:
        """Width of a RESET pulse, seconds."""
        return self.pulse_width if self.reset_pulse_width is None else self.reset_pulse_width

    @cached_property
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

    def device_to_device_factor(self, own: NDArray[np.float64]) -> NDArray[np.float64]:
        """The steps of cells relative to the device's, given one standard normal number of each."""
        spread = self.device_to_device or 0.0
        if self.device_to_device_distribution == "log_normal":
            return np.exp(spread * own)
        return np.maximum(1 + spread * own, LEAST_FACTOR)

    def response(self, pulses: NDArray[np.float64], reset: bool = False) -> NDArray[np.float64]:
        """Mean conductance (siemens) after `pulses` SET pulses from g_min, or RESET pulses from g_max."""
        if self.step_law is not None:
            distance = self.steps(reset).after(np.asarray(pulses, np.float64), self.window)
            return self.g_max - distance if reset else self.g_min + distance
        if reset:
            distance = travelled(pulses, self.reset_nonlinearity, self.reset_pulses_full_swing, self.window)
            return self.g_max - distance
        return self.g_min + travelled(pulses, self.set_nonlinearity, self.full_swing_pulses, self.window)

    def pulse_law(self, sense_energy: Joule) -> PulseLaw:
        """The numbers that compiled programming needs; sense_energy: of sensing one verify read, joule."""
        return PulseLaw(
            g_min=self.g_min,
            g_max=self.g_max,
            cycle_to_cycle=self.cycle_to_cycle,
            window_spread=(self.cycle_to_cycle_window or 0.0) * self.window,
            least_factor=-math.inf if self.pulses_may_reverse else 0.0,
            up=Polarity(self.steps(), self.set_voltage, self.pulse_width),
            down=Polarity(self.steps(reset=True), self.reset_voltage, self.reset_width),
            access_resistance=self.access_resistance,
            compliance_voltage=math.inf if self.set_compliance_voltage is None else self.set_compliance_voltage,
            acceptance=self.verify_acceptance if self.verify_acceptance is not None else 0.0,
            most_pulses=float(self.max_pulses),
            read_voltage=self.read_voltage,
            read_time=self.read_time,
            sense_energy=float(sense_energy),
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
