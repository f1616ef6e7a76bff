"""Which share of the trained cells a step rewrites: simulated for every method that writes, by update rule and steps.

The table that ships (benchmarks/estimates/changed_shares.toml) is what `--write` makes; `xbar estimate` takes it.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

import tomli_w

from benchmarks.estimates.changed_share import MeasuredShare, MeasuredShares
from benchmarks.experiments.suites import load_comparison
from benchmarks.problems.shipped.digits_vit import NAME
from benchmarks.problems.tasks import few_shot, get_task
from benchmarks.studies.base import Findings, Study
from benchmarks.studies.digits import deploy_digits
from crossbar_sim import Hardware, SpecError
from crossbar_sim.runtime.files import check_file, write_text
from crossbar_sim.runtime.threads import one_thread
from crossbar_sim.spec.spec import nearest
from peft_methods import Method
from peft_methods.training.loop import fine_tune
from peft_methods.updates.base import read_rule

HARDWARE = "milo2021_128x128"
SUITE = "all_methods"
COMMAND = "xbar study changed-shares"


def writing_methods() -> dict[str, Method]:
    """Every method that trains something on tiles, at the settings of SUITE."""
    chosen = (method for method in load_comparison(SUITE).methods if method.trains_on_tiles)
    return {method.name: method for method in chosen}


def share_of(method: Method, task: str, seed: int) -> float:
    """Cells that took pulses, per step and trained cell, of one run on a new chip."""
    model, chip = deploy_digits(Hardware.load(HARDWARE), seed)
    data = few_shot(get_task(task), 5, seed)
    adapter = method.attach(model, chip, seed=seed)
    history = fine_tune(model, adapter, data.train.tensor, data.train.labels, seed=seed)
    cells = sum(matrix.cell_count for matrix in adapter.matrices)
    return sum(history.cells_written) / (method.steps * cells)


class ShareFindings(Findings[MeasuredShare]):
    """One record per method, rule and number of steps."""

    def __str__(self) -> str:
        lines = [f"{'method':<18}{'update rule':<20}{'steps':>6}{'share':>9}{'smallest':>10}{'largest':>9}{'runs':>6}"]
        lines += [
            f"{r.method:<18}{r.rule:<20}{r.steps:>6}{r.share:>9.4f}{r.low:>10.4f}{r.high:>9.4f}{r.runs:>6}"
            for r in self.records
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class ChangedShares(Study):
    """Which share of the trained cells a training step rewrites."""

    methods: tuple[str, ...] = ()
    """Names of methods; none: all that train something on tiles."""
    rules: tuple[str, ...] = ("write_verify",)
    """Names of update rules."""
    steps: tuple[int, ...] = (10, 75, 200)
    """Of training; each number is a run of its own."""
    tasks: tuple[str, ...] = ("fliplr+dim", "occlude")
    """Names of tasks."""
    seeds: tuple[int, ...] = (0,)
    """One chip each."""
    write: Path | None = None
    """Write the table to this TOML file, as `xbar estimate` reads it."""

    def run(self) -> ShareFindings:
        """One chip per method, rule, number of steps, task and seed."""
        known = writing_methods()
        for name in self.methods:
            if name not in known:
                raise SpecError(f"no method '{name}' trains on tiles{nearest(name, list(known))}")
        if self.write is not None:
            check_file(self.write)
        rules = [read_rule(rule) for rule in self.rules]
        records = []
        with one_thread():
            for method in (known[name] for name in self.methods or known):
                for rule in rules:
                    for steps in self.steps:
                        changed = method.replace(steps=steps, update_rule=rule)
                        found = [share_of(changed, task, seed) for task in self.tasks for seed in self.seeds]
                        records.append(
                            MeasuredShare(
                                method=method.name,
                                rule=rule.name,
                                steps=steps,
                                share=statistics.fmean(found),
                                low=min(found),
                                high=max(found),
                                runs=len(found),
                            )
                        )
        if self.write is not None:
            write_text(self.write, self.table_of(records))
        return ShareFindings(tuple(records))

    def table_of(self, records: list[MeasuredShare]) -> str:
        """The TOML text of the table that ships."""
        table = MeasuredShares(
            command=COMMAND, problem=NAME, hardware=HARDWARE, tasks=self.tasks, seeds=self.seeds, shares=tuple(records)
        )
        return tomli_w.dumps(table.model_dump(mode="json"))
