"""Code around a layer meets on tiles what it met before: attributes, hooks, ties; a weight is no way past the tiles."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune

from crossbar_sim import Hardware, MappingError, map_model, unmap

LAYERS: list[Any] = [
    lambda: nn.Linear(8, 4),
    lambda: nn.Conv1d(2, 4, 3, stride=2, padding=1),
    lambda: nn.Conv2d(2, 4, (3, 1), groups=2, padding="same", padding_mode="circular"),
    lambda: nn.LSTM(3, 4, 2, batch_first=True, proj_size=2),
    lambda: nn.GRUCell(3, 4, bias=False),
    lambda: nn.RNN(3, 4, bidirectional=True),
    lambda: nn.MultiheadAttention(8, 2, kdim=4),
]
HIDDEN = {"in_proj_bias", "_qkv_same_embed_dim"}
"""By which torch would go past the tiles."""


@pytest.mark.parametrize("make", LAYERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_layer_on_tiles_has_the_attributes_of_the_one_before(milo: Hardware, make: Any, dtype: torch.dtype) -> None:
    layer = make().to(dtype)
    names = [name for name in vars(layer) if not name.startswith("_")]
    values = {name: getattr(layer, name) for name in names}
    shapes = {name: (value.shape, value.dtype) for name, value in layer.named_parameters(recurse=False)}
    model = nn.Sequential(layer)
    map_model(model, milo)
    assert {name: getattr(model[0], name) for name in names} == values
    found = {name: getattr(model[0], name) for name in shapes.keys() - HIDDEN}
    assert {name: (value.shape, value.dtype) for name, value in found.items()} == {
        name: shape for name, shape in shapes.items() if name not in HIDDEN
    }
    with pytest.raises(AttributeError):
        model[0].no_such_thing  # noqa: B018


def test_flattening_parameters_is_allowed(milo: Hardware) -> None:
    model = nn.Sequential(nn.LSTM(3, 4))
    map_model(model, milo)
    model[0].flatten_parameters()
    with pytest.raises(AttributeError):
        model[0].all_weights  # noqa: B018


@pytest.mark.parametrize(
    "product",
    [
        lambda x, w: functional.linear(x, w),
        lambda x, w: functional.linear(x, weight=w),
        lambda x, w: x @ w,
        lambda x, w: torch.mm(w, x.T),
        lambda x, w: torch.einsum("oi,ni->no", w, x),
    ],
)
def test_the_weight_is_to_look_at(milo: Hardware, product: Any) -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    chip = map_model(model, milo)
    weight, x = model[0].weight, torch.randn(2, 4)
    with pytest.raises(MappingError, match="0: a product with its weight would go past its tiles"):
        product(x, weight)
    assert torch.equal(weight.detach(), chip.matrices["0"].master) and type(weight.detach()) is torch.Tensor


def test_hooks_move_with_their_layer_and_back(ideal: Hardware) -> None:
    model, x, seen = nn.Sequential(nn.Linear(8, 4)), torch.rand(3, 8), list[str]()
    doubling = model[0].register_forward_hook(lambda module, inputs, output: 2 * output)
    model[0].register_forward_pre_hook(lambda module, inputs: seen.append("before"))
    model[0].register_full_backward_hook(lambda module, inputs, outputs: seen.append("back"))
    expected = model(x).detach()
    map_model(model, ideal)
    seen.clear()
    y = model(x.requires_grad_())
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-6)
    y.sum().backward()
    assert seen == ["before", "back"]
    doubling.remove()
    torch.testing.assert_close(2 * model(x), expected, rtol=1e-5, atol=1e-6)
    unmap(model, weights="master")
    torch.testing.assert_close(2 * model(x), expected, rtol=1e-5, atol=1e-6)
    assert seen.count("before") == 3


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize(
    "wrap",
    [
        torch.nn.utils.weight_norm,
        torch.nn.utils.spectral_norm,
        parametrizations.weight_norm,
        parametrizations.spectral_norm,
        lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
    ],
)
def test_computed_weights_stay_digital_or_are_refused(milo: Hardware, wrap: Any) -> None:
    model = nn.Sequential(wrap(nn.Linear(8, 4)), nn.Linear(4, 4)).eval()
    layer = model[0]
    with pytest.raises(MappingError, match="'0' is kept digital: its weights are computed"):
        map_model(nn.Sequential(layer), milo)
    chip = map_model(model, milo)
    assert model[0] is layer and list(chip.matrices) == ["1"]
    assert "its weights are computed" in dict(chip.skipped)["0"]


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 4)
        self.body = nn.Linear(4, 4)
        self.decoder = nn.Linear(4, 5, bias=False)
        self.decoder.weight = self.embed.weight

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.decoder(self.body(self.embed(words)))
        return y


def test_a_tied_head_stays_digital_unless_it_is_asked_for(milo: Hardware) -> None:
    model = Tied()
    chip = map_model(model, milo)
    assert list(chip.matrices) == ["body"] and model.decoder.weight is model.embed.weight
    assert "its weight is tied to 'embed'" in str(chip.plan)
    model = Tied()
    chip = map_model(model, milo, target=["decoder"])
    assert list(chip.matrices) == ["decoder"] and "its tie to 'decoder', which goes on tiles, is cut" in str(chip.plan)
    model(torch.tensor([0, 3]))
