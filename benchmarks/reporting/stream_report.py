"""StreamReport: what several methods did on the same stream of tasks: a table, figures, a page, and flat records."""

from __future__ import annotations

import json
import statistics
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.reporting.figures import stream as figures
from benchmarks.reporting.figures.save import save
from benchmarks.reporting.page import page
from benchmarks.reporting.sections import ChipSection, Work, drawn, works_behind
from benchmarks.reporting.summary import ReportError
from benchmarks.reporting.text_table import aligned
from benchmarks.streams.break_even import break_even
from benchmarks.streams.record import StreamRecord
from benchmarks.streams.stream import StreamResult
from crossbar_sim.runtime.files import write_text
from crossbar_sim.spec.units import engineering

FIGURES: tuple[tuple[Callable[[Sequence[StreamResult]], Figure], str, str], ...] = (
    (
        figures.programming_over_tasks,
        "wide",
        "Left: what programming has cost so far, the pool of a method included, on a logarithmic axis; the shaded zone "
        "holds methods that program nothing but the model. A flat line programs its pool once and nothing per task. "
        "Right: how well the tasks so far were learned, each right after it. Lines are means over seeds, bands one "
        "standard deviation.",
    ),
    (
        figures.forgetting_over_tasks,
        "wide",
        "All tasks learned before. Full: right after each was learned. Dashed: now, with its own digital values and "
        "with what the tiles hold. Where the lines part, tiles were overwritten, and a task that comes back has to be "
        "programmed again.",
    ),
    (
        figures.wear_over_tasks,
        "column",
        "The most-written cell of the chip, deployment included; where cells have a lifetime, how many have failed.",
    ),
)
SWITCH_NOTE = (
    "A request: a learned task is brought back and its test samples are classified; means over requests and seeds."
)


