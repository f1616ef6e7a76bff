"""The library's chips lose in a product what their papers say, beside costing what they say."""

from __future__ import annotations

import pytest
import torch

from crossbar_sim import Chip, Hardware


def relative_error(found: torch.Tensor, exact: torch.Tensor) -> float:
    return float((found - exact).norm() / exact.norm())


def rounded(weight: torch.Tensor, bits: int) -> torch.Tensor:
    """Weights (outputs, inputs) as whole numbers of `bits` bits, signed, of each output's largest."""
    largest, steps = weight.abs().amax(dim=1, keepdim=True), 2 ** (bits - 1) - 1
    return torch.round(weight / largest * steps) / steps * largest


@pytest.mark.parametrize("seed", range(3))
def test_hermes_multiplies_as_if_by_weights_of_three_to_four_bits(seed: int) -> None:
    """Le Gallo et al. 2023: a core of 256 x 256 cells is as exact as 3 to 4 bits of fixed-point weight; normal weights
    cut at 2.5 deviations and even inputs, as such measurements use them, are our choice."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(256, 256, generator=generator).clamp(-2.5, 2.5)
    x = 2 * torch.rand(200, 256, generator=generator) - 1
    matrix = Chip(Hardware.load("hermes"), seed).matrix("core", weight)
    with torch.no_grad():
        matrix(x)
        found = relative_error(matrix.eval()(x), x @ weight.T)
    three, four = (relative_error(x @ rounded(weight, bits).T, x @ weight.T) for bits in (3, 4))
    assert four < found < three
