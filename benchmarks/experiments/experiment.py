"""Experiment: one method on one chip design for one task, over several seeds; its result is a file."""

from __future__ import annotations

import copy
import hashlib
import json
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, SerializeAsAny, field_serializer, field_validator
from torch import nn

from benchmarks.experiments.result import Result
from benchmarks.problems.backbones import BACKBONE_FOLDER, load_backbone
from benchmarks.problems.pools import POOL_FOLDER, load_pool
from benchmarks.problems.tasks import TASKS, base_data, few_shot, get_task
from crossbar_sim import Chip, CrossbarError, Hardware, SpecError, map_model
from crossbar_sim.runtime.files import write_json
from crossbar_sim.spec.spec import Spec, nearest
from crossbar_sim.wear.statistics import wear
from peft_methods import Method, accuracy, fine_tune
from peft_methods.checkpoints.pool import pool_folder
from peft_methods.methods import read_method
from peft_methods.methods.pooled import PoolMethod, with_pool
from peft_methods.phases import GROUPS
from peft_methods.training.loop import History, programming_energy

FORMAT = 3  # raise when results computed by older code must not be reused
RUNS = Path("runs")
DEFAULT_HARDWARE = "milo2021_128x128"
CALIBRATION_IMAGES = 64


class Experiment(Spec):
    """What is run: `method` on `hardware` for `task`, `shots_per_class` training images per class, per seed.

    `pool` is a folder of LoRA modules in PEFT's format, handed to a method that mixes one and names none; None: the one
    that ships for the backbone.
    """

    method: SerializeAsAny[Method]
    hardware: Hardware = Field(default_factory=lambda: Hardware.load(DEFAULT_HARDWARE))
    backbone: str = "digits_vit"
    pool: str | None = None
    task: str = "fliplr+dim"
    shots_per_class: Annotated[int, Field(ge=1, le=16)] = 5
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0, 1, 2, 3, 4)
    curve_points: Annotated[int, Field(ge=0)] = 4

    @field_validator("method", mode="before")
    @classmethod
    def _method_from_table(cls, value: Any) -> Any:
        if not isinstance(value, str | Mapping):
            return value
        try:
            return read_method(value)
        except SpecError as error:
            raise SpecError(f"method: {error}") from None

    @field_serializer("method")
    def _method_to_table(self, method: Method) -> dict[str, Any]:
        return method.table()

    @field_validator("hardware", mode="before")
    @classmethod
    def _hardware_by_name(cls, value: Any) -> Any:
        return Hardware.load(value) if isinstance(value, str) else value

    @field_validator("backbone")
    @classmethod
    def _known_backbone(cls, value: str) -> str:
        known = sorted(path.stem for path in BACKBONE_FOLDER.glob("*.safetensors"))
        if value not in known:
            raise SpecError(f"backbone: no backbone '{value}'{nearest(value, known)}")
        return value

    @field_validator("task")
    @classmethod
    def _known_task(cls, value: str) -> str:
        if value not in TASKS:
            raise SpecError(f"task: no task '{value}'{nearest(value, list(TASKS))}")
        return value

    def folder(self, runs: Path = RUNS) -> Path:
        """Where the result is kept: runs/<digest of this spec, the shipped weights and the record format>."""
        parts = f"{self.digest()} {weights_digest(self.backbone, self.pool_folder)} {FORMAT}"
        return runs / hashlib.sha256(parts.encode()).hexdigest()[:16]

    @property
    def pool_folder(self) -> Path:
        """Where the LoRA modules of the pool are, if its method mixes one."""
        named = self.method.pool if isinstance(self.method, PoolMethod) else None
        if isinstance(named, str):
            return pool_folder(named)
        return POOL_FOLDER / self.backbone if self.pool is None else Path(self.pool)

    def method_with_pool(self) -> Method:
        """The method, ready to be attached: with the pool of this experiment where it mixes one and names none."""
        return with_pool(self.method, lambda: load_pool(self.pool_folder))

    def run(self, runs: Path = RUNS) -> Result:
        """Run what is not on disk yet, one seed after the other, and return the result."""
        return self.collect([self.run_seed(seed, runs) for seed in self.seeds], runs)

    def run_seed(self, seed: int, runs: Path = RUNS) -> dict[str, Any]:
        """The record of one seed: from its file if it is there, else simulated and written."""
        path = self.folder(runs) / f"seed_{seed}.json"
        if path.is_file():
            return read_record(path)
        with one_thread():
            record = simulate(self, seed)
        write_json(path, record)
        return record

    def collect(self, records: list[dict[str, Any]], runs: Path = RUNS) -> Result:
        """Put the records of all seeds together in runs/<digest>/result.json."""
        result = Result(
            spec=self.model_dump(mode="json"),
            task_kind=get_task(self.task).kind,
            display_name=self.method.display_name,
            seeds=records,
            versions=versions(),
        )
        path = self.folder(runs) / "result.json"
        if not path.is_file():
            write_json(path, result.as_json())
        return result


