"""What wear policies do to a chip's lifetime: one chip adapts to task after task, LoRA on tiles, under each policy.

The table: accuracy, cell writes, the worst and the mean cell, lifetimes, energy. Every policy sees the same tasks,
images and seeds.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from benchmarks.problems.tasks import few_shot, get_task
from benchmarks.record import Record
from benchmarks.studies.base import Findings, Study
from benchmarks.studies.digits import deploy_digits
from crossbar_sim import Hardware, SpecError
from crossbar_sim.hardware.wear_levelling import WearLevelling
from crossbar_sim.runtime.threads import one_thread
from crossbar_sim.spec.spec import nearest
from crossbar_sim.spec.units import engineering
from crossbar_sim.wear.statistics import wear
from peft_methods import LoRA, WriteVerify
from peft_methods.training.evaluation import accuracy
from peft_methods.training.loop import fine_tune, programming_energy

TASKS = ("fliplr+dim", "flipud+blur", "occlude", "shuffle_patches")
HARDWARE = "milo2021_128x128"


EVERY_CHANGE = WriteVerify()


@dataclass(frozen=True)
class Policy:
    """A way to spread or spare writes: what it changes of the hardware and how updates reach the cells."""

    meaning: str
    change: Callable[[Hardware], Hardware] = lambda hardware: hardware
    update_rule: WriteVerify = EVERY_CHANGE

    def design(self) -> Hardware:
        """The hardware under this policy."""
        return self.change(Hardware.load(HARDWARE))


def levelled(policy: Literal["row_swap", "periodic_remap"], interval: int) -> Callable[[Hardware], Hardware]:
    """Give a chip wear levelling."""
    return lambda hardware: hardware.replace(wear_levelling=WearLevelling(policy=policy, interval=interval))


def two_sided(pair_update: Literal["both", "one_side"]) -> Callable[[Hardware], Hardware]:
    """Give a chip two-sided pairs of cells."""
    return lambda hardware: hardware.replace(tile=hardware.tile.replace(mapping="two_sided", pair_update=pair_update))


POLICIES = {
    "none": Policy("every change of level is written where it is"),
    "row swap": Policy(
        "a row that took 4 writes changes places with the least written one", change=levelled("row_swap", 4)
    ),
    "periodic remap": Policy(
        "rows are shuffled after every 25 writes of a matrix", change=levelled("periodic_remap", 25)
    ),
    "write threshold": Policy("changes below one level are kept back", update_rule=WriteVerify(threshold=0.125)),
    "5-step accumulation": Policy("changes are written every fifth step", update_rule=WriteVerify(every=5)),
    "two-sided, both": Policy("both cells of a two-sided pair move", change=two_sided("both")),
    "two-sided, one side": Policy("one cell of a two-sided pair moves", change=two_sided("one_side")),
}


class PolicyRecord(Record):
    """What one policy did; counts and lifetimes are of the cells that LoRA writes."""

    policy: str
    """Its name."""
    meaning: str
    """In a sentence."""
    adaptations: int
    """Tasks, one after the other."""
    accuracy: float
    """Mean over the tasks, share of the test images."""
    cell_writes: int
    """Of all cells."""
    max_writes_per_cell: int
    """Of the worst cell."""
    mean_writes_per_cell: float
    """Of all cells."""
    gini: float
    """0: all cells written equally often, towards 1: few take everything."""
    adaptations_until_wearout: int
    """Of the worst cell, at this rate."""
    adaptations_until_wearout_levelled: int
    """The bound of ideal levelling."""
    reprogramming_energy_J: float
    """Per adaptation."""


def measure(policy: str, adaptations: int, seed: int = 0, steps: int | None = None) -> PolicyRecord:
    """One chip, `adaptations` tasks one after the other; every LoRA gets the tiles of the one before.

    Counts and lifetimes are of the cells that LoRA writes: its own tiles.
    """
    if policy not in POLICIES:
        raise SpecError(f"no wear policy '{policy}'{nearest(policy, list(POLICIES))}")
    chosen = POLICIES[policy]
    hardware = chosen.design()
    model, chip = deploy_digits(hardware, seed)
    method = LoRA(learning_rate=8.6e-3, b_range=0.52, update_rule=chosen.update_rule)
    if steps is not None:
        method = method.replace(steps=steps)
    backbone = set(chip.matrices)
    right: list[float] = []
    adapted = [0]
    for index in range(adaptations):
        data = few_shot(get_task(TASKS[index % len(TASKS)]), 5, seed + index)
        adapter = method.attach(model, chip, seed=seed + index)
        fine_tune(model, adapter, data.train.tensor, data.train.labels, seed=seed + index)
        right.append(accuracy(model, data.test.tensor, data.test.labels))
        adapted = [
            count
            for name, matrix in chip.matrices.items()
            if name not in backbone
            for count in matrix.cells.writes.reshape(-1).tolist()
        ]
        adapter.detach()
    worn, endurance = wear(adapted), hardware.device.endurance
    return PolicyRecord(
        policy=policy,
        meaning=chosen.meaning,
        adaptations=adaptations,
        accuracy=statistics.fmean(right),
        cell_writes=int(worn.total),
        max_writes_per_cell=int(worn.largest),
        mean_writes_per_cell=worn.mean,
        gini=worn.gini,
        adaptations_until_wearout=int(endurance * adaptations / worn.largest),
        adaptations_until_wearout_levelled=int(endurance * adaptations / worn.mean),
        reprogramming_energy_J=programming_energy(chip) / adaptations,
    )


class WearPolicyFindings(Findings[PolicyRecord]):
    """One record per policy."""

    def __str__(self) -> str:
        lines = [
            f"{'policy':<21}{'accuracy':>9}{'writes':>10}{'worst':>7}{'mean':>7}{'Gini':>6}"
            f"{'lifetime':>11}{'levelled':>11}{'energy':>9}"
        ]
        lines += [
            f"{r.policy:<21}{r.accuracy:>9.3f}{r.cell_writes:>10,}{r.max_writes_per_cell:>7}"
            f"{r.mean_writes_per_cell:>7.1f}{r.gini:>6.2f}{r.adaptations_until_wearout:>11,}"
            f"{r.adaptations_until_wearout_levelled:>11,}{engineering(r.reprogramming_energy_J, 'J'):>9}"
            for r in self.records
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class WearPolicies(Study):
    """What wear policies do to a chip's lifetime."""

    adaptations: int = 8
    """Tasks, one after the other."""
    policies: tuple[str, ...] = tuple(POLICIES)
    """Names of policies."""

    def run(self) -> WearPolicyFindings:
        """One chip per policy."""
        with one_thread():
            return WearPolicyFindings(tuple(measure(policy, self.adaptations) for policy in self.policies))
