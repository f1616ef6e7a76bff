"""Samples: inputs of a model with what is right for each, and the batches cut from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from peft_methods.errors import DataError

Inputs = Tensor | Mapping[str, Tensor]
"""What a model is called with: one tensor, or tensors by the name of the argument; the first axis counts samples."""
MASK = "attention_mask"
"""The argument that says which tokens of a padded batch are real."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs and labels of n samples.

    inputs: a tensor (n, ...), or tensors (n, ...) by the name of the model's argument. labels: a tensor (n, ...); what
    it means is the loss's. DataError unless there is a sample, all lengths agree, and the inputs are real and finite.
    """

    inputs: Inputs
    labels: Tensor

    def __post_init__(self) -> None:
        parts = self.by_name()
        if not parts:
            raise DataError("the inputs are an empty table; give at least one tensor by the name of its argument")
        for name, tensor in {**parts, "labels": self.labels}.items():
            _check(name, tensor)
        lengths = {name: len(tensor) for name, tensor in parts.items()}
        if any(length != len(self.labels) for length in lengths.values()):
            counted = ", ".join(f"{length} {name}" for name, length in lengths.items())
            raise DataError(f"{counted} and {len(self.labels)} labels do not belong together; give one label for each")
        if len(self.labels) == 0:
            raise DataError("the data holds no samples; give at least one input and its label")

    def __len__(self) -> int:
        return len(self.labels)

    def by_name(self) -> dict[str, Tensor]:
        """The inputs by name; a single tensor is called 'inputs'."""
        return {"inputs": self.inputs} if isinstance(self.inputs, Tensor) else dict(self.inputs)

    @property
    def tensor(self) -> Tensor:
        """The inputs of a model that takes one tensor; DataError if they have names."""
        if not isinstance(self.inputs, Tensor):
            raise DataError(f"the inputs are {', '.join(self.inputs)}; one tensor without a name is needed here")
        return self.inputs

    def take(self, chosen: Tensor | slice) -> Samples:
        """Some of the samples, without the columns of padding that none of them needs."""
        if isinstance(self.inputs, Tensor):
            return Samples(self.inputs[chosen], self.labels[chosen])
        parts = {name: tensor[chosen] for name, tensor in self.inputs.items()}
        return _trimmed(parts, self.labels[chosen])

    def outputs_of(self, model: nn.Module) -> Any:
        """What the model says to these inputs."""
        return model(self.inputs) if isinstance(self.inputs, Tensor) else model(**self.inputs)


def _check(name: str, tensor: Tensor) -> None:
    if not isinstance(tensor, Tensor):
        raise DataError(f"the {name} are a {type(tensor).__name__}; give a torch tensor")
    if tensor.ndim == 0:
        raise DataError(f"the {name} are a single number; the first axis counts samples")
    if tensor.is_complex():
        raise DataError(f"the {name} are {tensor.dtype}; give real numbers, real and imaginary parts apart")
    if tensor.is_floating_point() and not tensor.is_meta and not bool(tensor.isfinite().all()):
        raise DataError(f"the {name} hold NaN or infinity; clean the data first")


def _trimmed(parts: dict[str, Tensor], labels: Tensor) -> Samples:
    """Without the columns on either side that the mask calls padding in every sample."""
    mask = parts.get(MASK)
    if mask is None or mask.ndim != 2 or mask.is_meta:
        return Samples(parts, labels)
    used = torch.nonzero(mask.any(0)).flatten()
    if not len(used) or len(used) == mask.shape[1]:
        return Samples(parts, labels)
    columns = slice(int(used[0]), int(used[-1]) + 1)

    def cut(tensor: Tensor) -> Tensor:
        return tensor[:, columns] if tensor.ndim >= 2 and tensor.shape[1] == mask.shape[1] else tensor

    return Samples({name: cut(tensor) for name, tensor in parts.items()}, cut(labels))
