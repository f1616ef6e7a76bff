"""How much of the front a search finds, and at which share of the cost of evaluating everything in full."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.experiments.storage import RUNS
from benchmarks.explore.course import explore
from benchmarks.explore.exploration import Exploration, Rung, Search
from benchmarks.explore.findings import Findings as Explored
from benchmarks.explore.fronts import Numbers, hypervolume, on_scales
from benchmarks.explore.samplers import Sampler
from benchmarks.explore.suites import load_exploration
from benchmarks.record import Record
from benchmarks.studies.base import Findings, Study
from crossbar_sim import SpecError

IN_FULL: tuple[Sampler, ...] = ("nsga2", "random")
"""Searches that simulate all they propose to the end, at the cost of choosing among all that are counted."""
BATCH = 16
"""Designs that a search proposes together."""
Way = Literal["chosen", "ladder", "in full"]
"""Which designs are simulated to the end: chosen among all, which are counted; those that climb rungs; or each."""


class LadderRecord(Record):
    """One way to search, over its seeds."""

    search: str
    """Its sampler."""
    way: Way
    """Which designs are simulated to the end."""
    designs: float
    """Proposed, mean over seeds."""
    evaluated: float
    """To the end, mean over seeds."""
    cost_share: float
    """Processor time over that of evaluating the whole space in full, mean over seeds."""
    hypervolume_share: float
    """Covered, over what the front of the whole space covers, mean over seeds."""
    hypervolume_share_least: float
    """The worst seed."""
    front_share: float
    """Of the designs on the front of the whole space that it has on its own front, mean over seeds."""
    seeds: int
    """Of the search."""


class LadderFindings(Findings[LadderRecord]):
    """One record per way to search."""

    def __str__(self) -> str:
        lines = [f"{'search':<24}{'designs':>9}{'in full':>9}{'cost':>8}{'volume':>9}{'worst':>8}{'front found':>13}"]
        lines += [
            f"{r.search + ', ' + r.way:<24}{r.designs:>9.0f}{r.evaluated:>9.0f}"
            f"{r.cost_share:>8.1%}{r.hypervolume_share:>9.1%}{r.hypervolume_share_least:>8.1%}{r.front_share:>13.1%}"
            for r in self.records
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class ExplorationLadder(Study):
    """How much of a front a search finds, at which share of the cost of evaluating everything in full."""

    suite: str = "adc_and_array"
    """An exploration file whose space has an end, or the name of one that ships."""
    simulations: tuple[int, ...] = (22, 36)
    """Designs that are chosen to be simulated; each number is a line of its own."""
    designs: tuple[int, ...] = (60, 120)
    """Proposed to the ladder; each number is a line of its own."""
    steps: int = 10
    """Of the first rung of the ladder."""
    pilot: int = 12
    """Designs that measure how far its rungs are off."""
    samplers: tuple[str, ...] = ("tpe", "sobol")
    """Of the searches with a ladder."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the searches."""
    workers: int = 2
    """Processes that simulate side by side."""
    runs: Path = RUNS
    """Where results are kept."""

    def run(self) -> LadderFindings:
        """Evaluate the whole space once; every search then finds its runs on disk, or makes them."""
        asked = load_exploration(self.suite)
        size = asked.space.size
        if size is None:
            raise SpecError(f"{asked.name}: the space has no end, so that nobody can evaluate it in full")
        whole = self._explored(_in_full(asked, size, "grid", 0))
        records: list[LadderRecord] = []
        for simulations in self.simulations if asked.simulates else ():
            found = [self._explored(_choosing(asked, size, simulations, seed)) for seed in self.seeds]
            records.append(_record(found, whole, "grid", "chosen"))
        chosen = len(records)
        for sampler in self.samplers:
            for designs in self.designs:
                found = [self._explored(self._climbing(asked, designs, sampler, seed)) for seed in self.seeds]
                records.append(_record(found, whole, sampler, "ladder"))
        costs = [one.cost_share for one in (records[:chosen] or records)]
        for sampler in IN_FULL:
            for share in sorted(set(costs)):
                designs = max(round(share * size), 2)
                found = [self._explored(_in_full(asked, designs, sampler, seed)) for seed in self.seeds]
                records.append(_record(found, whole, sampler, "in full"))
        return LadderFindings(tuple(records))

    def _explored(self, exploration: Exploration) -> Explored:
        return explore(exploration, workers=self.workers, runs=self.runs)

    def _climbing(self, asked: Exploration, designs: int, sampler: str, seed: int) -> Exploration:
        """Few steps of one seed, all steps of one, and of all."""
        search = Search(**{"designs": designs, "sampler": sampler, "seed": seed, "batch": min(BATCH, designs)})
        rungs = (Rung(steps=self.steps, seeds=1), Rung(seeds=1), Rung())
        return asked.replace(search=search, rungs=rungs, pilot=self.pilot, more_seeds=0)


def _in_full(asked: Exploration, designs: int, sampler: str, seed: int) -> Exploration:
    """Every proposed design evaluated in full."""
    search = Search(**{"designs": designs, "sampler": sampler, "seed": seed, "batch": min(BATCH, designs)})
    return asked.replace(search=search, rungs=(Rung(),), pilot=0, more_seeds=0)


def _choosing(asked: Exploration, size: int, simulations: int, seed: int) -> Exploration:
    """Every design counted, and some of them evaluated in full."""
    search = Search(**{"designs": size, "simulations": min(simulations, size), "seed": seed, "batch": 4})
    return asked.replace(search=search, rungs=(Rung(),), pilot=0, more_seeds=0)


def _record(found: list[Explored], whole: Explored, search: str, way: Way) -> LadderRecord:
    best = {tuple(one.digests) for one in whole.front}
    covered = list(_covered(found, whole))
    return LadderRecord(
        search=search,
        way=way,
        designs=statistics.fmean(len(one.designs) for one in found),
        evaluated=statistics.fmean(len(one.evaluated) for one in found),
        cost_share=statistics.fmean(cost_of(one) for one in found) / cost_of(whole),
        hypervolume_share=statistics.fmean(covered),
        hypervolume_share_least=min(covered),
        front_share=statistics.fmean(
            len(best & {tuple(design.digests) for design in one.front}) / len(best) for one in found
        ),
        seeds=len(found),
    )


def cost_of(findings: Explored) -> float:
    """Processor seconds of counting and of every run, each once."""
    return sum(one.processor_s for one in findings.designs)


def _covered(found: list[Explored], whole: Explored) -> Iterator[float]:
    """Hypervolume of the evaluated designs over that of the whole space, in the box of the whole space."""
    values = on_scales(whole.means)
    best, worst = values.min(axis=0), values.max(axis=0)
    width = np.where(worst > best, worst - best, 1.0)
    reference = np.full(values.shape[1], 1.0 + 1e-9)

    def volume(means: Numbers) -> float:
        return hypervolume((on_scales(means) - best) / width, reference)

    for one in found:
        yield volume(one.means) / volume(whole.means)
