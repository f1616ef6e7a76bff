"""AdamW with its state, step by step.

torch.optim.AdamW does the same with the same kernel, but its first step imports torch's compiler, which takes longer
than all other imports together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch.optim.adamw import adamw

BETAS = (0.9, 0.999)
EPSILON = 1e-8


@dataclass
class _Moments:
    """Of one parameter: averages of its gradient and of the square of that, and the steps they are over."""

    mean: torch.Tensor
    square: torch.Tensor
    steps: torch.Tensor


@dataclass
class Group:
    """Parameters that share a learning rate and a weight decay."""

    parameters: Sequence[torch.nn.Parameter]
    learning_rate: float
    weight_decay: float
    moments: dict[int, _Moments] = field(default_factory=dict)
    """By the place of their parameter; there once it has a gradient."""


class AdamW:
    """p <- p - rate (m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon) + weight_decay p), for every parameter
    that has a gradient; m and v are the averages of it and of its square.

    factor: of the learning rates, by the number of steps done.
    """

    def __init__(self, groups: Sequence[Group], factor: Callable[[int], float]) -> None:
        self._groups = groups
        self._factor = factor
        self._done = 0

    @torch.no_grad()
    def step(self) -> None:
        """One step of every group."""
        factor = self._factor(self._done)
        for group in self._groups:
            moving = [(at, one) for at, one in enumerate(group.parameters) if one.grad is not None]
            moments = [group.moments.get(at) or _first(group, at) for at, _ in moving]
            adamw(
                [one for _, one in moving],
                [one.grad for _, one in moving if one.grad is not None],
                [one.mean for one in moments],
                [one.square for one in moments],
                [],
                [one.steps for one in moments],
                fused=True,
                amsgrad=False,
                beta1=BETAS[0],
                beta2=BETAS[1],
                lr=group.learning_rate * factor,
                weight_decay=group.weight_decay,
                eps=EPSILON,
                maximize=False,
            )
        self._done += 1


def _first(group: Group, at: int) -> _Moments:
    """Before its first step."""
    parameter = group.parameters[at]
    group.moments[at] = _Moments(
        mean=torch.zeros_like(parameter, memory_format=torch.preserve_format),
        square=torch.zeros_like(parameter, memory_format=torch.preserve_format),
        steps=torch.zeros((), dtype=torch.float32, device=parameter.device),
    )
    return group.moments[at]
