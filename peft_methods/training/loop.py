"""The on-chip fine-tuning loop: read the tiles forward and backward, update, rewrite what changed, bill it all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

from crossbar_sim import CrossbarError
from crossbar_sim.chip.interface import AnyChip
from crossbar_sim.hardware.components import PROGRAMMING
from peft_methods.base import Adapter, Method
from peft_methods.errors import MethodError
from peft_methods.methods.gradient_free import GradientFree
from peft_methods.phases import ADAPT, FORWARD, INFER
from peft_methods.placement import DIGITAL, bill_arithmetic, bill_sram
from peft_methods.training.activations import KeptActivations
from peft_methods.training.data import check_classes, check_data
from peft_methods.training.digital_operations import DigitalOperations
from peft_methods.training.search import Point, minimise
from peft_methods.training.step import TrainingStep
from peft_methods.updates.base import ADAMW

WARM_UP = 0.1
"""Share of the steps in which the learning rate rises."""


class TrainingError(CrossbarError):
    """Fine-tuning cannot go on."""


@dataclass
class History:
    """What happened, step by step: loss, cells written, and joule of programming so far."""

    loss: list[float] = field(default_factory=list)
    cells_written: list[int] = field(default_factory=list)
    programming_energy: list[float] = field(default_factory=list)


def fine_tune(
    model: nn.Module,
    adapter: Adapter,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    seed: int = 0,
    on_step: Callable[[int, History], None] | None = None,
) -> History:
    """Minimise the cross-entropy with AdamW for `method.steps` mini-batches; a linear warm-up, then a linear decay.
    What is trained on tiles is written after each step by `method.update_rule`.

    images (n, ...), labels (n,). `on_step(step, history)` is called before the first step (step 0) and
    after each one; what it reads is neither billed nor remembered. A GradientFree method searches instead, one
    candidate per step. Raises TrainingError when the loss stops being finite, DataError for data that does not fit the
    model and MethodError for an adapter that is not attached to it.
    """
    method = adapter.method
    check_data(images, labels)
    if not adapter.attached or adapter.model not in list(model.modules()):
        raise MethodError(
            f"{method.display_name} is not attached to this {type(model).__name__}; give what method.attach(model) "
            "returned for it"
        )
    chip = adapter.chip
    ledger = chip.ledger
    history = History()
    adapter.resume()

    def report(step: int) -> None:
        if on_step is not None:
            with chip.probing():
                on_step(step, history)

    if isinstance(method, GradientFree):
        return _search(method, adapter, images, labels, seed, history, report)
    optimizer = torch.optim.AdamW(optimised(adapter), betas=(0.9, 0.999), fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_factor(step, method.steps))
    training = TrainingStep(ledger, adapter.trained_parameters(), DigitalOperations(chip), KeptActivations(chip, model))

    def update(last: bool) -> int:
        optimizer.step()
        schedule.step()
        bill_optimizer(chip, adapter)
        return adapter.write(last)

    report(0)
    for step, batch in enumerate(batches(len(images), method.batch_size, method.steps, seed), start=1):
        if not model.training or step == 1:
            model.train()
        forward = partial(model, images[batch])
        if step == 1:
            forward = partial(_checked, forward, labels)
        loss_of = partial(_finite_loss, labels=labels[batch], method=method, step=step)
        loss, written = training.run(len(batch), forward, loss_of, partial(update, last=step == method.steps))
        history.cells_written.append(written)
        history.loss.append(loss.item())
        history.programming_energy.append(programming_energy(chip))
        report(step)
    adapter.finish()
    return history


def _checked(forward: Callable[[], torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
    """The model's outputs, once all labels are among its classes."""
    scores = forward()
    check_classes(labels, scores)
    return scores


