"""`python -m benchmarks.peers.growth`: how the time of one product grows with batch, matrix, tile, bits and threads."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from tyro.conf import arg

from benchmarks.peers.case import Case, measure
from benchmarks.peers.products import NOISE, data, hardware
from benchmarks.reporting.figures.style import PAGE, SPARE, log_axis, new_figure, set_ticks, style, svg
from crossbar_sim import Hardware
from crossbar_sim.chip.simulated import SimulatedMatrix
from crossbar_sim.ledger.ledger import Ledger

DIGITAL, WHOLE, NOISY, VARIED = "torch float32", "noise-free cells", "read noise", "noise ∝ conductance"
AXES = {
    "vectors": (1, 4, 16, 64, 256, 1024),
    "weights per side": (128, 256, 512, 1024, 2048),
    "tile rows": (16, 32, 64, 128, 256, 512),
    "ADC bits": (4, 6, 8, 10, 12),
    "threads": (1, 2),
}
BASE = {"vectors": 256, "weights per side": 768, "tile rows": 128, "ADC bits": 8, "threads": 1}
ROUNDS = 7


def main(
    figure: Annotated[Path | None, arg(metavar="SVG", help="where to write the figure")] = None,
    json: Annotated[Path | None, arg(metavar="FILE", help="write the records as JSON")] = None,
    rounds: Annotated[int, arg(metavar="N", help="how often each product runs; the least time counts")] = ROUNDS,
) -> None:
    """Time one product of 256 vectors with 768 x 768 weights while one size at a time changes."""
    records = list(measure_all(rounds))
    for record in records:
        print(f"{record['axis']} {record['value']}: {record['simulator']} {1e3 * record['least_s']:.3g} ms", flush=True)
    if json is not None:
        write_json(json, records)
    if figure is not None:
        figure.write_text(draw(records) + "\n", encoding="utf-8")


def write_json(path: Path, records: list[dict[str, Any]]) -> None:
    """The records as a JSON list."""
    path.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


def measure_all(rounds: int) -> Iterator[dict[str, Any]]:
    """One record per axis, value and simulator: the least seconds of one product."""
    for axis, values in AXES.items():
        for value in values:
            sizes = {**BASE, axis: value}
            case = Case(f"{axis} {value}", "", DIGITAL, runs=products(sizes))
            for record in measure(case, sizes["threads"], rounds):
                yield {
                    "axis": axis,
                    "value": value,
                    "simulator": record["simulator"],
                    "least_s": record["least_s"],
                }


def products(sizes: dict[str, int]) -> dict[str, Callable[[], Any]]:
    """The digital product and three on tiles, of these sizes."""
    side = sizes["weights per side"]
    x, weight = data(sizes["vectors"], side, side)
    tx, tw = torch.from_numpy(x), torch.from_numpy(weight.T.copy())
    runs: dict[str, Callable[[], Any]] = {DIGITAL: lambda: tx @ tw}
    noisy = hardware(NOISE)
    assert noisy.device.read_noise is not None
    growing = noisy.device.read_noise.replace(coefficients=(0.0, NOISE))
    for name, chip in {
        WHOLE: hardware(),
        NOISY: noisy,
        VARIED: noisy.replace(device=noisy.device.replace(read_noise=growing)),
    }.items():
        runs[name] = reader(chip, sizes, tx, weight)
    return runs


def reader(
    chip: Hardware, sizes: dict[str, int], x: torch.Tensor, weight: np.ndarray[Any, Any]
) -> Callable[[], torch.Tensor]:
    """A read of `x` on tiles and converters of these sizes."""
    rows = sizes["tile rows"]
    chip = chip.replace(
        tile=chip.tile.replace(rows=rows, columns=2 * rows), adc=chip.adc.replace(bits=sizes["ADC bits"])
    )
    matrix = SimulatedMatrix(chip, Ledger(), 0, "layer", torch.from_numpy(weight)).eval()
    return lambda: matrix.read(x)


def draw(records: list[dict[str, Any]]) -> str:
    """One panel per axis, log-log, as SVG."""
    with style():
        figure = new_figure("growth", PAGE, 2.3)
        panels = figure.subplots(1, len(AXES), sharey=True)
        for panel, (axis, values) in zip(panels, AXES.items(), strict=True):
            for name, (colour, marker) in zip((DIGITAL, WHOLE, NOISY, VARIED), SPARE, strict=False):
                times = [
                    next(
                        r["least_s"] for r in records if (r["axis"], r["value"], r["simulator"]) == (axis, value, name)
                    )
                    for value in values
                ]
                panel.plot(values, times, color=colour, marker=marker, label=name)
            panel.set_xscale("log", base=2)
            set_ticks(panel, "x", values, [str(value) for value in values])
            panel.set_xlabel(axis)
        log_axis(panels[0], "y", [record["least_s"] for record in records], "s")
        panels[0].set_ylabel("one product")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
        return svg(figure)


if __name__ == "__main__":
    tyro.cli(main, prog="python -m benchmarks.peers.growth")
