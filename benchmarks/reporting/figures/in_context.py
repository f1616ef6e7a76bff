"""Figures of in-context learning: where read noise puts a floor, and a transformer against the exact posterior."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from benchmarks.problems.pretraining.in_context import ExcessError, LinearPrompts, NoiseFloor
from benchmarks.reporting.figures.style import COLUMN, FAINT, INK, SPARE, log_axis, new_figure, style


def noise_floors(result: NoiseFloor, prompts: LinearPrompts) -> Figure:
    """Excess error against the number of examples, one line per condition, with the law d s2 / t of exact keys."""
    with style():
        figure = new_figure("noise-floors", COLUMN, 2.9)
        axis = figure.subplots()
        law = [prompts.dimension * prompts.noise_variance / length for length in result.lengths]
        log_axis(axis, "x", [float(length) for length in result.lengths], "")
        log_axis(axis, "y", [*law, *(value for values in result.errors.values() for value in values)], "")
        axis.plot(result.lengths, law, color=FAINT, linestyle=(0, (3, 2)), linewidth=0.9, label="d s² / t")
        for index, (name, values) in enumerate(result.errors.items()):
            colour, marker = (INK, "o") if index == 0 else SPARE[(index - 1) % len(SPARE)]
            errors = result.standard_error[name]
            axis.errorbar(result.lengths, values, yerr=errors, color=colour, marker=marker, elinewidth=0.8, label=name)
        axis.set_xlabel("examples in the prompt")
        axis.set_ylabel("mean squared error beyond the noise")
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def against_the_posterior(errors: Mapping[str, ExcessError]) -> Figure:
    """Excess error of a transformer over that of the exact posterior mean, against the examples seen; 1 is the best."""
    with style():
        figure = new_figure("against-the-posterior", COLUMN, 2.6)
        axis = figure.subplots()
        axis.axhline(1, color=FAINT, linestyle=(0, (3, 2)), linewidth=0.9)
        for index, (name, error) in enumerate(errors.items()):
            colour, marker = (INK, "o") if index == 0 else SPARE[(index - 1) % len(SPARE)]
            axis.plot(
                range(len(error.ratio)), error.ratio.tolist(), color=colour, marker=marker, label=name, markersize=2.5
            )
        axis.set_xlabel("examples seen")
        axis.set_ylabel("excess error / that of the exact posterior")
        figure.legend(loc="outside lower center", ncols=2)
    return figure
