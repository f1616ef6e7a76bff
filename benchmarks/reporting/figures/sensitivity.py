"""Tornado of a sensitivity study: how far each constant moves the energy of the methods."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from benchmarks.estimates.sensitivity import Sensitivity
from benchmarks.reporting.figures.style import COLUMN, FAINT, INK, new_figure, style

HALVED, DOUBLED = "#44AA99", "#CC6677"


def tornado(result: Sensitivity) -> Figure:
    """One bar per constant for the method that it moves most, halved and doubled; a star where the ranking changes."""
    constants = result.constants[::-1]
    turning = {v.constant for v in result.variations if result.changes(v)}
    with style():
        figure = new_figure("sensitivity", COLUMN + 1.2, 0.9 + 0.22 * len(constants))
        axes = figure.subplots()
        labels = []
        for row, constant in enumerate(constants):
            most = max(result.energy, key=lambda name: max(abs(s - 1) for s in result.energy_range(constant, name)))
            low, high = result.energy_range(constant, most)
            axes.barh(row, low - 1, left=1, color=HALVED, height=0.6)
            axes.barh(row, high - 1, left=1, color=DOUBLED, height=0.6)
            moved = max(abs(low - 1), abs(high - 1)) > 1e-9
            if moved:
                axes.annotate(
                    most,
                    (max(low, high, 1.0), row),
                    xytext=(3, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=5.5,
                    color=INK,
                )
            star = " *" if constant in turning else ""
            labels.append(f"{constant.name.replace('_', ' ')} = {constant.value}{star}")
        axes.axvline(1, color=FAINT, linewidth=0.6)
        axes.set_yticks(range(len(constants)), labels)
        axes.set_ylim(-0.6, len(constants) - 0.4)
        axes.margins(x=0.2)
        axes.set_xlabel("energy of the method that moves most, relative to the design")
        axes.set_title(f"{result.model}, {result.hardware}" + (" (* changes the ranking)" if turning else ""))
        figure.legend(
            handles=[Patch(color=HALVED, label="halved"), Patch(color=DOUBLED, label="doubled")],
            loc="outside lower center",
            ncols=2,
        )
    return figure
