"""One write against many steps: a kernel solution programmed once on a chip, beside fine-tuning on the same chip.

The study reads the training images once, solves one linear system, programs the change
of the chosen weights on fresh tiles, once, and reads the linearised network (`ntk.linearised`). Accuracy, energy and
wear come from one simulated chip, as they do in every experiment; the rows beside it are such experiments.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from benchmarks.experiments.experiment import Experiment, simulate
from benchmarks.experiments.record import BilledRun, record_run
from benchmarks.problems.tasks import few_shot, get_task
from benchmarks.record import Record
from benchmarks.studies.base import Findings, Study
from benchmarks.studies.digits import deploy_digits
from crossbar_sim import Chip, Hardware
from crossbar_sim.runtime.threads import one_thread
from crossbar_sim.spec.units import engineering
from peft_methods import FullFineTuning, LinearProbe, LoRA, LoRAFA, Method, accuracy
from peft_methods.methods.low_rank import LowRankAdapter
from peft_methods.model_parts import LinearLike, all_linear_layers, linear_layers, weight_of
from peft_methods.ntk.fit import TangentKernel, tangent_kernel
from peft_methods.ntk.gradients import Parameters, split, subspace, write_once
from peft_methods.ntk.linearised import linearise
from peft_methods.placement import bill_arithmetic, bill_sram
from peft_methods.training.digital_operations import DigitalOperations
from peft_methods.training.loop import History, programming_energy

Written = Literal["head", "lora", "weights"]
WRITTEN: tuple[Written, ...] = ("head", "lora", "weights")
RANK, ALPHA = 4, 8.0
TARGET_SIZE = 30.0
RIDGES: Mapping[Written, float] = {"head": 1e-2, "lora": 1e-3, "weights": 1e-3}
FINE_TUNING: Mapping[str, Method] = {
    "head": LinearProbe(),
    "lora": LoRA(rank=RANK, alpha=ALPHA),
    "weights": FullFineTuning(),
}


class OneWriteRun(BilledRun):
    """One seed: read, solve, write once, infer."""


def one_write(
    written: Written,
    task: str,
    shots: int,
    seed: int,
    hardware: Hardware,
    *,
    ridge: float | None = None,
    size: float = TARGET_SIZE,
    split_name: Literal["test", "validation"] = "test",
) -> OneWriteRun:
    """The record of one seed: read, solve, write once, infer.

    written: what changes: the digital 'head' (no cell is written), LoRA's B over a random A ('lora'), or the 'weights'
    of all layers in blocks. The cells of the backbone stay as they were deployed.
    """
    data = few_shot(get_task(task), shots, seed)
    model, chip = deploy_digits(hardware, seed)
    mark = chip.mark_writes()
    layers = all_linear_layers(model)
    adapter, parameters = _parameters(model, written, chip, seed)
    model.train()
    kernel = tangent_kernel(model, data.train.tensor, parameters, chip=chip, count=DigitalOperations(chip))
    fit = kernel.ridge(data.train.labels, RIDGES[written] if ridge is None else ridge, size=size)
    with chip.ledger.phase("adapt/update"):
        bill_solution(chip, kernel)
        before = chip.ledger.writes("adapt")
        changed = _deploy(model, layers, adapter, parameters, fit.written(), chip)
        cells = chip.ledger.writes("adapt") - before
    with torch.no_grad(), chip.ledger.phase("adapt/forward"):
        changed.train()
        changed(data.train.tensor)  # sets the ranges of the new tiles' converters
    images, labels = {
        "test": (data.test.tensor, data.test.labels),
        "validation": (data.validation.tensor, data.validation.labels),
    }[split_name]
    right = accuracy(changed, images, labels, chip)
    history = History(cells_written=[cells], programming_energy=[programming_energy(chip)])
    return record_run(
        OneWriteRun,
        chip,
        history,
        chip.writes_since(mark),
        seed=seed,
        accuracy=right,
        trained_values=sum(value.numel() for value in parameters.values()),
        inferences=len(images),
    )


def _parameters(model: nn.Module, written: Written, chip: Chip, seed: int) -> tuple[LowRankAdapter | None, Parameters]:
    """What may move, by names; LoRA's A is put on tiles (phase 'pool') with B = 0 beside them."""
    if written == "head":
        return None, subspace(model, "head")
    if written == "weights":
        chosen = {id(weight_of(layer)): name for name, layer in linear_layers(model, None).items()}
        return None, {chosen[id(value)]: value for value in model.parameters() if id(value) in chosen}
    adapter = LoRAFA(rank=RANK, alpha=ALPHA).attach(model, chip, seed=seed)
    return adapter, {name: layer.b.master for name, layer in adapter.layers.items()}


