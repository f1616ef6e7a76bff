"""MappedLayer: what a layer on tiles has in common with every other, and the way back to the torch layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import nn

from crossbar_sim.chip.matrix import Matrix
from crossbar_sim.layers.guarded_weight import GuardedWeight
from crossbar_sim.layers.hung_on import share_hooks
from crossbar_sim.spec.errors import MappingError

Weights = Literal["cells", "master"]
REGISTERED = frozenset({"bias", "bias_k", "bias_v", "out_proj"})
"""What layers on tiles have under the names of torch's; until it is registered, nothing of that name may be found."""
Program = Callable[[str, torch.Tensor], Matrix]
"""Puts a matrix (outputs, inputs) on the tiles of the chip, under a name."""


class MappedLayer(nn.Module):
    """A layer whose weight matrices are on tiles.

    original: the torch layer it stands for, kept for `restored`; its parameters are not this module's, except
    biases and hooks that both share. held: per weight of the original, the matrices that hold it, by blocks of outputs.
    What it is asked for and does not have itself, such as `in_features`, the original answers.
    """

    def __init__(
        self, name: str, original: nn.Module | None, held: Mapping[str, Sequence[Matrix]] | None = None
    ) -> None:
        super().__init__()
        self.name = name
        self._original = (original,)  # in a tuple, where torch does not look for submodules
        self._held = dict(held or {})
        if original is not None:
            share_hooks(original, self)

    def __getattr__(self, name: str) -> Any:
        """Sizes and settings, biases and weights of the layer it stands for; a weight may be looked at only."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            (original,) = vars(self).get("_original", (None,))
            if original is None or name.startswith("__") or name in REGISTERED:
                raise
            if name in self._held:
                return self._guarded(name, original.get_parameter(name))
            value = getattr(original, name)
            if name != "flatten_parameters" and (callable(value) or isinstance(value, list)):
                raise
            return value

    def _guarded(self, name: str, stands_for: torch.Tensor) -> GuardedWeight:
        """The float copy of a weight; a view of it where it is one float32 matrix."""
        values: list[torch.Tensor] = [matrix.master for matrix in self._held[name]]
        joined = values[0] if len(values) == 1 else torch.cat(values)
        return GuardedWeight.of(f"{self.name}.{name}", joined.reshape(stands_for.shape).to(stands_for.dtype))

    @property
    def original_weights(self) -> dict[str, nn.Parameter]:
        """By name, what the layer it stands for had as the weights that are on tiles."""
        (original,) = self._original
        return {} if original is None else {name: original.get_parameter(name) for name in self._held}

    @torch.no_grad()
    def held_weight(self, name: str, weights: Weights) -> torch.Tensor:
        """A weight of the layer it stands for: what the cells hold now, or the float master copy."""
        parameter = self.original_weights[name]
        blocks = [matrix.weight() if weights == "cells" else matrix.master for matrix in self._held[name]]
        return torch.cat(blocks).reshape(parameter.shape).to(parameter.dtype)

    def untie(self, name: str) -> None:
        """From now on the layer it stands for has a weight of its own."""
        (original,) = self._original
        assert original is not None
        parameter = original.get_parameter(name)
        owner, _, own_name = name.rpartition(".")
        alone = nn.Parameter(parameter.detach().clone(), parameter.requires_grad)
        setattr(original.get_submodule(owner), own_name, alone)

    def restored(self, weights: Weights) -> nn.Module:
        """The torch layer with the weights that the cells hold now, or with the float master copies."""
        (original,) = self._original
        if original is None:
            raise MappingError(f"{self.name} was not made from a torch layer; replace it by hand")
        for name, parameter in self.original_weights.items():
            parameter.data = self.held_weight(name, weights)
        return original.train(self.training)
