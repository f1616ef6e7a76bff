"""Training with one pulse per cell (the Manhattan rule), and its prediction by the NTK of sign descent.

A step reads the gradient g of the loss at one training example and gives every weight one pulse against its sign; how
far a pulse moves a weight does not depend on |g|. To first order the outputs then change by

    grad f(x) . change,    change_p = -step_p sign(g_p) + step_p asymmetry |sign(g_p)| sign(w_p)

whose first part is the NTK grad f(x) . sign(grad f(x')) of kind 'asymmetric' (`ntk.gradients`), and whose second part
is a bias that real cells add: they do not move as far with a RESET pulse as with a SET pulse. On a chip the pulses are
those of `updates.sign_pulses`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from crossbar_sim.chip.interface import AnyChip, TiledChip
from crossbar_sim.chip.matrix import Matrix
from peft_methods.errors import MethodError
from peft_methods.ntk.gradients import Parameters, differentiable, gradients, on_tiles, split, write_once
from peft_methods.placement import DIGITAL
from peft_methods.training.activations import KeptActivations
from peft_methods.training.digital_operations import DigitalOperations
from peft_methods.training.step import TrainingStep
from peft_methods.updates.sign_pulses import SignPulses


class PulseModel(Protocol):
    """How far one pulse per weight is taken to move the weights: `PulseRule` here, or `device_pulses.DevicePulses`."""

    def change(self, parameters: Parameters, gradient: Tensor) -> Tensor:
        """The change (P,) of all weights by one pulse each against `gradient` (P,)."""
        ...


@dataclass(frozen=True)
class PulseRule:
    """One pulse moves a weight by step (1 + asymmetry) if it is a SET, by step (1 - asymmetry) if it is a RESET.

    In a differential pair a SET moves a weight away from zero (its own cell conducts more) and a RESET towards
    zero. step is one number or, per parameter name, a tensor that broadcasts to it (`chip_steps`), in units of the
    weight. asymmetry lies in (-1, 1); 0: both pulses move equally far. limit: per parameter name, the largest |w| that
    its cells can hold (`chip_limits`); a pulse does not move a cell beyond it.
    """

    step: float | dict[str, Tensor]
    asymmetry: float = 0.0
    limit: dict[str, Tensor] | None = None

    def __post_init__(self) -> None:
        if not -1 < self.asymmetry < 1:
            raise MethodError(f"asymmetry must lie between -1 and 1, got {self.asymmetry:g}")

    def change(self, parameters: Parameters, gradient: Tensor) -> Tensor:
        """The change (P,) of all weights by one pulse each against `gradient` (P,); no pulse where it is zero."""
        parts = []
        for name, part in split(parameters, gradient).items():
            sign, weight = part.sign(), parameters[name].detach()
            step = self.step[name] if isinstance(self.step, dict) else self.step
            moved = weight + step * (self.asymmetry * sign.abs() * weight.sign() - sign)
            if self.limit is not None and name in self.limit:
                moved = moved.clamp(-self.limit[name], self.limit[name])
            parts.append((moved - weight).flatten())
        return torch.cat(parts)


def pulsed_matrices(parameters: Parameters, chip: AnyChip) -> dict[str, Matrix]:
    """The chip's matrices among the parameters, by parameter name; no pulse reaches the other parameters."""
    of_master = {id(matrix.master): matrix for matrix in chip.matrices.values()}
    return {name: of_master[id(value)] for name, value in parameters.items() if id(value) in of_master}


def chip_steps(parameters: Parameters, chip: AnyChip) -> dict[str, Tensor]:
    """How far one pulse moves the weights of a chip's matrices, the mean of SET and RESET: R x (mean pulse step) /
    (g_max - g_min), with R the largest weight that the cells hold. 0 for parameters that are not on tiles."""
    steps = {name: torch.zeros(()) for name in parameters}
    for name, matrix in pulsed_matrices(parameters, chip).items():
        device = matrix.hardware.device
        share = 0.5 / device.full_swing_pulses + 0.5 / device.reset_pulses_full_swing
        steps[name] = matrix.largest_weight * share
    return steps


def chip_limits(parameters: Parameters, chip: AnyChip) -> dict[str, Tensor]:
    """The largest |w| that the cells can hold, for the parameters that are on tiles (`Matrix.largest_weight`)."""
    return {name: matrix.largest_weight for name, matrix in pulsed_matrices(parameters, chip).items()}


