"""The course of an exploration: propose, count, simulate rung by rung; what is on disk is never done again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.experiments.claim import claim, sweep
from benchmarks.experiments.storage import INTERRUPTED, RUNS
from benchmarks.explore.designs import content_digest
from benchmarks.explore.engines import Engine, Local
from benchmarks.explore.evaluation import Evaluation
from benchmarks.explore.exploration import FILE, Exploration
from benchmarks.explore.findings import Design, Findings
from benchmarks.explore.fronts import Numbers
from benchmarks.explore.ladder import Off, kept, measured, spread_of
from benchmarks.explore.objectives import COUNTED
from benchmarks.explore.samplers import LEARNING, Proposal, Told, propose
from benchmarks.explore.surrogate import Candidates, coordinates_of
from benchmarks.record import read_json_object
from crossbar_sim import CrossbarError, SpecError
from crossbar_sim.runtime.files import check_folder, write_json, write_text
from crossbar_sim.runtime.interrupts import interrupts_say
from crossbar_sim.spec.errors import FileError

BATCHES = "batches"
BARREN = 20
"""Batches without a new design, after which a sampler has nothing more to propose."""
UNSURE = 0.05
"""A design is on the front for sure, or not at all, within this much of 1 and 0."""
BLOCK = 2
"""Further seeds that a design gets at a time."""


@interrupts_say(INTERRUPTED)
def explore(
    exploration: Exploration,
    *,
    engine: Engine | None = None,
    workers: int = 2,
    runs: str | Path = RUNS,
    progress: bool = True,
) -> Findings:
    """Evaluate the designs of an exploration, whatever of it is on disk already.

    Neither the engine nor the number of its workers, nor kills, change what is proposed or found. Raises CrossbarError
    for a folder that cannot be written, and where every design is refused.
    """
    check_folder(Path(runs))
    if engine is not None:
        return Course(exploration, engine, Path(runs), progress).run()
    with Local(workers) as local:
        return Course(exploration, local, Path(runs), progress).run()


@dataclass
class Course:
    """One exploration under way; engine: None: nothing is proposed or made, what is on disk is put together."""

    exploration: Exploration
    engine: Engine | None
    runs: Path
    progress: bool = True
    designs: list[Design] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    off: dict[int, Off] = field(default_factory=dict)
    chosen: list[int] = field(default_factory=list)
    """Numbers of the designs that were chosen to be simulated, in turn, where not all of them are."""

    def __post_init__(self) -> None:
        self.work = Evaluation(self.exploration, self.engine, self.runs, self.progress)

    def run(self) -> Findings:
        """From the first proposal to the front."""
        if self.engine is not None:
            write_text(self.exploration.folder(self.runs) / FILE, self.exploration.to_toml())
        self.search()
        if self.exploration.simulates:
            self.climb()
            if not self.work.missing:
                self.settle()
        if self.engine is not None:
            own = self.exploration.folder(self.runs)
            for folder in {*self.work.folders, own, own / BATCHES}:
                sweep(folder)  # what killed processes left
        return self.findings()

    def findings(self) -> Findings:
        """What is known now."""
        return Findings(
            self.exploration, tuple(self.designs), dict(self.off), dict(self.work.spent), tuple(self.chosen)
        )

    # ---- proposals

    def search(self) -> None:
        """Propose and evaluate until there are as many designs as were asked for, or no more are proposed."""
        search, learning = self.exploration.search, self.exploration.sampler in LEARNING
        seen: set[tuple[str, ...]] = set()
        points: set[str] = set()
        fresh: list[Design] = []
        number = barren = 0
        while len(self.designs) < search.designs and barren < BARREN:
            if learning and self.work.missing:
                break  # what comes next depends on what nobody has made yet
            proposals = self.batch(number)
            if not proposals:
                break
            new: list[tuple[Proposal, Design]] = []
            for proposal in proposals:
                if (point := repr(proposal.point)) in points:
                    continue
                points.add(point)
                design = self.designed(proposal)
                key = design.digests or (f"refused {design.point}",)
                if len(self.designs) < search.designs and key not in seen:
                    seen.add(key)
                    self.designs.append(design)
                    fresh.append(design)
                    new.append((proposal, design))
            barren = 0 if new else barren + 1
            number += 1
            if learning:
                self.evaluate(fresh)
                fresh = []
                self.told += [self.tell(proposal, design) for proposal, design in new]
        self.evaluate(fresh)
        if self.designs and not any(one.alive for one in self.designs):
            first = next(one for one in self.designs if one.reason is not None)
            raise SpecError(
                f"{self.exploration.name}: every design is refused or infeasible, the first because {first.reason}"
            )

    def batch(self, number: int) -> list[Proposal]:
        """The proposals of one batch, from their file if they were made before."""

        def made() -> list[Any]:
            found = self.proposed(number)
            return [{"point": one.point, "asked": dict(one.asked), "attributes": dict(one.attributes)} for one in found]

        return [Proposal(**one) for one in self.kept_batch(f"{number:05}", "proposals", made)]

    def kept_batch(self, name: str, what: str, make: Callable[[], list[Any]]) -> list[Any]:
        """What was decided once, from its file; where nothing is made, nothing until then."""
        path = self.exploration.folder(self.runs) / BATCHES / f"{name}.json"
        if not path.exists():
            if self.engine is None:
                return []
            with claim(path, wait=True):
                if not path.exists():
                    write_json(path, {what: make()})
        return list(read_json_object(path)[what])

    def proposed(self, number: int) -> list[Proposal]:
        """The proposals of one batch, made anew."""
        one, search = self.exploration, self.exploration.search
        return propose(one.sampler, one.space, number, search.batch, search.seed, self.told, len(one.objectives))

    def designed(self, proposal: Proposal) -> Design:
        """The design of a proposal; one that cannot be is refused."""
        design = Design(len(self.designs), proposal.point)
        try:
            design.experiments = self.exploration.experiments(proposal.point)
            design.digests = tuple(map(content_digest, design.experiments))
        except FileError:
            raise
        except CrossbarError as error:
            design.fail("refused", str(error))
        return design

    def tell(self, proposal: Proposal, design: Design) -> Told:
        """What the sampler hears of a design: numbers that are all to be small, and how far it is outside."""
        excess = self.work.excess(design)
        if design.state in ("refused", "failed"):
            return Told(proposal.asked, proposal.attributes, None, excess)
        values: list[float] = []
        for name in self.exploration.objectives:
            value = design.count_of(name) if name in COUNTED else self.simulated_mean(design, name)
            if value is None:  # nobody simulates what is outside the bounds: as bad as the worst so far
                place = len(values)
                values.append(max((one.values[place] for one in self.told if one.values is not None), default=0.0))
            else:
                values.append(self.exploration.small(name, value))
        return Told(proposal.asked, proposal.attributes, tuple(values), excess)

    def simulated_mean(self, design: Design, name: str) -> float | None:
        """Of a design on the first rung."""
        return None if 0 not in design.seeds else float(np.mean(design.samples(name, 0, False)))

    # ---- evaluation

    def evaluate(self, designs: Sequence[Design]) -> None:
        """Count them, check what counting knows, and simulate on the first rung what is left, or is chosen of it."""
        self.work.count([one for one in designs if one.alive])
        if not self.exploration.simulates:
            for one in designs:
                if one.alive and one.number not in self.work.missing:
                    one.state = "evaluated"
        elif self.exploration.search.simulations is None:
            self.work.simulate([one for one in designs if one.alive], 0)
        else:
            self.choose([one for one in designs if one.alive])

    # ---- what is simulated where all are counted

    def choose(self, designs: Sequence[Design]) -> None:
        """Simulate the designs by which the front is expected to gain most, batch by batch, on the first rung."""
        most, number = self.exploration.search.simulations or 0, 0
        while len(self.chosen) < most and not self.work.missing:
            fresh = [self.designs[place] for place in self.chosen_batch(number, designs)]
            if not fresh:
                break
            fresh = fresh[: most - len(self.chosen)]
            self.chosen += [one.number for one in fresh]
            self.work.simulate(fresh, 0)
            number += 1
        for one in designs:
            if one.alive and one.number not in self.chosen and not self.work.missing:
                one.state = "counted"

    def chosen_batch(self, number: int, designs: Sequence[Design]) -> list[int]:
        """Numbers of the designs of one batch, from its file if they were chosen before."""
        return list(self.kept_batch(f"chosen-{number:05}", "designs", lambda: self.best(number, designs)))

    def best(self, number: int, designs: Sequence[Design]) -> list[int]:
        """The designs of one batch, chosen anew; the first batch is twice as many as numbers are varied."""
        search, space = self.exploration.search, self.exploration.space
        size = search.batch if number else 2 * len(space.free)
        left = [one for one in designs if one.number not in self.chosen or (one.alive and 0 in one.seeds)]
        known = [place for place, one in enumerate(left) if 0 in one.seeds]
        simulated = dict(zip(known, self.means([left[place] for place in known], 0, False), strict=True))
        points = coordinates_of(space, [one.point for one in left])
        found = Candidates(points, self.counts(left), simulated).best(size, search.seed)
        return [left[place].number for place in found]

    def first_design(self) -> Design:
        """The first of the first batch that can be, as it would be proposed."""
        for proposal in self.proposed(0):
            design = self.designed(proposal)
            if design.alive:
                return design
        raise SpecError(f"{self.exploration.name}: every design of the first batch is refused: {design.reason}")

    # ---- the ladder

    def climb(self) -> None:
        """From rung to rung, dropping what others clearly beat; the pilot goes all the way."""
        last = len(self.exploration.rungs) - 1
        drawn = sorted(self.on_rung(self.designs, 0), key=lambda one: one.digests)  # by chance, and always the same
        pilot = drawn[: self.exploration.pilot] if last else []
        for rung in range(1, last + 1):
            self.work.simulate([one for one in pilot if one.alive], rung)
        pilot = self.on_rung(pilot, last)
        climbing = self.on_rung(self.designs, 0)
        for rung in range(last):
            climbing = self.keep(climbing, pilot, rung)
            self.work.simulate([one for one in climbing if rung + 1 not in one.seeds], rung + 1)
            climbing = self.on_rung(climbing, rung + 1)
        for one in self.on_rung(self.designs, last):
            one.state = "evaluated"
            self.check_simulated(one)

    @staticmethod
    def on_rung(designs: Sequence[Design], rung: int) -> list[Design]:
        """Those that may go on and were simulated on this rung."""
        return [one for one in designs if one.alive and rung in one.seeds]

    def keep(self, climbing: Sequence[Design], pilot: Sequence[Design], rung: int) -> list[Design]:
        """Those that go up from a rung; the others are dropped, but for the pilot."""
        if not self.exploration.simulated or not climbing:
            return list(climbing)
        counted, simulated = self.counts(climbing), self.means(climbing, rung, False)
        spread = spread_of(self.means(pilot, rung, False) if len(pilot) > 2 else simulated)
        tolerance = self.exploration.rungs[rung].tolerance
        if pilot:
            full = self.means(pilot, len(self.exploration.rungs) - 1, True)
            self.off[rung] = measured(self.counts(pilot), self.means(pilot, rung, False), full, spread)
            if tolerance is None:
                tolerance = self.off[rung].tolerance
        flags = kept(counted, simulated, tolerance or 0.0, spread)
        for one, stays in zip(climbing, flags, strict=True):
            if not stays and one not in pilot:
                one.fail("dropped", f"another design costs no more and is clearly better on rung {rung}")
        return [one for one, stays in zip(climbing, flags, strict=True) if stays or one in pilot]

    def counts(self, designs: Sequence[Design]) -> Numbers:
        """(designs, counted objectives), all to be small."""
        names, small = self.exploration.counted, self.exploration.small
        rows = [[small(name, float(one.count_of(name) or 0.0)) for name in names] for one in designs]
        return np.array(rows).reshape(len(designs), len(names))

    def means(self, designs: Sequence[Design], rung: int, whole: bool) -> Numbers:
        """(designs, simulated objectives) on a rung, all to be small."""
        names, small = self.exploration.simulated, self.exploration.small
        rows = [[small(name, float(np.mean(one.samples(name, rung, whole)))) for name in names] for one in designs]
        return np.array(rows).reshape(len(designs), len(names))

    def check_simulated(self, design: Design) -> None:
        """A design outside the bounds of what is simulated is infeasible."""
        last = len(self.exploration.rungs) - 1
        for name, bound in self.exploration.constraints.items():
            if name not in COUNTED:
                value = float(np.mean(design.samples(name, last, True)))
                if bound.excess(name, value) > 0:
                    design.fail("infeasible", f"{name} is {value:.4g}, wanted {bound}")

    def settle(self) -> None:
        """Further seeds for designs of which it is unsure whether they are on the front."""
        last, tasks = len(self.exploration.rungs) - 1, len(self.exploration.tasks)
        left = self.exploration.more_seeds
        while left >= BLOCK * tasks:
            chances = self.findings().probability
            unsure = [number for number, chance in chances.items() if UNSURE < chance < 1 - UNSURE]
            if not unsure:
                return
            unsure.sort(key=lambda number: (abs(chances[number] - 0.5), number))
            chosen = [self.designs[number] for number in unsure[: left // (BLOCK * tasks)]]
            further = {}
            for design in chosen:
                first = max(*self.exploration.seeds, *design.seeds[last]) + 1
                further[design.number] = tuple(range(first, first + BLOCK))
            self.work.simulate(chosen, last, further)
            left -= BLOCK * tasks * len(chosen)
