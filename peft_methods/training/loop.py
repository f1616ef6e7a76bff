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
from peft_methods.base import Adapter
from peft_methods.errors import MethodError
from peft_methods.methods.gradient_free import GradientFree
from peft_methods.phases import ADAPT, FORWARD
from peft_methods.placement import bill_arithmetic, bill_sram
from peft_methods.training.activations import KeptActivations
from peft_methods.training.adamw import AdamW, Group
from peft_methods.training.digital_operations import DigitalOperations
from peft_methods.training.losses import Loss, check_labels, classification
from peft_methods.training.samples import Inputs, Samples
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


Watch = tuple[History, Callable[[int], None]]
"""What is remembered of the steps, and what is called after each."""


def fine_tune(
    model: nn.Module,
    adapter: Adapter,
    inputs: Inputs,
    labels: torch.Tensor,
    *,
    loss: Loss = classification,
    seed: int = 0,
    on_step: Callable[[int, History], None] | None = None,
) -> History:
    """Minimise a loss with AdamW for `method.steps` mini-batches; a linear warm-up, then a linear decay.
    What is trained on tiles is written after each step by `method.update_rule`.

    inputs: a tensor (n, ...), or tensors by the name of the model's argument, as tokenizers give them; labels (n, ...).
    loss: (outputs of the model, labels) -> scalar; the cross-entropy unless another is given. What the model itself
    draws, such as dropout, follows `seed`, and torch's own random state is left alone. `on_step(step, history)` is
    called before the first step (step 0) and after each one; what it reads is neither billed nor remembered. A
    GradientFree method searches instead, one candidate per step, and a method without steps leaves the model as it is.
    Raises TrainingError when the loss stops being finite, DataError for data that does not fit the model and
    MethodError for an adapter that is not attached to it.
    """
    if not isinstance(adapter, Adapter):
        raise MethodError(f"adapter: give what method.attach(model) returned, got {type(adapter).__name__}")
    method = adapter.method
    samples = Samples(inputs, labels)
    if not adapter.attached or adapter.model not in list(model.modules()):
        raise MethodError(
            f"{method.display_name} is not attached to this {type(model).__name__}; give what method.attach(model) "
            "returned for it"
        )
    chip = adapter.chip
    history = History()
    adapter.resume()

    def report(step: int) -> None:
        if on_step is not None:
            with chip.probing():
                on_step(step, history)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        report(0)
        if isinstance(method, GradientFree):
            _search(method, model, adapter, samples, loss, seed, (history, report))
        elif method.steps:
            _descend(model, adapter, samples, loss, seed, (history, report))
    adapter.finish()
    return history


def _descend(model: nn.Module, adapter: Adapter, samples: Samples, loss: Loss, seed: int, watch: Watch) -> None:
    """`method.steps` steps along the gradient."""
    method, chip = adapter.method, adapter.chip
    history, report = watch
    optimizer = AdamW(optimised(adapter), lambda step: learning_rate_factor(step, method.steps))
    training = TrainingStep(
        chip.ledger, adapter.trained_parameters(), DigitalOperations(chip), KeptActivations(chip, model)
    )

    def update(last: bool) -> int:
        optimizer.step()
        bill_optimizer(chip, adapter)
        return adapter.write(last)

    for step, chosen in enumerate(batches(len(samples), method.batch_size, method.steps, seed), start=1):
        if not model.training or step == 1:
            model.train()
        batch = samples.take(chosen)
        forward = (
            partial(_checked, batch, model, loss, samples.labels) if step == 1 else partial(batch.outputs_of, model)
        )
        loss_of = partial(_finite_loss, labels=batch.labels, loss=loss, adapter=adapter, step=step)
        reached, written = training.run(len(batch), forward, loss_of, partial(update, last=step == method.steps))
        history.cells_written.append(written)
        history.loss.append(reached.item())
        history.programming_energy.append(programming_energy(chip))
        report(step)


def _checked(batch: Samples, model: nn.Module, loss: Loss, labels: torch.Tensor) -> Any:
    """The model's outputs, once all labels are among its classes."""
    outputs = batch.outputs_of(model)
    check_labels(loss, outputs, labels)
    return outputs


def batches(samples: int, size: int, count: int, seed: int) -> Iterator[torch.Tensor]:
    """`count` mini-batches of indices; every sample once in random order, then all again in another order."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.empty(0, dtype=torch.long)
    for _ in range(count):
        if len(order) < min(size, samples):
            order = torch.cat([order, torch.randperm(samples, generator=generator)])
        yield order[:size]
        order = order[size:]


def _finite_loss(outputs: Any, labels: torch.Tensor, loss: Loss, adapter: Adapter, step: int) -> torch.Tensor:
    """The loss and what the adapter adds to it; TrainingError if it is not one finite number."""
    value = loss(outputs, labels)
    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        raise TrainingError(f"the loss gives {value!r:.80}; it must be a tensor of one number")
    if not bool(torch.isfinite(value)):
        raise TrainingError(
            f"the loss of {adapter.method.display_name} is {value.item()} at step {step}; lower its learning_rate "
            f"(now {adapter.method.learning_rate:g})"
        )
    penalty = adapter.penalty()
    return value if penalty is None else value + penalty


@torch.no_grad()
def _search(
    method: GradientFree,
    model: nn.Module,
    adapter: Adapter,
    samples: Samples,
    loss: Loss,
    seed: int,
    watch: Watch,
) -> None:
    """Evaluate `method.steps` candidates on all samples; the history holds the best value so far."""
    chip = adapter.chip
    history, report = watch
    count_digital = DigitalOperations(chip)
    trained = adapter.trained_parameters()
    everything = samples.take(slice(None))

    def use(point: Point) -> None:
        nn.utils.vector_to_parameters(torch.from_numpy(point).to(trained[0]), trained)

    def evaluate(point: Point) -> float:
        use(point)
        model.train()
        with chip.ledger.phase(FORWARD), count_digital("forward", len(samples)):
            value = float(loss(_checked(everything, model, loss, samples.labels), everything.labels))
        return value + method.regularisation * float(abs(point).mean())

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


def learning_rate_factor(step: int, steps: int) -> float:
    """Rises linearly over the first tenth of the steps, then falls linearly to zero."""
    warm = max(1, round(WARM_UP * steps))
    return min((step + 1) / warm, max(steps - step, 0) / max(steps - warm, 1), 1.0)


def programming_energy(chip: AnyChip, phase: str = ADAPT) -> float:
    """Joule of SET and RESET pulses, verify reads and line charging in a phase."""
    return chip.ledger.energy(phase, PROGRAMMING)


def optimised(adapter: Adapter) -> list[Group]:
    """Parameter groups for AdamW: everything trained, but for matrices on tiles whose rule needs no optimiser."""
    uses_optimizer = adapter.method.update_rule.uses_optimizer
    left_out = set() if uses_optimizer else {id(matrix.master) for matrix in adapter.matrices}
    return [
        Group(
            [parameter for parameter in group.parameters if id(parameter) not in left_out],
            group.learning_rate,
            group.weight_decay,
        )
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
