"""The bill of a simulation by counting: a method on a model of any size, without weights and without cells."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import nn

from crossbar_sim import Hardware, SpecError, map_model
from crossbar_sim.chip.counted import CountedChip, CountedMatrix
from crossbar_sim.counting.activity import Activity
from crossbar_sim.counting.shapes_only import ShapesOnly
from crossbar_sim.spec.spec import Spec, nearest
from peft_methods import Adapter, Method
from peft_methods.customary import configured_part
from peft_methods.memory import memory_of
from peft_methods.methods.gradient_free import GradientFree
from peft_methods.phases import PHASES, Phase
from peft_methods.training.activations import KeptActivations
from peft_methods.training.digital_operations import DigitalOperations
from peft_methods.training.loop import bill_optimizer
from peft_methods.training.samples import MASK
from peft_methods.training.step import TrainingStep

Count = Annotated[int, Field(ge=1)]
Inputs = torch.Tensor | Mapping[str, torch.Tensor]
"""What a model reads: one argument, or several by keyword; on the meta device."""
Sample = Callable[[int], Inputs]
"""The model's input for n samples."""


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
    workload: Workload
    cells_per_step: float = 0.0

    @property
    def matrices(self) -> dict[str, CountedMatrix]:
        """Everything on tiles."""
        return self.chip.matrices

    @property
    def trained_values(self) -> int:
        """Numbers that are trained."""
        return self.adapter.trained_values

    @property
    def backbone_weights(self) -> int:
        """Weights of the model on tiles."""
        return sum(m.master.numel() for name, m in self.matrices.items() if name in self.backbone)

    @property
    def tiles(self) -> int:
        """All tiles in use."""
        return sum(m.tile_count for m in self.matrices.values())

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
        """Training steps; of a method that has none, none."""
        own = self.adapter.method.steps
        return self.workload.steps or own if own else 0

    @property
    def batch(self) -> int:
        """Samples per training step."""
        return self.workload.batch or self.adapter.method.batch_size

    @property
    def sram_bytes(self) -> dict[str, int]:
        """Trained values with their optimizer state, frozen matrices in SRAM, and what the method keeps beside them."""
        return memory_of(self.adapter)


def attach(
    model: nn.Module,
    method: Method,
    hardware: Hardware,
    sample: Sample,
    *,
    workload: Workload | None = None,
    activity: Activity | None = None,
    digital: tuple[str, ...] | None = None,
) -> Counted:
    """Deploy, calibrate and attach a method with shapes alone; arguments as in `count`."""
    workload = Workload() if workload is None else workload
    for phase in () if activity is None else activity.levels:
        if phase not in PHASES:
            raise SpecError(f"levels: no phase '{phase}'{nearest(phase, list(PHASES))}")
    names = [name for name, _ in model.named_modules()]
    exclude = None if digital is None else [pattern for pattern in digital if fnmatch.filter(names, pattern)]
    chip = map_model(model, CountedChip(hardware, activity=activity), exclude=exclude)
    _drop_values(model)
    _keep_masks_out(model)
    backbone = frozenset(chip.matrices)
    with ShapesOnly():
        if workload.calibration:
            model.train()
            with torch.no_grad(), chip.ledger.phase("deploy"):
                output_of(model, sample(workload.calibration))
        adapter = method.attach(model, chip)
    return Counted(model, chip, adapter, backbone, workload)


def _drop_values(model: nn.Module) -> None:
    """Leave the shapes alone; parameters that are one, such as a head and an embedding, stay one."""
    places: dict[int, list[tuple[nn.Module, str]]] = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            places.setdefault(id(parameter), []).append((module, name))
    model.to("meta")
    for (owner, own_name), *others in places.values():
        for module, name in others:
            module._parameters[name] = owner._parameters[own_name]


def _keep_masks_out(model: nn.Module) -> None:
    """Let no mask without values into the part of transformers: it looks into them, and they change no count."""
    part = configured_part(model)
    if part is not None:
        part[0].register_forward_pre_hook(_without_mask, with_kwargs=True)


def _without_mask(_: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return args, {name: one for name, one in kwargs.items() if name != MASK or not one.is_meta}


def count(
    model: nn.Module,
    method: Method,
    hardware: Hardware,
    sample: Sample,
    *,
    workload: Workload | None = None,
    activity: Activity | None = None,
    digital: tuple[str, ...] | None = None,
) -> Counted:
    """Deploy, calibrate, adapt and infer with shapes alone, billing what a simulation of the same run would bill.

    model: any torch model whose forward works on the meta device; weights it still has give the levels of its cells,
    and are then dropped. sample(n): the model's input for n samples on the meta device, one argument or a dict of
    keyword arguments; an attention mask stays out of parts of transformers, since it changes no count. activity: what
    depends on data; digital: layers that stay off the tiles; None: those that map_model keeps off. Raises what
    map_model and the method raise.
    """
    counted = attach(model, method, hardware, sample, workload=workload, activity=activity, digital=digital)
    run(counted, sample)
    return counted


def run(counted: Counted, sample: Sample) -> None:
    """Bill training and inference; one step stands for all, which cost the same."""
    model, inferences = counted.model, counted.workload.inferences
    counted.adapter.resume()
    with ShapesOnly():
        if counted.steps:
            _train(counted, sample)
        counted.adapter.finish()
        model.eval()
        if inferences:
            _evaluate(model, counted.chip, sample(inferences), inferences, "infer")


def _train(counted: Counted, sample: Sample) -> None:
    """One step, billed as often as there are steps."""
    model, adapter = counted.model, counted.adapter
    chip, workload = counted.chip, counted.workload
    before = chip.ledger.writes("adapt")
    model.train()
    with chip.ledger.repeated(counted.steps):
        if isinstance(adapter.method, GradientFree):
            _evaluate(model, chip, sample(workload.train_samples), workload.train_samples, "adapt/forward")
        else:
            _step(model, adapter, chip, sample, counted.batch)
    counted.cells_per_step = (chip.ledger.writes("adapt") - before) / counted.steps


def output_of(model: nn.Module, given: Inputs) -> torch.Tensor:
    """The model's output; of several, the first tensor."""
    output = model(**given) if isinstance(given, Mapping) else model(given)
    if isinstance(output, torch.Tensor):
        return output
    values = output.values() if isinstance(output, Mapping) else output
    return next(value for value in values if isinstance(value, torch.Tensor))


def _step(model: nn.Module, adapter: Adapter, chip: CountedChip, sample: Sample, batch: int) -> None:
    """One step of `peft_methods.fine_tune`; any scalar stands for the loss, which has no products."""
    training = TrainingStep(
        chip.ledger, adapter.trained_parameters(), DigitalOperations(chip), KeptActivations(chip, model)
    )

    def update() -> int:
        bill_optimizer(chip, adapter)
        return adapter.write()

    training.run(batch, lambda: output_of(model, sample(batch)), torch.sum, update)


@torch.no_grad()
def _evaluate(model: nn.Module, chip: CountedChip, given: Inputs, samples: int, phase: Phase) -> None:
    count_digital = DigitalOperations(chip)
    with chip.ledger.phase(phase), count_digital("forward", samples):
        output_of(model, given)
