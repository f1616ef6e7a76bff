"""VeRA, prompts and DoRA on disk: our own round trip and, where it is installed, that of Hugging Face PEFT."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from peft_methods import VPT, DoRA, LoRA, VeRA
from peft_methods.checkpoint import CheckpointError, load_lora, save_lora
from peft_methods.checkpoint_prompts import load_prompts, save_prompts
from peft_methods.checkpoint_vera import load_vera, save_vera
from tests.conftest import tiny_net, tiny_transformer


def moved(method: DoRA | LoRA | VeRA, model: nn.Module) -> object:
    """The method attached to the model, every trained value away from its start."""
    adapter = method.attach(model, seed=3)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in adapter.trained_parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    adapter.write()
    return adapter


def test_vera_round_trip(tmp_path: Path) -> None:
    """I16."""
    adapter = moved(VeRA(rank=5), tiny_net())
    save_vera(tmp_path / "one", adapter.weights("one"), "tiny")
    loaded = load_vera(tmp_path / "one")
    assert loaded.rank == 5 and loaded.name == "one"
    plain = adapter.export("plain")
    for name, delta in adapter.delta_weights().items():
        torch.testing.assert_close(loaded.weight_change(name, delta.shape[1]), delta)
        torch.testing.assert_close(plain.weight_change(name), delta)
    config = json.loads((tmp_path / "one" / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["peft_type"] == "VERA" and config["save_projection"]


def test_dora_round_trip(tmp_path: Path) -> None:
    """I16, with rank-stabilised scaling folded into alpha."""
    adapter = moved(DoRA(rank=4, rank_stabilised=True), tiny_net())
    save_lora(tmp_path / "one", adapter.export("one"), "tiny")
    loaded = load_lora(tmp_path / "one")
    assert loaded.magnitude is not None
    for name, delta in adapter.delta_weights().items():
        weight = adapter.layers[name].base.weight.detach()
        merged = weight + loaded.weight_change(name)
        merged = (loaded.magnitude[name] / merged.norm(dim=1))[:, None] * merged
        torch.testing.assert_close(merged - weight, delta)


def test_prompts_round_trip(tmp_path: Path) -> None:
    prompts = VPT(prompts=3, deep=False).attach(tiny_transformer()).editor.prompts[0].detach()
    save_prompts(tmp_path / "one", prompts, "tiny")
    assert torch.equal(load_prompts(tmp_path / "one"), prompts)


def test_refusals(tmp_path: Path) -> None:
    save_prompts(tmp_path / "prompts", torch.zeros(2, 3), "tiny")
    with pytest.raises(CheckpointError, match="peft_type is 'PROMPT_TUNING', only 'VERA'"):
        load_vera(tmp_path / "prompts")
    path = tmp_path / "prompts" / "adapter_config.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"token_dim": 3', '"token_dim": 4'), encoding="utf-8")
    with pytest.raises(CheckpointError, match="token_dim is 4 but the tensor has 3"):
        load_prompts(tmp_path / "prompts")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", [LoRA(rank=2), DoRA(rank=2), VeRA(rank=5)])
def test_peft_computes_the_same_outputs(tmp_path: Path, method: LoRA | DoRA | VeRA) -> None:
    """I16, against Hugging Face PEFT itself."""
    peft = pytest.importorskip("peft")
    base, model = tiny_net(), tiny_net()
    adapter = moved(method, model)
    if isinstance(method, VeRA):
        save_vera(tmp_path / "one", adapter.weights("one"), "tiny")
    else:
        save_lora(tmp_path / "one", adapter.export("one"), "tiny")
    theirs = peft.PeftModel.from_pretrained(copy.deepcopy(base), str(tmp_path / "one"))
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(theirs(x), model(x), rtol=1e-5, atol=1e-5)
