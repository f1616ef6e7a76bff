"""Figure style: one palette, fixed per method, engineering ticks, and SVG text that is the same on every run."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from itertools import cycle, product
from typing import Any, Literal, get_args, get_origin

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from crossbar_sim import CrossbarError
from crossbar_sim.hardware.components import COMPONENTS, PROGRAMMING, READING
from crossbar_sim.spec.units import engineering
from peft_methods import METHODS, Method

COLUMN = 3.5  # inch: one column of a two-column paper
PAGE = 7.16  # inch: both columns
INK = "#1a1a1a"
FAINT = "#8c8c8c"
ZONE = "#8c8c8c2e"  # where nothing is written
UNUSED = "#d4d4d4"  # a cell that holds no weight

RC: dict[Any, Any] = {
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 7.5,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.5,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.4,
    "legend.frameon": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "svg.fonttype": "none",
    "text.parse_math": False,  # a method may be called anything
    "axes.facecolor": "none",
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.03,
}

Look = tuple[str, str]
"""Colour and marker."""

METHOD_LOOKS: tuple[tuple[Look, ...], ...] = (
    (("#D55E00", "s"),),
    (("#777777", "D"),),
    (("#F0E442", "d"),),
    (("#E69F00", "^"), ("#56B4E9", "v"), ("#B35806", "8"), ("#4393C3", "H")),
    (("#92C5DE", ">"), ("#FDB863", "<")),
    (("#B2182B", "^"), ("#2166AC", "v")),
    (("#0072B2", "o"),),
    (("#CC79A7", "o"),),
    (("#A6761D", "d"),),
    (("#7F3B08", "p"), ("#5AAE61", "h")),
    (("#762A83", "P"), ("#AF8DC3", "X")),
    (("#1B7837", "*"),),
    (("#66A61E", "o"),),
    (("#009E73", "o"),),
    (("#BBBBBB", "s"),),
)
"""One row per method in the order of METHODS, one look per variant (`variants`). The colours start with those of Okabe
and Ito, which stay apart under the common kinds of colour blindness; markers tell them apart in grey."""
SPARE: tuple[Look, ...] = (
    ("#E7298A", "P"),
    ("#17BECF", "X"),
    ("#B8A800", "p"),
    ("#8B4513", "h"),
    ("#332288", "*"),
    ("#882255", "d"),
)
"""For everything else that is drawn as a line, in turn."""
RED, BLUE = METHOD_LOOKS[0][0][0], METHOD_LOOKS[3][1][0]

# Paul Tol's muted colours: writing is red to yellow, reading blue to green, digital grey to purple
WRITING_COLOURS = ("#882255", "#CC6677", "#AA4499", "#D9A8CF", "#DDCC77", "#661100", "#AA7744", "#777711")
READING_COLOURS = (
    "#332288",
    "#88CCEE",
    "#44AA99",
    "#117733",
    "#6699CC",
    "#4477AA",
    "#228833",
    "#66CCEE",
    "#0077BB",
    "#AADDBB",
    "#99AABB",
    "#004488",
)
OTHER_COLOURS = ("#999933", "#BBCC33", "#EEDD88", "#BBBBBB", "#555555")


def component_colours() -> dict[str, str]:
    """Component -> colour, in the order of the components table: writing, reading, and everything else."""
    others = [name for name in COMPONENTS if name not in (*PROGRAMMING, *READING)]
    families = ((PROGRAMMING, WRITING_COLOURS), (READING, READING_COLOURS), (others, OTHER_COLOURS))
    return {name: colour for names, colours in families for name, colour in zip(names, cycle(colours), strict=False)}


@contextmanager
def style() -> Iterator[None]:
    """Draw in this project's style inside, and leave matplotlib's settings as they were."""
    with matplotlib.rc_context(RC):
        yield


@cache
def variants(kind: type[Method]) -> tuple[str, ...]:
    """The names that a method may have in tables, its defaults first: those of every combination of its choices."""
    choices = {
        name: (field.default, *(value for value in _choices(field.annotation) if value != field.default))
        for name, field in kind.model_fields.items()
        if _choices(field.annotation)
    }
    names = []
    for values in product(*choices.values()):
        with suppress(CrossbarError):  # choices that exclude each other
            names.append(kind(**dict(zip(choices, values, strict=True))).display_name)
    return tuple(dict.fromkeys(names))


def _choices(annotation: Any) -> tuple[Any, ...]:
    """The values of a field that is a choice."""
    if annotation is bool:
        return False, True
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def look_of(method: Method) -> Look | None:
    """The look of a method in every figure: by its place in METHODS and its variant; None if none is set aside."""
    place = list(METHODS.values()).index(type(method)) if type(method) in METHODS.values() else len(METHOD_LOOKS)
    row = METHOD_LOOKS[place] if place < len(METHOD_LOOKS) else ()
    names = variants(type(method)) if row else ()
    variant = names.index(method.display_name) if method.display_name in names else len(row)
    return row[variant] if variant < len(row) else None


def looks(own: Mapping[str, Look | None]) -> dict[str, Look]:
    """label -> look: its own, and for those that have none a spare one, in turn."""
    chosen: dict[str, Look] = {}
    spare = 0
    for label, look in own.items():
        if look is None:
            look = SPARE[spare % len(SPARE)][0], SPARE[(spare + spare // len(SPARE)) % len(SPARE)][1]
            spare += 1
        chosen[label] = look
    return chosen


def new_figure(name: str, width: float, height: float) -> Figure:
    """An empty figure, inches; `name` makes its SVG ids its own, so that several figures fit in one page."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.set_label(name)
    return figure


