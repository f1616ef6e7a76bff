"""MappedLayer: what a layer on tiles has in common with every other, and the way back to the torch layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import nn

from crossbar_sim.chip.matrix import Matrix
from crossbar_sim.spec.errors import MappingError

Weights = Literal["cells", "master"]
Program = Callable[[str, torch.Tensor], Matrix]
"""Puts a matrix (outputs, inputs) on the tiles of the chip, under a name."""


class MappedLayer(nn.Module):
    """A layer whose weight matrices are on tiles.

    original: the torch layer it stands for, kept for `restored`; its parameters are not this module's, except
    biases that both share. held: per weight of the original, the matrices that hold it, by blocks of outputs.
    """

    def __init__(
        self, name: str, original: nn.Module | None, held: Mapping[str, Sequence[Matrix]] | None = None
    ) -> None:
        super().__init__()
        self.name = name
        self._original = (original,)  # in a tuple, where torch does not look for submodules
        self._held = dict(held or {})

    @torch.no_grad()
    def restored(self, weights: Weights) -> nn.Module:
        """The torch layer with the weights that the cells hold now, or with the float master copies."""
        (original,) = self._original
        if original is None:
            raise MappingError(f"{self.name} was not made from a torch layer; replace it by hand")
        for name, matrices in self._held.items():
            parameter = original.get_parameter(name)
            blocks = [matrix.weight() if weights == "cells" else matrix.master for matrix in matrices]
            parameter.data = torch.cat(blocks).reshape(parameter.shape).to(parameter.dtype)
        return original.train(self.training)
