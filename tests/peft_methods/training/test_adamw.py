"""AdamW is torch's to the last bit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from peft_methods.training.adamw import AdamW, Group


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_steps_are_those_of_torch(dtype: torch.dtype) -> None:
    """Two groups, one of them with weight decay; a parameter gets its first gradient later, one never gets any."""
    factors = [0.1, 0.5, 1.0, 0.7, 0.2]
    ours, theirs = (
        [nn.Parameter(torch.linspace(-1, 1, 12, dtype=dtype).view(3, 4) + n) for n in range(4)] for _ in "12"
    )
    optimizer = AdamW([Group(ours[:2], 0.03, 0.1), Group(ours[2:], 0.01, 0.0)], lambda step: factors[step])
    groups = [{"params": theirs[:2], "lr": 0.03, "weight_decay": 0.1}, {"params": theirs[2:], "lr": 0.01}]
    expected = torch.optim.AdamW(groups, weight_decay=0.0, fused=True)
    rates = [group["lr"] for group in expected.param_groups]
    generator = torch.Generator().manual_seed(0)
    for step, factor in enumerate(factors):
        for number, pair in enumerate(zip(ours, theirs, strict=True)):
            gradient = torch.randn(3, 4, generator=generator).to(dtype)
            for one in pair:
                one.grad = None if number == 3 or (number == 1 and step < 2) else gradient.clone()
        for group, rate in zip(expected.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        optimizer.step()
        expected.step()
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
