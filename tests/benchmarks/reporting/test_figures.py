"""Figures: well-formed SVG, every method named, no number lost, zero shown as zero, matplotlib left alone."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from benchmarks.experiments.experiment import Result
from benchmarks.reporting.figures import comparison as figures
from benchmarks.reporting.figures.style import (
    METHOD_LOOKS,
    SPARE,
    component_colours,
    exponent,
    log_ticks,
    look_of,
    looks,
    variants,
)
from benchmarks.reporting.summary import ReportError, summarise
from crossbar_sim.hardware.components import COMPONENTS
from peft_methods import METHODS as ALL_METHODS
from peft_methods import LoRA, LoRAFusion
from tests.benchmarks.reporting.results import CHIP, METHODS, make_comparison, make_result

Draw = Callable[[Sequence[Result]], Figure]
ALL: list[Draw] = [
    figures.energy_by_component,
    figures.learning_curves,
    figures.energy_accuracy,
    figures.worn_tiles,
    figures.lifetime,
]


@pytest.fixture(scope="module")
def comparison() -> list[Result]:
    return make_comparison()


def x_of(line: Line2D) -> list[float]:
    return [float(value) for value in np.asarray(line.get_xdata())]


def y_of(line: Line2D) -> list[float]:
    return [float(value) for value in np.asarray(line.get_ydata())]


def words(svg: str) -> str:
    return " ".join(ET.fromstring(svg).itertext())


@pytest.mark.parametrize("draw", ALL)
def test_svg_is_complete_and_repeatable_and_leaves_global_state_alone(draw: Draw, comparison: list[Result]) -> None:
    before = dict(matplotlib.rcParams)
    figure = draw(comparison)
    text = figures.svg(figure)
    assert ET.fromstring(text).tag.endswith("svg")
    assert all(name in words(text) for name in METHODS)
    assert "nan" not in text.lower().replace("nano", "")
    assert "<metadata" not in text and "<!DOCTYPE" not in text and len(text) < 150_000
    assert figures.svg(figure) == text == figures.svg(draw(comparison))
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("draw", ALL)
def test_any_name_can_be_drawn(draw: Draw) -> None:
    methods = {"full fine-tuning": "a $x^{ $ b", "LoRA (SRAM)": '<b>&"ü % _'}
    text = words(figures.svg(draw([make_result(method, display_name=name) for method, name in methods.items()])))
    assert all(name in text for name in methods.values())


@pytest.mark.parametrize("draw", ALL)
@pytest.mark.parametrize("name", ["full fine-tuning", "LoRAFusion"])
def test_one_method_one_task_one_seed(draw: Draw, name: str) -> None:
    ET.fromstring(figures.svg(draw([make_result(name, seeds=(3,))])))


@pytest.mark.parametrize("draw", ALL)
def test_two_hardware_are_told_apart(draw: Draw) -> None:
    first = make_result("full fine-tuning")
    second = make_result("full fine-tuning", hardware=CHIP.replace(name="another chip"))
    text = words(figures.svg(draw([first, second])))
    assert "full fine-tuning on another chip" in text and "full fine-tuning on milo2021_128x128" in text


def test_bars_add_up_to_the_phase(comparison: list[Result]) -> None:
    summaries = summarise(comparison)
    axes = figures.energy_by_component(comparison).axes
    for phase in ("deploy", "pool", "adapt", "infer"):
        axis = next(axis for axis in axes if axis.get_title("left") == figures.PHASE_TITLES[phase])
        bars = [patch for patch in axis.patches if isinstance(patch, Rectangle)]
        for row, summary in enumerate(reversed(summaries)):
            width = sum(bar.get_width() for bar in bars if round(bar.get_y() + 0.36) == row)
            assert width == pytest.approx(summary.records[0].energy_by_phase_J[phase])


def test_phase_without_energy_has_no_panel() -> None:
    titles = [axis.get_title("left") for axis in figures.energy_by_component([make_result("linear probe")]).axes]
    assert figures.PHASE_TITLES["pool"] not in titles and figures.PHASE_TITLES[figures.WRITES] not in titles


def test_learning_curve_holds_the_recorded_points() -> None:
    result = make_result("full fine-tuning")
    top, bottom = figures.learning_curves([result]).axes
    energy, accuracy = top.lines[0], bottom.lines[0]
    curve = result.seeds[0].curve
    assert x_of(energy) == [point.step for point in curve]
    assert y_of(energy)[1:] == pytest.approx([point.write_energy_J for point in curve][1:])
    assert y_of(accuracy) == pytest.approx([point.validation_accuracy for point in curve])
    labels = [label.get_text() for label in top.get_yticklabels()]
    assert labels[0] == figures.NO_WRITE
    assert y_of(energy)[0] == top.get_yticks()[0]  # zero is drawn where the axis says zero


def test_no_curve_is_refused() -> None:
    with pytest.raises(ReportError, match="curve_points"):
        figures.learning_curves([make_result("linear probe", points=0)])


def test_front_rings_only_methods_that_nothing_beats(comparison: list[Result]) -> None:
    axis = figures.energy_accuracy(comparison).axes[0]
    rings = axis.lines[-1]
    assert len(x_of(rings)) == 1  # linear probe: no write and the highest accuracy of these records
    best = max(summary.spread("accuracy", "related").mean for summary in summarise(comparison))  # type: ignore[union-attr]
    assert y_of(rings) == pytest.approx([best])
    assert axis.get_xticklabels()[0].get_text() == figures.NO_WRITE


def test_only_the_kinds_that_were_run_have_panels() -> None:
    titles = [axis.get_title("left") for axis in figures.energy_accuracy([make_result("LoRA (tiles)")]).axes]
    assert titles == ["related tasks", "related tasks"]


def test_worn_tiles_share_a_scale_and_mask_unused_cells(comparison: list[Result]) -> None:
    axes = [axis for axis in figures.worn_tiles(comparison).axes if axis.images]
    assert len(axes) == len(METHODS)
    for axis in axes:
        cells = axis.images[0].get_array()
        assert axis.images[0].get_clim() == (0, 40)
        assert isinstance(cells, np.ma.MaskedArray) and cells.shape == (16, 16)
        assert cells.count() == 4 * 8
        assert cells.max() == cells[0, 0] == {"full fine-tuning": 40, "LoRA (tiles)": 12}.get(axis.get_title("left"), 0)


def test_lifetime_is_endurance_over_worst_writes(comparison: list[Result]) -> None:
    axis = figures.lifetime(comparison).axes[0]
    assert y_of(axis.lines[0]) == [endurance // 40 for endurance in figures.ENDURANCES]
    assert y_of(axis.lines[1]) == [endurance // 12 for endurance in figures.ENDURANCES]
    assert "unlimited by writing: LoRA (SRAM), LoRAFusion, linear probe" in axis.get_title("left")


def test_lifetime_of_zero_is_shown_as_zero() -> None:
    axis = figures.lifetime([make_result("full fine-tuning", writes=20_000)]).axes[0]
    assert y_of(axis.lines[0])[0] == axis.get_yticks()[0]
    assert axis.get_yticklabels()[0].get_text().startswith("0")


def test_looks_stay_with_the_method() -> None:
    own = look_of(LoRAFusion())
    assert own is not None
    assert looks({"LoRAFusion": own})["LoRAFusion"] == looks({"x": None, "y": None, "LoRAFusion": own})["LoRAFusion"]
    assert looks({"LoRAFusion": own})["LoRAFusion"] == ("#009E73", "o")
    many = looks({f"method {index}": None for index in range(20)})
    assert len(set(many.values())) == 20
    assert set(component_colours()) == set(COMPONENTS) and len(set(component_colours().values())) == len(COMPONENTS)
    colours = [colour for colour, _ in (*(look for row in METHOD_LOOKS for look in row), *SPARE)]
    assert not any(same_color(one, two) for i, one in enumerate(colours) for two in colours[:i])


KNOWN = {
    "full fine-tuning": ("#D55E00", "s"),
    "LoRA (tiles)": ("#E69F00", "^"),
    "LoRA (SRAM)": ("#56B4E9", "v"),
    "LoRAFusion": ("#009E73", "o"),
    "linear probe": ("#777777", "D"),
    "BitFit": ("#F0E442", "d"),
    "IA3": ("#A6761D", "d"),
    "VeRA": ("#0072B2", "o"),
    "WeGeFT": ("#CC79A7", "o"),
    "LoRAHub": ("#66A61E", "o"),
    "DoRA (tiles)": ("#B2182B", "^"),
    "DoRA (SRAM)": ("#2166AC", "v"),
    "LoRA-FA (tiles)": ("#FDB863", "<"),
    "LoRA-FA (SRAM)": ("#92C5DE", ">"),
    "rsLoRA (tiles)": ("#B35806", "8"),
    "rsLoRA (SRAM)": ("#4393C3", "H"),
    "adapters (tiles)": ("#7F3B08", "p"),
    "adapters (SRAM)": ("#5AAE61", "h"),
    "VPT (deep)": ("#762A83", "P"),
    "VPT (shallow)": ("#AF8DC3", "X"),
    "PASTA": ("#1B7837", "*"),
    "frozen": ("#BBBBBB", "s"),
}


def test_methods_keep_the_colours_of_published_figures() -> None:
    found = {
        name: row[place]
        for kind, row in zip(ALL_METHODS.values(), METHOD_LOOKS, strict=True)
        for place, name in enumerate(variants(kind)[: len(row)])
    }
    assert found == KNOWN
    assert look_of(LoRA(placement="sram")) == KNOWN["LoRA (SRAM)"]


@given(st.floats(1e-15, 1e9), st.floats(1.0, 1e12))
def test_log_ticks_stay_inside(low: float, ratio: float) -> None:
    floor = 10.0 ** exponent(low)
    ticks = log_ticks(floor, max(low * ratio, 10 * floor))
    assert 2 <= len(ticks) <= 7 and ticks == sorted(set(ticks))
    assert ticks[0] == pytest.approx(floor) and ticks[-1] <= max(low * ratio, 10 * floor)


@pytest.mark.parametrize(("value", "power"), [(1.0, 0), (1e-5, -5), (9.99e-6, -6), (1e3, 3), (2.5e4, 4)])
def test_exponent(value: float, power: int) -> None:
    assert exponent(value) == power
