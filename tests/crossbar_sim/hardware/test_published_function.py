"""The library's chips lose in a product what their papers say, beside costing what they say."""

from __future__ import annotations

import copy

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from crossbar_sim import Chip, Hardware, calibrate, map_model


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


def accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    with torch.no_grad():
        return float((model(images).argmax(dim=1) == labels).double().mean())


@pytest.mark.slow
def test_neurram_classifies_as_well_as_software_of_four_bit_weights() -> None:
    """Wan et al. 2022, abstract: inference accuracy comparable to software models quantized to four-bit weights. What a
    single product loses is not in the sources read; the task, scanned digits, and 2 % as comparable are our choice."""
    digits = load_digits()
    images, labels = torch.from_numpy(digits.data / 16).float(), torch.from_numpy(digits.target)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 10))
        train, test = torch.randperm(len(images)).split([1200, len(images) - 1200])
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        for _ in range(60):
            for batch in train[torch.randperm(1200)].split(64):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
                optimizer.step()

    def right(model: nn.Module) -> float:
        with torch.no_grad():
            return float((model(images[test]).argmax(dim=1) == labels[test]).double().mean())

    def software(bits: int) -> float:
        quantized = copy.deepcopy(model)
        for layer in (quantized[0], quantized[2]):
            layer.weight.data = rounded(layer.weight.data, bits)
        return right(quantized)

    def chip(seed: int) -> float:
        mapped = copy.deepcopy(model)
        map_model(mapped, "neurram", seed=seed)
        calibrate(mapped, images[train], hold=True)
        return right(mapped)

    found = sum(map(chip, range(3))) / 3
    assert software(2) + 0.1 < found and software(4) - 0.02 < found
