"""What data a model can be trained and judged on."""

from __future__ import annotations

import torch

from peft_methods.errors import DataError

IGNORED = -100
"""A label that torch's cross-entropy leaves out."""


def check_data(inputs: torch.Tensor, labels: torch.Tensor) -> None:
    """DataError unless there are samples, as many labels as inputs, and real, finite numbers in the inputs."""
    if inputs.is_complex():
        raise DataError(f"the inputs are {inputs.dtype}; give real numbers, real and imaginary parts apart")
    if len(inputs) != len(labels):
        raise DataError(
            f"{len(inputs)} inputs and {len(labels)} labels do not belong together; give one label for each"
        )
    if len(inputs) == 0:
        raise DataError("the data holds no samples; give at least one input and its label")
    if inputs.is_floating_point() and not inputs.is_meta and not bool(inputs.isfinite().all()):
        raise DataError("the inputs hold NaN or infinity; clean the data first")


def check_classes(labels: torch.Tensor, scores: torch.Tensor) -> None:
    """DataError if a label is none of the classes that the model scores; scores (n, classes, ...)."""
    if scores.ndim < 2 or labels.is_meta or scores.is_meta:
        return
    if labels.is_floating_point():
        if labels.ndim != scores.ndim or labels.shape[1] != scores.shape[1]:
            raise DataError(
                f"labels are the numbers of classes, of type torch.long, or one share for each of {scores.shape[1]} "
                f"classes; got {labels.dtype} of shape {tuple(labels.shape)}"
            )
        return
    classes, known = scores.shape[1], labels[labels != IGNORED]
    if known.numel() and not 0 <= int(known.min()) <= int(known.max()) < classes:
        raise DataError(
            f"the model scores {classes} classes, 0 to {classes - 1}, and the labels go from {int(known.min())} to "
            f"{int(known.max())}; check the labels or the head"
        )
