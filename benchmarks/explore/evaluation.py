"""Evaluation: designs are counted and simulated, each thing once; what is on disk is never done again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import methodcaller
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.explore.counting import OF_THE_CHIP, CountTask
from benchmarks.explore.engines import LOST, Engine
from benchmarks.explore.exploration import Exploration
from benchmarks.explore.findings import Design
from benchmarks.explore.objectives import COUNTED
from benchmarks.explore.simulating import DesignSeed, Runs, RunTask


@dataclass
class Evaluation:
    """The bills and runs of the designs of an exploration; engine: None: nothing is made, what is on disk is read."""

    exploration: Exploration
    engine: Engine | None
    runs: Path
    progress: bool = True
    spent: dict[int, float] = field(default_factory=dict)
    """Rung -> processor seconds."""
    missing: set[int] = field(default_factory=set)
    """Numbers of designs of which something is not on disk, where nothing is made."""
    paid: set[tuple[str, int | None, int]] = field(default_factory=set)
    """Runs whose time is counted: digest, steps, seed."""
    folders: set[Path] = field(default_factory=set)
    """Of everything that was asked for."""

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
                self.check_counted(design)

    def count_task(self, design: Design) -> CountTask:
        """Counting it: the whole bill, unless the datasheet of the chip says all that is asked for."""
        asked = {*self.exploration.objectives, *self.exploration.constraints}
        return CountTask(design.experiments[0], design.digests[0], asked <= OF_THE_CHIP, self.runs)

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

    def excess(self, design: Design) -> dict[str, float]:
        """By how much each constraint that counting knows is violated."""
        return {
            name: bound.excess(name, value)
            for name, bound in self.exploration.constraints.items()
            if name in COUNTED and (value := design.count_of(name)) is not None
        }

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
