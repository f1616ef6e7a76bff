"""Code around a layer meets on tiles what it met before: attributes, hooks, ties; a weight is no way past the tiles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune

from crossbar_sim import Chip, Hardware, MappingError, map_model, unmap

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
        lambda x, w: x @ w.T,
        lambda x, w: x @ w.t().contiguous(),
        lambda x, w: torch.matmul(x, w.mT),
        lambda x, w: functional.linear(x.double(), w.to(torch.float64)),
        lambda x, w: functional.linear(x, w.float()[:2]),
        lambda x, w: functional.linear(x, w.chunk(2)[0]),
        lambda x, w: torch.addmm(x, x, w.transpose(0, 1)),
        lambda x, w: torch.bmm(x[None], w.permute(1, 0)[None]),
        lambda x, w: functional.conv1d(x[:, :, None], w.view(4, 4, 1)),
        lambda x, w: (x[:, None] * w).sum(-1),
        lambda x, w: (w * x[:, None]).sum(-1),
        lambda x, w: torch.mul(w.T, x[..., None]).sum(1),
        lambda x, w: x[0].mul(w).sum(-1),
        lambda x, w: torch.addcmul(torch.zeros(2, 4, 4), x[:, None], w).sum(-1),
    ],
)
def test_the_weight_is_to_look_at(milo: Hardware, product: Any) -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    chip = map_model(model, milo)
    weight, x = model[0].weight, torch.randn(2, 4)
    with pytest.raises(MappingError, match="0: a product with its weight would go past its tiles"):
        product(x, weight)
    assert torch.equal(weight.detach(), chip.matrices["0"].master) and type(weight.detach()) is torch.Tensor
    masked, squares = weight * torch.ones(4, 4), weight * weight
    for computed in (weight.detach().T, weight.clone(), 2 * weight, weight.norm(), weight[0, 0], masked, squares):
        assert type(computed) is torch.Tensor


def test_what_is_computed_of_a_weight_has_its_gradient(milo: Hardware) -> None:
    """A penalty on the weights of a layer acts on tiles as it does on a digital one."""
    model = nn.Sequential(nn.Linear(4, 4))
    chip = map_model(model, milo)
    model.requires_grad_(True)
    model[0].weight.T.square().sum().backward()
    master = chip.matrices["0"].master
    assert master.grad is not None and torch.equal(master.grad, 2 * master)


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
    assert chip.plan.cut_ties == ()


@pytest.mark.parametrize(
    ("wish", "matrices"), [({"target": ["decoder"]}, ["decoder"]), ({"exclude": []}, ["body", "decoder"])]
)
def test_a_tied_head_goes_on_tiles_where_it_is_asked_for(milo: Hardware, wish: Any, matrices: list[str]) -> None:
    model = Tied()
    chip = map_model(model, milo, **wish)
    assert list(chip.matrices) == matrices and chip.plan.cut_ties == (("embed", "decoder"),)
    assert "tie cut: embed, decoder shared one weight" in str(chip.plan)
    model(torch.tensor([0, 3]))
    unmap(model, weights="master")
    assert model.decoder.weight is model.embed.weight


def test_a_tie_comes_back_where_the_weights_are_still_the_same(milo: Hardware) -> None:
    model = Tied()
    chip, table = map_model(model, milo, exclude=[]), model.embed.weight.detach().clone()
    held = chip.matrices["decoder"].weight()
    unmap(model, weights="cells")
    assert model.decoder.weight is not model.embed.weight
    assert torch.equal(model.embed.weight, table) and torch.equal(model.decoder.weight, held)


SHARING: list[Any] = [
    (lambda: nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4)), "weight"),
    (lambda: nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.Tanh(), nn.Conv2d(2, 2, 3, padding=1)), "weight"),
    (lambda: nn.ModuleDict({"0": nn.MultiheadAttention(4, 2), "2": nn.MultiheadAttention(4, 2)}), "in_proj_weight"),
    (lambda: nn.ModuleDict({"0": nn.LSTM(4, 4), "2": nn.LSTM(4, 4)}), "weight_hh_l0"),
]


@pytest.mark.parametrize(("make", "name"), SHARING)
@pytest.mark.parametrize("wish", [{}, {"target": ["2"]}, {"exclude": ["2"]}], ids=str)
def test_a_tie_between_layers_is_cut_and_said(milo: Hardware, make: Any, name: str, wish: Any) -> None:
    model = make()
    layers = dict(model.named_children())
    setattr(layers["2"], name, getattr(layers["0"], name))
    chip = map_model(model, milo, **wish)
    assert chip.plan.cut_ties == (("0", "2"),) and "tie cut: 0, 2 shared one weight" in str(chip.plan)
    unmap(model, weights="master")
    assert getattr(layers["0"], name) is getattr(layers["2"], name) and chip.plan.cut_ties == ()
    map_model(model, chip := Chip(milo), **wish)
    before = getattr(layers["0"], name)
    unmap(model, weights="cells")
    assert getattr(layers["0"], name) is not getattr(layers["2"], name)
    on_tiles, digital = ("0", "2") if "exclude" in wish else ("2", "0")
    assert torch.equal(getattr(layers[digital], name), before) == bool(wish)
    assert not torch.equal(getattr(layers[on_tiles], name), before)


def test_a_loaded_chip_says_which_ties_are_cut(milo: Hardware, tmp_path: Path) -> None:
    map_model(Tied(), chip := Chip(milo), exclude=[])
    chip.save(tmp_path)
    assert str(Chip.load(tmp_path, Tied()).plan) == str(chip.plan)