def loss_gradient(rows: Tensor, outputs: Tensor, label: Tensor) -> Tensor:
    """g (P,) of the cross-entropy of one example: sum_c (softmax_c - [c = label]) grad f_c, from its rows (C, P)."""
    slope = outputs.softmax(-1)
    slope[label] -= 1
    return slope @ rows


@dataclass(frozen=True)
class PulseRun:
    """f(x) after 0..k steps, (k + 1, n, C): simulated, and predicted with the gradients of step 0.

    cells_written: per step (0 without a chip).
    """

    simulated: Tensor
    predicted: Tensor
    cells_written: tuple[int, ...]

    def relative_error(self, step: int) -> float:
        """|predicted - simulated change| / |simulated change| over all inputs and outputs after `step` steps."""
        change = self.simulated[step] - self.simulated[0]
        return float((self.predicted[step] - self.simulated[step]).norm() / change.norm())


def pulse_training(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    probes: Tensor,
    parameters: Parameters,
    rule: PulseModel,
    *,
    steps: int,
    chip: AnyChip = DIGITAL,
) -> PulseRun:
    """Train in place with one pulse per weight and step, on one example after the other; watch f at the probes.

    inputs (N, ...) and labels (N,) are visited in turn. On a chip the matrices take blind pulses by the update rule
    `sign_pulses` and move as their device does; reads are billed to 'adapt', pulses to 'adapt/update', probing is not
    billed. Without a chip the weights move by `rule`. The prediction is closed and always takes `rule` for the pulse:
    its gradients are those of step 0, at the examples and at the probes (n, ...), and each step's loss slope comes
    from the predicted outputs.
    """
    if on_tiles(model) and not isinstance(chip, TiledChip):
        raise MethodError("the model is on tiles: give its chip, so that pulses can be programmed")
    rows = _unbilled_gradients(model, inputs, parameters, chip)
    watched = _unbilled_gradients(model, probes, parameters, chip)
    at_examples = _unbilled_outputs(model, inputs, chip)
    at_probes = _unbilled_outputs(model, probes, chip)
    simulated = [at_probes]
    predicted = [at_probes]
    written = []
    weights = {name: nn.Parameter(value.detach().clone()) for name, value in parameters.items()}
    for step in range(steps):
        index = step % len(inputs)
        change = rule.change(weights, loss_gradient(rows[index], at_examples[index], labels[index]))
        write_once(model, weights, change)
        at_examples = at_examples + rows @ change
        predicted.append(predicted[-1] + watched @ change)
        written.append(_step(model, inputs[index : index + 1], labels[index : index + 1], parameters, rule, chip))
        simulated.append(_unbilled_outputs(model, probes, chip))
    return PulseRun(torch.stack(simulated), torch.stack(predicted), tuple(written))


def _step(
    model: nn.Module, inputs: Tensor, labels: Tensor, parameters: Parameters, rule: PulseModel, chip: AnyChip
) -> int:
    """One pulse per weight against the gradient of the cross-entropy; returns how many cells took one."""
    trained = list(parameters.values())
    step = TrainingStep(chip.ledger, trained, DigitalOperations(DIGITAL), KeptActivations(DIGITAL, model))

    def update() -> int:
        if not isinstance(chip, TiledChip):
            return write_once(model, parameters, rule.change(parameters, _gradient_of(trained)))
        matrices = pulsed_matrices(parameters, chip).values()
        return sum(SignPulses().writer(matrix).write(last=False) for matrix in matrices)

    with differentiable(parameters):
        _, cells = step.run(
            len(inputs), lambda: model(inputs), lambda scores: nn.functional.cross_entropy(scores, labels), update
        )
    for parameter in trained:
        parameter.grad = None
    return cells


def _gradient_of(trained: list[nn.Parameter]) -> Tensor:
    """The gradients that stand at the parameters, one after the other (P,); zero where the loss does not reach."""
    found = [torch.zeros_like(one) if one.grad is None else one.grad for one in trained]
    return torch.cat([part.flatten() for part in found])


def _unbilled_gradients(model: nn.Module, inputs: Tensor, parameters: Parameters, chip: AnyChip) -> Tensor:
    with chip.probing():
        return gradients(model, inputs, parameters, chip)


@torch.no_grad()
def _unbilled_outputs(model: nn.Module, inputs: Tensor, chip: AnyChip) -> Tensor:
    with chip.probing():
        outputs: Tensor = model(inputs)
    return outputs
