"""Ties: one weight that several layers share. On tiles each of them has cells of its own, and the tie is cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from crossbar_sim.chip.matrix import Matrix
from crossbar_sim.layers.base import MappedLayer, Weights


def tied_embeddings(model: nn.Module) -> dict[nn.Module, str]:
    """Linear layers that share their weight with an embedding, and its name."""
    named = list(model.named_modules())
    tables = {id(module.weight): name for name, module in named if type(module) is nn.Embedding}
    return {
        module: tables[id(module.weight)]
        for _, module in named
        if type(module) is nn.Linear and id(module.weight) in tables
    }


@dataclass(frozen=True)
class Holder:
    """A layer that holds a weight, or that held it before it went on tiles, and what it calls it."""

    layer: str
    module: nn.Module
    weight: str

    @property
    def on_tiles(self) -> bool:
        """Whether its cells hold it."""
        return isinstance(self.module, MappedLayer)

    def value(self, weights: Weights) -> torch.Tensor:
        """What it is now."""
        if isinstance(self.module, MappedLayer):
            return self.module.held_weight(self.weight, weights)
        return self.module.get_parameter(self.weight)


def cut_ties(model: nn.Module) -> tuple[tuple[Holder, ...], ...]:
    """Layers of a mapped model that shared one weight, of which one or more are on tiles."""
    sharing: dict[int, list[Holder]] = {}
    inside = {part for module in model.modules() if isinstance(module, MappedLayer) for part in module.modules()}
    for path, module in model.named_modules():
        for name, parameter in _weights(module).items():
            if isinstance(module, MappedLayer) or (module not in inside and not isinstance(module, Matrix)):
                sharing.setdefault(id(parameter), []).append(Holder(path, module, name))
    return tuple(
        tuple(holders)
        for holders in sharing.values()
        if len(holders) > 1 and any(holder.on_tiles for holder in holders)
    )


def _weights(module: nn.Module) -> Mapping[str, nn.Parameter]:
    """What a layer on tiles had as its weights; of another module its own parameters."""
    if isinstance(module, MappedLayer):
        return module.original_weights
    return {name: one for name, one in module._parameters.items() if one is not None}


@torch.no_grad()
def keep_apart(model: nn.Module, weights: Weights) -> None:
    """Have the torch layers of a mapped model share a weight again only where it is the same in all of them; where it
    is not, each that was on tiles has one of its own from now on."""
    for holders in cut_ties(model):
        first, *others = (holder.value(weights) for holder in holders)
        if not all(torch.equal(first, other) for other in others):
            for holder in holders:
                if isinstance(holder.module, MappedLayer):
                    holder.module.untie(holder.weight)
