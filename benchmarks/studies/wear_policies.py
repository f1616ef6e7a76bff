"""What wear policies do to a chip's lifetime: one chip adapts to task after task, LoRA on tiles, under each policy.

`python -m benchmarks.studies.wear_policies [--adaptations N] [--policies NAME ...] [--json FILE]` prints a table:
accuracy, cell writes, the worst and the mean cell, lifetimes, energy. Every policy sees the same tasks, images and
seeds.
"""

from __future__ import annotations

import argparse
import copy
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.experiments.experiment import calibrate, one_thread
from benchmarks.problems.backbones import load_backbone
from benchmarks.problems.tasks import few_shot, get_task
from crossbar_sim import Hardware, map_model
from crossbar_sim.hardware.wear_levelling import WearLevelling
from crossbar_sim.runtime.files import write_json
from crossbar_sim.spec.units import engineering
from crossbar_sim.wear.statistics import wear
from peft_methods import LoRA
from peft_methods.training.loop import accuracy, fine_tune, programming_energy

TASKS = ("fliplr+dim", "flipud+blur", "occlude", "shuffle_patches")
HARDWARE = "milo2021_128x128"


@dataclass(frozen=True)
class Policy:
    """Changes of the hardware, of its tile, and of the method that make up one policy."""

    meaning: str
    hardware: dict[str, Any] = field(default_factory=dict)
    tile: dict[str, Any] = field(default_factory=dict)
    method: dict[str, Any] = field(default_factory=dict)

    def design(self) -> Hardware:
        """The hardware under this policy."""
        base = Hardware.load(HARDWARE)
        return base.replace(tile=base.tile.replace(**self.tile), **self.hardware)


POLICIES = {
    "none": Policy("every change of level is written where it is"),
    "row swap": Policy(
        "a row that took 4 writes changes places with the least written one",
        hardware={"wear_levelling": WearLevelling(policy="row_swap", interval=4)},
    ),
    "periodic remap": Policy(
        "rows are shuffled after every 25 writes of a matrix",
        hardware={"wear_levelling": WearLevelling(policy="periodic_remap", interval=25)},
    ),
    "write threshold": Policy(
        "changes below one level are kept back",
        method={"update_rule": {"rule": "write_verify", "threshold": 0.125}},
    ),
    "5-step accumulation": Policy(
        "changes are written every fifth step", method={"update_rule": {"rule": "write_verify", "every": 5}}
    ),
    "two-sided, both": Policy("both cells of a two-sided pair move", tile={"mapping": "two_sided"}),
    "two-sided, one side": Policy(
        "one cell of a two-sided pair moves", tile={"mapping": "two_sided", "pair_update": "one_side"}
    ),
}


def study(policy: str, adaptations: int, seed: int = 0, steps: int | None = None) -> dict[str, Any]:
    """One chip, `adaptations` tasks one after the other; every LoRA gets the tiles of the one before.

    Counts and lifetimes are of the cells that LoRA writes: its own tiles.
    """
    chosen = POLICIES[policy]
    hardware = chosen.design()
    model = copy.deepcopy(load_backbone("digits_vit"))
    chip = map_model(model, hardware, seed=seed)
    calibrate(model, chip)
    backbone, right, adapted = set(chip.matrices), [], [0]
    for index in range(adaptations):
        data = few_shot(get_task(TASKS[index % len(TASKS)]), 5, seed + index)
        method = LoRA(
            **{"learning_rate": 8.6e-3, "b_range": 0.52, **({"steps": steps} if steps else {}), **chosen.method}
        )
        adapter = method.attach(model, chip, seed=seed + index)
        fine_tune(model, adapter, data.train_images, data.train_labels, seed=seed + index)
        right.append(accuracy(model, data.test_images, data.test_labels))
        adapted = [
            count
            for name, matrix in chip.matrices.items()
            if name not in backbone
            for count in matrix.cells.writes.reshape(-1).tolist()
        ]
        adapter.detach()
    worn, endurance = wear(adapted), hardware.device.endurance
    return {
        "policy": policy,
        "meaning": chosen.meaning,
        "adaptations": adaptations,
        "accuracy": statistics.fmean(right),
        "cell_writes": int(worn.total),
        "max_writes_per_cell": int(worn.largest),
        "mean_writes_per_cell": worn.mean,
        "gini": worn.gini,
        "adaptations_until_wearout": int(endurance * adaptations / worn.largest),
        "adaptations_until_wearout_levelled": int(endurance * adaptations / worn.mean),
        "reprogramming_energy_J": programming_energy(chip) / adaptations,
    }


def table(records: Sequence[dict[str, Any]]) -> str:
    """One row per policy."""
    lines = [
        f"{'policy':<21}{'accuracy':>9}{'writes':>10}{'worst':>7}{'mean':>7}{'Gini':>6}"
        f"{'lifetime':>11}{'levelled':>11}{'energy':>9}"
    ]
    lines += [
        f"{r['policy']:<21}{r['accuracy']:>9.3f}{r['cell_writes']:>10,}{r['max_writes_per_cell']:>7}"
        f"{r['mean_writes_per_cell']:>7.1f}{r['gini']:>6.2f}{r['adaptations_until_wearout']:>11,}"
        f"{r['adaptations_until_wearout_levelled']:>11,}{engineering(r['reprogramming_energy_J'], 'J'):>9}"
        for r in records
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare the policies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adaptations", type=int, default=8)
    parser.add_argument("--policies", nargs="*", default=list(POLICIES), choices=list(POLICIES))
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args(arguments)
    with one_thread():
        records = [study(policy, options.adaptations) for policy in options.policies]
    if options.json is not None:
        write_json(options.json, records)
    print(table(records))


if __name__ == "__main__":
    main()
