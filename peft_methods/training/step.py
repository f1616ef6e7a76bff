"""TrainingStep: read the tiles forward and backward, update, and bill each part to its phase."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from crossbar_sim.ledger.ledger import Ledger
from peft_methods.phases import BACKWARD, FORWARD, UPDATE
from peft_methods.training.activations import KeptActivations
from peft_methods.training.digital_operations import DigitalOperations


@dataclass(frozen=True)
class TrainingStep:
    """One step of training, for every loop that trains: on cells, without a chip, or counted on shapes alone.

    ledger: where the three phases are billed; trained: the parameters whose gradients are wanted; digital and kept:
    what bills the digital layers and the activations that wait for the backward pass.
    """

    ledger: Ledger
    trained: Sequence[nn.Parameter]
    digital: DigitalOperations
    kept: KeptActivations

    def run(
        self,
        samples: int,
        forward: Callable[[], torch.Tensor],
        loss_of: Callable[[torch.Tensor], torch.Tensor],
        update: Callable[[], int],
    ) -> tuple[torch.Tensor, int]:
        """The loss of `samples` samples, and what `update` returns: how many cells took pulses.

        forward: the model's outputs; loss_of: a scalar of them; update: from the gradients, which then stand at the
        trained parameters, to new values.
        """
        for parameter in self.trained:
            parameter.grad = None
        with self.ledger.phase(FORWARD), self.digital("forward", samples):
            with self.kept.written(samples):
                outputs = forward()
            loss = loss_of(outputs)
        with self.ledger.phase(BACKWARD), self.digital("backward", samples):
            torch.autograd.backward(loss, inputs=list(self.trained))
            self.kept.read(samples)
        with self.ledger.phase(UPDATE):
            return loss.detach(), update()
