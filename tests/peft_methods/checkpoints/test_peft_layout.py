"""VeRA, prompts and DoRA on disk: our own round trip and, where it is installed, that of Hugging Face PEFT."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from peft_methods import VPT, DoRA, LoRA, LoRAFusion, Method, VeRA, WeGeFT
from peft_methods.checkpoints.lora import load_lora, save_lora
from peft_methods.checkpoints.prompts import load_prompts, save_prompts
from peft_methods.checkpoints.vera import load_vera, save_vera
from peft_methods.errors import CheckpointError
from peft_methods.methods.pooled import with_pool
from tests.conftest import tiny_net, tiny_pool, tiny_transformer


def moved(method: Method, model: nn.Module) -> Any:
    """The method attached to the model, every trained value away from its start."""
    adapter = with_pool(method, lambda: tiny_pool(model)).attach(model, seed=3)
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


WITH_PEFT = [
    LoRA(rank=2),
    LoRA(rank=2, rank_stabilised=True),
    DoRA(rank=2),
    VeRA(rank=5),
    WeGeFT(rank=2),
    WeGeFT(rank=2, side="output"),
    LoRAFusion(),
    LoRAFusion(fusion="modules"),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", WITH_PEFT, ids=str)
def test_peft_computes_the_same_outputs_and_saves_what_it_read(tmp_path: Path, method: Method) -> None:
    """I16, against Hugging Face PEFT itself: it opens our files, computes what we compute, and we open what it saves.
    WeGeFT and LoRAFusion leave as plain LoRA, with magnitudes as DoRA."""
    peft = pytest.importorskip("peft")
    base, model = tiny_net(), tiny_net()
    adapter = moved(method, model)
    ours, back = tmp_path / "one", tmp_path / "back"
    if isinstance(method, VeRA):
        save_vera(ours, adapter.weights("one"), "tiny")
    else:
        save_lora(ours, adapter.export("one"), "tiny")
    theirs = peft.PeftModel.from_pretrained(copy.deepcopy(base), str(ours))
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(theirs(x), model(x), rtol=1e-5, atol=1e-5)
    theirs.save_pretrained(str(back))
    if isinstance(method, VeRA):
        loaded, saved = load_vera(back), load_vera(ours)
        for name, delta in adapter.delta_weights().items():
            assert torch.equal(*(one.weight_change(name, delta.shape[1]) for one in (loaded, saved)))
    else:
        loaded, saved = load_lora(back), load_lora(ours)
        for name in saved.a:
            assert torch.equal(loaded.weight_change(name), saved.weight_change(name))
            assert saved.magnitude is None or torch.equal(loaded.magnitude[name], saved.magnitude[name])


class TinyLanguageModel(nn.Module):
    """What PEFT asks of a model to put prompts in front of its sequence; its outputs are the embeddings."""

    device = torch.device("cpu")

    def __init__(self, width: int) -> None:
        super().__init__()
        from transformers import PretrainedConfig

        self.config = PretrainedConfig(vocab_size=7, hidden_size=width, num_hidden_layers=1, num_attention_heads=1)
        self.word_embeddings = nn.Embedding(7, width)

    def get_input_embeddings(self) -> nn.Module:
        return self.word_embeddings

    def prepare_inputs_for_generation(self) -> None:
        """Named by PEFT for language models."""

    def forward(self, inputs_embeds: torch.Tensor, **_: object) -> torch.Tensor:
        return inputs_embeds


@pytest.mark.filterwarnings("ignore")
def test_peft_puts_the_prompts_in_front_and_saves_them(tmp_path: Path) -> None:
    """I16, against Hugging Face PEFT itself."""
    peft = pytest.importorskip("peft")
    prompts = VPT(prompts=3, deep=False).attach(tiny_transformer()).editor.prompts[0].detach()
    save_prompts(tmp_path / "one", prompts, "tiny")
    theirs = peft.PeftModelForCausalLM.from_pretrained(TinyLanguageModel(prompts.shape[1]), str(tmp_path / "one"))
    words = torch.tensor([[1, 4]])
    expected = torch.cat([prompts, theirs.get_input_embeddings()(words)[0]])
    torch.testing.assert_close(theirs(input_ids=words)[0], expected)
    theirs.save_pretrained(str(tmp_path / "back"))
    assert torch.equal(load_prompts(tmp_path / "back"), prompts)
