"""Report: one table for the terminal, one page for the browser, and records for scripts, from the same results."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.experiments.experiment import Result
from benchmarks.experiments.record import ResultRecord
from benchmarks.reporting.figures import comparison as figures
from benchmarks.reporting.figures.save import save
from benchmarks.reporting.page import page
from benchmarks.reporting.sections import ChipSection, Work, drawn, works_behind
from benchmarks.reporting.summary import KINDS, MethodSummary, summarise
from benchmarks.reporting.text_table import aligned
from crossbar_sim import Hardware
from crossbar_sim.runtime.files import write_text
from crossbar_sim.spec.units import engineering

FIGURES: tuple[tuple[Callable[[Sequence[Result]], Figure], str, str], ...] = (
    (
        figures.energy_accuracy,
        "wide",
        "Up and to the left is better; ringed methods are on the front, and the shaded zone holds methods that wrote "
        "no cell (inside it the horizontal position says nothing). Bars are one standard deviation over seeds.",
    ),
    (
        figures.energy_by_component,
        "wide",
        "Each panel has its own scale, so compare bars within a panel and read the totals at their ends across panels.",
    ),
    (
        figures.learning_curves,
        "column",
        "The upper panel is logarithmic above the shaded zone, which stands for exactly 0 J; lines are means over "
        "tasks and seeds, bands one standard deviation over seeds.",
    ),
    (
        figures.lifetime,
        "column",
        "Follow a line to the endurance you believe in: it gives how many tasks the chip can adapt to before its "
        "most-written cell wears out, without wear levelling.",
    ),
    (
        figures.worn_tiles,
        "wide",
        "One square is the tile whose worst cell was written most; all share one colour scale, grey cells hold no "
        "weight, and a few bright cells among dark ones mean that wear is uneven.",
    ),
)


@dataclass(frozen=True)
class AccuracyLine:
    """A method's accuracy on every task, as text."""

    method: str
    each: tuple[str, ...]


@dataclass(frozen=True)
class Repeat:
    """A run behind the page."""

    method: str
    task: str
    digest: str
    seeds: str


