"""Settings and values from files are bounded: what would take for ever or overflow is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from crossbar_sim import SpecError
from peft_methods import METHODS, LoRA, MethodError, Pool, fine_tune
from peft_methods.checkpoints.pool import pool_folder
from peft_methods.checkpoints.prompts import load_prompts, save_prompts
from peft_methods.checkpoints.vera import VeRAWeights
from peft_methods.errors import CheckpointError, PoolError
from peft_methods.methods.pooled import with_pool
from peft_methods.training import loop
from tests.conftest import tiny_net, tiny_pool


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("vpt", {"prompts": 10**12}),
        ("adapters", {"rank": 10**12}),
        ("vera", {"rank": 10**12}),
        ("lora", {"steps": 10**12}),
        ("lorahub", {"steps": 10**12}),
        ("lora", {"batch_size": 10**12}),
    ],
)
def test_settings_are_bounded(name: str, setting: dict[str, int]) -> None:
    with pytest.raises(SpecError, match=f"{next(iter(setting))}: Input should be less than or equal to"):
        METHODS[name](**setting)


@pytest.mark.parametrize("name", ["lora", "dora", "vera", "wegeft", "bitfit"])
def test_no_targets_at_all_are_refused(name: str) -> None:
    with pytest.raises(MethodError, match="targets names no layer; name at least one"):
        METHODS[name](targets=()).attach(tiny_net())


@pytest.mark.parametrize("name", [300 * "a", 5000 * "a", "a/" * 3000, "\0"])
def test_a_pool_of_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    for find in (pool_folder, Pool.load):
        with pytest.raises(PoolError, match="is not a folder"):
            find(name)


@pytest.mark.parametrize("value", [3e38, -3e38, float("nan"), float("inf")])
def test_trained_values_are_bounded(value: float) -> None:
    adapter = LoRA(rank=2).attach(tiny_net())
    before = adapter.trained_by_name()
    values = {name: torch.full_like(tensor, value) for name, tensor in before.items()}
    with pytest.raises(MethodError, match="holds NaN, infinite values or some of more than 1e\\+09"):
        adapter.load(values)


@pytest.mark.parametrize("value", [3e38, float("nan"), float("inf")])
def test_prompts_and_vera_from_files_are_bounded(value: float, tmp_path: Path) -> None:
    save_prompts(tmp_path, torch.full((2, 3), value), "tiny")
    with pytest.raises(CheckpointError, match="prompts must be finite and at most"):
        load_prompts(tmp_path)
    ones: Any = {"m": torch.ones(2)}
    with pytest.raises(CheckpointError, match="the change of module 'm' is not finite"):
        VeRAWeights("v", torch.full((2, 3), value), torch.ones(4, 2), ones, ones)


def test_a_search_whose_first_loss_is_not_finite_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_net()
    adapter = with_pool(METHODS["lorahub"](steps=3), lambda: tiny_pool(model)).attach(model)
    monkeypatch.setattr(loop.nn.functional, "cross_entropy", lambda *_: torch.tensor(float("inf")))
    with pytest.raises(loop.TrainingError, match="the loss of LoRAHub is inf at its first candidate"):
        fine_tune(model, adapter, torch.randn(4, 6), torch.arange(4) % 3)
