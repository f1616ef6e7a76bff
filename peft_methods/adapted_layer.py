"""AdaptedLayer: a layer of the model with a method's parts around it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import nn

from crossbar_sim.layers.guarded_weight import GuardedWeight


class AdaptedLayer(nn.Module, ABC):
    """`base` with what a method adds to it. Whoever asks it for something that it does not have itself, such as
    `in_features`, gets the answer of `base`; the weight can be looked at, and products with it are refused.
    """

    base: nn.Module

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base = base

    @property
    def calls_base(self) -> bool:
        """Whether it calls `base`; else it takes its weight and bias, and passes by what hangs on it."""
        return True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As the layer alone: the shape of what `base` returns, the type of x."""
        return self.adapted(x).to(x.dtype)

    @abstractmethod
    def adapted(self, x: torch.Tensor) -> torch.Tensor:
        """What the layer returns with the method, of any floating type."""

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            base = vars(self).get("_modules", {}).get("base")
            if base is None or name.startswith("__"):
                raise
            found = getattr(base, name)
            return GuardedWeight.of(type(self).__name__, found) if name == "weight" else found
