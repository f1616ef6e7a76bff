"""Small hand-made results for the tests of figures and reports; nothing is simulated."""

from __future__ import annotations

from typing import Any

from benchmarks.cli.options import DEFAULT_HARDWARE
from benchmarks.experiments.experiment import Experiment, Result
from benchmarks.experiments.record import CurvePoint, LedgerRow, RunRecord, WornTile
from benchmarks.problems.tasks import get_task
from crossbar_sim import Hardware
from peft_methods.phases import GROUPS

CHIP = Hardware.load(DEFAULT_HARDWARE)
ADAPT = {"cell reads": 2e-4, "ADC": 1e-4, "arithmetic": 1e-3}
METHODS: dict[str, dict[str, Any]] = {
    "full fine-tuning": {"method": "full-fine-tuning", "writes": 40, "cells": 26000, "joule": 4e-5},
    "LoRA (tiles)": {"method": {"name": "lora", "placement": "crossbar"}, "writes": 12, "cells": 49000, "joule": 2e-5},
    "LoRA (SRAM)": {"method": {"name": "lora", "placement": "sram"}},
    "LoRAFusion": {"method": "lorafusion", "pool": 172032},
    "linear probe": {"method": "linear-probe"},
}


def make_record(
    seed: int, accuracy: float, *, writes: int = 0, cells: int = 0, joule: float = 0.0, pool: int = 0, points: int = 3
) -> RunRecord:
    """One seed's record: `joule` of programming in `cells` cells while adapting, `pool` cells programmed before."""
    adapt = {**ADAPT, "SET pulses": 0.9 * joule, "verify reads": 0.1 * joule}
    spent = {
        "deploy": {"SET pulses": 1.5e-4, "verify reads": 2e-5},
        "pool": {"SET pulses": 1e-9 * pool},
        "adapt": adapt,
        "infer": {"cell reads": 6e-5, "SRAM": 1e-4},
    }
    phase_of = {"adapt": "adapt/update"}
    by_phase = {group: sum(spent[group].values()) for group in GROUPS}
    components = sorted({name for group in spent.values() for name in group})
    grid = [[(writes if row == column == 0 else 0) for column in range(8)] for row in range(4)]
    return RunRecord(
        seed=seed,
        accuracy=accuracy,
        validation_accuracy=accuracy - 0.01,
        standard_error=0.02,
        trained_values=10752,
        cells=4096,
        cells_written_per_step=cells / 10,
        adapt_cells_written=cells,
        pool_cells_written=pool,
        deploy_cells_written=4096,
        reprogramming_energy_J=joule,
        pool_programming_energy_J=1e-9 * pool,
        total_energy_J=sum(by_phase.values()),
        energy_by_phase_J=by_phase,
        energy_by_component_J={c: sum(group.get(c, 0.0) for group in spent.values()) for c in components},
        adapt_energy_by_component_J=adapt,
        adapt_time_s=1.0,
        max_writes_per_cell=writes + 1,
        p99_writes_per_cell=1.0,
        mean_writes_per_cell=1.0,
        max_task_writes_per_cell=writes,
        p99_task_writes_per_cell=1.0,
        mean_task_writes_per_cell=1.0,
        gini_of_task_writes=0.0,
        adaptations_until_wearout_levelled=None,
        adaptations_until_wearout=10**6 // writes if writes else None,
        inferences=400,
        curve=tuple(
            CurvePoint(step=10 * k, write_energy_J=joule * k / max(points - 1, 1), validation_accuracy=0.2 + 0.1 * k)
            for k in range(points)
        ),
        loss=(2.3, 1.1),
        worn_tile=WornTile(tile="blocks.0.mlp.up[0,0]", rows=16, columns=16, writes=grid),
        ledger=tuple(
            LedgerRow(
                phase=phase_of.get(group, group), component=name, place="tile", energy_J=joules, time_s=0.0, count=1
            )
            for group, part in spent.items()
            for name, joules in part.items()
        ),
    )


def make_result(
    name: str, task: str = "fliplr+dim", seeds: tuple[int, ...] = (0, 1), hardware: Hardware = CHIP, **settings: Any
) -> Result:
    """A result of METHODS[name]; accuracies rise with the seed. `settings` change the record of every seed."""
    plan = {**METHODS[name], **settings}
    experiment = Experiment(method=plan.pop("method"), task=task, seeds=seeds, hardware=hardware)
    base = 0.5 + 0.05 * list(METHODS).index(name) + 0.01 * len(task) / 10
    return Result(
        experiment=experiment,
        task_kind=get_task(task).kind,
        display_name=plan.pop("display_name", name),
        seeds=tuple(make_record(seed, base + 0.02 * seed, **plan) for seed in seeds),
        versions={"python": "3.11"},
    )


def make_comparison(
    tasks: tuple[str, ...] = ("fliplr+dim", "occlude"), seeds: tuple[int, ...] = (0, 1)
) -> list[Result]:
    """Every method on every task."""
    return [make_result(name, task, seeds) for name in METHODS for task in tasks]
