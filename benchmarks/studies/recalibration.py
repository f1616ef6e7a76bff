"""Recalibration: a damaged chip loses accuracy; a few images of the task that it was shipped for win it back.

The backbone is deployed with stronger programming errors or with stuck cells, or its cells age; nothing else changes.
Methods train through the cells as they are, so what they learn is the correction.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field
from tqdm import tqdm

from benchmarks.experiments.experiment import deploy, judge
from benchmarks.experiments.fields import (
    DEFAULT_PROBLEM,
    AnyHardware,
    AnyMethod,
    AnyProblem,
    Seeds,
    Shots,
    default_problem,
    its_hardware,
    its_shots,
)
from benchmarks.experiments.seed_runs import SeedRuns
from benchmarks.experiments.storage import RUNS, SeedFiles, folder_of
from benchmarks.problems.find import find_problem
from benchmarks.problems.pools import folder_for, pool_digest, with_folder
from benchmarks.problems.problem import Task
from benchmarks.record import Record, SeedRecord
from crossbar_sim import DeviceModel, Hardware, SpecError
from crossbar_sim.spec.spec import Spec
from peft_methods import METHODS, fine_tune
from peft_methods.methods import find_method
from peft_methods.training.loop import programming_energy

FORMAT = 4
"""Version of stored records, as `experiments.record.FORMAT`."""


class Damage(Spec):
    """What is wrong with the chip: its programming errors times `programming_error`, the share of cells that are
    stuck, half of them at each end of the window, and the `seconds` that have passed since it was programmed."""

    programming_error: Annotated[float, Field(ge=1, le=20)] = 1.0
    stuck: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    seconds: Annotated[float, Field(ge=0, le=1e10)] = 0.0

    def done_to(self, hardware: Hardware) -> Hardware:
        """The same chip design, damaged; it has yet to wait. SpecError if the device states no programming error to
        scale, or nothing that time changes."""
        device = hardware.device
        if self.seconds and device.retention is None and not device.noise_grows:
            raise SpecError(
                f"device {device.name} states no retention, so time changes nothing; choose one that does: --device "
                "falcone2025_2p0, joshi2020, ..."
            )
        if self.programming_error != 1:
            law = device.programming_error
            if law is None:
                raise SpecError(
                    f"device {device.name} states no programming_error to multiply; choose another hardware, or --stuck"
                )
            device = device.replace(
                programming_error=law.replace(sigma_scale=law.sigma_scale * self.programming_error, kind="assumed")
            )
        if self.stuck:
            device = device.replace(stuck_at_lrs=self.stuck / 2, stuck_at_hrs=self.stuck / 2)
        return hardware.replace(device=device)

    @property
    def label(self) -> str:
        """In tables."""
        parts = [f"programming error x {self.programming_error:g}"] * (self.programming_error != 1)
        parts += [f"{self.stuck:.1%} stuck"] * (self.stuck > 0)
        parts += [f"{self.seconds:g} s old"] * (self.seconds > 0)
        return ", ".join(parts) or "none"


class RecalibrationRun(SeedRecord):
    """One seed: a damaged chip before and after."""

    digital_accuracy: float
    """Of the backbone without a chip, share of the test images."""
    damaged_accuracy: float
    """Of the damaged chip, share of the test images."""
    recalibrated_accuracy: float
    """After fine-tuning, share of the test images."""
    trained_values: int
    """Numbers that are trained."""
    adapt_cells_written: int
    """Cell writes of the adaptation."""
    reprogramming_energy_J: float
    """Everything that programming costs in the adaptation."""
    adapt_energy_J: float
    """The whole adaptation."""


class RecalibrationRecord(Record):
    """Means over the seeds."""

    method: str
    """Its name in tables."""
    hardware: str
    """Its name."""
    device: str
    """Its name."""
    damage: str
    """What is wrong with the chip."""
    seeds: tuple[int, ...]
    """One chip each."""
    digital_accuracy: float
    """Of the backbone without a chip, share of the test images."""
    damaged_accuracy: float
    """Of the damaged chip, share of the test images."""
    recalibrated_accuracy: float
    """After fine-tuning, share of the test images."""
    trained_values: float
    """Numbers that are trained."""
    adapt_cells_written: float
    """Cell writes of the adaptation."""
    reprogramming_energy_J: float
    """Everything that programming costs in the adaptation."""
    adapt_energy_J: float
    """The whole adaptation."""
    recovered_share: float | None
    """Gain over loss; None: nothing was lost."""


class Recalibration(Spec, SeedRuns[RecalibrationRun, RecalibrationRecord]):
    """A damaged chip is fine-tuned by `method` for the task that its backbone was shipped for."""

    method: AnyMethod
    problem: AnyProblem = Field(default_factory=default_problem)
    hardware: AnyHardware = Field(default_factory=its_hardware)
    pool: str | None = None
    shots_per_class: Shots = Field(default_factory=its_shots)
    damage: Damage = Damage(programming_error=6.0)
    seeds: Seeds = (0, 1, 2)

    def files(self, runs: str | Path = RUNS) -> SeedFiles[RecalibrationRun]:
        """Where the record of each seed is kept."""
        problem, pool = self.problem.digest(self.home), pool_digest(self.method, self.pool_folder)
        return SeedFiles(folder_of(runs, "recalibration", self.digest(), problem, pool, FORMAT), RecalibrationRun)

    @property
    def home(self) -> Task:
        """What the model is good at; SpecError if the problem states nothing."""
        if self.problem.home is None:
            raise SpecError(
                f"problem '{self.problem.name}' does not say what its model is good at without any change, so there is "
                "nothing to win back; state `home`"
            )
        return self.problem.home

    @property
    def pool_folder(self) -> Path | None:
        """Where the LoRA modules are that the method may mix."""
        return folder_for(self.method, self.problem, self.pool)

    def simulated(self, seed: int) -> RecalibrationRun:
        """The record of one seed, whatever is on disk."""
        return recalibrate(self, seed)

    def collect(self, records: Sequence[RecalibrationRun], runs: str | Path = RUNS) -> RecalibrationRecord:
        """Means over the seeds: accuracy of the digital backbone, of the damaged chip and of the recalibrated one."""
        self.files(runs).sweep()

        def mean(key: str) -> float:
            return statistics.fmean(getattr(record, key) for record in records)

        lost = mean("digital_accuracy") - mean("damaged_accuracy")
        won = mean("recalibrated_accuracy") - mean("damaged_accuracy")
        return RecalibrationRecord(
            method=self.method.display_name,
            hardware=self.hardware.name,
            device=self.hardware.device.name,
            damage=self.damage.label,
            seeds=self.seeds,
            **{key: mean(key) for key in RecalibrationRun.model_fields if key != "seed"},
            recovered_share=won / lost if lost > 0 else None,
        )


def recalibrate(recalibration: Recalibration, seed: int) -> RecalibrationRun:
    """Deploy on the damaged chip, let it age, measure, fine-tune on `shots_per_class` unshifted images per class,
    measure again. A pool's tiles are programmed after the chip has aged."""
    problem, damage = recalibration.problem, recalibration.damage
    task = recalibration.home
    data = task.data(recalibration.shots_per_class, seed)
    digital = judge(problem, problem.fresh_model(task), data.test).value
    model, chip = deploy(problem, task, damage.done_to(recalibration.hardware), seed)
    chip.wait(damage.seconds)
    with chip.probing():
        damaged = judge(problem, model, data.test).value
    adapter = with_folder(recalibration.method, recalibration.pool_folder).attach(model, chip, seed)
    train = data.train
    fine_tune(model, adapter, train.inputs, train.labels, loss=problem.loss_function, seed=seed)
    return RecalibrationRun(
        seed=seed,
        digital_accuracy=digital,
        damaged_accuracy=damaged,
        recalibrated_accuracy=judge(problem, model, data.test, chip).value,
        trained_values=adapter.trained_values,
        adapt_cells_written=chip.ledger.writes("adapt"),
        reprogramming_energy_J=programming_energy(chip),
        adapt_energy_J=chip.ledger.energy("adapt"),
    )


