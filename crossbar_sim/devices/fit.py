"""From measured pulse trains to a device, and from a device to simulated pulse trains.

A pulse train is the conductance before the first pulse and after each one: SET pulses up, then RESET pulses down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossbar_sim.devices.device_model import DeviceModel
from crossbar_sim.devices.laws import ConductancePolynomial
from crossbar_sim.devices.pulse_data import COLUMNS, PulseData
from crossbar_sim.devices.pulse_response.labelled import LABELS, label_of, labelled_steps
from crossbar_sim.runtime.counter_random import Key, normals, stream_key
from crossbar_sim.spec.citations import OWN_DATA
from crossbar_sim.spec.errors import SpecError
from crossbar_sim.spec.spec import ASSUMPTION, Provenance
from crossbar_sim.spec.units import engineering

Floats = NDArray[np.float64]
STRAIGHT = 1e-6
"""Below this bend 1 / a a curve is a straight line to rounding errors."""
CLEAR = 4.0
"""Standard errors from which on noise of the reads is told from the spread of the pulses."""
BROAD = 0.1
"""Spread of a whole train, in windows, from which on a fit is called doubtful."""


@dataclass(frozen=True)
class Fit:
    """A device fitted to measured pulse trains. R^2 and residual sd are those of the mean curve over all points."""

    device: DeviceModel
    data: PulseData
    r_squared: float
    residual_sd: float

    def __str__(self) -> str:
        device, data = self.device, self.data
        noise = engineering(device.sigma_read(device.g_max), "S") if device.reads_noisy else "none"
        whole = (device.cycle_to_cycle_window or 0.0) * math.sqrt(max(data.up, data.down))
        lines = [
            f"Fit of {device.name}: {len(data.trains)} devices, {data.up} pulses up, {data.down} down",
            f"  window             {engineering(device.g_min, 'S')} to {engineering(device.g_max, 'S')}",
            f"  non-linearity      {_shown(device.set_nonlinearity)} SET, {_shown(device.reset_nonlinearity)} RESET",
            f"  cycle to cycle     {device.cycle_to_cycle_window or 0:.3g} of the window per pulse",
            f"  read noise         {noise}",
            f"  device to device   {_shown(device.device_to_device)} of the step",
            f"  goodness           R² {self.r_squared:.4f}, residual sd {engineering(self.residual_sd, 'S')}",
        ]
        if whole > BROAD:
            lines.append(
                f"  doubtful           the spread of a whole train is {whole:.2g} of the window: the curve is flattened"
            )
        return "\n".join(lines)


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.3g}"


def simulate(device: DeviceModel, cells: int, key: Key) -> PulseData:
    """Pulse trains of simulated cells across the whole window, each pulse with its spread."""
    up, down = round(device.full_swing_pulses), round(device.reset_pulses_full_swing)
    factor = device.device_to_device_factor(normals(np.full(cells, up + down, np.uint32), key)[0])
    trains = np.full((cells, 1 + up + down), device.g_min)
    least = -np.inf if device.pulses_may_reverse else 0.0
    for pulse in range(up + down):
        g, z = trains[:, pulse], normals(np.full(cells, pulse, np.uint32), key)[0]
        rising = pulse < up
        distance, sign = (g - device.g_min, 1) if rising else (device.g_max - g, -1)
        move = factor * device.steps(not rising)(distance) * np.maximum(1 + device.cycle_to_cycle * z, least)
        move += (device.cycle_to_cycle_window or 0.0) * device.window * z
        trains[:, pulse + 1] = np.clip(g + sign * move, device.g_min, device.g_max)
    return PulseData(trains, up)


def fit(data: PulseData, name: str, like: str | Path = "wu2018") -> Fit:
    """Least squares of the exponential pulse response to the mean train, then of the spreads to the single steps.

    Voltages, times and endurance are not in pulse trains: they are taken over from the device `like` as assumptions.
    Noise of the single reads, s, makes neighbouring steps of a train differ oppositely, their covariance is -s^2, where
    the spread of the pulses, c, does not; the variance of a step is c^2 + 2 s^2. s counts where the covariance is clear
    of zero by CLEAR of its standard errors, else all spread is that of the pulses. Where the spread of a whole
    train, c sqrt(n), comes near the window, cells are stopped at its ends and the mean train is flatter than the law.

    Raises SpecError if nothing can be fitted.
    """
    mean = data.trains.mean(axis=0)
    up = data.up
    down = data.down
    low, high = float(mean.min()), float(mean.max())
    if high <= low or mean[up] <= mean[0] or mean[up] <= mean[-1]:
        raise SpecError(f"{name}: the conductance does not rise over {up} pulses and fall again; check --pulses-up")
    share_up, share_down = np.arange(up + 1) / up, np.arange(1, down + 1) / down

    def curve(parameters: Floats) -> Floats:
        bottom, top, bend_up, bend_down = parameters
        rise, fall = _bent(share_up, bend_up), _bent(share_down, bend_down)
        return np.concatenate([bottom + (top - bottom) * rise, top - (top - bottom) * fall])

    from scipy.optimize import least_squares

    scaled = (mean - low) / (high - low)
    solution = least_squares(
        lambda p: curve(p) - scaled, [0, 1, 1, 1], bounds=([-1, 0.3, -19, -19], [0.7, 2, 19, 19]), xtol=1e-12
    )
    bottom, top, bend_up, bend_down = solution.x
    g_min, window = max(low + bottom * (high - low), 0.0), (top - bottom) * (high - low)
    set_label, reset_label = _label(bend_up), _label(bend_down)

    sign = np.where(np.arange(up + down) < up, 1.0, -1.0)
    distance = np.where(sign > 0, data.trains[:, :-1] - g_min, g_min + window - data.trains[:, :-1])
    rising, falling = labelled_steps(set_label, up, window), labelled_steps(reset_label, down, window)
    step = np.where(sign > 0, rising(distance), falling(distance))
    moved = sign * np.diff(data.trains, axis=1)
    weight = (step**2).sum(axis=1)
    factor = (step * moved).sum(axis=1) / weight
    left_over = moved - factor[:, None] * step
    spread, noise = _told_apart(sign * left_over, max(left_over.size - len(factor), 1))
    between = factor.var(ddof=1) - (spread**2 / weight).mean() if len(factor) > 1 else 0.0

    device = _device(
        name,
        like,
        data,
        {
            "g_min": g_min,
            "g_max": g_min + window,
            "set_nonlinearity": set_label,
            "reset_nonlinearity": reset_label,
            "cycle_to_cycle_window": spread / window,
            "device_to_device": math.sqrt(between) if between > 0 else None,
        },
        noise,
    )
    residual = data.trains - (low + (high - low) * curve(solution.x))
    r_squared = 1 - float((residual**2).sum() / ((data.trains - data.trains.mean()) ** 2).sum())
    return Fit(device, data, r_squared, float(residual.std()))


def _told_apart(steps: Floats, freedom: int) -> tuple[float, float]:
    """Standard deviations of the pulses and of the reads (siemens) from what is left of the steps (devices, pulses)."""
    variance = float((steps**2).sum()) / freedom
    pairs = steps[:, :-1] * steps[:, 1:]
    of_noise = -float(pairs.mean())
    if of_noise < CLEAR * variance / math.sqrt(pairs.size):
        return math.sqrt(variance), 0.0
    return math.sqrt(max(variance - 2 * of_noise, 0.0)), math.sqrt(of_noise)


def _bent(share: Floats, bend: float) -> Floats:
    """(1 - exp(-p bend)) / (1 - exp(-bend)), p itself where the bend vanishes."""
    return share if abs(bend) < STRAIGHT else np.expm1(-share * bend) / math.expm1(-bend)


def _label(bend: float) -> float | None:
    """The non-linearity label of a bend 1 / a; None where it is as good as straight."""
    if abs(bend) < STRAIGHT:
        return None
    label = label_of(1 / bend)
    return None if abs(label) < LABELS[0] else math.copysign(min(abs(label), LABELS[1]), label)


def _device(name: str, like: str | Path, data: PulseData, fitted: dict[str, float | None], noise: float) -> DeviceModel:
    """A device of the fitted numbers, reads that spread by `noise` (siemens) and, for the rest, those of `like`."""
    base = DeviceModel.load(like)
    where = f"{len(data.trains)} devices, {data.up} pulses up and {data.down} down"
    numbers = {key: value for key, value in fitted.items() if value is not None}
    notes = {key: Provenance(unit=_unit(key), source=OWN_DATA, where=where, kind="fitted") for key in numbers}
    numbers |= {"full_swing_pulses": data.up, "reset_full_swing_pulses": data.down}
    for key in ("full_swing_pulses", "reset_full_swing_pulses"):
        notes[key] = Provenance(unit="1", source=OWN_DATA, where=where, kind="measured")
    for key in (
        "read_voltage",
        "read_time",
        "set_voltage",
        "reset_voltage",
        "pulse_width",
        "reset_pulse_width",
        "endurance",
    ):
        value = getattr(base, key)
        if value is not None:
            numbers[key] = value
            unit = base.unit_of(key)
            notes[key] = Provenance(unit=unit, source=ASSUMPTION, where=f"taken over from {base.name}", kind="assumed")
    reads: dict[str, ConductancePolynomial] = {}
    if noise > 0:
        reads["read_noise"] = ConductancePolynomial(
            coefficients=(1.0,), conductance_scale=1e-6, sigma_scale=noise, source=OWN_DATA, where=where, kind="fitted"
        )
    about = {"name": name, "description": f"fitted to {where}", "programming": "open_loop"}
    return DeviceModel.from_document({**about, **numbers, **reads, "provenance": notes}, where=name)


def _unit(key: str) -> str:
    return "S" if key.startswith("g_") else "1"


def example(name: str, devices: int = 20, seed: int = 0) -> str:
    """Simulated pulse trains of a device of the library as CSV text: an example of what `read_pulses` reads."""
    trains = simulate(DeviceModel.load(name), devices, stream_key(seed, "pulse trains", name)).trains
    rows = (f"{p},{g:.6e},{d}" for d, train in enumerate(trains) for p, g in enumerate(train))
    return "\n".join([",".join(COLUMNS), *rows, ""])
