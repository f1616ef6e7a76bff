"""Dropout of what a method adds, from its own stream of random numbers."""

from __future__ import annotations

import torch


class Dropout:
    """Drops each number with probability `share` and scales the others by 1 / (1 - share), while training; from its
    own stream of random numbers."""

    def __init__(self, share: float, seed: int) -> None:
        self.share, self.generator = share, torch.Generator().manual_seed(seed)

    def __call__(self, values: torch.Tensor, training: bool) -> torch.Tensor:
        """Values of any shape in and out."""
        if not training or self.share == 0:
            return values
        kept = torch.rand(values.shape, generator=self.generator) >= self.share
        return values * kept.to(values) / (1 - self.share)
