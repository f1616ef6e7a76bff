"""Figures of streams: what programming has cost and what the chip still knows, over the tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.reporting.figures.style import COLUMN, INK, PAGE, Look, log_axis, look_of, looks, new_figure, style
from benchmarks.streams.stream import StreamResult

NO_WRITE = "0 J\n(no write)"
DASHES = (0, (3, 1.5))


def looks_of(results: Sequence[StreamResult]) -> dict[str, Look]:
    """Colour and marker of every stream; that of its method, unless it is a variant with tiles of its own."""
    return looks({one.name: None if one.stream.own_tiles else look_of(one.stream.method) for one in results})


def programming_over_tasks(results: Sequence[StreamResult]) -> Figure:
    """Energy of programming so far, pool included, and mean accuracy of the tasks so far, each right after learning,
    against the tasks learned.

    Lines are means over the seeds, bands one standard deviation.
    """
    look = looks_of(results)
    with style():
        figure = new_figure("programming-over-tasks", PAGE, 3.1)
        left, right = figure.subplots(1, 2)
        _energy(left, results, look)
        _curves(right, {one.name: one.score_so_far() for one in results}, look)
        right.set_ylabel(f"mean {results[0].stream.problem.scoring.name} of the tasks so far")
        for axis in (left, right):
            axis.set_xlabel("tasks learned")
        _legend(figure, look, 3)
    return figure


def forgetting_over_tasks(results: Sequence[StreamResult]) -> Figure:
    """Mean accuracy of all tasks learned before: right after each was learned (full line), and now, without
    programming any again (dashed). Between the lines is what was forgotten.

    One panel per method; lines are means over the seeds, bands one standard deviation.
    """
    look = looks_of(results)
    with style():
        columns = min(3, len(results))
        rows = -(-len(results) // columns)
        figure = new_figure("forgetting-over-tasks", PAGE, 1.9 * rows + 0.5)
        axes = list(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat)
        for axis in axes[len(results) :]:
            axis.set_axis_off()
        for axis, one in zip(axes, results, strict=False):
            _curves(axis, {one.name: one.earlier_when_learned()}, look, first=2)
            _curves(axis, {one.name: one.curve("accuracy_of_earlier")}, look, dashed=True, first=2)
            axis.set_title(one.name)
            axis.set_xlabel("tasks learned")
        for axis in axes[::columns]:
            axis.set_ylabel(one.stream.problem.scoring.name)
        lines = [
            Line2D([], [], color=INK, label="earlier tasks, right after learning"),
            Line2D([], [], color=INK, linestyle=DASHES, label="earlier tasks, as the chip is now"),
        ]
        figure.legend(handles=lines, loc="outside lower center", ncols=2)
    return figure


def wear_over_tasks(results: Sequence[StreamResult]) -> Figure:
    """Writes of the worst cell, deployment included, and cells that have failed, against the tasks learned."""
    look = looks_of(results)
    fails = any(step.failed_cells for one in results for seed in one.seeds for step in seed.steps)
    with style():
        figure = new_figure("wear-over-tasks", PAGE if fails else COLUMN, 3.1)
        axes = list(figure.subplots(1, 2 if fails else 1, squeeze=False).flat)
        worst = [value for one in results for value, _ in one.curve("max_writes_per_cell")]
        log_axis(axes[0], "y", worst, "")
        _curves(axes[0], {one.name: one.curve("max_writes_per_cell") for one in results}, look)
        axes[0].set_ylabel("writes of the worst cell")
        if fails:
            _curves(axes[1], {one.name: one.curve("failed_cells") for one in results}, look)
            axes[1].set_ylabel("failed cells")
        for axis in axes:
            axis.set_xlabel("tasks learned")
        _legend(figure, look, 3 if fails else 2)
    return figure


def _energy(axis: Axes, results: Sequence[StreamResult], look: dict[str, Look]) -> None:
    """Logarithmic, with a zone for methods that program nothing."""
    spent = {one.name: one.spent_on_programming() for one in results}
    positive = [value for curve in spent.values() for value in curve if value > 0]
    idle = any(value == 0 for curve in spent.values() for value in curve)
    zero = log_axis(axis, "y", positive, "J", zone=NO_WRITE if idle else "")
    for name, curve in spent.items():
        colour, marker = look[name]
        axis.plot(
            range(1, len(curve) + 1),
            [value or zero for value in curve],
            color=colour,
            marker=marker,
            markersize=3,
        )
    axis.set_ylabel("programming energy so far, with pool")
    _whole_ticks(axis, max(map(len, spent.values())))


def _curves(
    axis: Axes,
    curves: Mapping[str, list[tuple[float, float]]],
    look: Mapping[str, Look],
    *,
    dashed: bool = False,
    first: int = 1,
) -> None:
    """(mean, standard deviation) after each task, from the task `first` on."""
    longest = 1
    for name, curve in curves.items():
        colour, marker = look[name]
        places = list(range(first, first + len(curve)))
        longest = max([longest, *places])
        mean = [value for value, _ in curve]
        axis.plot(places, mean, color=colour, marker=marker, markersize=3, linestyle=DASHES if dashed else "-")
        if any(sd for _, sd in curve):
            low, high = [value - sd for value, sd in curve], [value + sd for value, sd in curve]
            axis.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
    _whole_ticks(axis, longest)


def _whole_ticks(axis: Axes, longest: int) -> None:
    step = max(1, -(-longest // 10))
    axis.set_xticks(range(step if step > 1 else 1, longest + 1, step))


def _legend(figure: Figure, look: dict[str, Look], columns: int) -> None:
    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=4, label=name) for name, (colour, marker) in look.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)
