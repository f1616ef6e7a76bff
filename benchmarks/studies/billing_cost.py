"""What billing costs: the share of a training step that is spent on the bill, on 1T1R and on passive arrays.

The default backbone is fine-tuned in short turns, the designs interleaved. Steps are timed as they are; the share of
billing is that of the functions of the bill, with everything they call, under Python's profiler.
"""

from __future__ import annotations

import cProfile
import pstats
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter
from typing import Any

from benchmarks.problems.pools import POOL_FOLDER, with_folder
from benchmarks.problems.tasks import few_shot, get_task
from benchmarks.record import Record
from benchmarks.studies.base import Findings, Study
from benchmarks.studies.digits import deploy_digits
from crossbar_sim import Hardware
from crossbar_sim.ledger.billing import MatrixBill
from crossbar_sim.ledger.ledger import Ledger
from crossbar_sim.runtime.threads import one_thread
from peft_methods import fine_tune
from peft_methods.methods import read_method
from peft_methods.training.loop import History

BILL: tuple[Callable[..., object], ...] = (MatrixBill.read, MatrixBill.write, Ledger.add, Ledger.add_operation)
BACKBONE = "digits_vit"


class BillingShare(Record):
    """One method on one kind of array: medians."""

    method: str
    """Its key in METHODS."""
    access: str
    """1T1R or passive."""
    step_s: float
    """Of one training step."""
    billing_s: float
    """Of which billing."""
    billing_share: float
    """Of the step."""


def designs(name: str = "milo2021_128x128") -> dict[str, Hardware]:
    """A design with transistors at the cells, and without."""
    hardware = Hardware.load(name)
    return {access: hardware.replace(tile=hardware.tile.replace(access=access)) for access in ("1T1R", "passive")}


def fine_tuning(method: str, hardware: Hardware, steps: int, seed: int) -> Callable[[], list[float]]:
    """A run that returns when each of its steps was done; the first step counts operations and is left out."""
    model, chip = deploy_digits(hardware, seed)
    recipe = with_folder(read_method({"name": method, "steps": steps}), POOL_FOLDER / BACKBONE)
    adapter = recipe.attach(model, chip, seed)
    data = few_shot(get_task("rot90"), 5, seed)
    marks: list[float] = []

    def mark(step: int, history: History) -> None:
        marks.append(perf_counter())

    def run() -> list[float]:
        fine_tune(model, adapter, data.train.tensor, data.train.labels, seed=seed, on_step=mark)
        return marks[1:]

    return run


def step_times(method: str, hardware: Hardware, steps: int, seed: int) -> list[float]:
    """Seconds of every step."""
    return [after - before for before, after in pairwise(fine_tuning(method, hardware, steps, seed)())]


def billing_share(method: str, hardware: Hardware, steps: int, seed: int) -> float:
    """Share of a profiled run that passes inside the functions of BILL; what is nested counts once."""
    profile = cProfile.Profile(builtins=False)
    profile.runcall(fine_tuning(method, hardware, steps, seed))
    return share_of(profile, BILL)


def share_of(profile: cProfile.Profile, functions: Sequence[Callable[..., object]]) -> float:
    """Share of the profiled time that passes in calls of these functions from outside of them."""
    places = {
        (code.co_filename, code.co_firstlineno, code.co_name)
        for function in functions
        if (code := getattr(function, "__code__", None)) is not None
    }
    found: Any = pstats.Stats(profile)  # its types do not show what it has read
    inside = sum(
        float(cumulative)
        for place in places & set(found.stats)
        for caller, (*_, cumulative) in found.stats[place][4].items()
        if caller not in places
    )
    return inside / float(found.total_tt)


def billing_shares(methods: Sequence[str], steps: int = 8, turns: int = 3) -> list[BillingShare]:
    """One record per method and design: median seconds of a step, and the median share of its billing."""
    seconds: dict[tuple[str, str], list[float]] = {}
    shares: dict[tuple[str, str], list[float]] = {}
    with one_thread():
        for turn in range(turns):
            for method in methods:
                for access, hardware in designs().items():
                    seconds.setdefault((method, access), []).extend(step_times(method, hardware, steps, turn))
                    shares.setdefault((method, access), []).append(billing_share(method, hardware, steps, turn))
    records = []
    for (method, access), times in seconds.items():
        step, share = statistics.median(times), statistics.median(shares[method, access])
        records.append(
            BillingShare(method=method, access=access, step_s=step, billing_s=share * step, billing_share=share)
        )
    return records


class BillingFindings(Findings[BillingShare]):
    """One record per method and kind of array."""

    def __str__(self) -> str:
        return "\n".join(
            f"{row.method:<20}{row.access:<10}step {row.step_s * 1e3:7.2f} ms   "
            f"billing {row.billing_s * 1e3:6.3f} ms   {row.billing_share:6.2%}"
            for row in self.records
        )


@dataclass(frozen=True)
class BillingCost(Study):
    """The share of a training step that is spent on the bill."""

    methods: tuple[str, ...] = ("full-fine-tuning", "lora")
    """Methods of `xbar methods`."""
    steps: int = 8
    """Of one turn."""
    turns: int = 3
    """Each with another seed."""

    def run(self) -> BillingFindings:
        """Time and profile."""
        return BillingFindings(tuple(billing_shares(self.methods, self.steps, self.turns)))
