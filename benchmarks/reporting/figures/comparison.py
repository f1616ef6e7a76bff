"""Figures of a comparison, each a matplotlib Figure: energy, learning curves, trade-off, wear map and lifetime.

Every function takes results and draws one line, bar or panel per method. `svg(figure)` is text for a web
page; `figure.savefig("energy.pdf")` is for a paper. Nothing of matplotlib's global state is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from benchmarks.experiments.result import Result
from benchmarks.reporting.figures.style import (
    COLUMN,
    COMPONENT_COLOURS,
    FAINT,
    INK,
    PAGE,
    UNUSED,
    exponent,
    log_axis,
    looks,
    new_figure,
    set_ticks,
    style,
    svg,
)
from benchmarks.reporting.summary import KINDS, MethodSummary, ReportError, Spread, summarise
from crossbar_sim.hardware.components import COMPONENTS, PROGRAMMING
from crossbar_sim.spec.units import engineering
from peft_methods.phases import GROUPS

__all__ = ["energy_accuracy", "energy_by_component", "learning_curves", "lifetime", "svg", "worn_tiles"]

ENDURANCES = (10**4, 10**5, 10**6, 10**8, 10**9)  # writes per cell: foundry to laboratory devices
NO_WRITE = "0 J\n(no write)"
WRITES = "adapt, cell writes"
PHASE_TITLES = {
    "deploy": "deploy: program the backbone, once",
    "pool": "pool: program pre-trained modules, once",
    "adapt": "adapt: fine-tune, once per task",
    WRITES: "adapt: its cell writes alone, enlarged",
    "infer": "infer: classify the test images",
}


@dataclass(frozen=True)
class Line:
    """A method in a figure: its name, colour, marker, and what it did."""

    name: str
    colour: str
    marker: str
    summary: MethodSummary


def lines_of(results: Sequence[Result]) -> list[Line]:
    """One line per method and hardware; the hardware is named where there are several."""
    summaries = summarise(results)
    several = len({summary.hardware for summary in summaries}) > 1
    names = [f"{s.label} on {s.hardware}" if several else s.label for s in summaries]
    appearance = looks(names)
    return [Line(name, *appearance[name], summary) for name, summary in zip(names, summaries, strict=True)]


def energy_by_component(results: Sequence[Result]) -> Figure:
    """Joule by component, stacked, one bar per method and one panel (with its own scale) per phase.

    Mean over tasks and seeds. The cell writes of the adaptation have one more panel, because they are small beside
    its reads and arithmetic. A phase in which no method spends energy has no panel.
    """
    lines = lines_of(results)
    energies = {phase: [line.summary.phase_energy(phase) for line in lines] for phase in GROUPS}
    energies[WRITES] = [{name: bar[name] for name in PROGRAMMING} for bar in energies["adapt"]]
    spent = [phase for phase in PHASE_TITLES if any(sum(bar.values()) > 0 for bar in energies[phase])]
    if not spent:
        raise ReportError("no energy was billed in any phase; were these results made with the ledger paused?")
    used = [name for name in COMPONENTS if any(bar[name] > 0 for phase in GROUPS for bar in energies[phase])]
    with style():
        rows = -(-len(spent) // 2)
        figure = new_figure("energy-by-component", PAGE, rows * (0.55 + 0.2 * len(lines)) + 0.6)
        axes = list(figure.subplots(rows, 2, squeeze=False, sharey=True).flat)
        for axis, phase in zip(axes, spent, strict=False):
            _stack(axis, [line.name for line in lines], energies[phase], used)
            axis.set_title(PHASE_TITLES[phase])
        handles = [Patch(color=COMPONENT_COLOURS[name], label=name) for name in used]
        if len(axes) > len(spent):
            axes[-1].set_axis_off()
            axes[-1].legend(handles=handles, loc="center", ncols=2)
        else:
            figure.legend(handles=handles, loc="outside lower center", ncols=5)
    return figure


def _stack(axis: Axes, names: list[str], bars: list[dict[str, float]], components: list[str]) -> None:
    rows = np.arange(len(bars))[::-1]
    left = np.zeros(len(bars))
    for name in components:
        width = np.array([bar.get(name, 0.0) for bar in bars])
        axis.barh(rows, width, left=left, height=0.72, color=COMPONENT_COLOURS[name])
        left += width
    for row, total in zip(rows, left, strict=True):
        axis.annotate(engineering(total, "J"), (total, row), (3, 0), textcoords="offset points", va="center", size=6.5)
    axis.set_yticks(rows, names)
    axis.set_xlim(0, 1.22 * left.max())
    axis.tick_params(axis="y", length=0)
    decade = 10.0 ** exponent(left.max())
    step = next(decade * factor for factor in (0.2, 0.5, 1, 2) if left.max() / (decade * factor) < 6)
    ticks = [step * index for index in range(int(1.1 * left.max() / step) + 1)]
    set_ticks(axis, "x", ticks, [engineering(tick, "J") for tick in ticks])


def learning_curves(results: Sequence[Result]) -> Figure:
    """Write energy so far (J) and validation accuracy against the step; the line is the mean, the band one sd.

    Mean over tasks per seed, mean and sd over seeds. Zero write energy has its own line below the log axis.
    Raises ReportError if no result has a curve (curve_points = 0).
    """
    lines = [line for line in lines_of(results) if line.summary.curve("write_energy_J")[0]]
    if not lines:
        raise ReportError("no result has a learning curve; run the experiments with curve_points of 1 or more")
    energies = {line.name: line.summary.curve("write_energy_J") for line in lines}
    positive = [point.mean for _, curve in energies.values() for point in curve if point.mean > 0]
    zeros = [line.name for line in lines if any(point.mean == 0 for point in energies[line.name][1])]
    idle = [name for name in zeros if not any(point.mean for point in energies[name][1])]
    with style():
        figure = new_figure("learning-curves", COLUMN, 4.2)
        top, bottom = figure.subplots(2, 1, sharex=True)
        zero = log_axis(top, "y", positive, "J", zone=NO_WRITE if zeros else "")
        for line in lines:
            _band(top, line, *energies[line.name], lowest=zero)
            _band(bottom, line, *line.summary.curve("validation_accuracy"), lowest=0.0)
        top.set_ylabel("write energy so far")
        bottom.set_ylabel("validation accuracy")
        bottom.set_xlabel("training step")
        if idle:
            names = ", ".join(idle) if len(idle) <= 4 else f"{len(idle)} methods"
            top.set_title(f"no cell written by {names}", size=6, weight="normal", wrap=True)
        _legend(figure, lines, 2)
    return figure


def _band(axis: Axes, line: Line, steps: list[int], curve: list[Spread], lowest: float) -> None:
    mean = [max(point.mean, lowest) for point in curve]
    axis.plot(steps, mean, color=line.colour, marker=line.marker, markersize=3)
    if all(point.sd is not None for point in curve):
        low = [max(point.mean - (point.sd or 0.0), lowest) for point in curve]
        high = [max(point.mean + (point.sd or 0.0), lowest) for point in curve]
        axis.fill_between(steps, low, high, color=line.colour, alpha=0.18, linewidth=0)


def energy_accuracy(results: Sequence[Result]) -> Figure:
    """Test accuracy against reprogramming energy (top) and against all energy of an adaptation (bottom), in joule.

    One column per kind of task. Bars are one sd over seeds. Ringed points are on the front: no other method has
    at least their accuracy for at most their energy. A method that writes nothing stands in the 'no write' zone.
    """
    lines = lines_of(results)
    kinds = [kind for kind in KINDS if any(kind in line.summary.kinds for line in lines)]
    measures: list[tuple[str, Callable[[dict[str, Any]], float]]] = [
        ("reprogramming energy per adaptation", lambda record: float(record["reprogramming_energy_J"])),
        ("total energy per adaptation", lambda record: float(record["energy_by_phase_J"]["adapt"])),
    ]
    with style():
        figure = new_figure("energy-accuracy", PAGE if len(kinds) > 1 else COLUMN, 5.0)
        grid = figure.subplots(2, len(kinds), squeeze=False, sharey=True, sharex="row")
        for row, (label, energy) in zip(grid, measures, strict=True):
            panels = [_points(lines, energy, kind) for kind in kinds]
            energies = [point.energy.mean for panel in panels for point in panel]
            for axis, kind, panel in zip(row, kinds, panels, strict=True):
                zone = NO_WRITE if 0 in energies else ""
                zero = log_axis(axis, "x", [value for value in energies if value > 0], "J", zone)
                _trade_off(axis, panel, zero)
                axis.set_xlabel(label)
                axis.set_title(f"{kind} tasks")
            row[0].set_ylabel("test accuracy")
        _legend(figure, lines, 5 if len(kinds) > 1 else 2)
    return figure


@dataclass(frozen=True)
class Point:
    """A method in the plane of energy (joule) and accuracy."""

    line: Line
    energy: Spread
    accuracy: Spread

    def beats(self, other: Point) -> bool:
        """No worse in energy and accuracy, and better in one."""
        energy, accuracy = self.energy.mean - other.energy.mean, self.accuracy.mean - other.accuracy.mean
        return energy <= 0 <= accuracy and (energy < 0 or accuracy > 0)


def _points(lines: list[Line], energy: Callable[[dict[str, Any]], float], kind: str) -> list[Point]:
    spreads = [(line, line.summary.spread(energy, kind), line.summary.spread("accuracy", kind)) for line in lines]
    return [Point(line, joule, accuracy) for line, joule, accuracy in spreads if joule and accuracy]


def _trade_off(axis: Axes, points: list[Point], zero: float) -> None:
    idle = [point for point in points if point.energy.mean == 0]
    front = []
    for point in points:
        # inside the zone the position says nothing, so that points with the same zero are spread out
        x = point.energy.mean or zero * (zero / axis.get_xlim()[0]) ** (2 * (idle.index(point) + 0.5) / len(idle) - 1)
        sd = point.energy.sd if point.energy.mean else None
        axis.errorbar(
            x,
            point.accuracy.mean,
            xerr=None if sd is None else [[min(sd, 0.9 * x)], [sd]],
            yerr=point.accuracy.sd,
            color=point.line.colour,
            marker=point.line.marker,
            elinewidth=0.8,
            capsize=1.8,
            capthick=0.8,
            linestyle="none",
            zorder=3,
        )
        if not any(other.beats(point) for other in points):
            front.append((x, point.accuracy.mean))
    if front:
        x_front, y_front = zip(*sorted(front), strict=True)
        axis.plot(
            [*x_front, axis.get_xlim()[1]],
            [*y_front, y_front[-1]],
            drawstyle="steps-post",
            color=FAINT,
            linestyle=(0, (3, 2)),
            linewidth=0.8,
        )
        axis.plot(
            x_front,
            y_front,
            linestyle="none",
            marker="o",
            markersize=10,
            markerfacecolor="none",
            markeredgecolor=INK,
            markeredgewidth=0.7,
        )


def worn_tiles(results: Sequence[Result]) -> Figure:
    """Writes per cell in one adaptation on the most-worn tile of each method (its worst task and seed).

    All panels share one colour scale. Grey cells hold no weight; the darkest colour is a used cell left alone.
    """
    lines = lines_of(results)
    most = max(1, *(line.summary.worst_writes for line in lines))
    columns = len(lines) if len(lines) < 5 else 3 if len(lines) < 7 else 4
    rows = -(-len(lines) // columns)
    with style():
        figure = new_figure("worn-tiles", PAGE, rows * (0.5 + 6.0 / max(columns, 3)) + 0.3)
        grid = figure.subplots(rows, columns, squeeze=False)
        for axis in grid.flat[len(lines) :]:
            axis.set_axis_off()
        for axis, line in zip(grid.flat, lines, strict=False):
            tile = line.summary.worst_record["worn_tile"]
            writes = np.array(tile["writes"])
            unused = np.ones((tile["rows"], tile["columns"]), np.bool_)
            unused[: writes.shape[0], : writes.shape[1]] = False
            cells = np.ma.array(np.zeros(unused.shape), mask=unused)
            cells[: writes.shape[0], : writes.shape[1]] = writes
            axis.set_facecolor(UNUSED)
            image = axis.imshow(cells, cmap=matplotlib.colormaps["cividis"], vmin=0, vmax=most, interpolation="none")
            axis.set_title(line.name)
            axis.set_xlabel(f"{tile['tile']}\n{_worn(writes)}", size=5.5)
            set_ticks(axis, "x", [0, tile["columns"] - 1], ["1", str(tile["columns"])])
            set_ticks(axis, "y", [0, tile["rows"] - 1], ["1", str(tile["rows"])])
            axis.spines[["top", "right"]].set_visible(True)
        figure.colorbar(image, ax=grid, label="writes per cell in one adaptation", shrink=0.8, aspect=30)
        legend = [Patch(facecolor=UNUSED, edgecolor=INK, linewidth=0.4, label="cell holds no weight")]
        figure.legend(handles=legend, loc="outside lower right")
    return figure


def _worn(writes: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> str:
    if not writes.any():
        return f"none of {writes.size:,} used cells written"
    return f"max {writes.max():,}, mean {writes.mean():.2g} on {writes.size:,} used cells"


def lifetime(results: Sequence[Result]) -> Figure:
    """Adaptations until the first cell wears out = floor(endurance / writes of the worst cell per adaptation).

    Drawn for ENDURANCES (writes per cell), without wear levelling. A method that writes no cell has no such limit.
    """
    lines = lines_of(results)
    writers = [line for line in lines if line.summary.worst_writes]
    idle = [line.name for line in lines if not line.summary.worst_writes]
    lives = {line.name: [line.summary.lifetime_at(endurance) or 0 for endurance in ENDURANCES] for line in writers}
    counts = [count for line in lives.values() for count in line]
    with style():
        figure = new_figure("lifetime", COLUMN, 2.9)
        axis = figure.subplots()
        zone = "0\n(worn out)" if 0 in counts else ""
        zero = log_axis(axis, "y", [count for count in counts if count], "", zone)
        log_axis(axis, "x", [float(endurance) for endurance in ENDURANCES], "")
        for line in writers:
            axis.plot(ENDURANCES, [count or zero for count in lives[line.name]], color=line.colour, marker=line.marker)
        for endurance in {float(line.summary.results[0].spec["hardware"]["device"]["endurance"]) for line in lines}:
            axis.axvline(endurance, color=FAINT, linestyle=(0, (1, 2)), linewidth=0.9, zorder=0)
            axis.annotate(
                "this device",
                (endurance, 0.02),
                (2, 0),
                xycoords=("data", "axes fraction"),
                size=6,
                textcoords="offset points",
                color=FAINT,
            )
        axis.set_xlabel("endurance of a cell (writes)")
        axis.set_ylabel("adaptations until wear-out")
        if idle:
            axis.set_title("unlimited by writing: " + ", ".join(idle), size=6, weight="normal", wrap=True)
        _legend(figure, writers, 2)
    return figure


def _legend(figure: Figure, lines: list[Line], columns: int) -> None:
    handles = [Line2D([], [], color=line.colour, marker=line.marker, label=line.name) for line in lines]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=columns)
