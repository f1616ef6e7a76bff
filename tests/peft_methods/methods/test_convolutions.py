"""LoRA on convolutions: PEFT's form, on tiles as without, and given back as it was."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from crossbar_sim import Hardware, map_model
from peft_methods import DoRA, LoRA, LoRAFA, Method, MethodError, fine_tune
from peft_methods.methods.low_rank import LowRankAdapter

KINDS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "of images": (lambda: nn.Conv2d(3, 6, 3, stride=2, padding=1), (3, 9, 8)),
    "dilated and rectangular": (lambda: nn.Conv2d(3, 6, (2, 3), dilation=(1, 2), padding=(0, 2)), (3, 7, 9)),
    "of sequences": (lambda: nn.Conv1d(4, 5, 3, padding="same", bias=False), (4, 10)),
    "round the edge": (lambda: nn.Conv1d(4, 5, 3, padding=2, padding_mode="circular", stride=2), (4, 11)),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


class Net(nn.Module):
    """A convolution, the mean over space, and a head."""

    def __init__(self, convolution: nn.Module) -> None:
        super().__init__()
        self.conv = convolution
        self.mix = nn.Linear(int(convolution.out_channels), 7)  # type: ignore[arg-type]
        self.head = nn.Linear(7, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(torch.tanh(self.mix(torch.tanh(self.conv(x)).flatten(2).mean(2))))
        return logits


def made(kind: str) -> tuple[Net, torch.Tensor]:
    make, shape = KINDS[kind]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Net(make()), torch.randn(12, *shape)


def moved(method: Method, model: nn.Module, hardware: Hardware | None = None) -> LowRankAdapter:
    adapter = method.attach(model, None if hardware is None else map_model(model, hardware), seed=2)
    assert isinstance(adapter, LowRankAdapter)
    with torch.no_grad():
        for parameter in adapter.trained_parameters():
            parameter.add_(0.1 * torch.sin(torch.arange(1.0, parameter.numel() + 1)).view(parameter.shape))
    adapter.write()
    return adapter


@pytest.mark.parametrize("kind", ["of images", "of sequences"])  # PEFT leaves out dilation and kinds of padding
def test_it_is_the_convolution_of_peft(kind: str) -> None:
    peft = pytest.importorskip("peft", reason="needs peft (pip install crossbar-sim[hf])")
    model, x = made(kind)
    theirs: Any = peft.get_peft_model(copy.deepcopy(model), peft.LoraConfig(r=2, lora_alpha=6, target_modules=["conv"]))
    adapter = moved(LoRA(rank=2, alpha=6, targets="conv"), model)
    layer, own = theirs.base_model.model.conv, adapter.layers["conv"]
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    assert adapter.trained_values == a.numel() + b.numel()
    with torch.no_grad():
        a.copy_(own.a.master.view_as(a))
        b.copy_(own.b.master.view_as(b))
    torch.testing.assert_close(model(x), theirs(x), rtol=1e-5, atol=1e-5)


@every_kind
@pytest.mark.parametrize("method", [LoRA(rank=2, targets=("conv", "mix")), LoRAFA(rank=2, targets="conv")], ids=str)
def test_on_ideal_tiles_it_is_its_digital_twin_and_it_merges(kind: str, method: Method, ideal: Hardware) -> None:
    digital, x = made(kind)
    mapped, merged = copy.deepcopy(digital), copy.deepcopy(digital)
    adapter = moved(method, digital)
    moved(method, mapped, ideal)
    torch.testing.assert_close(mapped(x), digital(x), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(mapped.conv(x[0]), mapped.conv(x[:1])[0], rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        for name, delta in adapter.delta_weights().items():
            merged.get_submodule(name).weight += delta
    torch.testing.assert_close(merged(x), digital(x), rtol=1e-4, atol=1e-5)


def test_it_is_trained_billed_and_given_back(milo: Hardware) -> None:
    model, x = made("of images")
    chip = map_model(model, milo)
    before = model(x)
    adapter = LoRA(rank=2, targets="conv", steps=20).attach(model, chip)
    losses = fine_tune(model, adapter, x, torch.arange(12) % 3).loss
    assert sum(losses[-5:]) < sum(losses[:5]) and chip.ledger.writes("adapt") > 0
    with pytest.raises(MethodError, match="conv is a convolution, and LoRA modules here hold linear layers"):
        adapter.export("mine")
    adapter.detach()
    assert set(chip.matrices) == {"conv", "mix"} and model(x).shape == before.shape


REFUSED: dict[str, tuple[Method, nn.Module, str]] = {
    "groups": (LoRA(rank=2, targets="conv"), nn.Conv2d(4, 4, 3, groups=2), "conv is a convolution of 2 groups"),
    "no law": (DoRA(rank=2, targets="conv"), nn.Conv2d(4, 4, 3), "DoRA has no law for convolutions"),
    "no room": (LoRA(rank=5, targets="conv"), nn.Conv2d(4, 4, 3), "conv is 4 x 36: rank must be at most 4"),
    "nothing": (LoRA(rank=2, targets="kernel"), nn.Conv2d(4, 4, 3), "no linear layer ends in 'kernel'"),
    "half": (LoRA(rank=2, targets=("conv", "kernel")), nn.Conv2d(4, 4, 3), "no linear layer ends in 'kernel'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_law_is_refused_and_changes_nothing(case: str) -> None:
    method, convolution, why = REFUSED[case]
    model = Net(convolution)
    with pytest.raises(MethodError, match=why):
        method.attach(model)
    assert model.conv is convolution and all(parameter.requires_grad for parameter in model.parameters())
