"""Experiment: one method on one chip design for one task, over several seeds; its Result is a file."""

from __future__ import annotations

import platform
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numba
import numpy as np
import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import nn

from benchmarks.experiments.claim import claim
from benchmarks.experiments.fields import (
    AnyHardware,
    AnyMethod,
    AnyProblem,
    Seeds,
    Shots,
    check_task,
    default_problem,
    its_first_target,
    its_hardware,
    its_shots,
)
from benchmarks.experiments.record import FORMAT, CurvePoint, LedgerRow, ResultRecord, RunRecord, record_run, worn_tile
from benchmarks.experiments.seed_runs import SeedRuns
from benchmarks.experiments.storage import RUNS, SeedFiles, folder_of
from benchmarks.problems.pools import folder_for, pool_digest, with_folder
from benchmarks.problems.problem import Problem, Task, TaskData
from benchmarks.record import read_json_object
from crossbar_sim import Chip, CrossbarError, Hardware, map_model
from crossbar_sim.chip.interface import AnyChip
from crossbar_sim.runtime.files import write_json
from crossbar_sim.spec.spec import Spec
from crossbar_sim.spec.units import engineering
from peft_methods import Adapter, evaluate, fine_tune
from peft_methods.placement import DIGITAL
from peft_methods.training.loop import History, programming_energy
from peft_methods.training.samples import Samples
from peft_methods.training.scores import Measured


class Experiment(Spec, SeedRuns[RunRecord, "Result"]):
    """What is run: `method` on `hardware` for a `task` of a `problem`, with `shots_per_class` training samples of each
    class (None: all), per seed.

    What is not stated is the problem's: its design, its shots and its first target. `pool` is a folder of LoRA modules
    in PEFT's format, handed to a method that mixes one and names none; None: that of the problem.
    """

    method: AnyMethod
    problem: AnyProblem = Field(default_factory=default_problem)
    hardware: AnyHardware = Field(default_factory=its_hardware)
    pool: str | None = None
    task: str = Field(default_factory=its_first_target)
    shots_per_class: Shots = Field(default_factory=its_shots)
    seeds: Seeds = (0, 1, 2, 3, 4)
    curve_points: Annotated[int, Field(ge=0)] = 4

    @field_validator("task")
    @classmethod
    def _task_exists(cls, name: str, info: ValidationInfo) -> str:
        return check_task(name, info)

    def folder(self, runs: str | Path = RUNS) -> Path:
        """Where the result is kept: runs/<digest of this spec, of model, data and pool, and of the record format>."""
        problem = self.problem.digest(self.problem.task(self.task))
        return folder_of(runs, self.digest(), problem, pool_digest(self.method, self.pool_folder), FORMAT)

    @property
    def pool_folder(self) -> Path | None:
        """Where the LoRA modules are that the method mixes, if it does."""
        return folder_for(self.method, self.problem, self.pool)

    def files(self, runs: str | Path = RUNS) -> SeedFiles[RunRecord]:
        """Where the record of each seed is kept."""
        return SeedFiles(self.folder(runs), RunRecord)

    def simulated(self, seed: int) -> RunRecord:
        """The record of one seed, whatever is on disk."""
        return simulate(self, seed)

    def collect(self, records: Sequence[RunRecord], runs: str | Path = RUNS) -> Result:
        """Put the records of all seeds in runs/<digest>/result.json; hidden files of killed processes go."""
        result = Result(self, self.problem.task(self.task).kind, self.method.display_name, tuple(records), versions())
        path = self.folder(runs) / "result.json"
        if not _is_result(path, result):
            with claim(path, wait=True):
                write_json(path, result.as_json())
        self.files(runs).sweep()
        return result