def set_ticks(axes: Axes, which: str, positions: Sequence[float], labels: Sequence[str]) -> None:
    """Major ticks of 'x' or 'y' at these positions with these labels, and no others."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(FixedLocator(list(positions)))
    axis.set_major_formatter(FixedFormatter(list(labels)))
    axis.set_minor_locator(NullLocator())


def log_axis(axes: Axes, which: str, positive: Sequence[float], unit: str, zone: str = "") -> float:
    """A log axis ('x' or 'y') around the positive numbers; ticks with SI prefixes. Returns where zero is drawn.

    zone: the tick label of a shaded zone for zero below the smallest decade; '': there is no zero to draw.
    """
    smallest, largest = min(positive, default=1.0), max(positive, default=1.0)
    floor = 10.0 ** exponent(smallest)
    high = max(largest * 1.6, 10 * floor)
    ticks = log_ticks(floor, high) if positive else []
    width = (0.3 if which == "x" else 0.5) * math.log10(high / floor)  # of the zone, in decades
    zero = floor * 10 ** (-width / 2 - 0.05)
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    (axes.set_xlim if which == "x" else axes.set_ylim)(zero * 10 ** (-width / 2) if zone else floor / 1.3, high)
    labels = [_tick(tick, unit) for tick in ticks]
    set_ticks(axes, which, [zero, *ticks] if zone else ticks, [zone, *labels] if zone else labels)
    if zone:
        edges = zero * 10 ** (-width / 2), zero * 10 ** (width / 2)
        (axes.axvspan if which == "x" else axes.axhspan)(*edges, color=ZONE, linewidth=0)
    return zero


def _tick(value: float, unit: str) -> str:
    if unit:
        return engineering(value, unit)
    superscript = str(exponent(value)).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{value:,.0f}" if value < 1e4 else f"10{superscript}"


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """1-2-5 steps where two positive numbers are less than two decades apart, else at most `most` powers of ten."""
    first, last = exponent(low), exponent(high)
    if last - first < 2:
        ticks = [factor * 10.0**power for power in range(first, last + 1) for factor in (1, 2, 5)]
    else:
        ticks = [10.0**power for power in range(first, last + 1, -(-(last - first + 1) // most))]
    return [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high]


def exponent(value: float) -> int:
    """Of the power of ten at or below a positive number; one that misses a power of ten by rounding is that power."""
    return int(f"{value:.12e}".partition("e")[2])


def svg(figure: Figure) -> str:
    """The figure as one <svg> element: text stays text, no date, no outside reference, equal bytes on every run.

    The layout is computed once and then stays, because computing it again moves things by a rounding error.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context({**RC, "svg.hashsalt": str(figure.get_label() or "figure")}):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        figure.savefig(buffer, format="svg", facecolor="none", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].rstrip()
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    used = set(re.findall(r'(?:url\(|href=")#([^)"]+)', text))
    return re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", text)
