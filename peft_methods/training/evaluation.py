"""Judging a model: the score of its outputs on some samples."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from crossbar_sim.chip.interface import AnyChip
from peft_methods.phases import INFER
from peft_methods.placement import DIGITAL
from peft_methods.training.digital_operations import DigitalOperations
from peft_methods.training.samples import Inputs, Samples
from peft_methods.training.scores import ACCURACY, Measured, Score

BATCH = 100


@torch.no_grad()
def evaluate(
    model: nn.Module,
    inputs: Inputs,
    labels: torch.Tensor,
    *,
    score: Score = ACCURACY,
    chip: AnyChip = DIGITAL,
    batch_size: int = BATCH,
) -> Measured:
    """A score of the model in evaluation mode, and its standard error; reads are billed to 'infer'.

    inputs, labels: as `fine_tune` takes them. DataError if there is nothing to judge.
    """
    samples = Samples(inputs, labels)
    model.eval()
    rows, count_digital = [], DigitalOperations(chip)
    with chip.ledger.phase(INFER):
        for start in range(0, len(samples), batch_size):
            batch = samples.take(slice(start, start + batch_size))
            with count_digital("forward", len(batch)):
                rows.append(score.rows(batch.outputs_of(model), batch.labels).double().cpu().numpy())
    return score.measure(np.concatenate(rows))


def accuracy(
    model: nn.Module, inputs: Inputs, labels: torch.Tensor, chip: AnyChip = DIGITAL, batch_size: int = BATCH
) -> float:
    """Share of correct predictions; reads are billed to 'infer'. DataError if there is nothing to predict."""
    return evaluate(model, inputs, labels, score=ACCURACY, chip=chip, batch_size=batch_size).value
