"""Estimate: the bill of a simulation by counting, for models too large to simulate: no weights, no cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import nn

from benchmarks.problems.model_file import read_model
from benchmarks.problems.shapes import EncoderShape, ModelShape, get_shape, pool_shape
from crossbar_sim import Hardware, SpecError, map_model
from crossbar_sim.chip.counted import CountedChip, CountedMatrix
from crossbar_sim.counting.activity import Activity
from crossbar_sim.hardware.components import PROGRAMMING
from crossbar_sim.ledger.datasheet import datasheet
from crossbar_sim.ledger.pipeline import pipeline
from crossbar_sim.spec.spec import Spec, nearest
from peft_methods import METHODS, Adapter, LinearProbe, Method, Pool
from peft_methods.methods import find_method
from peft_methods.methods.gradient_free import GradientFree
from peft_methods.methods.pooled import with_pool
from peft_methods.model_parts import linear_layers
from peft_methods.phases import GROUPS, PHASES, Phase
from peft_methods.training.activations import KeptActivations
from peft_methods.training.digital_operations import DigitalOperations
from peft_methods.training.loop import bill_optimizer
from peft_methods.training.step import TrainingStep

DIGITAL = ("head", "lm_head")  # layers that stay digital
WORD = 4  # bytes of a float32
ADAM_WORDS = 3  # value and two moments
NO_AREA = "the hardware states no areas"

Count = Annotated[int, Field(ge=1)]


class Workload(Spec):
    """How much is deployed, trained and inferred.

    steps, batch: of training (None: the method's own); tokens: per sample (None: the model's own); train_samples:
    what a gradient-free search evaluates in every step; calibration: samples that set the converters' ranges after
    deployment; inferences: samples classified once training is over; classes: of the head that the linear probe of a
    large encoder trains.
    """

    steps: Count | None = None
    batch: Count | None = None
    tokens: Count | None = None
    train_samples: Count = 50
    calibration: Annotated[int, Field(ge=0)] = 64
    inferences: Annotated[int, Field(ge=0)] = 100
    classes: Count = 100


@dataclass
class Counted:
    """A method on a model that is only counted: the chip with its ledger, the adapter, and what the method keeps in
    buffers beside it. `run` adds training and inference to the bill."""

    model: nn.Module
    chip: CountedChip
    adapter: Adapter
    backbone: frozenset[str]
    kept_values: int
    workload: Workload
    cells_per_step: float = 0.0

    @property
    def matrices(self) -> dict[str, CountedMatrix]:
        """Everything on tiles."""
        return self.chip.matrices

    @property
    def trained_cells(self) -> int:
        """Cells that training may rewrite."""
        return sum(m.cell_count for m in self.adapter.matrices)

    @property
    def pool_cells(self) -> int:
        """Cells of frozen matrices that the method adds."""
        trained = {m.name for m in self.adapter.matrices}
        return sum(
            m.cell_count for name, m in self.matrices.items() if name not in self.backbone and name not in trained
        )

    @property
    def backbone_cells(self) -> int:
        """Cells of the model itself."""
        return sum(m.cell_count for name, m in self.matrices.items() if name in self.backbone)

    @property
    def steps(self) -> int:
        """Training steps."""
        return self.workload.steps or self.adapter.method.steps

    @property
    def sram_bytes(self) -> dict[str, int]:
        """Trained values with their optimizer state, frozen matrices in SRAM, and what the method keeps beside them."""
        words = 1 if isinstance(self.adapter.method, GradientFree) else ADAM_WORDS
        trained = {id(parameter) for parameter in self.adapter.trained_parameters()}
        frozen = sum(
            matrix.master.numel()
            for matrix, placement in self.adapter.placed
            if placement == "sram" and id(matrix.master) not in trained
        )
        return {
            "trained": WORD * words * self.adapter.trained_values,
            "frozen": WORD * frozen,
            "kept": WORD * self.kept_values,
        }


def attach(
    model: nn.Module,
    method: Method,
    hardware: Hardware,
    sample: Callable[[int], Any],
    *,
    workload: Workload | None = None,
    activity: Activity | None = None,
    digital: tuple[str, ...] = DIGITAL,
) -> Counted:
    """Deploy, calibrate and attach a method with shapes alone; arguments as in `count`."""
    workload = Workload() if workload is None else workload
    for phase in () if activity is None else activity.levels:
        if phase not in PHASES:
            raise SpecError(f"levels: no phase '{phase}'{nearest(phase, list(PHASES))}")
    exclude = [name for name in digital if name in dict(model.named_modules())]
    chip = map_model(model, CountedChip(hardware, activity=activity), exclude=exclude)
    model.to("meta")
    backbone = frozenset(chip.matrices)
    if workload.calibration:
        model.train()
        with torch.no_grad(), chip.ledger.phase("deploy"):
            output_of(model, sample(workload.calibration))
    known = {id(buffer) for buffer in model.buffers()}
    adapter = method.attach(model, chip)
    kept = sum(buffer.numel() for buffer in model.buffers() if id(buffer) not in known)
    return Counted(model, chip, adapter, backbone, kept, workload)


def count(
    model: nn.Module,
    method: Method,
    hardware: Hardware,
    sample: Callable[[int], Any],
    *,
    workload: Workload | None = None,
    activity: Activity | None = None,
    digital: tuple[str, ...] = DIGITAL,
) -> Counted:
    """Deploy, calibrate, adapt and infer with shapes alone, billing what a simulation of the same run would bill.

    model: any torch model whose forward works on the meta device; weights it still has give the levels of its cells,
    and are then dropped. sample(n): the model's input for n samples on the meta device, one argument or a dict of
    keyword arguments. activity: what depends on data; digital: layers that stay off the tiles. Raises what
    map_model and the method raise.
    """
    counted = attach(model, method, hardware, sample, workload=workload, activity=activity, digital=digital)
    run(counted, sample)
    return counted


def run(counted: Counted, sample: Callable[[int], Any]) -> None:
    """Bill training and inference; one step stands for all, which cost the same."""
    model, adapter, chip, workload = counted.model, counted.adapter, counted.chip, counted.workload
    method, before = adapter.method, chip.ledger.writes("adapt")
    adapter.resume()
    model.train()
    with chip.ledger.repeated(counted.steps):
        if isinstance(method, GradientFree):
            _evaluate(model, chip, sample(workload.train_samples), workload.train_samples, "adapt/forward")
        else:
            _step(model, adapter, chip, sample, workload.batch or method.batch_size)
    counted.cells_per_step = (chip.ledger.writes("adapt") - before) / counted.steps
    adapter.finish()
    model.eval()
    if workload.inferences:
        _evaluate(model, chip, sample(workload.inferences), workload.inferences, "infer")


def output_of(model: nn.Module, given: Any) -> torch.Tensor:
    """The model's output; of several, the first tensor."""
    output = model(**given) if isinstance(given, dict) else model(given)
    if isinstance(output, torch.Tensor):
        return output
    values = output.values() if isinstance(output, Mapping) else output
    return next(value for value in values if isinstance(value, torch.Tensor))


