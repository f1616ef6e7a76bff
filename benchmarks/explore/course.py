"""The course of an exploration: propose, count, simulate rung by rung; what is on disk is never done again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import methodcaller
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.experiments.claim import claim, sweep
from benchmarks.experiments.storage import INTERRUPTED, RUNS
from benchmarks.explore.counting import OF_THE_CHIP, CountTask
from benchmarks.explore.designs import content_digest
from benchmarks.explore.engines import LOST, Engine, Local
from benchmarks.explore.exploration import FILE, Exploration
from benchmarks.explore.findings import Design, Findings
from benchmarks.explore.fronts import Numbers
from benchmarks.explore.ladder import Off, kept, measured, spread_of
from benchmarks.explore.objectives import COUNTED
from benchmarks.explore.samplers import LEARNING, Proposal, Told, propose
from benchmarks.explore.simulating import DesignSeed, Runs, RunTask
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
    spent: dict[int, float] = field(default_factory=dict)
    missing: set[int] = field(default_factory=set)
    """Numbers of designs of which something is not on disk, where nothing is made."""
    paid: set[tuple[str, int | None, int]] = field(default_factory=set)
    """Runs whose time is counted: digest, steps, seed."""
    folders: set[Path] = field(default_factory=set)
    """Of everything that was asked for."""

    def run(self) -> Findings:
        """From the first proposal to the front."""
        if self.engine is not None:
            write_text(self.exploration.folder(self.runs) / FILE, self.exploration.to_toml())
        self.search()
        if self.exploration.simulates:
            self.climb()
            if not self.missing:
                self.settle()
        if self.engine is not None:
            own = self.exploration.folder(self.runs)
            for folder in {*self.folders, own, own / BATCHES}:
                sweep(folder)  # what killed processes left
        return self.findings()

    def findings(self) -> Findings:
        """What is known now."""
        return Findings(self.exploration, tuple(self.designs), dict(self.off), dict(self.spent))

    # ---- proposals

    def search(self) -> None:
        """Propose and evaluate until there are as many designs as were asked for, or no more are proposed."""
        search, learning = self.exploration.search, self.exploration.sampler in LEARNING
        seen: set[tuple[str, ...]] = set()
        points: set[str] = set()
        fresh: list[Design] = []
        number = barren = 0
        while len(self.designs) < search.designs and barren < BARREN:
            if learning and self.missing:
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
        path = self.exploration.folder(self.runs) / BATCHES / f"{number:05}.json"
        if not path.exists() and self.engine is None:
            return []
        if not path.exists():
            with claim(path, wait=True):
                if not path.exists():
                    found = self.proposed(number)
                    content = [
                        {"point": one.point, "asked": dict(one.asked), "attributes": dict(one.attributes)}
                        for one in found
                    ]
                    write_json(path, {"proposals": content})
        return [Proposal(**one) for one in read_json_object(path)["proposals"]]

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
        excess = self.excess(design)
        if design.state in ("refused", "failed"):
            return Told(proposal.asked, proposal.attributes, None, excess)
        values: list[float] = []
        for name, goal in self.exploration.objectives.items():
            value = design.count_of(name) if name in COUNTED else self.simulated_mean(design, name)
            if value is None:  # nobody simulates what is outside the bounds: as bad as the worst so far
                place = len(values)
                values.append(max((one.values[place] for one in self.told if one.values is not None), default=0.0))
            else:
                values.append(value if goal == "min" else -value)
        return Told(proposal.asked, proposal.attributes, tuple(values), excess)

    def simulated_mean(self, design: Design, name: str) -> float | None:
        """Of a design on the first rung."""
        return None if 0 not in design.seeds else float(np.mean(design.samples(name, 0, False)))

    def excess(self, design: Design) -> dict[str, float]:
        """By how much each constraint that counting knows is violated."""
        return {
            name: bound.excess(name, value)
            for name, bound in self.exploration.constraints.items()
            if name in COUNTED and (value := design.count_of(name)) is not None
        }

    # ---- evaluation

    def evaluate(self, designs: Sequence[Design]) -> None:
        """Count them, check what counting knows, and simulate on the first rung what is left."""
        self.count([one for one in designs if one.alive])
        for one in designs:
            if one.alive and one.number not in self.missing:
                self.check_counted(one)
        if self.exploration.simulates:
            self.simulate([one for one in designs if one.alive], 0)
        else:
            for one in designs:
                if one.alive and one.number not in self.missing:
                    one.state = "evaluated"

    def check_counted(self, design: Design) -> None:
        """Refuse a design that does not state an objective; one outside its bounds is infeasible."""
        for name in (*self.exploration.counted, *self.exploration.constraints):
            if name in COUNTED and design.count_of(name) is None:
                design.fail("refused", f"the design states nothing that {name} could be counted from")
                return
        for name, excess in self.excess(design).items():
            if excess > 0:
                bound = self.exploration.constraints[name]
                design.fail("infeasible", f"{name} is {design.count_of(name):.4g}, wanted {bound}")
                return

    def count(self, designs: Sequence[Design]) -> None:
        """The bill of designs by counting."""
        tasks = [self.count_task(one) for one in designs]
        for design, found in zip(designs, self.done(tasks, "counting"), strict=True):
            if found is LOST or found is None:
                self.miss(design, found)
                continue
            design.counting_s += found.processor_s
            if found.counted is None:
                design.fail("refused", found.refused)
            else:
                design.counted = found.counted

    def count_task(self, design: Design) -> CountTask:
        """Counting it: the whole bill, unless the datasheet of the chip says all that is asked for."""
        asked = {*self.exploration.objectives, *self.exploration.constraints}
        return CountTask(design.experiments[0], design.digests[0], asked <= OF_THE_CHIP, self.runs)

    def first_design(self) -> Design:
        """The first of the first batch that can be, as it would be proposed."""
        for proposal in self.proposed(0):
            design = self.designed(proposal)
            if design.alive:
                return design
        raise SpecError(f"{self.exploration.name}: every design of the first batch is refused: {design.reason}")

    def simulate(
        self, designs: Sequence[Design], rung: int, further: Mapping[int, tuple[int, ...]] | None = None
    ) -> None:
        """Runs of designs on a rung; further: seeds of a design, by its number, instead of those of the rung."""
        which = self.exploration.rungs[rung]
        usual = self.exploration.seeds[: which.seeds]
        owners: list[Design] = []
        tasks: list[RunTask] = []
        for design in designs:
            seeds = (further or {}).get(design.number, usual)
            for experiment, digest in zip(design.experiments, design.digests, strict=True):
                tasks += [RunTask(Runs(experiment, digest, which.steps, seeds), seed, self.runs) for seed in seeds]
            owners += [design] * (len(tasks) - len(owners))
        found: dict[int, dict[int, list[DesignSeed]]] = {one.number: {} for one in designs}
        label = "simulating" if which.steps is None else f"simulating {which.steps} steps"
        for design, task, record in zip(owners, tasks, self.done(tasks, label), strict=True):
            if record is LOST or record is None:
                self.miss(design, record)
                continue
            if (key := (task.design.digest, which.steps, task.seed)) not in self.paid:
                self.paid.add(key)
                design.simulating_s += record.processor_s
                self.spent[rung] = self.spent.get(rung, 0.0) + record.processor_s
            if record.run is None:
                design.fail("refused", record.refused)
            else:
                found[design.number].setdefault(task.seed, []).append(record)
        for design in designs:
            if design.alive and design.number not in self.missing:
                known = dict(design.seeds.get(rung, {})) | found[design.number]
                design.seeds[rung] = {seed: known[seed] for seed in sorted(known)}
                design.rung = rung

    def miss(self, design: Design, why: str | None) -> None:
        """A record is not there: its worker died, or nobody has made it yet."""
        if why is None:
            self.missing.add(design.number)
        else:
            design.fail("failed", why)

    def done(self, tasks: Sequence[Any], label: str) -> list[Any]:
        """The records of tasks, in their order: from disk, else made; LOST for workers that died, None where nothing is
        to be made."""
        self.folders.update(task.folder for task in tasks)
        found: list[Any] = [task.stored() for task in tasks]
        left = [place for place, record in enumerate(found) if record is None]
        if left and self.engine is not None:
            with tqdm(total=len(left), desc=label, unit="run", disable=not self.progress) as shown:
                for number, record in self.engine.run(methodcaller("make"), [(tasks[place],) for place in left]):
                    found[left[number]] = LOST if record is None else record
                    shown.update()
        return found

    # ---- the ladder

    def climb(self) -> None:
        """From rung to rung, dropping what others clearly beat; the pilot goes all the way."""
        last = len(self.exploration.rungs) - 1
        drawn = sorted(self.on_rung(self.designs, 0), key=lambda one: one.digests)  # by chance, and always the same
        pilot = drawn[: self.exploration.pilot] if last else []
        for rung in range(1, last + 1):
            self.simulate([one for one in pilot if one.alive], rung)
        pilot = self.on_rung(pilot, last)
        climbing = self.on_rung(self.designs, 0)
        for rung in range(last):
            climbing = self.keep(climbing, pilot, rung)
            self.simulate([one for one in climbing if rung + 1 not in one.seeds], rung + 1)
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
        goals = self.exploration.objectives
        rows = [
            [
                (1 if goals[name] == "min" else -1) * float(one.count_of(name) or 0.0)
                for name in self.exploration.counted
            ]
            for one in designs
        ]
        return np.array(rows).reshape(len(designs), len(self.exploration.counted))

    def means(self, designs: Sequence[Design], rung: int, whole: bool) -> Numbers:
        """(designs, simulated objectives) on a rung, all to be small."""
        goals = self.exploration.objectives
        rows = [
            [
                (1 if goals[name] == "min" else -1) * float(np.mean(one.samples(name, rung, whole)))
                for name in self.exploration.simulated
            ]
            for one in designs
        ]
        return np.array(rows).reshape(len(designs), len(self.exploration.simulated))

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
            self.simulate(chosen, last, further)
            left -= BLOCK * tasks * len(chosen)
