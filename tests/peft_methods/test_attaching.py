"""Attaching a method is whole or nothing, detaching gives everything back, and the chip is the model's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from crossbar_sim import Chip, Hardware, MappingError, map_model, unmap
from peft_methods import (
    IA3,
    METHODS,
    BitFit,
    DoRA,
    FullFineTuning,
    LoRA,
    LoRAFA,
    Method,
    MethodError,
    VeRA,
    WeGeFT,
    accuracy,
    fine_tune,
)
from peft_methods.base import Adapter
from peft_methods.methods.pooled import with_pool
from tests.conftest import tiny_net, tiny_pool
from tests.peft_methods.methods.test_methods import Case, sample, table


class Refused(Exception):
    pass


def everything(model: nn.Module, chip: Chip | None) -> list[Any]:
    """Whatever attaching could change."""
    seen: list[Any] = [
        [(name, id(module), module.training) for name, module in model.named_modules()],
        [(name, id(value), value.requires_grad, value.grad is None) for name, value in model.named_parameters()],
        [value.clone() for value in (*model.parameters(), *model.buffers())],
    ]
    if chip is not None:
        cells = {**{name: matrix.cells for name, matrix in chip.matrices.items()}, **chip._released}
        seen += [
            list(chip.matrices),
            sorted(chip._released),
            [(one.conductance.copy(), one.writes.copy(), one.pulses.copy(), one.version) for one in cells.values()],
            chip.ledger.rows(),
            dict(chip.ledger.cells_written),
            dict(chip.ledger.labels),
            list(chip.skipped),
        ]
    return seen


def same(before: Any, after: Any) -> bool:
    if isinstance(before, list | tuple):
        return len(before) == len(after) and all(map(same, before, after))
    return bool((before == after).all()) if hasattr(before, "all") else before == after


def ready(case: Case, hardware: Hardware | None) -> tuple[nn.Module, Method, Chip | None]:
    """A model whose chip has worn tiles of an earlier adapter."""
    model = case.model()
    method = with_pool(case.steps(2), lambda: tiny_pool(model))
    chip = None if hardware is None else map_model(model, hardware)
    adapter = method.attach(model, chip)
    fine_tune(model, adapter, *case.data())
    adapter.detach()
    return model, method, chip


@sample
@pytest.mark.parametrize("on_tiles", [False, True], ids=["digital", "tiles"])
@pytest.mark.parametrize("door", ["train", "replace", "train_matrix"])
def test_a_refused_attach_changes_nothing(
    case: Case, on_tiles: bool, door: str, milo: Hardware, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, method, chip = ready(case, milo if on_tiles else None)
    twin, twin_method, twin_chip = ready(case, milo if on_tiles else None)
    before, calls = everything(model, chip), 0
    usual = getattr(Adapter, door)

    def refuse(self: Adapter, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        result = usual(self, *arguments)
        if calls == 4 or door == "train":
            raise Refused
        return result

    with monkeypatch.context() as patch:
        patch.setattr(Adapter, door, refuse)
        try:
            method.attach(model, chip).detach()
        except Refused:
            assert same(before, everything(model, chip))
        else:
            pytest.skip("this method does not get that far")
    again, expected = method.attach(model, chip), twin_method.attach(twin, twin_chip)
    assert again.trained_values == expected.trained_values
    assert chip is None or twin_chip is None or same(chip.ledger.rows(), twin_chip.ledger.rows())


def test_a_layer_that_does_not_fit_is_refused_before_the_others_change(milo: Hardware) -> None:
    model = nn.Sequential()
    model.blocks = nn.ModuleList([nn.Linear(16, 16), nn.Linear(16, 2)])
    chip = map_model(model, milo)
    for method in (LoRA(rank=4), DoRA(rank=4), LoRAFA(rank=4)):
        before = everything(model, chip)
        with pytest.raises(MethodError, match="rank must be at most 2"):
            method.attach(model, chip)
        assert same(before, everything(model, chip))
    assert list(LoRA(rank=2).attach(model, chip).layers) == ["blocks.0", "blocks.1"]


@table
def test_detach_gives_modes_flags_gradients_and_values_back(case: Case) -> None:
    model = case.model().eval()
    model.norm.training = True
    next(iter(model.parameters())).requires_grad_(False)
    before = everything(model, None)
    method = with_pool(case.steps(2), lambda: tiny_pool(model))
    adapter = method.attach(model)
    fine_tune(model, adapter, *case.data())
    adapter.detach()
    assert same(before, everything(model, None))
    with pytest.raises(MethodError, match="not attached any more"):
        adapter.detach()


class Normalised(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(6, 6)])
        self.norm = nn.BatchNorm1d(6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.head(self.norm(self.blocks[0](x)))
        return y


def test_detach_gives_buffers_and_labels_back(milo: Hardware) -> None:
    model = Normalised()
    chip = map_model(model, milo)
    before = [value.clone() for value in model.buffers()]
    adapter = LoRA(rank=2, steps=2).attach(model, chip)
    fine_tune(model, adapter, torch.randn(12, 6), torch.arange(12) % 3)
    assert not same(before, list(model.buffers())) and chip.ledger.labels == {"method": "LoRA (tiles)"}
    adapter.detach()
    assert same(before, list(model.buffers())) and chip.ledger.labels == {}


@pytest.mark.parametrize("method", [LoRA(rank=2), FullFineTuning(), BitFit(), VeRA(rank=2)], ids=str)
def test_a_second_method_on_one_model_is_refused(method: Method) -> None:
    model = tiny_net()
    adapter = method.attach(model)
    before = everything(model, None)
    for second in (method, LoRA(rank=3)):
        with pytest.raises(MethodError, match="a method is attached to this TinyNet already"):
            second.attach(model)
    assert same(before, everything(model, None))
    LoRA(rank=3).attach(tiny_net())
    adapter.detach()
    LoRA(rank=3).attach(model)


def test_the_chip_of_a_mapped_model_is_found(milo: Hardware) -> None:
    models = [tiny_net() for _ in range(2)]
    chips = [map_model(model, milo) for model in models]
    x, y = torch.randn(12, 6), torch.arange(12) % 3
    found = FullFineTuning(steps=3).attach(models[0])
    given = FullFineTuning(steps=3).attach(models[1], chips[1])
    assert found.chip is chips[0]
    histories = [fine_tune(model, adapter, x, y) for model, adapter in zip(models, (found, given), strict=True)]
    assert histories[0] == histories[1] and chips[0].ledger.rows() == chips[1].ledger.rows()


def test_the_chip_of_another_model_is_refused(milo: Hardware) -> None:
    model, digital = tiny_net(), tiny_net()
    own, other = map_model(model, milo), map_model(tiny_net(), milo)
    before = everything(model, own), everything(digital, other)
    with pytest.raises(MethodError, match="on another chip than the one given"):
        LoRA(rank=2).attach(model, other)
    with pytest.raises(MethodError, match="none of them is of this TinyNet, which is digital"):
        FullFineTuning().attach(digital, other)
    assert same(before, (everything(model, own), everything(digital, other)))
    assert LoRA(rank=2).attach(digital, Chip(milo)).chip.matrices, "an empty chip takes the adapter of a digital model"


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)])
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.head(self.layers[0](x).mean(1))
        return y


@pytest.mark.parametrize("name", ["lora", "lora-fa", "dora", "vera", "wegeft"])
@pytest.mark.parametrize("attention", ["digital", "excluded", "on tiles"])
def test_layers_whose_owner_looks_inside_work_or_are_refused(name: str, attention: str, milo: Hardware) -> None:
    model, x = Encoder(), torch.randn(6, 4, 8)
    exclude = ["head", "*self_attn"] if attention == "excluded" else ["head"]
    chip = None if attention == "digital" else map_model(model, milo, exclude=exclude)
    method = METHODS[name](steps=2, rank=2)  # type: ignore[call-arg]
    if attention != "on tiles":
        before = everything(model, chip)
        with pytest.raises(MethodError, match="layers.0.self_attn.out_proj: nn.MultiheadAttention reads the weight"):
            method.replace(targets=("out_proj",)).attach(model, chip)
        assert same(before, everything(model, chip))
    digital = model.eval()(x).detach() if chip is None else None
    adapter = method.attach(model, chip)
    left_out = "left out layers.0.self_attn.out_proj, whose weight a digital nn.MultiheadAttention reads itself"
    assert (left_out in str(adapter)) == (attention != "on tiles")
    assert len(adapter.layers) == (6 if attention == "on tiles" else 2)  # type: ignore[attr-defined]
    fine_tune(model, adapter, x, torch.arange(6) % 3)
    assert 0 <= accuracy(model, x, torch.arange(6) % 3) <= 1
    adapter.detach()
    if digital is not None:
        assert torch.equal(model.eval()(x), digital)


def test_a_model_of_nothing_but_what_its_owner_reads_is_refused() -> None:
    model = nn.Sequential()
    model.blocks = nn.ModuleList([nn.MultiheadAttention(4, 2)])
    with pytest.raises(MethodError, match="no linear layer to change in a numbered block but blocks.0.out_proj"):
        LoRA(rank=2).attach(model)
    BitFit(targets=("out_proj",)).attach(model)


@pytest.mark.parametrize("method", [FullFineTuning(), BitFit(), LoRA(rank=2), LoRA(rank=2, placement="sram")], ids=str)
def test_layers_are_not_moved_under_a_method(method: Method, milo: Hardware) -> None:
    model = tiny_net()
    chip = map_model(model, milo)
    adapter = method.attach(model, chip)
    before = everything(model, chip)
    with pytest.raises(MappingError, match=r"adapter.detach\(\) first"):
        unmap(model, weights="cells")
    assert same(before, everything(model, chip))
    adapter.detach()
    unmap(model, weights="master")
    adapter = method.attach(model)
    with pytest.raises(MappingError, match=r"adapter.detach\(\) first, map, attach"):
        map_model(model, milo)
    adapter.detach()
    map_model(model, milo)


@pytest.mark.parametrize("method", [DoRA(rank=2), IA3(targets=("0",), feed_forward=()), WeGeFT(rank=2, side="output")])
def test_hooks_that_would_not_run_are_refused(method: Method) -> None:
    model = nn.Sequential()
    model.blocks = nn.ModuleList([nn.Linear(6, 6)])
    model.blocks[0].register_forward_hook(lambda *_: None)
    before = everything(model, None)
    with pytest.raises(MethodError, match="blocks.0: .* the layer has hooks"):
        method.attach(model)
    assert same(before, everything(model, None))
    LoRA(rank=2).attach(model)


def test_an_adapted_layer_answers_for_the_layer_inside(milo: Hardware) -> None:
    for chip_of in (lambda model: None, lambda model: map_model(model, milo)):
        model = tiny_net()
        layer = LoRA(rank=2).attach(model, chip_of(model)).layers["blocks.0.up"]
        assert (layer.in_features, layer.out_features, layer.weight.shape) == (6, 10, (10, 6))
        assert layer.bias is layer.base.bias and layer.weight.dtype == torch.float32
        with pytest.raises(MappingError, match="call the layer itself"):
            nn.functional.linear(torch.ones(6), layer.weight)
