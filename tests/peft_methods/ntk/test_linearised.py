"""The linearised network: exact tangents, on tiles too, and cells of the backbone that stay as they are."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from crossbar_sim import Hardware, map_model
from peft_methods.model_parts import all_linear_layers
from peft_methods.ntk.gradients import linearised_change, split
from peft_methods.ntk.linearised import LinearisedModel, linearise
from tests.conftest import tiny_net, tiny_transformer


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def moved(model: nn.Module, size: float = 0.1) -> tuple[dict[str, nn.Parameter], torch.Tensor]:
    """All weights and biases of linear layers but the first, and a change of them."""
    names = [name for name in all_linear_layers(model) if name != "embed"]
    chosen = {name: value for name, value in model.named_parameters() if name.rpartition(".")[0] in names}
    return chosen, size * draw(sum(value.numel() for value in chosen.values()), seed=3)


def changed(model: nn.Module, parts: dict[str, torch.Tensor]) -> LinearisedModel:
    products: dict[str, nn.Module] = {}
    for name, part in parts.items():
        if name.endswith("weight"):
            layer = nn.Linear(part.shape[1], part.shape[0], bias=False)
            layer.weight = nn.Parameter(part)
            products[name.removesuffix(".weight")] = layer
    shifts = {name.removesuffix(".bias"): part for name, part in parts.items() if name.endswith("bias")}
    return linearise(model, all_linear_layers(model), products, shifts)


@pytest.mark.parametrize("model", [tiny_net(), tiny_transformer()], ids=["net", "transformer"])
def test_the_linearised_network_is_the_first_order_change(model: nn.Module) -> None:
    x = draw(5, 6) if not hasattr(model, "embed") else draw(5, 4, 4)
    parameters, change = moved(model)
    expected = model(x).detach() + linearised_change(model, x, parameters, change).detach()
    found = changed(model, split(parameters, change))(x)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert (found - model(x)).abs().max() > 0.05 and not found.requires_grad


def test_without_changes_it_is_the_network() -> None:
    model, x = tiny_transformer(), draw(3, 4, 4)
    expected = model(x).detach()
    torch.testing.assert_close(linearise(model, all_linear_layers(model), {})(x), expected)


def test_on_ideal_tiles_the_change_is_written_once_beside_the_backbone(ideal: Hardware) -> None:
    digital, x = tiny_transformer(), draw(4, 4, 4)
    parameters, change = moved(digital)
    mapped = copy.deepcopy(digital)
    chip = map_model(mapped, ideal)
    backbone = {name: matrix.cells.conductance.copy() for name, matrix in chip.matrices.items()}
    parts = split(parameters, change)
    expected = changed(digital, parts)(x)
    mark = chip.mark_writes()
    with chip.ledger.phase("adapt/update"):
        products: dict[str, nn.Module] = {
            name.removesuffix(".weight"): chip.matrix(f"{name}.change", part)
            for name, part in parts.items()
            if name.endswith("weight")
        }
    shifts = {name.removesuffix(".bias"): part for name, part in parts.items() if name.endswith("bias")}
    found = linearise(mapped, all_linear_layers(mapped), products, shifts)(x)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    for name, before in backbone.items():
        assert np.array_equal(chip.matrices[name].cells.conductance, before)
    assert max(writes.max() for writes in chip.writes_since(mark).values()) == 1
    assert chip.ledger.writes("adapt") == 2 * sum(p.numel() for n, p in parts.items() if n.endswith("weight"))
