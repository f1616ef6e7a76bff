"""What reprogramming costs over a quantity: one line per method, a band for the range, a mark where two break even."""

from __future__ import annotations

from matplotlib.figure import Figure

from benchmarks.estimates.costs import Costs
from benchmarks.reporting.figures.style import (
    COLUMN,
    FAINT,
    INK,
    log_axis,
    look_of,
    looks,
    new_figure,
    set_ticks,
    style,
)
from peft_methods.methods import read_method


def costs_figure(costs: Costs) -> Figure:
    """Joule of programming, the pool once and N adaptations, over the axis; methods that program nothing are named."""
    records = costs.found.records
    methods = list(dict.fromkeys(record.method for record in records))
    named = any(isinstance(record.x, str) for record in records)
    places = list(dict.fromkeys(record.x for record in records))
    look = looks({method: look_of(read_method(method)) for method in methods})
    with style():
        figure = new_figure("costs", COLUMN + 0.6, 2.8)
        axes = figure.subplots()
        for method in methods:
            rows = [record for record in records if record.method == method and record.reprogramming_energy_J > 0]
            if not rows:
                axes.plot([], [], color=FAINT, label=f"{method}: 0 J")
                continue
            x = [places.index(row.x) if named else float(row.x) for row in rows]
            colour, mark = look[method]
            energies = [row.reprogramming_energy_J for row in rows]
            axes.plot(x, energies, color=colour, marker=mark, markersize=3, linewidth=0 if named else 1, label=method)
            low, high = zip(*(row.reprogramming_energy_range_J for row in rows), strict=True)
            axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
        log_axis(axes, "y", [row.reprogramming_energy_J for row in records if row.reprogramming_energy_J > 0], "J")
        if named:
            set_ticks(axes, "x", list(range(len(places))), [str(place) for place in places])
        else:
            log_axis(axes, "x", [float(place) for place in places], "")
        if costs.found.over == "tasks":
            for pair in costs.found.break_even:
                if pair.break_even_tasks is not None and pair.break_even_tasks <= max(float(place) for place in places):
                    axes.axvline(pair.break_even_tasks, color=INK, linewidth=0.5, linestyle=":")
        axes.set_xlabel(costs.axis.label)
        axes.set_ylabel("reprogramming energy")
        figure.legend(loc="outside lower center", ncols=3)
    return figure