def read_record(path: Path) -> dict[str, Any]:
    """A stored record; CrossbarError if the file is not whole."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CrossbarError(f"{path} is not a whole result ({error}); delete it and run again") from None
    return record


def simulate(experiment: Experiment, seed: int) -> dict[str, Any]:
    """Deploy, adapt, infer once; everything in the record comes from this one chip."""
    method, data = experiment.method_with_pool(), few_shot(get_task(experiment.task), experiment.shots_per_class, seed)
    model = copy.deepcopy(load_backbone(experiment.backbone))
    chip = map_model(model, experiment.hardware, seed=seed)
    calibrate(model, chip)
    adapter = method.attach(model, chip, seed)
    curve: list[dict[str, float]] = []
    every = max(1, method.steps // experiment.curve_points) if experiment.curve_points else None

    def watch(step: int, history: History) -> None:
        if every is not None and (step % every == 0 or step == method.steps):
            right = accuracy(model, data.validation_images, data.validation_labels)
            curve.append({"step": step, "write_energy_J": programming_energy(chip), "validation_accuracy": right})

    history = fine_tune(model, adapter, data.train_images, data.train_labels, seed=seed, on_step=watch)
    test = accuracy(model, data.test_images, data.test_labels, chip)
    if curve and curve[-1]["step"] == method.steps:
        validation = curve[-1]["validation_accuracy"]
    else:
        with chip.probing():
            validation = accuracy(model, data.validation_images, data.validation_labels)
    return {
        "seed": seed,
        "accuracy": test,
        "validation_accuracy": validation,
        "trained_values": adapter.trained_values,
        **bill(chip, history, adapter.task_writes()),
        "inferences": len(data.test_images),
        "curve": curve,
        "loss": history.loss,
        "worn_tile": worn_tile(chip, adapter.task_writes()),
        "ledger": chip.ledger.rows(),
    }


@torch.no_grad()
def calibrate(model: nn.Module, chip: Chip) -> None:
    """Set the ADC range registers with images of the pre-training task; billed to 'deploy'."""
    model.train()
    with chip.ledger.phase("deploy"):
        model(base_data().train_images[:CALIBRATION_IMAGES])


def bill(chip: Chip, history: History, task_writes: Mapping[str, NDArray[np.int64]]) -> dict[str, Any]:
    """Energy and wear of everything the chip did; task_writes: by matrix, the writes of the adaptation alone."""
    ledger, writes = chip.ledger, wear(chip.writes())
    task = wear(np.concatenate([counts.reshape(-1) for counts in task_writes.values()]))
    return {
        "cells": writes.cells,
        "cells_written_per_step": float(np.mean(history.cells_written)),
        "adapt_cells_written": ledger.writes("adapt"),
        "pool_cells_written": ledger.writes("pool"),
        "deploy_cells_written": ledger.writes("deploy"),
        "reprogramming_energy_J": programming_energy(chip),
        "pool_programming_energy_J": programming_energy(chip, "pool"),
        "total_energy_J": ledger.energy(),
        "energy_by_phase_J": {group: ledger.energy(group) for group in GROUPS},
        "energy_by_component_J": ledger.by_component(),
        "adapt_energy_by_component_J": ledger.by_component("adapt"),
        "adapt_time_s": ledger.time("adapt"),
        "max_writes_per_cell": int(writes.largest),
        "p99_writes_per_cell": writes.p99,
        "mean_writes_per_cell": writes.mean,
        "max_task_writes_per_cell": int(task.largest),
        "p99_task_writes_per_cell": task.p99,
        "mean_task_writes_per_cell": task.mean,
        "gini_of_task_writes": task.gini,
        "adaptations_until_wearout": task.adaptations(chip.hardware.device.endurance),
        "adaptations_until_wearout_levelled": task.adaptations_levelled(chip.hardware.device.endurance),
    }


def worn_tile(chip: Chip, task_writes: Mapping[str, NDArray[np.int64]]) -> dict[str, Any]:
    """Writes per cell in this adaptation on the tile whose worst cell was written most (first if none was)."""
    name = max(task_writes, key=lambda candidate: int(task_writes[candidate].max()))
    writes = task_writes[name]
    tile = max(chip.matrices[name].tiles, key=lambda one: int(writes[:, one.inputs, one.plane_columns].max()))
    cells = writes[:, tile.inputs, tile.plane_columns]
    interleaved = cells.transpose(1, 2, 0).reshape(cells.shape[1], -1)
    return {"tile": tile.name, "rows": tile.rows, "columns": tile.columns, "writes": interleaved.tolist()}


@cache
def weights_digest(backbone: str, pool_folder: Path) -> str:
    """SHA-256 over the files of a backbone and a pool."""
    total = hashlib.sha256((BACKBONE_FOLDER / f"{backbone}.safetensors").read_bytes())
    for path in sorted(pool_folder.rglob("adapter_*")):
        total.update(path.read_bytes())
    return total.hexdigest()


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch and numba on one thread, so that results do not depend on the machine's core count."""
    torch_threads, numba_threads = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(torch_threads)
        numba.set_num_threads(numba_threads)


def versions() -> dict[str, str]:
    """Versions that a result was made with."""
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "platform": sys.platform,
    }