def recalibrations(
    methods: Sequence[str],
    *,
    problem: str = DEFAULT_PROBLEM,
    hardware: str | None = None,
    device: str | None = None,
    damage: Damage,
    shots: int = 5,
    seeds: tuple[int, ...] = (0, 1, 2),
) -> list[Recalibration]:
    """One per method at its defaults, all of METHODS if none is named; those with a choice keep what they train in
    SRAM, so that no damaged cell has to be written. device: instead of the hardware's own."""
    chosen, found = find_problem(problem), []
    design = Hardware.load(hardware or chosen.hardware)
    if device is not None:
        design = design.replace(device=DeviceModel.load(device))
    for name in methods or METHODS:
        choice = {"placement": "sram"} if "placement" in find_method(name).model_fields else {}
        table = {"name": name, **choice}
        found.append(
            Recalibration(
                method=table, problem=chosen, hardware=design, damage=damage, shots_per_class=shots, seeds=seeds
            )
        )
    return found


def run_all(
    recalibrations: Sequence[Recalibration], runs: Path = RUNS, *, progress: bool = True
) -> list[RecalibrationRecord]:
    """One record per method, one after the other; a killed run resumes."""
    return [one.run(runs) for one in tqdm(recalibrations, desc="recalibrating", unit="method", disable=not progress)]


def table(records: Sequence[RecalibrationRecord]) -> str:
    """The records as text, one line each."""
    lines = [
        f"{'method':<20}{'damage':<28}{'digital':>8}{'damaged':>9}{'after':>8}{'recovered':>11}"
        f"{'trained':>9}{'cells written':>15}"
    ]
    for row in records:
        share = "" if row.recovered_share is None else f"{row.recovered_share:.0%}"
        lines.append(
            f"{row.method:<20}{row.damage:<28}{row.digital_accuracy:>8.3f}{row.damaged_accuracy:>9.3f}"
            f"{row.recalibrated_accuracy:>8.3f}{share:>11}{row.trained_values:>9.0f}{row.adapt_cells_written:>15.0f}"
        )
    return "\n".join(lines)
