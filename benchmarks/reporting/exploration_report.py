"""ExplorationReport: what an exploration found, as a table, figures, a page, and records."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.explore.findings import Design, DesignRecord, Findings
from benchmarks.explore.importance import importances
from benchmarks.explore.space import said, table_of
from benchmarks.reporting.figures import exploration as figures
from benchmarks.reporting.figures.exploration import shown, words_of
from benchmarks.reporting.figures.save import save
from benchmarks.reporting.page import page
from benchmarks.reporting.sections import ChipSection, drawn, works_behind
from benchmarks.reporting.text_table import aligned
from crossbar_sim.runtime.files import write_text
from peft_methods.methods import find_method

NAMES = ("random search",)
FIGURES: tuple[tuple[Callable[[Sequence[Findings]], Figure], str, str], ...] = (
    (
        lambda one: figures.front_figure(one[0]),
        "wide",
        "Every design of which both numbers are known. Evaluated designs with standard errors over their seeds; "
        "numbers name the members of the front, with how often each is on it if the seeds are drawn anew, where that "
        "is not sure. Dropped designs are shown as the last rung saw them: after few steps, on validation samples.",
    ),
    (
        lambda one: figures.hypervolume_figure(one[0], dict(zip(NAMES, one[1:], strict=False))),
        "wide",
        "How much of the box between the best and the worst evaluated values the evaluated designs cover, as they were "
        "proposed. Energies, times and areas count on a logarithmic scale.",
    ),
    (
        lambda one: figures.parallel_figure(one[0]),
        "wide",
        "A line is a design, through its parameters and its objectives; the front in colour.",
    ),
    (
        lambda one: figures.importance_figure(one[0]),
        "wide",
        "How much of what makes a design good in an objective each parameter decides (PED-ANOVA over all designs that "
        "were counted, or simulated on the first rung).",
    ),
    (
        lambda one: figures.slices_figure(one[0]),
        "wide",
        "Every objective over every parameter, the other parameters as they come; the front in colour.",
    ),
)
LADDER_NOTE = (
    "Tolerance: a design is dropped if another costs no more and is better in everything that is simulated by more "
    "than so many standard deviations of the pilot's designs. The pilot's designs are simulated on all rungs: 'lost at "
    "0' says how many of their front a rung would drop without a tolerance, 'lost, left out' how many it would drop at "
    "the tolerance that the rest of their front asks for."
)


class ExplorationReport:
    """One exploration; against: another search of the same space, drawn beside it."""

    def __init__(self, findings: Findings, against: Findings | None = None) -> None:
        self.findings = findings
        self.against = against

    def rows(self) -> list[dict[str, str]]:
        """The front, one dict of texts per design."""
        return [self._row(one) for one in self.findings.front]

    def _row(self, one: Design) -> dict[str, str]:
        found = self.findings
        row = {"design": str(one.number), **{path: said(value) for path, value in one.point.items()}}
        for name in found.names:
            estimate = found.estimate(one, name)
            if estimate is not None:
                error = f" ± {estimate.se:.2g}" if estimate.se else ""
                row[words_of(name)] = shown(name, estimate.mean) + error
        chance = found.probability.get(one.number)
        row["on the front"] = "" if chance is None else f"{chance:.0%}"
        return row

    def space(self) -> list[dict[str, str]]:
        """What was varied."""
        return [
            {"parameter": path, "values": f"as {one}" if isinstance(one, str) else _values(table_of(one))}
            for path, one in self.findings.exploration.vary.items()
        ]

    def ladder(self) -> list[dict[str, str]]:
        """How many designs each rung simulated and kept."""
        return [
            {
                "rung": str(place),
                "steps": "all" if rung.steps is None else str(rung.steps),
                "seeds": str(rung.seeds),
                "designs": str(rung.designs),
                "kept": str(rung.kept),
                "tolerance": "" if rung.tolerance is None else f"{rung.tolerance:.2f}",
                "front of the pilot": "" if rung.pilot_front is None else str(rung.pilot_front),
                "lost at 0": "" if rung.pilot_front is None else str(rung.pilot_lost_without_tolerance),
                "lost, left out": "" if rung.pilot_front is None else str(rung.pilot_lost_left_out),
                "processor time": f"{rung.processor_s / 60:.1f} min",
            }
            for place, rung in enumerate(self.findings.rungs())
        ]

    def notes(self) -> list[str]:
        """What happened to the designs, what decides, what the columns are."""
        found, said_of = self.findings, []
        states = [one.state for one in found.designs]
        counts = {state: states.count(state) for state in dict.fromkeys(states)}
        size = found.exploration.space.size
        said_of.append(
            f"{len(states)} designs of {'a space without end' if size is None else f'{size:,}'}, proposed by "
            f"{found.exploration.sampler}: "
            + ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
            + f"; {len(found.front)} on the front, which covers {found.hypervolumes[-1]:.1%} of the box between the "
            f"best and the worst values; {sum(one.processor_s for one in found.designs) / 60:.1f} minutes of processor "
            "time."
        )
        for name in found.exploration.objectives:
            shares = importances(found, name)
            if shares:
                most = [f"{path} {share:.0%}" for path, share in list(shares.items())[:3] if share >= 0.01]
                said_of.append(f"What decides the {words_of(name)}: {', '.join(most)}.")
        said_of.append(
            "Mean ± standard error over seeds; what has none was counted. On the front: how often, if the seeds are "
            "drawn anew."
        )
        return said_of

    def table(self) -> str:
        """The front and the ladder as aligned text for the terminal."""
        parts = [aligned(self.rows())] if self.rows() else ["no design came to the end inside the constraints"]
        if self.ladder():
            parts.append(aligned(self.ladder()))
        return "\n\n".join(parts) + "\n" + "\n".join(part for note in self.notes() for part in textwrap.wrap(note, 118))

    def records(self) -> list[DesignRecord]:
        """One record per design."""
        return list(self.findings.record().designs)

    def html(self) -> str:
        """One page that needs no network and no script."""
        exploration = self.findings.exploration
        chips = [ChipSection(exploration.hardware.name, exploration.hardware, ())]
        several = [self.findings] if self.against is None else [self.findings, self.against]
        return page(
            "exploration.html",
            name=exploration.name,
            designs=len(self.findings.designs),
            hardware=exploration.hardware.name,
            method=exploration.method.display_name,
            tasks=exploration.tasks,
            problem=exploration.problem.name,
            front=self.rows(),
            notes=self.notes(),
            figures=[
                drawn(draw, layout, caption, several, place) for place, (draw, layout, caption) in enumerate(FIGURES)
            ],
            space=self.space(),
            ladder=self.ladder(),
            ladder_note=LADDER_NOTE,
            all_designs=[
                {**self._row(one), "state": one.state, "reason": one.reason or ""} for one in self.findings.designs
            ],
            chips=chips,
            references=works_behind(
                [exploration.hardware],
                {*find_method(exploration.method.name).papers, *exploration.problem.papers},
            ),
            specification=exploration.to_toml(),
        )

    def save(self, path: str | Path) -> Path:
        """Write the page to `path`, whole or not at all; returns the path."""
        path = Path(path)
        write_text(path, self.html())
        return path

    def save_figures(self, folder: str | Path) -> list[Path]:
        """Write every figure as SVG and as PDF into `folder`, named after what it shows."""
        several = [self.findings] if self.against is None else [self.findings, self.against]
        return [
            save(Path(folder) / f"{figure.get_label()}{ending}", figure)
            for draw, _, _ in FIGURES
            for figure in (draw(several),)
            for ending in (".svg", ".pdf")
        ]

    def __str__(self) -> str:
        return self.table()


def _values(table: object) -> str:
    """A parameter's table in words."""
    if not isinstance(table, Mapping):
        return str(table)
    listed = "values" in table
    text = ", ".join(map(said, table["values"])) if listed else f"{table['from']} to {table['to']}"
    marks = [
        *(["times what the base states"] if table.get("times") else []),
        *(["on a logarithmic scale"] if table.get("log") else []),
        *([str(table["unit"])] if table.get("unit") else []),
        *(
            [f"where {', '.join(f'{path} is {value}' for path, value in table['when'].items())}"]
            if table.get("when")
            else []
        ),
    ]
    return ", ".join([text, *marks])
