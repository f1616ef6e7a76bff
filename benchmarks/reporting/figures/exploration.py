"""Figures of an exploration: the front, what was covered over designs and processor time, parameters and objectives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from benchmarks.explore.findings import Design, Findings
from benchmarks.explore.importance import importances
from benchmarks.explore.objectives import unit_of
from benchmarks.explore.space import Choices, said
from benchmarks.reporting.figures.style import (
    BLUE,
    FAINT,
    INK,
    PAGE,
    RED,
    UNUSED,
    log_axis,
    new_figure,
    style,
)
from crossbar_sim.spec.units import engineering

MOST_LABELS = 15
DECADE = 10


def words_of(name: str) -> str:
    """A number's name for an axis: 'total_energy_J' -> 'total energy'."""
    unit = unit_of(name)
    return (name.removesuffix(f"_{name.rpartition('_')[2]}") if unit else name).replace("_", " ")


def shown(name: str, value: float) -> str:
    """A number with its unit."""
    return engineering(value, unit_of(name)) if unit_of(name) else f"{value:.4g}"


def front_figure(findings: Findings) -> Figure:
    """The first objective over the second: every design that was evaluated with its standard errors, the front by its
    numbers, dropped designs in grey at what the last rung knew of them."""
    names = list(findings.exploration.objectives)
    y_name, x_name = (names[0], names[1]) if len(names) > 1 else (names[0], names[0])
    with style():
        figure = new_figure("front", PAGE * 0.72, 3.2)
        axes = figure.subplots()
        known = [(one, findings.estimate(one, x_name), findings.estimate(one, y_name)) for one in findings.designs]
        xs = [x.mean for _, x, y in known if x is not None and y is not None]
        evaluated = {one.number for one in findings.evaluated}
        on_front = {one.number for one in findings.front}
        _scale(axes, "x", x_name, xs)
        _scale(axes, "y", y_name, [y.mean for _, x, y in known if x is not None and y is not None])
        for label, numbers, colour, size in (
            ("dropped on a rung (few steps, validation samples)", None, UNUSED, 10),
            ("evaluated", evaluated - on_front, BLUE, 16),
            ("on the front", on_front, RED, 22),
        ):
            chosen = [
                (x, y, one)
                for one, x, y in known
                if x is not None
                and y is not None
                and (one.state == "dropped" if numbers is None else one.number in numbers)
            ]
            if not chosen:
                continue
            if numbers is not None:
                axes.errorbar(
                    [x.mean for x, _, _ in chosen],
                    [y.mean for _, y, _ in chosen],
                    xerr=[x.se or 0.0 for x, _, _ in chosen],
                    yerr=[y.se or 0.0 for _, y, _ in chosen],
                    fmt="none",
                    ecolor=colour,
                    elinewidth=0.6,
                    alpha=0.6,
                )
            axes.scatter(
                [x.mean for x, _, _ in chosen],
                [y.mean for _, y, _ in chosen],
                s=size,
                color=colour,
                label=f"{label}: {len(chosen)}",
                zorder=2 if numbers is None else 3,
                linewidths=0,
            )
        _number_front(axes, findings, x_name, y_name)
        axes.set_xlabel(words_of(x_name))
        axes.set_ylabel(words_of(y_name))
        figure.legend(loc="outside lower center", ncols=3)
    return figure


def _number_front(axes: Axes, findings: Findings, x_name: str, y_name: str) -> None:
    for one in findings.front[:MOST_LABELS]:
        x, y = findings.estimate(one, x_name), findings.estimate(one, y_name)
        if x is not None and y is not None:
            chance = findings.probability.get(one.number, 1.0)
            text = str(one.number) if chance > 1 - 0.05 else f"{one.number} ({chance:.0%})"
            axes.annotate(text, (x.mean, y.mean), xytext=(3, 3), textcoords="offset points", fontsize=6, color=INK)


def _scale(axes: Axes, which: str, name: str, values: Sequence[float]) -> None:
    """An axis with prefixes for a number with a unit, logarithmic where it spans a decade; others stay as they are."""
    if not unit_of(name) or not values:
        return
    if min(values) > 0 and max(values) >= DECADE * min(values):
        log_axis(axes, which, values, unit_of(name))
        return
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(4))
    axis.set_major_formatter(FuncFormatter(lambda value, _: engineering(float(f"{value:.6g}"), unit_of(name))))


def hypervolume_figure(findings: Findings, others: Mapping[str, Findings] | None = None) -> Figure:
    """What the evaluated designs cover of the box between the best and the worst values, over designs and over
    processor time."""
    with style():
        figure = new_figure("hypervolume", PAGE, 2.3)
        left, right = figure.subplots(1, 2, sharey=True)
        shown_ones = {f"this search ({findings.exploration.sampler})": findings, **(others or {})}
        for (label, one), colour in zip(shown_ones.items(), (RED, FAINT, BLUE), strict=False):
            covered = one.hypervolumes
            spent = np.cumsum([design.processor_s for design in one.designs])
            left.step(range(1, len(covered) + 1), covered, where="post", color=colour, label=label)
            right.step(spent / 60, covered, where="post", color=colour)
        left.set_xlabel("designs proposed")
        left.set_ylabel("share of the box covered")
        right.set_xlabel("processor minutes spent on them")
        left.legend(loc="lower right")
    return figure


