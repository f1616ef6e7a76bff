"""What is known of an exploration without simulating: how far it is, what it found so far, what it would take."""

from __future__ import annotations

from pathlib import Path

from benchmarks.experiments.storage import RUNS
from benchmarks.explore.course import Course
from benchmarks.explore.exploration import Exploration
from benchmarks.explore.findings import Findings
from benchmarks.explore.simulating import Runs, RunTask
from benchmarks.record import Record
from crossbar_sim import SpecError
from crossbar_sim.spec.units import engineering


def as_far_as_known(exploration: Exploration, runs: str | Path = RUNS) -> Findings:
    """The findings of what is on disk, whether the exploration has ended, was stopped or runs; nothing is made."""
    course = Course(exploration, None, Path(runs), progress=False)
    findings = course.run()
    if not findings.designs:
        raise SpecError(
            f"{exploration.name}: nothing of it is in {exploration.folder(runs)}; run `xbar explore` with the same "
            "file and options first"
        )
    return findings


class StatusRecord(Record):
    """How far an exploration is."""

    name: str
    """Of the exploration."""
    folder: str
    """Where it is kept."""
    wanted: int
    """Distinct designs asked for, as far as the space has them."""
    proposed: int
    """Of them."""
    states: dict[str, int]
    """Designs by state."""
    rungs: tuple[int, ...]
    """Designs simulated on each rung."""
    front: int
    """Evaluated designs that no other beats so far."""
    hypervolume: float
    """Share of the box between the best and the worst evaluated values that is covered."""
    processor_s: float
    """Spent so far."""

    def __str__(self) -> str:
        states = ", ".join(f"{count} {state}" for state, count in self.states.items())
        return "\n".join(
            [
                f"{self.name}: {self.proposed} of {self.wanted} designs proposed ({states})",
                f"  simulated on rungs 0, 1, ...: {', '.join(map(str, self.rungs)) or 'none'}",
                f"  front so far: {self.front} designs, {self.hypervolume:.1%} of the box covered",
                f"  {self.processor_s / 60:.1f} minutes of processor time spent; kept in {self.folder}",
            ]
        )


def status(exploration: Exploration, runs: str | Path = RUNS) -> StatusRecord:
    """How far an exploration is, from its files; works while it runs."""
    found = as_far_as_known(exploration, runs)
    states = [one.state for one in found.designs]
    size = exploration.space.size
    return StatusRecord(
        name=exploration.name,
        folder=str(exploration.folder(runs)),
        wanted=min(exploration.search.designs, size or exploration.search.designs),
        proposed=len(found.designs),
        states={state: states.count(state) for state in dict.fromkeys(states)},
        rungs=tuple(rung.designs for rung in found.rungs()),
        front=len(found.front),
        hypervolume=found.hypervolumes[-1],
        processor_s=sum(one.processor_s for one in found.designs),
    )


class PlanRecord(Record):
    """What an exploration would take, from one timed design."""

    name: str
    """Of the exploration."""
    space: int | None
    """Points of the space; None: more than can be counted."""
    designs: int
    """That would be proposed at most."""
    simulations: int
    """Of these at most."""
    sampler: str
    """What would propose them."""
    rungs: tuple[str, ...]
    """Steps and seeds of each."""
    counting_s: float
    """Processor seconds of counting one design."""
    run_s: tuple[float, ...]
    """Processor seconds of one run on each rung."""
    least_hours: float
    """Processor hours if only the pilot goes beyond the first rung."""
    most_hours: float
    """Processor hours if nothing is dropped."""

    def __str__(self) -> str:
        size = "without end" if self.space is None else f"of {self.space:,} designs"
        some = "" if self.simulations == self.designs else f", {self.simulations} of them simulated"
        lines = [
            f"{self.name}: a space {size}; {self.designs} proposed by {self.sampler}{some}",
            f"  counting     {engineering(self.counting_s, 's')} a design",
            *(
                f"  rung {place}       {rung}: {engineering(seconds, 's')} a run"
                for place, (rung, seconds) in enumerate(zip(self.rungs, self.run_s, strict=True))
            ),
            f"  in all       {self.least_hours:.2g} to {self.most_hours:.2g} processor hours: the pilot alone goes "
            "beyond the first rung, or nothing is dropped",
        ]
        return "\n".join(lines)


def dry(exploration: Exploration, runs: str | Path = RUNS) -> PlanRecord:
    """Time one design on every rung, and say what all would take; nothing is kept."""
    course = Course(exploration, None, Path(runs), progress=False)
    base = course.first_design()
    task = course.work.count_task(base)
    task.now()  # what is imported and compiled on the way is no part of it
    counted = task.now().processor_s
    times: list[float] = []
    words: list[str] = []
    tasks = len(exploration.tasks)
    rungs = exploration.rungs if exploration.simulates else ()
    for rung in rungs:
        design = Runs(base.experiments[0], base.digests[0], rung.steps, exploration.seeds[:1])
        warm = RunTask(design, exploration.seeds[0], Path(runs))
        if not times:
            warm.design.simulated(warm.seed)
        times.append(warm.design.simulated(warm.seed).processor_s)
        seeds = len(exploration.seeds[: rung.seeds])
        words.append(
            f"{'all' if rung.steps is None else rung.steps} steps, {seeds} {'seed' if seeds == 1 else 'seeds'}"
        )
    designs = min(exploration.search.designs, exploration.space.size or exploration.search.designs)
    of_rung = [time * fresh * tasks for time, fresh in zip(times, _fresh_seeds(exploration), strict=False)]
    simulations = min(exploration.search.simulations or designs, designs)
    pilot = min(exploration.pilot, simulations)
    least = designs * counted + simulations * sum(of_rung[:1]) + pilot * sum(of_rung[1:])
    return PlanRecord(
        name=exploration.name,
        space=exploration.space.size,
        designs=designs,
        simulations=simulations,
        sampler=exploration.sampler,
        rungs=tuple(words),
        counting_s=counted,
        run_s=tuple(times),
        least_hours=least / 3600,
        most_hours=(designs * counted + simulations * sum(of_rung)) / 3600,
    )


def _fresh_seeds(exploration: Exploration) -> list[int]:
    """Runs of a design and task on each rung that no rung below has made."""
    made: dict[int | None, int] = {}
    fresh = []
    for rung in exploration.rungs:
        seeds = len(exploration.seeds[: rung.seeds])
        fresh.append(max(seeds - made.get(rung.steps, 0), 0))
        made[rung.steps] = max(seeds, made.get(rung.steps, 0))
    return fresh
