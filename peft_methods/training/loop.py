"""The on-chip fine-tuning loop: read the tiles forward and backward, update, rewrite what changed, bill it all."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from crossbar_sim import Chip, CrossbarError
from crossbar_sim.hardware.components import PROGRAMMING
from peft_methods.base import Adapter
from peft_methods.placement import bill_arithmetic, bill_sram, ledger_of
from peft_methods.training.activations import KeptActivations
from peft_methods.training.digital_operations import DigitalOperations
from peft_methods.training.search import GradientFree, Point, minimise
from peft_methods.updates.update_rules import ADAMW

WARM_UP = 0.1  # share of the steps in which the learning rate rises


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
    candidate per step. Raises TrainingError when the loss stops being finite.
    """
    method, chip = adapter.method, adapter.chip
    ledger, history = ledger_of(chip), History()
    adapter.resume()

    def report(step: int) -> None:
        if on_step is not None:
            with chip.probing() if chip is not None else nullcontext():
                on_step(step, history)

    if isinstance(method, GradientFree):
        return _search(method, model, adapter, images, labels, seed, history, report)
    optimizer = torch.optim.AdamW(optimised(adapter), betas=(0.9, 0.999), fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_factor(step, method.steps))
    generator = torch.Generator().manual_seed(seed)
    order = torch.empty(0, dtype=torch.long)
    count_digital, keep, trained = DigitalOperations(chip), KeptActivations(chip, model), adapter.trained_parameters()
    report(0)
    for step in range(1, method.steps + 1):
        if len(order) < min(method.batch_size, len(images)):
            order = torch.cat([order, torch.randperm(len(images), generator=generator)])
        batch, order = order[: method.batch_size], order[method.batch_size :]
        if not model.training or step == 1:
            model.train()
        for parameter in trained:
            parameter.grad = None
        with ledger.phase("adapt/forward"), count_digital("forward", len(batch)):
            with keep.written(len(batch)):
                scores = model(images[batch])
            loss = nn.functional.cross_entropy(scores, labels[batch])
        if not bool(torch.isfinite(loss)):
            raise TrainingError(
                f"the loss of {method.display_name} is {loss.item()} at step {step}; lower its learning_rate "
                f"(now {method.learning_rate:g})"
            )
        with ledger.phase("adapt/backward"), count_digital("backward", len(batch)):
            loss.backward()
            keep.read(len(batch))
        with ledger.phase("adapt/update"):
            optimizer.step()
            schedule.step()
            bill_optimizer(chip, adapter)
            history.cells_written.append(adapter.write(last=step == method.steps))
        history.loss.append(loss.item())
        history.programming_energy.append(programming_energy(chip))
        report(step)
    adapter.finish()
    return history


@torch.no_grad()
def _search(
    method: GradientFree,
    model: nn.Module,
    adapter: Adapter,
    images: torch.Tensor,
    labels: torch.Tensor,
    seed: int,
    history: History,
    report: Callable[[int], None],
) -> History:
    """Evaluate `method.steps` candidates on all samples; the history holds the best value so far."""
    chip, count_digital = adapter.chip, DigitalOperations(adapter.chip)
    trained = adapter.trained_parameters()

    def use(point: Point) -> None:
        nn.utils.vector_to_parameters(torch.from_numpy(point).to(trained[0]), trained)

    def evaluate(point: Point) -> float:
        use(point)
        model.train()
        with ledger_of(chip).phase("adapt/forward"), count_digital("forward", len(images)):
            loss = float(nn.functional.cross_entropy(model(images), labels))
        return loss + method.regularisation * float(abs(point).mean())

    report(0)
    for value, point in minimise(
        evaluate, adapter.trained_values, method.bound, method.learning_rate, method.steps, seed
    ):
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


def programming_energy(chip: Chip | None, phase: str = "adapt") -> float:
    """Joule of SET and RESET pulses, verify reads and line charging in a phase."""
    return 0.0 if chip is None else chip.ledger.energy(phase, PROGRAMMING)


def optimised(adapter: Adapter) -> list[dict[str, Any]]:
    """Parameter groups for AdamW: everything trained, but for matrices on tiles whose rule needs no optimiser."""
    if adapter.method.update_rule.uses_optimizer:
        return adapter.groups
    pulsed = {id(matrix.master) for matrix in adapter.matrices}
    return [
        {**group, "params": [parameter for parameter in group["params"] if id(parameter) not in pulsed]}
        for group in adapter.groups
    ]


def bill_optimizer(chip: Chip | None, adapter: Adapter) -> None:
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
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, chip: Chip | None = None, batch_size: int = 100
) -> float:
    """Share of correct predictions; reads are billed to 'infer' when a chip is given."""
    model.eval()
    correct, count_digital = 0, DigitalOperations(chip)
    with ledger_of(chip).phase("infer"):
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            with count_digital("forward", len(images[part])):
                correct += int((model(images[part]).argmax(dim=1) == labels[part]).sum())
    return correct / len(images)