def _step(model: nn.Module, adapter: Adapter, chip: CountedChip, sample: Callable[[int], Any], batch: int) -> None:
    """One step of `peft_methods.fine_tune`; any scalar stands for the loss, which has no products."""
    training = TrainingStep(
        chip.ledger, adapter.trained_parameters(), DigitalOperations(chip), KeptActivations(chip, model)
    )

    def update() -> int:
        bill_optimizer(chip, adapter)
        return adapter.write()

    training.run(batch, lambda: output_of(model, sample(batch)), torch.sum, update)


@torch.no_grad()
def _evaluate(model: nn.Module, chip: CountedChip, given: Any, samples: int, phase: Phase) -> None:
    count_digital = DigitalOperations(chip)
    with chip.ledger.phase(phase), count_digital("forward", samples):
        output_of(model, given)


def find_shape(model: str) -> ModelShape:
    """A model by its name in benchmarks.problems.shapes or by the path of its TOML file."""
    return read_model(model) if model.endswith(".toml") else get_shape(model)


def make_method(shape: ModelShape, method: str, settings: Mapping[str, Any] | None = None) -> Method:
    """The method with the settings that its paper uses for this model, changed by `settings`."""
    kind = find_method(method)
    usual: dict[str, Any] = {"rank": shape.rank, "alpha": shape.alpha}
    if shape.targets is not None:
        usual["targets"] = shape.targets
    own = {key: value for key, value in usual.items() if key in kind.model_fields}
    return kind(**{**own, **shape.settings.get(method, {}), **(settings or {})})


def attach_shape(
    shape: ModelShape,
    method: Method,
    hardware: Hardware,
    workload: Workload | None = None,
    activity: Activity | None = None,
) -> Counted:
    """`attach` for a model of benchmarks.problems.shapes."""
    network = shape.build()
    if isinstance(method, LinearProbe) and isinstance(network, EncoderShape):
        network.add_head((workload or Workload()).classes)

    def make_pool() -> Pool:
        layers = linear_layers(network, shape.targets)
        return pool_shape(
            {name: (layer.weight.shape[0], layer.weight.shape[1]) for name, layer in layers.items()}, shape
        )

    method = with_pool(method, make_pool)
    return attach(network, method, hardware, sampler(shape, workload), workload=workload, activity=activity)


def count_shape(
    shape: ModelShape,
    method: Method,
    hardware: Hardware,
    workload: Workload | None = None,
    activity: Activity | None = None,
) -> Counted:
    """`count` for a model of benchmarks.problems.shapes."""
    counted = attach_shape(shape, method, hardware, workload, activity)
    run(counted, sampler(shape, workload))
    return counted


def sampler(shape: ModelShape, workload: Workload | None) -> Callable[[int], torch.Tensor]:
    """The model's input for n samples of the workload's tokens."""
    tokens = (workload.tokens if workload is not None else None) or shape.tokens
    return partial(shape.sample, tokens=tokens)


