"""Figures of the neural tangent kernel: LoRA's kernel against rank and layers, and predicted pulses over devices."""

from __future__ import annotations

import math

from matplotlib.figure import Figure

from benchmarks.reporting.figures.style import COLUMN, FAINT, INK, SPARE, log_axis, new_figure, set_ticks, style
from benchmarks.studies.ntk_on_chip import ERROR_AT_ONE, LoRAKernelFindings, PulseFindings


def lora_kernel_figure(found: LoRAKernelFindings) -> Figure:
    """Relative error of LoRA's kernel against the rank, one line per number of layers, over 1.55 / sqrt(r M)."""
    errors = {(one.rank, one.layers): one.relative_error for one in found.records}
    ranks, modules = sorted({rank for rank, _ in errors}), sorted({count for _, count in errors})
    with style():
        figure = new_figure("lora-kernel", COLUMN, 2.7)
        axis = figure.subplots()
        laws = {count: [ERROR_AT_ONE / math.sqrt(rank * count) for rank in ranks] for count in modules}
        log_axis(axis, "y", [*errors.values(), *(value for law in laws.values() for value in law)], "")
        axis.set_xscale("log")
        set_ticks(axis, "x", ranks, [str(rank) for rank in ranks])
        for index, count in enumerate(modules):
            law = f"{ERROR_AT_ONE} / √(r M)" if index == 0 else None
            axis.plot(ranks, laws[count], color=FAINT, linestyle=(0, (3, 2)), linewidth=0.9, label=law)
            colour, marker = (INK, "o") if index == 0 else SPARE[(index - 1) % len(SPARE)]
            label = f"{count} layer{'s' if count > 1 else ''}"
            axis.plot(
                ranks, [errors[rank, count] for rank in ranks], color=colour, marker=marker, linewidth=0, label=label
            )
        axis.set_xlabel("rank of LoRA")
        axis.set_ylabel("relative error of the kernel")
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def pulse_prediction_figure(found: PulseFindings, step: int = 1) -> Figure:
    """Error of the predicted outputs after `step` steps, per device: knowing its response, or taking the mean step."""
    predictions = found.records
    names = [f"{one.device}, {one.full_swing_pulses:g}" for one in predictions]
    places = range(len(names))
    with style():
        figure = new_figure("pulse-prediction", COLUMN, 1.2 + 0.22 * len(names))
        axis = figure.subplots()
        aware = [one.aware[step - 1] for one in predictions]
        symmetric = [one.symmetric[step - 1] for one in predictions]
        log_axis(axis, "x", [*aware, *symmetric], "")
        axis.plot(aware, places, color=INK, marker="o", linewidth=0, label="knows the device's response")
        axis.plot(symmetric, places, color=SPARE[0][0], marker=SPARE[0][1], linewidth=0, label="takes the mean step")
        set_ticks(axis, "y", list(places), names)
        axis.set_xlabel(f"relative error of the predicted change after {step} step{'s' if step > 1 else ''}")
        axis.set_ylabel("device, pulses over the window")
        figure.legend(loc="outside lower center", ncols=2)
    return figure