def parallel_figure(findings: Findings) -> Figure:
    """One line per design through its parameters and objectives; the front in colour over the others."""
    free = findings.exploration.space.free
    names = list(findings.exploration.objectives)
    designs = [one for one in findings.designs if all(findings.estimate(one, name) is not None for name in names)]
    on_front = {one.number for one in findings.front}
    with style():
        figure = new_figure("parallel", PAGE, 2.8)
        axes = figure.subplots()
        labels = [*free, *map(words_of, names)]
        ends: list[tuple[str, str]] = []
        columns: list[dict[int, float]] = []
        for path, parameter in free.items():
            column, low, high = _heights(path, parameter, designs)
            columns.append(column)
            ends.append((low, high))
        for name in names:
            values = {one.number: found.mean for one in designs if (found := findings.estimate(one, name)) is not None}
            least, most = min(values.values(), default=0.0), max(values.values(), default=1.0)
            columns.append({number: (value - least) / ((most - least) or 1.0) for number, value in values.items()})
            ends.append((shown(name, least), shown(name, most)))
        for front_pass in (False, True):
            for one in designs:
                if (one.number in on_front) is front_pass:
                    points = [(x, column[one.number]) for x, column in enumerate(columns) if one.number in column]
                    axes.plot(
                        [x for x, _ in points],
                        [y for _, y in points],
                        color=RED if front_pass else UNUSED,
                        linewidth=1.0 if front_pass else 0.5,
                        alpha=0.9 if front_pass else 0.7,
                    )
        for x, (low, high) in enumerate(ends):
            axes.axvline(x, color=FAINT, linewidth=0.5)
            axes.text(x, -0.04, low, ha="center", va="top", fontsize=6)
            axes.text(x, 1.04, high, ha="center", va="bottom", fontsize=6)
        axes.set_xticks(range(len(labels)), [label.replace(".", ".\n") for label in labels])
        axes.tick_params(axis="x", length=0, pad=14)
        axes.set_yticks([])
        axes.set_ylim(-0.02, 1.02)
        axes.spines[:].set_visible(False)
    return figure


def _heights(path: str, parameter: object, designs: Sequence[Design]) -> tuple[dict[int, float], str, str]:
    """Number of a design -> its height on the axis of a parameter, and what the ends of the axis say."""
    if isinstance(parameter, Choices):
        texts = [said(value) for value in parameter.values]
        most = max(len(texts) - 1, 1)
        found = {one.number: texts.index(said(one.point[path])) / most for one in designs if path in one.point}
        return found, texts[0], texts[-1]
    values = {one.number: float(value) for one in designs if isinstance(value := one.point.get(path), int | float)}
    low, high = min(values.values(), default=0.0), max(values.values(), default=1.0)
    if getattr(parameter, "log", False) and low > 0:
        span = math.log(high / low) or 1.0
        return {number: math.log(value / low) / span for number, value in values.items()}, said(low), said(high)
    return {number: (value - low) / ((high - low) or 1.0) for number, value in values.items()}, said(low), said(high)


def importance_figure(findings: Findings) -> Figure:
    """How much of each objective every parameter decides."""
    names = list(findings.exploration.objectives)
    paths = list(findings.exploration.space.free)
    with style():
        figure = new_figure("importance", PAGE, 0.5 + 0.22 * len(paths) + 0.4)
        panels = np.atleast_1d(figure.subplots(1, len(names), sharey=True))
        for axes, name in zip(panels, names, strict=True):
            found = importances(findings, name)
            axes.barh(range(len(paths)), [found.get(path, 0.0) for path in paths], color=BLUE, height=0.6)
            axes.set_yticks(range(len(paths)), paths)
            axes.invert_yaxis()
            axes.set_xlim(0, 1)
            axes.set_title(words_of(name))
            axes.set_xlabel("share" if found else "too few designs to say")
    return figure


def slices_figure(findings: Findings) -> Figure:
    """Every objective over every parameter: all designs that are known, the front in colour."""
    names = list(findings.exploration.objectives)
    free = findings.exploration.space.free
    on_front = {one.number for one in findings.front}
    with style():
        figure = new_figure("slices", PAGE, 1.5 * len(names) + 0.3)
        panels = figure.subplots(len(names), len(free), sharey="row", squeeze=False)
        for row, name in zip(panels, names, strict=True):
            for axes, (path, parameter) in zip(row, free.items(), strict=True):
                found = [
                    (one, value.mean)
                    for one in findings.designs
                    if path in one.point and (value := findings.estimate(one, name)) is not None
                ]
                heights, _, _ = _heights(path, parameter, [one for one, _ in found])
                for front_pass, colour in ((False, FAINT), (True, RED)):
                    chosen = [(heights[one.number], y) for one, y in found if (one.number in on_front) is front_pass]
                    axes.scatter([x for x, _ in chosen], [y for _, y in chosen], s=7, color=colour, linewidths=0)
                if isinstance(parameter, Choices) and len(parameter.values) <= 8:
                    count = max(len(parameter.values) - 1, 1)
                    axes.set_xticks(
                        [place / count for place in range(len(parameter.values))], map(said, parameter.values)
                    )
                else:
                    _, low, high = _heights(path, parameter, [one for one, _ in found])
                    axes.set_xticks([0, 1], [low, high])
                axes.set_xlim(-0.1, 1.1)
                if axes is row[0]:
                    _scale(axes, "y", name, [y for _, y in found])
                    axes.set_ylabel(words_of(name))
                if row is panels[-1]:
                    axes.set_xlabel(path)
    return figure
