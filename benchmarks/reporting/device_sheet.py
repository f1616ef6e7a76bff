"""What `xbar device` shows: datasheets, records and pulse-response figures of devices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.reporting.figures.style import COLUMN, FAINT, KNOWN, new_figure, style
from crossbar_sim.devices import DeviceModel, device_names
from crossbar_sim.devices.fit import Fit, PulseData, simulate
from crossbar_sim.runtime.counter_random import stream_key
from crossbar_sim.spec.units import PREFIXES, engineering

BLUE, RED = KNOWN["LoRA (SRAM)"][0], KNOWN["full fine-tuning"][0]
SIMULATED = 200  # cells behind the band of a pulse-response figure


def numbers(device: DeviceModel) -> list[dict[str, str]]:
    """One record per number and law: name, value with unit, source, where, kind, valid range."""
    rows = []
    for key, note in device.provenance.items():
        value = engineering(getattr(device, key), device.unit_of(key))
        rows.append(
            {
                "name": key,
                "value": value,
                "source": note.source,
                "where": note.where,
                "kind": note.kind,
                "valid": note.valid,
            }
        )
    for key, law in device.laws().items():
        rows.append(
            {
                "name": key,
                "value": str(law),
                "source": law.source,
                "where": law.where,
                "kind": law.kind,
                "valid": law.valid,
            }
        )
    return rows


def record(device: DeviceModel) -> dict[str, Any]:
    """A device as JSON: every field in SI units, every number with its source."""
    fields = device.model_dump(mode="json", exclude={"provenance"})
    return {**fields, "numbers": numbers(device), "sources": device.sources()}


def datasheet(device: DeviceModel) -> str:
    """The device in a few lines, then one line per number with its source."""
    rows = [(row["name"], row["value"], row["kind"], row["source"]) for row in numbers(device)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)] if rows else [0, 0, 0]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows
    ]
    return "\n".join([str(device), "", *(f"  {line}" for line in lines)])


def catalogue() -> list[dict[str, Any]]:
    """One record per device that can be named."""
    devices = [DeviceModel.load(name) for name in device_names()]
    return [
        {
            "name": d.name,
            "description": d.description,
            "g_min": d.g_min,
            "g_max": d.g_max,
            "levels": d.levels,
            "programming": d.programming,
            "sources": d.sources(),
        }
        for d in devices
    ]


def verdict(device: DeviceModel) -> str:
    """That a device is valid, what it assumes, and which of its numbers have no source."""
    assumed = [row["name"] for row in numbers(device) if row["kind"] == "assumed"]
    sourced = {row["name"] for row in numbers(device)} | {"name", "description", "programming", "provenance"}
    bare = sorted(key for key in device.model_fields_set - sourced if getattr(device, key) is not None)
    lines = [f"{device.name} is valid", f"assumed: {', '.join(assumed) or 'nothing'}"]
    return "\n".join([*lines, f"without a source: {', '.join(bare) or 'nothing'}"])


def response_figure(device: DeviceModel) -> Figure:
    """Conductance against the number of pulses, up and down: mean curve, and 16th to 84th percentile of simulated
    cells, pulse by pulse."""
    data = simulate(device, SIMULATED, stream_key(0, "pulse response", device.name))
    return _figure(device, data, np.quantile(data.trains, (0.16, 0.84), axis=0), f"simulated, {SIMULATED} cells")


def fit_figure(fitted: Fit) -> Figure:
    """Measured pulse trains and the fitted mean curve."""
    return _figure(fitted.device, fitted.data, None, f"R² {fitted.r_squared:.4f}")


def _figure(device: DeviceModel, data: PulseData, band: np.ndarray | None, note: str) -> Figure:
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


def write_figure(path: Path, figure: Figure) -> None:
    """A figure as an SVG file."""
    from benchmarks.reporting.figures.style import svg
    from crossbar_sim.runtime.files import write_text

    write_text(path, svg(figure) + "\n")
