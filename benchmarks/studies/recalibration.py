"""Recalibration: a damaged chip loses accuracy; a few images of the task that it was shipped for win it back.

The backbone is deployed with stronger programming errors or with stuck cells, or its cells age; nothing else changes.
Methods train through the cells as they are, so what they learn is the correction.
"""

from __future__ import annotations

import copy
import hashlib
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from tqdm import tqdm

from benchmarks.experiments.experiment import (
    DEFAULT_HARDWARE,
    RUNS,
    Experiment,
    calibrate,
    one_thread,
    read_record,
    weights_digest,
)
from benchmarks.problems.backbones import load_backbone
from benchmarks.problems.tasks import Task, few_shot
from crossbar_sim import DeviceModel, Hardware, SpecError, map_model
from crossbar_sim.runtime.files import write_json
from crossbar_sim.spec.spec import Spec
from peft_methods import METHODS, accuracy, fine_tune
from peft_methods.methods import find_method
from peft_methods.training.loop import programming_energy

FORMAT = 1  # raise when results computed by older code must not be reused
SHIPPED = Task("digits", "source", lambda images, _: images)
"""What the backbone was trained for: digits without any shift."""


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


class Recalibration(Experiment):
    """An experiment on a damaged chip whose task is the one that the backbone was shipped for; `task` is unused."""

    damage: Damage = Damage(programming_error=6.0)
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0, 1, 2)

    def folder(self, runs: Path = RUNS) -> Path:
        """Where the records are kept."""
        parts = f"recalibration {self.digest()} {weights_digest(self.backbone, self.pool_folder)} {FORMAT}"
        return runs / hashlib.sha256(parts.encode()).hexdigest()[:16]

    def run_seed(self, seed: int, runs: Path = RUNS) -> dict[str, Any]:
        """The record of one seed: from its file if it is there, else simulated and written."""
        path = self.folder(runs) / f"seed_{seed}.json"
        if path.is_file():
            return read_record(path)
        with one_thread():
            record = recalibrate(self, seed)
        write_json(path, record)
        return record

    def record(self, runs: Path = RUNS) -> dict[str, Any]:
        """Means over the seeds: accuracy of the digital backbone, of the damaged chip and of the recalibrated one."""
        records = [self.run_seed(seed, runs) for seed in self.seeds]
        mean = {key: statistics.fmean(one[key] for one in records) for key in records[0] if key != "seed"}
        lost = mean["digital_accuracy"] - mean["damaged_accuracy"]
        won = mean["recalibrated_accuracy"] - mean["damaged_accuracy"]
        return {
            "method": self.method.display_name,
            "hardware": self.hardware.name,
            "device": self.hardware.device.name,
            "damage": self.damage.label,
            "seeds": list(self.seeds),
            **mean,
            "recovered_share": won / lost if lost > 0 else None,
        }


def recalibrate(experiment: Recalibration, seed: int) -> dict[str, Any]:
    """Deploy on the damaged chip, let it age, measure, fine-tune on `shots_per_class` unshifted images per class,
    measure again. A pool's tiles are programmed after the chip has aged."""
    method, data = experiment.method_with_pool(), few_shot(SHIPPED, experiment.shots_per_class, seed)
    model = copy.deepcopy(load_backbone(experiment.backbone))
    digital = accuracy(model, data.test_images, data.test_labels)
    chip = map_model(model, experiment.damage.done_to(experiment.hardware), seed=seed)
    calibrate(model, chip)
    chip.wait(experiment.damage.seconds)
    with chip.probing():
        damaged = accuracy(model, data.test_images, data.test_labels)
    adapter = method.attach(model, chip, seed)
    fine_tune(model, adapter, data.train_images, data.train_labels, seed=seed)
    return {
        "seed": seed,
        "digital_accuracy": digital,
        "damaged_accuracy": damaged,
        "recalibrated_accuracy": accuracy(model, data.test_images, data.test_labels, chip),
        "trained_values": adapter.trained_values,
        "adapt_cells_written": chip.ledger.writes("adapt"),
        "reprogramming_energy_J": programming_energy(chip),
        "adapt_energy_J": chip.ledger.energy("adapt"),
    }


def experiments(
    methods: Sequence[str],
    *,
    hardware: str = DEFAULT_HARDWARE,
    device: str | None = None,
    damage: Damage,
    shots: int = 5,
    seeds: tuple[int, ...] = (0, 1, 2),
) -> list[Recalibration]:
    """One per method at its defaults, all of METHODS if none is named; those with a choice keep what they train in
    SRAM, so that no damaged cell has to be written. device: instead of the hardware's own."""
    design, found = Hardware.load(hardware), []
    if device is not None:
        design = design.replace(device=DeviceModel.load(device))
    for name in methods or METHODS:
        table = {"name": name, **({"placement": "sram"} if "placement" in find_method(name).model_fields else {})}
        found.append(Recalibration(method=table, hardware=design, damage=damage, shots_per_class=shots, seeds=seeds))
    return found


def run_all(experiments: Sequence[Recalibration], runs: Path = RUNS, *, progress: bool = True) -> list[dict[str, Any]]:
    """One record per experiment, one after the other; a killed run resumes."""
    return [one.record(runs) for one in tqdm(experiments, desc="recalibrating", unit="method", disable=not progress)]


def table(records: Sequence[dict[str, Any]]) -> str:
    """The records as text, one line each."""
    lines = [
        f"{'method':<20}{'damage':<28}{'digital':>8}{'damaged':>9}{'after':>8}{'recovered':>11}"
        f"{'trained':>9}{'cells written':>15}"
    ]
    for row in records:
        share = "" if row["recovered_share"] is None else f"{row['recovered_share']:.0%}"
        lines.append(
            f"{row['method']:<20}{row['damage']:<28}{row['digital_accuracy']:>8.3f}{row['damaged_accuracy']:>9.3f}"
            f"{row['recalibrated_accuracy']:>8.3f}{share:>11}{row['trained_values']:>9.0f}"
            f"{row['adapt_cells_written']:>15.0f}"
        )
    return "\n".join(lines)
