"""Mapped: what a chip knows of a model whose layers are on it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from crossbar_sim.spec.errors import MappingError


@dataclass(frozen=True, eq=False)
class Mapped:
    """A model that was mapped.

    layers: the torch class of each of its layers on tiles, by name; digital: where its other parameters and buffers
    are, by name: the module that owns each, and what it calls it; cut: names of layers that shared one weight, of which
    one or more are on tiles.
    """

    model: nn.Module
    layers: dict[str, str]
    digital: dict[str, tuple[nn.Module, str]]
    cut: tuple[tuple[str, ...], ...] = ()

    def state(self) -> MappedState:
        """As it is now. MappingError if a module that was there when it was mapped is not there any more."""
        there = set(self.model.modules())
        for name, (owner, _) in self.digital.items():
            if owner not in there:
                raise MappingError(
                    f"'{name}' is not in {type(self.model).__name__} any more, something was put in the place of its "
                    "layer; save the chip before that, or put the layer back"
                )
        values = {name: self.tensor(name).detach().cpu().clone() for name in self.digital}
        return MappedState(self.layers, values, self.model.training)

    def tensor(self, name: str) -> torch.Tensor:
        """The digital parameter or buffer of that name."""
        owner, own_name = self.digital[name]
        found: torch.Tensor | None = owner._parameters.get(own_name)
        if found is None:
            found = owner._buffers[own_name]
        assert found is not None
        return found

    @torch.no_grad()
    def become(self, state: MappedState) -> None:
        """Take the digital numbers and the mode of `state`; MappingError, before any is taken, if they do not fit."""
        kind = type(self.model).__name__
        for name in sorted(set(self.digital) ^ set(state.digital)):
            whose = f"{kind} has '{name}', the saved chip has not" if name in self.digital else f"{kind} lacks '{name}'"
            raise MappingError(f"the chip was saved with another model: {whose}; give a model of the same architecture")
        for name, value in state.digital.items():
            own = self.tensor(name)
            if own.shape != value.shape or own.dtype != value.dtype:
                raise MappingError(
                    f"the chip was saved with another model: '{name}' is {own.dtype} {tuple(own.shape)} in {kind} and "
                    f"{value.dtype} {tuple(value.shape)} on the saved chip"
                )
        for name, value in state.digital.items():
            self.tensor(name).copy_(value)
        self.model.train(state.training)


@dataclass(frozen=True)
class MappedState:
    """What of a mapped model is not on its chip.

    layers: as of `Mapped`; digital: values by name; training: whether it is in training mode.
    """

    layers: dict[str, str]
    digital: dict[str, torch.Tensor]
    training: bool
