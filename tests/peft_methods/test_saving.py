"""Every method on disk and back (I16), and refusals of what does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from crossbar_sim import Hardware, map_model
from peft_methods import (
    METHODS,
    PASTA,
    VPT,
    Adapter,
    FullFineTuning,
    LoRA,
    LoRAFA,
    LoRAFusion,
    LoRAHub,
    Method,
    VeRA,
    WeGeFT,
)
from peft_methods.checkpoints.lora import load_lora, save_lora
from peft_methods.errors import CheckpointError, MethodError
from peft_methods.methods.pooled import with_pool
from peft_methods.saving import FACTS_FILE, VALUES_FILE, load_native, save_native
from tests.conftest import tiny_net, tiny_pool, tiny_transformer

SETTINGS = {"adapters": {"targets": ("mlp",)}, "ia3": {"targets": ("query",), "feed_forward": ("down",)}}
SAVED = [kind(**SETTINGS.get(name, {})) for name, kind in METHODS.items()] + [
    VPT(deep=False),
    PASTA(positions=(0, -1)),
    WeGeFT(side="output"),
    WeGeFT(shared=False),
    LoRAFusion(magnitude="gain", train_head=True),
    LoRA(placement="sram"),
]
IMAGES = torch.randn(5, 4, 4, generator=torch.Generator().manual_seed(0))


def moved(method: Method, model: nn.Module, seed: int = 3) -> Adapter:
    adapter = with_pool(method, lambda: tiny_pool(model)).attach(model, seed=seed)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in adapter.trained_parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    adapter.write()
    adapter.finish()
    return adapter


@pytest.mark.parametrize("method", SAVED, ids=lambda method: method.display_name)
def test_round_trip(method: Method, tmp_path: Path) -> None:
    """I16: bit-identical values, the same outputs, and a file that PEFT will not take for one of its own."""
    model = tiny_transformer()
    method = with_pool(method, lambda: tiny_pool(model))
    adapter = moved(method, model)
    save_native(tmp_path / "one", adapter, "tiny", seed=3)
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [FACTS_FILE, VALUES_FILE]
    other = tiny_transformer()
    loaded = load_native(tmp_path / "one", other, method=method)
    assert loaded.method == method
    expected, found = adapter.trained_by_name(), loaded.trained_by_name()
    assert all(torch.equal(value, found[name]) for name, value in expected.items()) and expected.keys() == found.keys()
    assert torch.equal(other.eval()(IMAGES), model.eval()(IMAGES))


@pytest.mark.parametrize("method", [FullFineTuning(), LoRA(rank=2), LoRA(rank=2, update_rule="sign_pulses")], ids=str)
def test_what_was_trained_digitally_can_be_put_on_tiles(method: Method, tmp_path: Path, ideal: Hardware) -> None:
    model = tiny_transformer()
    save_native(tmp_path, moved(method, model), "tiny", seed=3)
    mapped = tiny_transformer()
    chip = map_model(mapped, ideal)
    with torch.no_grad():  # full fine-tuning cannot leave the deployed range
        expected = None if isinstance(method, FullFineTuning) else model.eval()(IMAGES)
    before = chip.ledger.writes("adapt")
    load_native(tmp_path, mapped, chip)
    assert chip.ledger.writes("adapt") > before
    if expected is not None:
        torch.testing.assert_close(mapped.eval()(IMAGES), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "method", [WeGeFT(rank=2), WeGeFT(rank=2, side="output"), LoRAFusion(), LoRAFusion(fusion="modules")], ids=str
)
def test_generated_and_fused_weights_leave_as_plain_lora(method: WeGeFT | LoRAFusion, tmp_path: Path) -> None:
    """I16: A = Psi, B = W Phi^T; A_w, B_w with their magnitudes as DoRA. The outputs are reproduced."""
    model = tiny_net()
    adapter = moved(method, model)
    save_lora(tmp_path / "one", adapter.export("one"), "tiny")
    loaded = load_lora(tmp_path / "one")
    plain = tiny_net()
    with torch.no_grad():
        for name in loaded.a:
            merged = plain.get_submodule(name).weight + loaded.weight_change(name)
            if loaded.magnitude is not None:
                merged *= (loaded.magnitude[name] / merged.norm(dim=1))[:, None]
            plain.get_submodule(name).weight.copy_(merged)
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(plain(x), model(x), rtol=1e-5, atol=1e-5)


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    model, folder = tiny_transformer(), tmp_path / "one"
    with pytest.raises(CheckpointError, match=r"crossbar_adapter.json does not exist"):
        load_native(folder, model)
    save_native(folder, moved(VeRA(rank=3), tiny_transformer()), "tiny", seed=4)
    with pytest.raises(CheckpointError, match="the seed that attach was given"):
        load_native(folder, model)
    with pytest.raises(CheckpointError, match="tensor that the model trains and the values lack|does not train"):
        load_native(folder, tiny_net())
    facts = json.loads((folder / FACTS_FILE).read_text(encoding="utf-8"))
    (folder / FACTS_FILE).write_text(json.dumps({**facts, "method": {"name": "verra"}}), encoding="utf-8")
    with pytest.raises(CheckpointError, match="did you mean 'vera'"):
        load_native(folder, model)
    (folder / FACTS_FILE).write_text(json.dumps({**facts, "format": 2}), encoding="utf-8")
    with pytest.raises(CheckpointError, match="only format 1"):
        load_native(folder, model)
    (folder / FACTS_FILE).write_text(json.dumps(facts), encoding="utf-8")
    (folder / VALUES_FILE).write_bytes(b"short")
    with pytest.raises(CheckpointError, match="not a whole adapter"):
        load_native(folder, model)
    assert torch.equal(model(IMAGES), tiny_transformer()(IMAGES))


def test_a_pool_is_known_by_its_digest(tmp_path: Path) -> None:
    model = tiny_transformer()
    adapter = moved(LoRAFusion(), model)
    save_native(tmp_path, adapter, "tiny")
    assert adapter.pool.digest() in (tmp_path / FACTS_FILE).read_text(encoding="utf-8")
    with pytest.raises(CheckpointError, match="no pool was given"):
        load_native(tmp_path, tiny_transformer())
    with pytest.raises(CheckpointError, match="another digest"):
        load_native(tmp_path, tiny_transformer(), method=LoRAFusion(pool=tiny_pool(tiny_transformer(), seed=9)))
    with pytest.raises(CheckpointError, match="other settings"):
        load_native(tmp_path, tiny_transformer(), method=LoRAHub(pool=tiny_pool(tiny_transformer())))
    again = load_native(tmp_path, tiny_transformer(), method=LoRAFusion(pool=tiny_pool(tiny_transformer())))
    assert again.trained_values == adapter.trained_values


def test_frozen_random_tensors_come_back_from_the_seed(tmp_path: Path) -> None:
    save_native(tmp_path, moved(LoRAFA(rank=2), tiny_net()), "tiny", seed=3)
    with pytest.raises((CheckpointError, MethodError)):
        load_native(tmp_path, tiny_transformer())
    assert load_native(tmp_path, tiny_net()).trained_values == 2 * 2 * 22