def _deploy(
    model: nn.Module,
    layers: Mapping[str, LinearLike],
    adapter: LowRankAdapter | None,
    parameters: Parameters,
    change: torch.Tensor,
    chip: Chip,
) -> nn.Module:
    """Program every change on tiles of its own and read the linearised network; the digital head is simply changed."""
    if "head.weight" in parameters:
        write_once(model, parameters, change)
        return model
    products: dict[str, nn.Module] = {}
    for name, part in split(parameters, change.detach()).items():
        if adapter is None:
            products[name] = chip.matrix(f"{name}.change", part)
        else:
            low_rank = adapter.layers[name]
            products[name] = nn.Sequential(low_rank.a, chip.matrix(f"{name}.change", low_rank.scaling * part))
    return linearise(model, layers, products)


def bill_solution(chip: Chip, kernel: TangentKernel) -> None:
    """The digital work of kernel regression: the symmetric kernel, a Cholesky solution, the combined gradients.

    Every gradient word is written to SRAM once and read twice: for the kernel and for the change.
    """
    size, values = len(kernel.gram), kernel.rows.shape[2]
    products = size * (size + 1) // 2 * values + size**3 // 6 + size**2 + size * values
    bill_arithmetic(chip, "kernel", adds=products, multiplies=products)
    bill_sram(chip, "kernel", reads=2 * size * values, writes=size * values)


def step_by_step(method: Method, task: str, shots: int, seed: int, hardware: Hardware) -> BilledRun:
    """The record of one seed of an ordinary experiment."""
    return simulate(
        Experiment(method=method, hardware=hardware, task=task, shots_per_class=shots, seeds=(seed,), curve_points=0),
        seed,
    )


class OneWriteRow(Record):
    """Means over the seeds; wear is that of the worst cell of any seed."""

    method: str
    """What was written once, or how many steps of which method."""
    seeds: tuple[int, ...]
    """One chip each."""
    accuracy: float
    """Share of the test images."""
    adapt_cells_written: float
    """Cell writes of the adaptation."""
    max_task_writes_per_cell: int
    """Writes of the worst cell in the adaptation."""
    reprogramming_energy_J: float
    """Everything that programming costs in the adaptation."""
    adapt_energy_J: float
    """The whole adaptation."""
    inference_energy_J: float
    """Per classified image."""
    adapt_time_s: float
    """Of all events of the adaptation, one after the other."""


def summary(name: str, runs: Sequence[BilledRun]) -> OneWriteRow:
    """The row of one method."""

    def mean(number: Callable[[BilledRun], float]) -> float:
        return statistics.fmean(number(run) for run in runs)

    return OneWriteRow(
        method=name,
        seeds=tuple(run.seed for run in runs),
        accuracy=mean(lambda run: run.accuracy),
        adapt_cells_written=mean(lambda run: run.adapt_cells_written),
        max_task_writes_per_cell=max(run.max_task_writes_per_cell for run in runs),
        reprogramming_energy_J=mean(lambda run: run.reprogramming_energy_J),
        adapt_energy_J=mean(lambda run: run.energy_by_phase_J["adapt"]),
        inference_energy_J=mean(lambda run: run.energy_by_phase_J["infer"] / run.inferences),
        adapt_time_s=mean(lambda run: run.adapt_time_s),
    )


class OneWriteFindings(Findings[OneWriteRow]):
    """One row per method."""

    def __str__(self) -> str:
        """One line per method, in engineering units."""
        lines = [
            f"{'method':<30}{'accuracy':>9}{'cells':>9}{'worst':>6}{'writing':>10}{'adapting':>10}{'inference':>11}"
        ]
        lines += [
            f"{row.method:<30}{row.accuracy:>9.1%}{row.adapt_cells_written:>9,.0f}"
            f"{row.max_task_writes_per_cell:>6}{engineering(row.reprogramming_energy_J, 'J'):>10}"
            f"{engineering(row.adapt_energy_J, 'J'):>10}{engineering(row.inference_energy_J, 'J'):>11}"
            for row in self.records
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class OneWrite(Study):
    """A kernel solution that is programmed once, beside fine-tuning step by step."""

    written: tuple[Written, ...] = WRITTEN
    """What changes: the digital head, LoRA's B, or the weights of the blocks."""
    task: str = "fliplr+dim"
    """What the backbone is adapted to."""
    shots: int = 5
    """Training images per class."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """One chip each."""
    hardware: str = "milo2021_128x128"
    """The chip design."""

    def run(self) -> OneWriteFindings:
        """Both ways, seed by seed."""
        hardware, rows = Hardware.load(self.hardware), []
        with one_thread():
            for written in self.written:
                once = [one_write(written, self.task, self.shots, seed, hardware) for seed in self.seeds]
                rows.append(summary(f"one write: {written}", once))
                method = FINE_TUNING[written]
                steps = [step_by_step(method, self.task, self.shots, seed, hardware) for seed in self.seeds]
                rows.append(summary(f"{method.steps} steps: {method.display_name}", steps))
        return OneWriteFindings(tuple(rows))
