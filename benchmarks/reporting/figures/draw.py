"""Draw what was found: the figure that belongs to each kind of findings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.estimates.costs import Costs
from benchmarks.estimates.floor_plan import FloorPlan
from benchmarks.estimates.sensitivity import Sensitivity
from benchmarks.reporting.exploration_report import ExplorationReport
from benchmarks.reporting.figures.costs import costs_figure
from benchmarks.reporting.figures.device import fit_figure, response_figure
from benchmarks.reporting.figures.exploration import front_figure
from benchmarks.reporting.figures.floor_plan import floor_plan_figure
from benchmarks.reporting.figures.ntk import lora_kernel_figure, pulse_prediction_figure
from benchmarks.reporting.figures.quality import mapping_quality
from benchmarks.reporting.figures.save import save
from benchmarks.reporting.figures.sensitivity import tornado
from benchmarks.reporting.figures.stream import programming_over_tasks
from benchmarks.reporting.stream_report import StreamReport
from benchmarks.studies.ntk_on_chip import LoRAKernelFindings, PulseFindings
from crossbar_sim import DeviceModel, SpecError
from crossbar_sim.devices.fit import Fit
from crossbar_sim.quality.report import Quality

FIGURES: dict[type, Callable[[Any], Figure]] = {
    DeviceModel: response_figure,
    Fit: fit_figure,
    FloorPlan: floor_plan_figure,
    Sensitivity: tornado,
    Costs: costs_figure,
    Quality: mapping_quality,
    LoRAKernelFindings: lora_kernel_figure,
    PulseFindings: pulse_prediction_figure,
    ExplorationReport: lambda report: front_figure(report.findings),
    StreamReport: lambda report: programming_over_tasks(report.results),
}
"""What was found -> how it is drawn."""


def draw(found: object) -> Figure:
    """The figure of what was found; SpecError if none belongs to it."""
    if type(found) not in FIGURES:
        raise SpecError(f"nobody has drawn {type(found).__name__} yet; leave out the figure, and use the table")
    return FIGURES[type(found)](found)


def draw_to(path: str | Path, found: object) -> Path:
    """Draw it into a file, whose ending says in which format."""
    return save(path, draw(found))