@dataclass(frozen=True)
class Result:
    """An experiment, what it measured seed by seed, and the versions it was made with."""

    experiment: Experiment
    task_kind: str
    display_name: str
    seeds: tuple[RunRecord, ...]
    versions: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """Everything, ready for json.dump."""
        return {
            "spec": self.experiment.model_dump(mode="json"),
            "task_kind": self.task_kind,
            "display_name": self.display_name,
            "seeds": [record.as_json() for record in self.seeds],
            "versions": self.versions,
        }

    @classmethod
    def load(cls, path: str | Path) -> Result:
        """Read a result.json; CrossbarError names a file that is damaged or of another version."""
        content = read_json_object(Path(path))
        try:
            return cls(
                experiment=Experiment(**content["spec"]),
                task_kind=content["task_kind"],
                display_name=content["display_name"],
                seeds=tuple(RunRecord(**record) for record in content["seeds"]),
                versions=content["versions"],
            )
        except (KeyError, TypeError, AttributeError, CrossbarError) as error:
            raise CrossbarError(
                f"{path} cannot be repeated with this version ({error}); delete it and run again"
            ) from None

    def mean(self, key: str) -> float:
        """Mean of a record's number over the seeds."""
        return statistics.fmean(getattr(record, key) for record in self.seeds)

    def mean_of(self, group: str) -> dict[str, float]:
        """Mean over the seeds of every number in a group of the record ('energy_by_phase_J' ...)."""
        groups: list[dict[str, float]] = [getattr(record, group) for record in self.seeds]
        return {key: statistics.fmean(one[key] for one in groups) for key in groups[0]}

    @property
    def accuracies(self) -> list[float]:
        """Test accuracy of every seed."""
        return [record.accuracy for record in self.seeds]

    def record(self) -> ResultRecord:
        """One flat record for scripts: means over the seeds; the worst seed for wear."""
        wearouts = [r.adaptations_until_wearout for r in self.seeds if r.adaptations_until_wearout is not None]
        return ResultRecord(
            method=self.display_name,
            problem=self.experiment.problem.name,
            score_name=self.experiment.problem.scoring.name,
            task=self.experiment.task,
            task_kind=self.task_kind,
            hardware=self.experiment.hardware.name,
            seeds=tuple(record.seed for record in self.seeds),
            trained_values=self.seeds[0].trained_values,
            accuracy_mean=statistics.fmean(self.accuracies),
            accuracy_sd=statistics.stdev(self.accuracies) if len(self.seeds) > 1 else 0.0,
            validation_accuracy_mean=self.mean("validation_accuracy"),
            cells_written_per_step=self.mean("cells_written_per_step"),
            adapt_cells_written=self.mean("adapt_cells_written"),
            pool_cells_written=self.seeds[0].pool_cells_written,
            reprogramming_energy_J=self.mean("reprogramming_energy_J"),
            pool_programming_energy_J=self.mean("pool_programming_energy_J"),
            total_energy_J=self.mean("total_energy_J"),
            energy_by_phase_J=self.mean_of("energy_by_phase_J"),
            energy_by_component_J=self.mean_of("energy_by_component_J"),
            adapt_energy_by_component_J=self.mean_of("adapt_energy_by_component_J"),
            max_writes_per_cell=max(record.max_writes_per_cell for record in self.seeds),
            max_task_writes_per_cell=max(record.max_task_writes_per_cell for record in self.seeds),
            p99_writes_per_cell=self.mean("p99_writes_per_cell"),
            mean_writes_per_cell=self.mean("mean_writes_per_cell"),
            adaptations_until_wearout=min(wearouts) if wearouts else None,
        )

    def __str__(self) -> str:
        row = self.record()
        wearout = row.adaptations_until_wearout
        phases = ", ".join(f"{name} {engineering(value, 'J')}" for name, value in row.energy_by_phase_J.items())
        return "\n".join(
            [
                f"{row.method} on {row.task} of {row.problem} ({row.task_kind}), hardware {row.hardware}",
                f"  {row.score_name:<20} {row.accuracy_mean:.3f} ± {row.accuracy_sd:.3f} ({len(self.seeds)} seeds)",
                f"  trained values       {row.trained_values}",
                f"  cells written        {row.adapt_cells_written:.0f} per adaptation, "
                f"{row.cells_written_per_step:.1f} per step; pool {row.pool_cells_written}",
                f"  reprogramming        {engineering(row.reprogramming_energy_J, 'J')}",
                f"  total energy         {engineering(row.total_energy_J, 'J')} ({phases})",
                f"  worst cell's writes  {row.max_writes_per_cell} (99th percentile {row.p99_writes_per_cell:.0f})",
                f"  wear-out after       {'never by writing' if wearout is None else f'{wearout} adaptations'}",
            ]
        )


