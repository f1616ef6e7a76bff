"""Predictors from the NTK: read the model at the training examples once, then solve for as many settings as you like.

A predictor is f(x) = share f_0(x) + grad f(x) . change + sign grad f(x) . sign_change, where f_0 is the model itself.
With share = 1 and no sign_change it is the model linearised at `change`, which can be written into the model
(`ntk.gradients.write_once`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from crossbar_sim.chip.interface import AnyChip
from peft_methods.errors import MethodError
from peft_methods.ntk.gradients import (
    CHUNK,
    Count,
    Kind,
    Parameters,
    gradients,
    linearised_change,
    ntk,
    on_tiles,
    outputs_and_gradients,
    without_noise,
)
from peft_methods.ntk.solvers import Penalty, class_signs, one_hot, solve_asymmetric, solve_logistic, solve_ridge
from peft_methods.placement import DIGITAL

INPUTS_AT_ONCE = 50
"""Signs of gradients are kept for no more than these many inputs."""


@dataclass(frozen=True)
class NTKFit:
    """A fitted predictor: change (P,) meets gradients, sign_change (P,) their signs; None: there is no such part."""

    start_share: float
    change: Tensor | None
    sign_change: Tensor | None = None

    def predict(self, model: nn.Module, inputs: Tensor, parameters: Parameters, chip: AnyChip = DIGITAL) -> Tensor:
        """Outputs (n, C) for inputs (n, ...); the model and its parameters stand where they stood when fitted."""
        with torch.no_grad():
            outputs: Tensor = self.start_share * model(inputs)
        if self.change is not None:
            outputs = outputs + linearised_change(model, inputs, parameters, self.change, chip)
        if self.sign_change is not None:
            parts = [
                gradients(model, part, parameters, chip).sign() @ self.sign_change
                for part in inputs.split(INPUTS_AT_ONCE)
            ]
            outputs = outputs + torch.cat(parts)
        return outputs

    def written(self) -> Tensor:
        """The change of the parameters (P,) whose linearisation gives these predictions up to a common factor."""
        if self.change is None or self.sign_change is not None or self.start_share <= 0:
            raise MethodError(
                "only a predictor that starts from the model's outputs and uses the gradients themselves is a change "
                "of parameters: kind 'sgd' or 'asymmetric', start_share > 0, not the two-sided solver"
            )
        return self.change / self.start_share


@dataclass(frozen=True)
class TangentKernel:
    """What was read at the training examples: outputs (N, C), gradients `rows` (N, C, P), and their NTK `gram`."""

    kind: Kind
    outputs: Tensor
    rows: Tensor
    gram: Tensor

    def ridge(self, labels: Tensor, ridge: float, *, size: float = 1.0, start_share: float = 1.0) -> NTKFit:
        """Ridge regression on `one_hot` targets of the given size (see `regress`)."""
        return self.regress(one_hot(labels, self.outputs.shape[1], size), ridge, start_share)

    def regress(self, targets: Tensor, ridge: float, start_share: float = 1.0) -> NTKFit:
        """Ridge regression on targets (N, C): f = share f_0 + K alpha, the whole (N C) problem at once.

        start_share: 1 starts from the model's own outputs, as fine-tuning does; 0 forgets them.
        """
        wanted = targets.double() - start_share * self.outputs.double()
        return self._fit(solve_ridge(self.gram, wanted.flatten(), ridge), start_share)

    def logistic(
        self, labels: Tensor, ridge: float, *, start_share: float = 1.0, penalty: Penalty = "change"
    ) -> NTKFit:
        """Softmax regression: least cross-entropy of share f_0 + K alpha (see `solve_logistic`)."""
        alpha = solve_logistic(self.gram, labels, ridge, start_share * self.outputs, penalty)
        return self._fit(alpha.flatten(), start_share)

    def two_sided(self, labels: Tensor, gamma: float, balance: float = 0.5) -> NTKFit:
        """The least-squares classifier of an NTK that is not symmetric (see `solve_asymmetric`); gamma in units of
        1 / ||K||."""
        if self.kind != "asymmetric":
            raise MethodError(f"the two-sided solver is for the kind 'asymmetric'; this NTK is '{self.kind}'")
        norm = float(torch.linalg.matrix_norm(self.gram, 2))
        fitted = solve_asymmetric(self.gram / norm, class_signs(labels, self.outputs.shape[1]), gamma)
        to_training = (1 - balance) / norm * fitted.b * fitted.labels
        from_training = balance / norm * fitted.a * fitted.labels
        return NTKFit(0.0, self._combine(to_training, signs=True), self._combine(from_training, signs=False))

    def _fit(self, alpha: Tensor, start_share: float) -> NTKFit:
        change = self._combine(alpha, signs=self.kind != "sgd")
        return NTKFit(start_share, *((None, change) if self.kind == "sign" else (change, None)))

    def _combine(self, alpha: Tensor, signs: bool) -> Tensor:
        """sum_i alpha_i grad f_i, or of their signs; (P,)."""
        features = self.rows.flatten(0, 1)
        blocks = features.split(CHUNK, dim=1)
        return torch.cat([alpha @ (block.sign() if signs else block).double() for block in blocks]).to(features)


def tangent_kernel(
    model: nn.Module,
    inputs: Tensor,
    parameters: Parameters,
    kind: Kind = "sgd",
    chip: AnyChip = DIGITAL,
    count: Count | None = None,
) -> TangentKernel:
    """Read the model once at inputs (N, ...) and form their NTK. Reads of a chip are billed to 'adapt', the NTK's own
    arithmetic is not (`xbar study one-write` bills it). Where signs are taken of a digital model's gradients, those
    that are rounding alone count as zero (`without_noise`); on tiles they are what the chip reads."""
    outputs, rows = outputs_and_gradients(model, inputs, parameters, chip, count)
    if kind != "sgd" and not on_tiles(model):
        rows = without_noise(rows, parameters)
    return TangentKernel(kind, outputs, rows, ntk(rows, kind=kind))
