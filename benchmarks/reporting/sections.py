"""Sections that pages share: figures with captions, the sources of a chip's numbers, and the works behind them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

from markupsafe import Markup
from matplotlib.figure import Figure

from benchmarks.reporting.figures.style import svg
from benchmarks.reporting.summary import ReportError
from crossbar_sim import Hardware
from crossbar_sim.spec.citations import NO_PAPER, known_keys, reference

R = TypeVar("R")

COMMON_REFERENCES = (
    "andrulis2024adc",
    "loshchilov2019",
    "salmon2011",
    "alpaydin1998",
    "pedregosa2011",
    "stillmaker2017",  # energies of digital work at other technology nodes
    "wen2024",  # endurance of foundry devices
)


@dataclass(frozen=True)
class Drawing:
    """A figure of the page: how wide it is, inline SVG (empty: not drawn), caption."""

    layout: str
    svg: str
    caption: str


@dataclass(frozen=True)
class ChipSection:
    """What the page says about one hardware, under the name that tells it from the others."""

    name: str
    hardware: Hardware
    figures: tuple[Drawing, ...]

    @property
    def datasheet(self) -> str:
        """In a few lines."""
        return str(self.hardware)

    @property
    def provenance(self) -> list[dict[str, str]]:
        """One row per number."""
        return self.hardware.provenance()

    @property
    def counts(self) -> Counter[str]:
        """Numbers by measured, fitted, assumed."""
        return Counter(row["kind"] for row in self.provenance)


@dataclass(frozen=True)
class Work:
    """A publication: its citation key, its text and its BibTeX entry (empty: unknown)."""

    key: str
    text: str
    bibtex: str


def drawn(
    draw: Callable[[Sequence[R]], Figure], layout: str, caption: str, results: Sequence[R], index: int
) -> Drawing:
    """One figure as inline SVG, or the sentence that says why it is missing."""
    try:
        figure = draw(results)
    except ReportError as error:
        return Drawing(layout, "", f"Not drawn: {error}.")
    figure.set_label(f"{figure.get_label()}-{index}")
    # text in the SVG has been escaped by matplotlib
    return Drawing(layout, Markup(svg(figure)), caption)


def work_of(key: str, known: bool) -> Work:
    if not known:
        return Work(key, "a key of the hardware file that references.bib does not know; ask its author", "")
    work = reference(key)
    return Work(key, work.text(), work.bibtex)


def works_behind(hardware: Sequence[Hardware], keys: Collection[str]) -> list[Work]:
    """Every work behind the numbers of these designs and these keys, once; a key that the library does not know is
    listed as such."""
    known = set(known_keys())
    every = {*keys, *(key for chip in hardware for key in chip.sources() if key not in NO_PAPER)}
    for chip in hardware:
        # a device may be named after its paper, and a remark may name the key of another
        remarks = [word.strip("().,;:") for row in chip.provenance() for word in row["where"].split()]
        every |= known.intersection([chip.device.name, *remarks])
    return [work_of(key, key in known) for key in sorted({*every, *COMMON_REFERENCES})]