class Report:
    """What several results say beside each other.

    Rows are methods (and hardware, if there are several). Accuracy: mean over the tasks per seed, then mean ±
    sample standard deviation over seeds. Cells and energies: means over tasks and seeds. Worst cell and wear-out:
    the worst task and seed. Raises ReportError for an empty list and for results that do not fit into one table.
    """

    def __init__(self, results: Sequence[Result]) -> None:
        self.results = list(results)
        self.summaries = summarise(self.results)

    @property
    def hardware_names(self) -> list[str]:
        """Every hardware of the report."""
        return list(dict.fromkeys(summary.hardware for summary in self.summaries))

    def rows(self) -> list[dict[str, str]]:
        """The headline table: one dict of texts per method, its keys the column headings."""
        kinds = [kind for kind in KINDS if any(kind in summary.kinds for summary in self.summaries)]
        return [self._row(summary, kinds) for summary in self.summaries]

    def _row(self, summary: MethodSummary, kinds: list[str]) -> dict[str, str]:
        row = {"method": summary.label}
        if len(self.hardware_names) > 1:
            row["hardware"] = summary.hardware
        row["trained values"] = f"{summary.records[0].trained_values:,}"
        for kind in kinds:
            spread = summary.spread("accuracy", kind)
            row[f"accuracy ({kind})"] = "not run" if spread is None else str(spread)
        pool = f" (+{summary.pool_cells:,} pool)" if summary.pool_cells else ""
        lifetime = summary.lifetime
        return row | {
            "cells written": f"{summary.mean('adapt_cells_written'):,.0f}{pool}",
            "reprogramming energy": engineering(summary.mean("reprogramming_energy_J"), "J"),
            "total energy": engineering(summary.mean("total_energy_J"), "J"),
            "worst cell's writes": f"{summary.worst_writes:,}",
            "adaptations until wear-out": "no writes" if lifetime is None else f"{lifetime:,}",
        }

    def notes(self) -> list[str]:
        """How the table was averaged, and what keeps its rows from being compared."""
        counts = {len(summary.tasks) for summary in self.summaries}
        seeds = {tuple(summary.seeds) for summary in self.summaries}
        tasks = {frozenset(summary.tasks) for summary in self.summaries}
        notes = [
            f"Accuracy: mean ± sample standard deviation over {_range({len(s) for s in seeds}, 'seed')} of the mean "
            f"over tasks. Cells, energies: mean per adaptation over {_range(counts, 'task')} and all seeds.",
            "Worst cell's writes and wear-out: one adaptation, the worst task and seed. Total energy: deploy + pool + "
            "adapt + infer.",
        ]
        if len(tasks) > 1:
            notes.append("Not all methods were run on the same tasks: their rows cannot be compared.")
        if len(seeds) > 1:
            notes.append("Not all methods were run with the same seeds: their spreads cannot be compared.")
        return notes

    def table(self) -> str:
        """The headline table as aligned text for the terminal."""
        notes = [part for note in self.notes() for part in textwrap.wrap(note, 118)]
        return "\n".join([aligned(self.rows()), *notes])

    def records(self) -> list[ResultRecord]:
        """One flat record per result, in the order given."""
        return [result.record() for result in self.results]

    def html(self) -> str:
        """The whole report as one page that needs no network and no script."""
        chips = [self._chip(name, index) for index, name in enumerate(self.hardware_names)]
        return page(
            "report.html",
            rows=self.rows(),
            notes=self.notes(),
            tasks=self._tasks(),
            accuracies=self._accuracies(),
            chips=chips,
            references=self._references([chip.hardware for chip in chips]),
            experiments=self._experiments(),
            specification=self._specification(),
            versions=self._versions(),
            inferences=self._inferences(),
        )

    def save_figures(self, folder: str | Path) -> list[Path]:
        """Write every figure as SVG and as PDF into `folder`, named after its function."""
        return [
            save(Path(folder) / f"{draw.__name__}{ending}", draw(self.results))
            for draw, _, _ in FIGURES
            for ending in (".svg", ".pdf")
        ]

    def save(self, path: str | Path) -> Path:
        """Write the page to `path`, whole or not at all; returns the path."""
        path = Path(path)
        write_text(path, self.html())
        return path

    def __str__(self) -> str:
        return self.table()

    def _tasks(self) -> list[tuple[str, str]]:
        """(kind, name) of every task, related before unrelated."""
        found = {(result.task_kind, result.experiment.task) for result in self.results}
        return sorted(found, key=lambda task: (KINDS.index(task[0]), task[1]))

    def _accuracies(self) -> list[AccuracyLine]:
        """Per method the accuracy on every task, in the order of `_tasks`."""
        several = len(self.hardware_names) > 1
        lines = []
        for summary in self.summaries:
            each = {
                result.experiment.task: str(MethodSummary("", "", (result,)).spread("accuracy"))
                for result in summary.results
            }
            name = f"{summary.label} on {summary.hardware}" if several else summary.label
            lines.append(AccuracyLine(name, tuple(each.get(task, "not run") for _, task in self._tasks())))
        return lines

    def _chip(self, name: str, index: int) -> ChipSection:
        """Figures, datasheet and provenance of one hardware."""
        summaries = [summary for summary in self.summaries if summary.hardware == name]
        results = [result for summary in summaries for result in summary.results]
        shown = [drawn(draw, layout, caption, results, index) for draw, layout, caption in FIGURES]
        return ChipSection(name, summaries[0].design, tuple(shown))

    def _references(self, hardware: Sequence[Hardware]) -> list[Work]:
        """Every work behind the numbers, once."""
        keys = set[str]()
        for result in self.results:
            experiment = result.experiment
            keys |= {*experiment.method.papers, *experiment.method.update_rule.papers, *experiment.problem.papers}
        return works_behind(hardware, keys)

    def _experiments(self) -> list[Repeat]:
        """Which run is behind every row and task."""
        return [
            Repeat(
                summary.label,
                result.experiment.task,
                result.experiment.digest(),
                ", ".join(str(record.seed) for record in result.seeds),
            )
            for summary in self.summaries
            for result in summary.results
        ]

    def _specification(self) -> str:
        """Everything needed to run it all again, as JSON; hardware once under its name."""
        chips = {summary.hardware: summary.design.model_dump(mode="json") for summary in self.summaries}
        experiments = [
            {**result.experiment.model_dump(mode="json"), "hardware": summary.hardware}
            for summary in self.summaries
            for result in summary.results
        ]
        return json.dumps({"hardware": chips, "experiments": experiments}, indent=1, allow_nan=False)

    def _versions(self) -> list[str]:
        """Every set of versions the results were made with, as text."""
        return sorted({", ".join(f"{key} {value}" for key, value in r.versions.items()) for r in self.results})

    def _inferences(self) -> str:
        """How many test images were classified in the phase 'infer'."""
        return _range({record.inferences for result in self.results for record in result.seeds}, "test image")


def _range(counts: set[int], thing: str) -> str:
    low, high = min(counts), max(counts)
    return f"{low} {thing}{'s' * (low != 1)}" if low == high else f"{low} to {high} {thing}s"