def estimate(
    model: str,
    method: str,
    hardware: str | Path | Hardware,
    settings: Mapping[str, Any] | None = None,
    *,
    workload: Workload | None = None,
    activity: Activity | None = None,
) -> dict[str, Any]:
    """The bill of a method on a model that is too large to simulate, as one record.

    model: a name of `problems.shapes` or the path of a TOML file; method: a key of METHODS; hardware: a name, TOML path
    or Hardware; settings: of the method, in place of those that the model's shape brings along.
    """
    shape = find_shape(model)
    design = hardware if isinstance(hardware, Hardware) else Hardware.load(hardware)
    counted = count_shape(shape, make_method(shape, method, settings), design, workload, activity)
    return {"model": model, "method": method, **record_of(counted)}


def counts_of(counted: Counted) -> dict[str, Any]:
    """What is known once a method is attached."""
    matrices = counted.matrices
    return {
        "hardware": counted.chip.hardware.name,
        "trained_values": counted.adapter.trained_values,
        "backbone_weights": sum(m.master.numel() for name, m in matrices.items() if name in counted.backbone),
        "tiles": sum(m.tile_count for m in matrices.values()),
        "backbone_cells": counted.backbone_cells,
        "pool_cells": counted.pool_cells,
        "trained_cells": counted.trained_cells,
    }


def record_of(counted: Counted) -> dict[str, Any]:
    """What was counted, as one flat record."""
    chip, method = counted.chip, counted.adapter.method
    ledger, sram = chip.ledger, counted.sram_bytes
    rows = ledger.rows()
    reads = {
        phase: sum(row["count"] for row in rows if (row["phase"], row["component"]) == (phase, "cell reads"))
        for phase in PHASES
    }
    return {
        **counts_of(counted),
        "steps": counted.steps,
        "batch": counted.workload.batch or method.batch_size,
        "changed_share": chip.activity.changed_share,
        "cells_written_per_step": counted.cells_per_step,
        "max_writes_per_cell": 1 + (counted.steps if counted.trained_cells and chip.activity.changed_share else 0),
        "reprogramming_energy_J": ledger.energy("adapt", PROGRAMMING),
        "pool_programming_energy_J": ledger.energy("pool", PROGRAMMING),
        "total_energy_J": ledger.energy(),
        "energy_by_phase_J": {group: ledger.energy(group) for group in GROUPS},
        "energy_by_component_J": ledger.by_component(),
        "adapt_energy_by_component_J": ledger.by_component("adapt"),
        "latency_s": ledger.time(),
        "latency_by_phase_s": {group: ledger.time(group) for group in GROUPS},
        **_pace(counted),
        "reads_by_phase": reads,
        "sram_bytes": sum(sram.values()),
        "sram_bytes_by_use": sram,
        **area_of(counted),
    }


def _pace(counted: Counted) -> dict[str, Any]:
    """One inference after the other, and in a pipeline of the matrices; None without inferences."""
    samples = counted.workload.inferences
    if not samples:
        return {"inference_latency_s": None, "pipelined_interval_s": None, "pipelined_slowest": None}
    stages = pipeline(counted.chip.ledger, samples)
    return {
        "inference_latency_s": stages.latency,
        "pipelined_interval_s": stages.interval,
        "pipelined_slowest": stages.slowest,
    }


def area_of(counted: Counted) -> dict[str, Any]:
    """Square metres of the tiles in use, each with its share of everything around it that the design states."""
    hardware = {id(m.hardware): m.hardware for m in counted.matrices.values()}
    tiles = {key: sum(m.tile_count for m in counted.matrices.values() if id(m.hardware) == key) for key in hardware}
    sheets = {key: datasheet(design).levels[-1] for key, design in hardware.items()}
    if not all(sheet.area for sheet in sheets.values()):
        return {"area_m2": None, "area_note": NO_AREA}
    area = sum(count * sheets[key].area / sheets[key].arrays for key, count in tiles.items())
    return {"area_m2": area, "area_note": "tiles in use, each with its share of the chip"}


def method_records() -> list[dict[str, Any]]:
    """Every method in each placement, with its hardware consequences on the default backbone at default settings.

    `cells_written_per_step` is an upper bound: only cells whose target level changes are written.
    """
    records, shape, hardware = [], get_shape("digits-vit"), Hardware.load("milo2021_128x128")
    undeployed = Workload(calibration=0)
    for name, kind in METHODS.items():
        for placement in ("crossbar", "sram") if "placement" in kind.model_fields else (None,):
            method = kind() if placement is None else kind(placement=placement)  # type: ignore[call-arg]
            counted = attach_shape(shape, method, hardware, undeployed)
            records.append(
                {
                    "method": name,
                    "display_name": method.display_name,
                    "placement": placement,
                    "lives_in": {**method.placements(), **method.frozen_placements()},
                    "cells_written_per_step": counted.trained_cells,
                    "cells_written_per_step_is": "at most",
                    "pool_cells": counted.pool_cells,
                    "transposed_reads": method.transposed_reads,
                    "extra_reads": method.extra_reads,
                    "trained_values": counted.adapter.trained_values,
                }
            )
    return records
