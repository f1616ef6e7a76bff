"""Figures of devices: the pulse response of a model, and of one that was fitted to measured pulses."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.reporting.figures.style import BLUE, COLUMN, FAINT, RED, new_figure, style
from crossbar_sim.devices import DeviceModel
from crossbar_sim.devices.fit import Fit, simulate
from crossbar_sim.devices.pulse_data import PulseData
from crossbar_sim.runtime.counter_random import stream_key
from crossbar_sim.spec.units import PREFIXES

SIMULATED = 200  # cells behind the band of a pulse-response figure


def response_figure(device: DeviceModel) -> Figure:
    """Conductance against the number of pulses, up and down: mean curve, and 16th to 84th percentile of simulated
    cells, pulse by pulse."""
    data = simulate(device, SIMULATED, stream_key(0, "pulse response", device.name))
    return _figure(device, data, np.quantile(data.trains, (0.16, 0.84), axis=0), f"simulated, {SIMULATED} cells")


def fit_figure(fitted: Fit) -> Figure:
    """Measured pulse trains and the fitted mean curve."""
    return _figure(fitted.device, fitted.data, None, f"R² {fitted.r_squared:.4f}")


def _figure(device: DeviceModel, data: PulseData, band: NDArray[np.float64] | None, note: str) -> Figure:
    power = 3 * np.floor(np.log10(device.g_max) / 3)
    scale = 10.0**power
    unit = next(prefix for prefix, value in PREFIXES.items() if abs(np.log10(value) - power) < 0.5).replace("u", "µ")
    pulses = np.arange(data.trains.shape[1])
    up, down = np.linspace(0, data.up, 200), np.linspace(0, data.down, 200)
    with style():
        figure = new_figure(f"response {device.name}", COLUMN, 2.2)
        axes = figure.add_subplot()
        if band is None:
            axes.plot(pulses, data.trains.T / scale, ".", color=FAINT, markersize=2, markeredgewidth=0)
        else:
            axes.fill_between(pulses, *(band / scale), color=FAINT, alpha=0.4, linewidth=0, label="16 % to 84 %")
        share = device.full_swing_pulses / data.up, device.reset_pulses_full_swing / data.down
        axes.plot(up, device.response(up * share[0]) / scale, color=RED, label="SET")
        axes.plot(data.up + down, device.response(down * share[1], reset=True) / scale, color=BLUE, label="RESET")
        axes.set_title(f"{device.name}: {note}")
        axes.set_xlabel("pulse")
        axes.set_ylabel(f"conductance ({unit}S)")
        axes.set_ylim(bottom=0)
        axes.legend()
    return figure