def _is_result(path: Path, result: Result) -> bool:
    """Whether the file is this result, of whichever versions; one that is damaged is named on standard error."""
    if path.is_dir():
        raise CrossbarError(f"{path} is a folder where a result belongs; move it away and run again")
    if not path.exists():
        return False
    try:
        stored = Result.load(path)
    except CrossbarError as error:
        print(f"xbar: damaged, written again: {error}", file=sys.stderr)
        return False
    return (stored.experiment.digest(), stored.seeds) == (result.experiment.digest(), result.seeds)


@dataclass(frozen=True)
class Adapted:
    """A model on its chip after the last step of training, and what it was adapted with."""

    model: nn.Module
    chip: Chip
    adapter: Adapter
    history: History
    data: TaskData


Watch = Callable[[nn.Module, Chip, TaskData, int], None]
"""Called after every step of training: model, chip, data, steps done."""


def adapt(experiment: Experiment, seed: int, watch: Watch | None = None) -> Adapted:
    """Deploy the model on a new chip and fine-tune it for the task."""
    problem, method = experiment.problem, with_folder(experiment.method, experiment.pool_folder)
    task = problem.task(experiment.task)
    data = task.data(experiment.shots_per_class, seed)
    model, chip = deploy(problem, task, experiment.hardware, seed)
    adapter = method.attach(model, chip, seed)

    def on_step(step: int, _: History) -> None:
        if watch is not None:
            watch(model, chip, data, step)

    train = data.train
    history = fine_tune(
        model, adapter, train.inputs, train.labels, loss=problem.loss_function, seed=seed, on_step=on_step
    )
    return Adapted(model, chip, adapter, history, data)


def simulate(experiment: Experiment, seed: int) -> RunRecord:
    """Deploy, adapt, infer once; everything in the record comes from this one chip."""
    problem, steps = experiment.problem, experiment.method.steps
    curve: list[CurvePoint] = []
    every = max(1, steps // experiment.curve_points) if experiment.curve_points else None

    def watch(model: nn.Module, chip: Chip, data: TaskData, step: int) -> None:
        if every is not None and (step % every == 0 or step == steps):
            right = judge(problem, model, data.validation).value
            spent = programming_energy(chip)
            curve.append(CurvePoint(step=step, write_energy_J=spent, validation_accuracy=right))

    done = adapt(experiment, seed, watch)
    model, chip = done.model, done.chip
    data = done.data
    test = judge(problem, model, data.test, chip)
    if curve and curve[-1].step == steps:
        validation = curve[-1].validation_accuracy
    else:
        with chip.probing():
            validation = judge(problem, model, data.validation).value
    task_writes = done.adapter.task_writes()
    return record_run(
        RunRecord,
        chip,
        done.history,
        task_writes,
        seed=seed,
        accuracy=test.value,
        standard_error=test.standard_error,
        validation_accuracy=validation,
        trained_values=done.adapter.trained_values,
        inferences=len(data.test),
        curve=tuple(curve),
        loss=tuple(done.history.loss),
        worn_tile=worn_tile(chip, task_writes),
        ledger=tuple(LedgerRow(**row) for row in chip.ledger.rows()),
    )


def judge(problem: Problem, model: nn.Module, samples: Samples, chip: AnyChip = DIGITAL) -> Measured:
    """The problem's score of a model; reads are billed to 'infer' of the chip that is given."""
    return evaluate(model, samples.inputs, samples.labels, score=problem.scoring, chip=chip)


def deploy(problem: Problem, task: Task, hardware: Hardware, seed: int) -> tuple[nn.Module, Chip]:
    """A pre-trained model on the tiles of a new chip, its ADC ranges set."""
    model = problem.fresh_model(task)
    chip = map_model(model, hardware, seed=seed, exclude=problem.exclude)
    set_ranges(model, chip, problem.calibration_samples(task))
    return model, chip


@torch.no_grad()
def set_ranges(model: nn.Module, chip: Chip, samples: Samples) -> None:
    """Let the ADC range registers follow one batch, everything else in evaluation mode; billed to 'deploy'."""
    model.eval()
    for matrix in chip.matrices.values():
        matrix.train()
    with chip.ledger.phase("deploy"):
        samples.outputs_of(model)
    model.eval()


def versions() -> dict[str, str]:
    """Versions that a result was made with."""
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "platform": sys.platform,
    }
