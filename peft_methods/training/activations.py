"""KeptActivations: what a training step keeps between its forward and its backward pass, counted and billed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from crossbar_sim.chip.interface import AnyChip
from peft_methods.placement import bill_activations


class KeptActivations:
    """Bills one write and one read of every value that autograd keeps for the backward pass.

    These are what the trained tensors and the digital layers need; the model's own parameters and buffers are kept
    anyway, whole numbers (indices) are not counted, and a tensor kept under several views counts once. The
    first batch is watched; later ones are billed per sample. Nothing happens on a design without a memory for them.
    """

    def __init__(self, chip: AnyChip, model: nn.Module) -> None:
        self.chip = chip
        self.model = model
        self.active = chip.digital.keeps_activations
        self.per_sample: float | None = None

    @contextmanager
    def written(self, samples: int) -> Iterator[None]:
        """The model's forward pass of `samples` samples."""
        if self.active and self.per_sample is None:
            kept: dict[int, int] = {}
            own = {_storage(tensor) for part in (self.model.parameters(), self.model.buffers()) for tensor in part}

            def pack(tensor: torch.Tensor) -> torch.Tensor:
                storage = _storage(tensor)
                if tensor.is_floating_point() and storage not in own:
                    kept[storage] = max(kept.get(storage, 0), tensor.numel())
                return tensor

            with saved_tensors_hooks(pack, lambda tensor: tensor):
                yield
            self.per_sample = sum(kept.values()) / samples
        else:
            yield
        if self.active:
            bill_activations(self.chip, self.values(samples), "write")

    def read(self, samples: int) -> None:
        """The backward pass."""
        if self.active:
            bill_activations(self.chip, self.values(samples), "read")

    def values(self, samples: int) -> int:
        """Values kept for `samples` samples."""
        return round((self.per_sample or 0.0) * samples)


def _storage(tensor: torch.Tensor) -> int:
    """Identity of the memory behind a tensor; views share it."""
    return int(tensor.untyped_storage()._cdata)