def batches(samples: int, size: int, count: int, seed: int) -> Iterator[torch.Tensor]:
    """`count` mini-batches of indices; every sample once in random order, then all again in another order."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.empty(0, dtype=torch.long)
    for _ in range(count):
        if len(order) < min(size, samples):
            order = torch.cat([order, torch.randperm(samples, generator=generator)])
        yield order[:size]
        order = order[size:]


def _finite_loss(scores: torch.Tensor, labels: torch.Tensor, method: Method, step: int) -> torch.Tensor:
    """The cross-entropy; TrainingError if it is not finite."""
    loss = nn.functional.cross_entropy(scores, labels)
    if not bool(torch.isfinite(loss)):
        raise TrainingError(
            f"the loss of {method.display_name} is {loss.item()} at step {step}; lower its learning_rate "
            f"(now {method.learning_rate:g})"
        )
    return loss


@torch.no_grad()
def _search(
    method: GradientFree,
    adapter: Adapter,
    images: torch.Tensor,
    labels: torch.Tensor,
    seed: int,
    history: History,
    report: Callable[[int], None],
) -> History:
    """Evaluate `method.steps` candidates on all samples; the history holds the best value so far."""
    chip = adapter.chip
    model = adapter.model
    count_digital = DigitalOperations(chip)
    trained = adapter.trained_parameters()

    def use(point: Point) -> None:
        nn.utils.vector_to_parameters(torch.from_numpy(point).to(trained[0]), trained)

    def evaluate(point: Point) -> float:
        use(point)
        model.train()
        with chip.ledger.phase(FORWARD), count_digital("forward", len(images)):
            loss = float(nn.functional.cross_entropy(_checked(partial(model, images), labels), labels))
        return loss + method.regularisation * float(abs(point).mean())

    report(0)
    search = minimise(evaluate, adapter.trained_values, method.bound, method.learning_rate, method.steps, seed)
    for value, point in search:
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss of {method.display_name} is {value} at its first candidate; lower its learning_rate "
                f"(now {method.learning_rate:g})"
            )
        use(point)
        history.cells_written.append(adapter.write())
        history.loss.append(value)
        history.programming_energy.append(programming_energy(chip))
        report(len(history.loss))
    adapter.finish()
    return history


def learning_rate_factor(step: int, steps: int) -> float:
    """Rises linearly over the first tenth of the steps, then falls linearly to zero."""
    warm = max(1, round(WARM_UP * steps))
    return min((step + 1) / warm, max(steps - step, 0) / max(steps - warm, 1), 1.0)


def programming_energy(chip: AnyChip, phase: str = ADAPT) -> float:
    """Joule of SET and RESET pulses, verify reads and line charging in a phase."""
    return chip.ledger.energy(phase, PROGRAMMING)


def optimised(adapter: Adapter) -> list[dict[str, Any]]:
    """Parameter groups for AdamW: everything trained, but for matrices on tiles whose rule needs no optimiser."""
    uses_optimizer = adapter.method.update_rule.uses_optimizer
    left_out = set() if uses_optimizer else {id(matrix.master) for matrix in adapter.matrices}
    return [
        {
            "params": [parameter for parameter in group.parameters if id(parameter) not in left_out],
            "lr": group.learning_rate,
            "weight_decay": group.weight_decay,
        }
        for group in adapter.groups
    ]


def bill_optimizer(chip: AnyChip, adapter: Adapter) -> None:
    """One step: AdamW for what is digital, the update rule's own costs for what is on tiles."""
    on_tiles = sum(matrix.master.numel() for matrix in adapter.matrices)
    digital, rule = adapter.trained_values - on_tiles, adapter.method.update_rule.costs
    bill_sram(
        chip,
        "optimizer",
        reads=ADAMW.reads * digital + rule.reads * on_tiles,
        writes=ADAMW.writes * digital + rule.writes * on_tiles,
    )
    bill_arithmetic(
        chip,
        "optimizer",
        adds=ADAMW.adds * digital + rule.adds * on_tiles,
        multiplies=ADAMW.multiplies * digital + rule.multiplies * on_tiles,
    )


@torch.no_grad()
def accuracy(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, chip: AnyChip = DIGITAL, batch_size: int = 100
) -> float:
    """Share of correct predictions; reads are billed to 'infer'. DataError if there is nothing to predict."""
    check_data(images, labels)
    model.eval()
    correct, count_digital = 0, DigitalOperations(chip)
    with chip.ledger.phase(INFER):
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            with count_digital("forward", len(images[part])):
                correct += int((model(images[part]).argmax(dim=1) == labels[part]).sum())
    return correct / len(images)
