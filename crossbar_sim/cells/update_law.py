"""The law of a device's pulses as the stochastic update needs it: in windows, with coefficients folded beforehand."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from crossbar_sim.devices.device_model import DeviceModel
from crossbar_sim.devices.pulse_response.base import Steps


class FoldedPolarity(NamedTuple):
    """The pulses of one polarity.

    steps: how far one moves a cell, in windows, `step` and `rate * reach` added up
    joule: of a pulse in a conductance of one window
    """

    steps: Steps
    joule: float


class UpdateLaw(NamedTuple):
    """What the stochastic update needs to know of a device.

    g_min, g_max: ends of the window, siemens
    least_held: above it a cell of a pair holds a weight, siemens
    up, down: SET and RESET pulses
    cycle_to_cycle: standard deviation of one pulse's move, relative to its mean
    window_spread: standard deviation of one pulse's move that does not depend on its mean, in windows
    least_factor: smallest factor of the mean move: 0, or -infinity where pulses may reverse
    base: g_min in windows
    access_resistance: in series with the cell, times the window
    compliance: compliance voltage over that of SET pulses; infinite: no limit
    """

    g_min: float
    g_max: float
    least_held: float
    up: FoldedPolarity
    down: FoldedPolarity
    cycle_to_cycle: float
    window_spread: float
    least_factor: float
    base: float
    access_resistance: float
    compliance: float


def update_law(device: DeviceModel) -> UpdateLaw:
    """The law of a device for compiled code."""
    window, compliance = device.window, device.set_compliance_voltage
    return UpdateLaw(
        g_min=device.g_min,
        g_max=device.g_max,
        least_held=device.g_min + 0.5 * device.pulse_step,
        up=_folded(device.steps(), device.set_voltage, device.pulse_width, window),
        down=_folded(device.steps(reset=True), device.reset_voltage, device.reset_width, window),
        cycle_to_cycle=device.cycle_to_cycle,
        window_spread=device.cycle_to_cycle_window or 0.0,
        least_factor=-np.inf if device.pulses_may_reverse else 0.0,
        base=device.g_min / window,
        access_resistance=device.access_resistance * window,
        compliance=np.inf if compliance is None else compliance / device.set_voltage,
    )


def _folded(steps: Steps, voltage: float, width: float, window: float) -> FoldedPolarity:
    in_windows = Steps(
        step=(steps.step + steps.rate * steps.reach) / window,
        rate=steps.rate,
        bulge=steps.bulge / window,
        fall=steps.fall * window,
    )
    return FoldedPolarity(in_windows, voltage**2 * width * window)
