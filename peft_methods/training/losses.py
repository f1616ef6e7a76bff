"""Losses: how the outputs of a model and the labels of a batch become one number to minimise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.nn import functional

from peft_methods.errors import DataError

IGNORED = -100
"""A label that does not count."""

Loss = Callable[[Any, Tensor], Tensor]
"""Outputs of the model and labels in, a scalar out."""


def logits_of(outputs: Any) -> Tensor:
    """The logits among the outputs of a model: a tensor itself, 'logits' of a Hugging Face output or of a table, or the
    first of a tuple. DataError if there are none."""
    found = outputs
    if isinstance(outputs, Mapping):
        found = outputs.get("logits")
    elif not isinstance(outputs, Tensor):
        found = getattr(outputs, "logits", None)
        if found is None and isinstance(outputs, tuple) and outputs:
            found = outputs[0]
    if not isinstance(found, Tensor):
        raise DataError(
            f"the model returns a {type(outputs).__name__} without logits; give a loss and a score that read it"
        )
    return found


def classification(outputs: Any, labels: Tensor) -> Tensor:
    """Mean cross-entropy of logits (n, classes, ...) and labels (n, ...)."""
    return functional.cross_entropy(logits_of(outputs), labels)


def token_classification(outputs: Any, labels: Tensor) -> Tensor:
    """Mean cross-entropy over the tokens of logits (n, tokens, classes) whose label (n, tokens) is not IGNORED."""
    return functional.cross_entropy(logits_of(outputs).transpose(1, 2), labels)


def next_token(outputs: Any, labels: Tensor) -> Tensor:
    """Mean cross-entropy of the logits (n, tokens, words) at every token and the label (n, tokens) of the next one,
    where that is not IGNORED."""
    scores, following = shifted(outputs, labels)
    return functional.cross_entropy(scores.flatten(0, 1), following.flatten())


def regression(outputs: Any, labels: Tensor) -> Tensor:
    """Mean square of logits (n,) or (n, values) minus labels of as many numbers."""
    values = logits_of(outputs)
    if values.numel() != labels.numel():
        raise DataError(f"the model gives {tuple(values.shape)} numbers and the labels are {tuple(labels.shape)}")
    return functional.mse_loss(values.reshape(labels.shape), labels.to(values.dtype))


LOSSES: dict[str, Loss] = {
    "classification": classification,
    "token-classification": token_classification,
    "next-token": next_token,
    "regression": regression,
}
"""The losses that files name."""


def shifted(outputs: Any, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (n, tokens - 1, words) and the labels (n, tokens - 1) that they predict."""
    return logits_of(outputs)[:, :-1], labels[:, 1:]


def check_labels(loss: Loss, outputs: Any, labels: Tensor) -> None:
    """DataError if a label is none of the classes that the model scores, where the loss is one of classes here."""
    if loss is classification:
        check_classes(labels, logits_of(outputs))
    elif loss is token_classification or loss is next_token:
        check_classes(labels, logits_of(outputs).transpose(1, 2))


def check_classes(labels: Tensor, scores: Tensor) -> None:
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