class StreamReport:
    """Streams of several methods side by side. ReportError for none, and for streams of different tasks or problems."""

    def __init__(self, results: Sequence[StreamResult]) -> None:
        self.results = list(results)
        if not self.results:
            raise ReportError("a report needs at least one stream")
        first = self.results[0].stream
        for one in self.results:
            if (one.stream.tasks, one.stream.problem.name) != (first.tasks, first.problem.name):
                raise ReportError("streams of different tasks do not fit into one table; report them one by one")

    def rows(self) -> list[dict[str, str]]:
        """The headline table: one dict of texts per method, its keys the column headings."""
        return [self._row(one) for one in self.results]

    def _row(self, one: StreamResult) -> dict[str, str]:
        last = [seed.steps[-1] for seed in one.seeds]
        learned = [statistics.fmean(step.accuracy for step in seed.steps) for seed in one.seeds]
        earlier = [step.accuracy_of_earlier for step in last if step.accuracy_of_earlier is not None]
        spread = f" ± {statistics.stdev(learned):.3f}" if len(learned) > 1 else ""
        pool = statistics.fmean(step.cumulative_pool_energy_J for step in last)
        tasks = statistics.fmean(step.cumulative_reprogramming_energy_J for step in last)
        row = {
            "method": one.name,
            one.stream.problem.scoring.name: f"{statistics.fmean(learned):.3f}{spread}",
            "of earlier tasks at the end": f"{statistics.fmean(earlier):.3f}" if earlier else "none",
            "programming, once": engineering(pool, "J"),
            f"programming, {one.tasks_learned} tasks": engineering(tasks, "J"),
            "total energy": engineering(statistics.fmean(step.cumulative_total_energy_J for step in last), "J"),
            "cells written": f"{statistics.fmean(step.cells_written for step in last):,.0f}",
            "worst cell's writes": f"{max(step.max_writes_per_cell for step in last):,}",
            "tiles": f"{max(step.tiles for step in last):,}",
            "memory": engineering(max(step.sram_bytes for step in last), "B"),
        }
        if any(step.failed_cells for step in last):
            row["failed cells"] = f"{statistics.fmean(step.failed_cells for step in last):,.0f}"
        if one.stream.until_failure is not None:
            row["ended"] = f"after {one.tasks_learned} tasks" if any(s.failed for s in one.seeds) else "not failed"
        return row

    def requests(self) -> list[dict[str, str]]:
        """What a request for a learned task costs, one dict per method; none where nothing was asked for."""
        lines = []
        for one in self.results:
            asked = [request for seed in one.seeds for request in seed.requests]
            if asked:
                lines.append(
                    {
                        "method": one.name,
                        "cells rewritten per request": f"{statistics.fmean(r.cells_rewritten for r in asked):,.0f}",
                        "energy to bring the task back": engineering(
                            statistics.fmean(r.switching_energy_J for r in asked), "J"
                        ),
                        one.stream.problem.scoring.name: f"{statistics.fmean(r.accuracy for r in asked):.3f}",
                    }
                )
        return lines

    def break_evens(self) -> list[str]:
        """For a method that programs a pool: when it has cost less than each one that programs for every task."""
        said = []
        for one in self.results:
            for other in self.results:
                if one.once <= other.once or not other.per_task > 0:
                    continue
                tasks = break_even(one, other)
                when = "never costs less" if tasks is None else f"costs less after {tasks:.1f} tasks"
                said.append(f"Programming: {one.name} {when} than {other.name}.")
        return said

    def notes(self) -> list[str]:
        """What the columns are."""
        seeds = {len(one.seeds) for one in self.results}
        counted = f"{min(seeds)} seed{'s' * (min(seeds) != 1)}"
        return [
            "Score: mean over the tasks, each right after it was learned; mean ± sample standard deviation over "
            f"{counted}. Of earlier tasks: the mean of all but the last, each with its own digital values and what is "
            "on the tiles at the end.",
            "Programming, once: pools and other frozen matrices. Energies, cells and wear: since the chip was made.",
            *self.break_evens(),
        ]

    def table(self) -> str:
        """The tables as aligned text for the terminal."""
        parts = [aligned(self.rows())]
        if self.requests():
            parts.append(aligned(self.requests()))
        notes = [SWITCH_NOTE, *self.notes()] if self.requests() else self.notes()
        return "\n\n".join(parts) + "\n" + "\n".join(part for note in notes for part in textwrap.wrap(note, 118))

    def records(self) -> list[StreamRecord]:
        """One flat record per method, seed and task."""
        return [record for one in self.results for record in one.records()]

    def html(self) -> str:
        """One page that needs no network and no script."""
        designs = {one.stream.hardware.name: one.stream.hardware for one in self.results}
        chips = [ChipSection(name, design, ()) for name, design in designs.items()]
        return page(
            "stream.html",
            rows=self.rows(),
            requests=self.requests(),
            request_note=SWITCH_NOTE,
            notes=self.notes(),
            problem=self.results[0].stream.problem.name,
            tasks=self._order(),
            figures=[drawn(draw, layout, caption, self.results, 0) for draw, layout, caption in FIGURES],
            chips=chips,
            references=self._references(chips),
            streams=[
                (one.name, one.stream.digest(), ", ".join(str(s.seed) for s in one.seeds)) for one in self.results
            ],
            specification=self._specification(),
        )

    def _order(self) -> list[tuple[str, str]]:
        problem = self.results[0].stream.problem
        return [(name, problem.task(name).kind) for name in self.results[0].stream.tasks]

    def _references(self, chips: Sequence[ChipSection]) -> list[Work]:
        keys = {key for one in self.results for key in (*one.stream.method.papers, *one.stream.problem.papers)}
        return works_behind([chip.hardware for chip in chips], keys)

    def _specification(self) -> str:
        streams = [one.stream.model_dump(mode="json") for one in self.results]
        return json.dumps({"streams": streams}, indent=1, allow_nan=False)

    def save(self, path: str | Path) -> Path:
        """Write the page to `path`, whole or not at all; returns the path."""
        path = Path(path)
        write_text(path, self.html())
        return path

    def save_figures(self, folder: str | Path) -> list[Path]:
        """Write every figure as SVG and as PDF into `folder`, named after its function."""
        return [
            save(Path(folder) / f"{draw.__name__}{ending}", draw(self.results))
            for draw, _, _ in FIGURES
            for ending in (".svg", ".pdf")
        ]

    def __str__(self) -> str:
        return self.table()
