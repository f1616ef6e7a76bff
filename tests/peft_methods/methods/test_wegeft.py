"""WeGeFT's identities: the same update as a LoRA, in both directions and on both sides; gradients; export."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from crossbar_sim import Hardware, map_model
from peft_methods import WeGeFT
from peft_methods.checkpoints.lora import load_lora, save_lora
from peft_methods.methods.wegeft import EditedLinear
from peft_methods.placement import DIGITAL, SramMatrix
from tests.conftest import tiny_net


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def edited(weight: torch.Tensor, down: torch.Tensor, up: torch.Tensor, s: float, on_input: bool) -> EditedLinear:
    base = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=torch.float64)
    base.weight = nn.Parameter(weight, requires_grad=False)
    return EditedLinear(base, SramMatrix("down", down, DIGITAL), SramMatrix("up", up, DIGITAL), s, on_input, DIGITAL)


@pytest.mark.parametrize("outputs", [24, 32])
def test_wegeft_reproduces_any_lora_if_the_columns_allow(outputs: int) -> None:
    """I3: Phi^T = W^+ B, Psi = A give s B A for W of full row rank; a tall W needs V = A W^+, U = B."""
    inputs = 32 if outputs == 24 else 24
    rank = 4
    s = 2.0
    weight = draw(outputs, inputs)
    a = draw(rank, inputs, seed=1)
    b = draw(outputs, rank, seed=2)
    x = draw(9, inputs, seed=3)
    lora = x @ (weight + s * b @ a).T
    inverse = torch.linalg.pinv(weight)
    input_side = edited(weight, a, inverse @ b, s, True)(x)
    output_side = edited(weight, a @ inverse, b, s, False)(x)
    residuals = [float((side - lora).norm() / (lora - x @ weight.T).norm()) for side in (input_side, output_side)]
    if outputs < inputs:
        assert residuals[0] < 1e-12 and residuals[1] > 0.1
    else:
        assert residuals[0] > 0.1 and residuals[1] < 1e-12


@pytest.mark.parametrize("side", ["input", "output"])
def test_three_forms_are_one(side: str) -> None:
    """I2: the edited layer, the merged weight, and the LoRA with A = Psi, B = W Phi^T (or A = V W, B = U)."""
    weight = draw(7, 5)
    s = 0.7
    on_input = side == "input"
    width = 5 if on_input else 7
    layer = edited(weight, draw(3, width, seed=1), draw(width, 3, seed=2), s, on_input)
    a, b = layer.factors()
    x = draw(4, 5, seed=3)
    torch.testing.assert_close(layer(x), x @ weight.T + s * (x @ a.T) @ b.T, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(layer(x), x @ (weight + s * b @ a).T, rtol=1e-13, atol=1e-13)


def test_gradients_are_those_of_the_paper() -> None:
    """g = W^T delta; dPhi = s (Psi x) g^T, dPsi = s (Phi g) x^T, dx = g + s Psi^T Phi g."""
    weight = draw(7, 5)
    psi = draw(3, 5, seed=1)
    phi = draw(3, 5, seed=2)
    s = 0.7
    layer = edited(weight, psi, phi.T, s, True)
    layer.down.master.requires_grad_(True)
    layer.up.master.requires_grad_(True)
    x, delta = draw(4, 5, seed=3).requires_grad_(True), draw(4, 7, seed=4)
    (layer(x) * delta).sum().backward()
    g, z = delta @ weight, x.detach()
    assert layer.up.master.grad is not None and layer.down.master.grad is not None and x.grad is not None
    torch.testing.assert_close(layer.up.master.grad.T, s * (z @ psi.T).T @ g)
    torch.testing.assert_close(layer.down.master.grad, s * (g @ phi.T).T @ z)
    torch.testing.assert_close(x.grad, g + s * (g @ phi.T) @ psi)


def test_layers_of_one_kind_share_a_generator() -> None:
    shared = WeGeFT(rank=2).attach(tiny_net())
    assert shared.layers["blocks.0.up"].down is shared.layers["blocks.1.up"].down
    assert shared.layers["blocks.0.up"].down is not shared.layers["blocks.0.mix"].down
    own = WeGeFT(rank=2, shared=False).attach(tiny_net())
    assert own.layers["blocks.0.up"].down is not own.layers["blocks.1.up"].down


def test_no_tile_is_read_or_written_more_than_by_the_frozen_model(milo: Hardware) -> None:
    counts = []
    for method in (None, WeGeFT(rank=2)):
        model = tiny_net()
        chip = map_model(model, milo)
        if method is not None:
            method.attach(model, chip)
        model(torch.randn(5, 6, generator=torch.Generator().manual_seed(0)))
        counts.append(sum(row["count"] for row in chip.ledger.rows() if row["component"] == "cell reads"))
        assert chip.ledger.writes() == chip.ledger.writes("deploy")
    assert counts[0] == counts[1]


def test_export_is_a_plain_lora(tmp_path: Path) -> None:
    """I16."""
    adapter = WeGeFT(rank=2, side="output").attach(tiny_net())
    with torch.no_grad():
        for parameter in adapter.trained_parameters():
            parameter.add_(0.1)
    save_lora(tmp_path / "one", adapter.export("one"), "tiny")
    loaded = load_lora(tmp_path / "one")
    for name, delta in adapter.delta_weights().items():
        torch.testing.assert_close(loaded.weight_change(name), delta)
