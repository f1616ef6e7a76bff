"""Adapters that PEFT saves compute here what they compute there: same tensors, same outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from crossbar_sim import Hardware, map_model
from peft_methods import fine_tune, load_adapter
from peft_methods.errors import CheckpointError
from tests.peft_methods.methods.test_on_transformers import BY_NAME, same, state

pytest.importorskip("transformers", reason="needs transformers (pip install crossbar-sim[hf])")
peft = pytest.importorskip("peft", reason="needs peft (pip install crossbar-sim[hf])")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning:peft")
QV = ["query", "value"]
CONFIGS: dict[str, tuple[str, Any]] = {
    "lora with its head": ("bert", lambda: peft.LoraConfig(r=4, lora_alpha=8, target_modules=QV, task_type="SEQ_CLS")),
    "rank-stabilised, ranks and alphas of their own": (
        "bert",
        lambda: peft.LoraConfig(
            r=4, target_modules=QV, use_rslora=True, rank_pattern={"value": 2}, alpha_pattern={"query": 3}
        ),
    ),
    "dora": ("bert", lambda: peft.LoraConfig(r=4, target_modules=QV, use_dora=True, task_type="SEQ_CLS")),
    "biases of its layers": ("bert", lambda: peft.LoraConfig(r=4, target_modules=QV, bias="lora_only")),
    "all biases": ("roberta", lambda: peft.LoraConfig(r=4, target_modules=QV, bias="all", task_type="SEQ_CLS")),
    "vera": ("bert", lambda: peft.VeraConfig(r=6, target_modules=[*QV, "intermediate.dense"], task_type="SEQ_CLS")),
    "of tokens": ("bert-tokens", lambda: peft.LoraConfig(r=4, target_modules=QV, task_type="TOKEN_CLS")),
    "of a decoder": ("llama", lambda: peft.LoraConfig(r=4, target_modules=["q_proj", "down_proj"])),
    "of gpt2": ("gpt2", lambda: peft.LoraConfig(r=4, target_modules=["c_attn"], fan_in_fan_out=True)),
    "of an encoder and decoder": ("t5", lambda: peft.LoraConfig(r=4, task_type="SEQ_2_SEQ_LM", target_modules=["q"])),
    "of images": ("vit", lambda: peft.LoraConfig(r=4, target_modules=["q_proj"], modules_to_save=["classifier"])),
}


def saved(case: str, folder: Path) -> tuple[nn.Module, dict[str, torch.Tensor], torch.Tensor]:
    """An adapter of PEFT with random values in `folder`; the model without it, inputs, and its logits with it."""
    family, config = CONFIGS[case]
    model = peft.get_peft_model(BY_NAME[family].model(), config())
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(4)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(folder, save_embedding_layers=False)  # asks no hub
    inputs, _ = BY_NAME[family].data()
    return BY_NAME[family].model(), inputs, model.eval()(**inputs).logits.detach()


@pytest.mark.parametrize("case", CONFIGS)
@pytest.mark.parametrize("on_tiles", [False, True], ids=["digital", "tiles"])
def test_an_adapter_of_peft_says_here_what_it_says_there(
    case: str, on_tiles: bool, tmp_path: Path, milo: Hardware
) -> None:
    model, inputs, expected = saved(case, tmp_path)
    frozen = model(**inputs).logits
    chip = map_model(model, milo.ideal()) if on_tiles else None
    before = state(model)
    adapter = load_adapter(model, chip, tmp_path)
    found = model.eval()(**inputs).logits
    torch.testing.assert_close(
        found, expected, **({"rtol": 1e-3, "atol": 1e-3} if on_tiles else {"rtol": 0, "atol": 1e-5})
    )
    assert (expected - frozen).abs().max() > 0.01
    adapter.detach()
    assert on_tiles or same(before, state(model))


@pytest.mark.parametrize("case", ["lora with its head", "vera"])
def test_prefixes_may_differ_between_the_file_and_the_model(case: str, tmp_path: Path) -> None:
    model, inputs, expected = saved(case, tmp_path)

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, **inputs: torch.Tensor) -> Any:
            return self.inner(**inputs)

    wrapped = Wrapped().eval()
    load_adapter(wrapped, None, tmp_path)
    torch.testing.assert_close(wrapped(**inputs).logits, expected, rtol=0, atol=1e-5)
    encoder = BY_NAME["bert"].model().get_submodule("bert")
    with pytest.raises(CheckpointError, match="'base_model.model.classifier.* has no parameter to go to in BertModel"):
        load_adapter(encoder, None, tmp_path)


def test_what_was_loaded_can_be_trained_on(tmp_path: Path) -> None:
    model, inputs, expected = saved("lora with its head", tmp_path)
    adapter = load_adapter(model, None, tmp_path, placement="sram")
    assert {name.rpartition(".")[0] for name in adapter.trained_by_name()} >= {"classifier"}
    _, labels = BY_NAME["bert"].data()
    fine_tune(model, adapter, inputs, labels)
    assert not torch.equal(model.eval()(**inputs).logits, expected)


def change(folder: Path, **tensors: torch.Tensor | None) -> None:
    path = folder / "adapter_model.safetensors"
    found = {**load_file(path), **tensors}
    save_file({key: value for key, value in found.items() if value is not None}, path)


QUERY = "base_model.model.bert.encoder.layer.0.attention.self.query"
REFUSED: dict[str, tuple[dict[str, torch.Tensor | None], str]] = {
    "a factor of another width": (
        {f"{QUERY}.lora_A.weight": torch.ones(4, 5)},
        r"query.lora_A.weight' is \(4, 5\), the layer needs \(4, 16\)",
    ),
    "a head of other classes": (
        {"base_model.model.classifier.weight": torch.ones(5, 16)},
        r"tensor 'base_model.model.classifier.weight' is \(5, 16\), the model has \(3, 16\) there",
    ),
    "a head with NaN": (
        {"base_model.model.classifier.bias": torch.full((3,), torch.nan)},
        "tensor 'base_model.model.classifier.bias' holds NaN",
    ),
    "a head that is not there": (
        {"base_model.model.score.weight": torch.ones(3, 16)},
        "tensor 'base_model.model.score.weight' has no parameter to go to in BertForSequenceClassification",
    ),
    "embeddings": (
        {"base_model.model.bert.embeddings.word_embeddings.lora_embedding_A": torch.ones(4, 5)},
        "tensor 'base_model.model.bert.embeddings.word_embeddings.lora_embedding_A' is not a LoRA factor",
    ),
    "layers that are not there": (
        {"base_model.model.q.lora_A.weight": torch.ones(4, 16), "base_model.model.q.lora_B.weight": torch.ones(16, 4)},
        "tensor 'base_model.model.q.lora_A.weight' has no linear layer to go to",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("on_tiles", [False, True], ids=["digital", "tiles"])
def test_what_does_not_fit_is_refused_by_its_name_and_changes_nothing(
    case: str, on_tiles: bool, tmp_path: Path, milo: Hardware
) -> None:
    tensors, sentence = REFUSED[case]
    model, _, _ = saved("lora with its head", tmp_path)
    chip = map_model(model, milo) if on_tiles else None
    change(tmp_path, **tensors)
    before = state(model), None if chip is None else (list(chip.matrices), chip.ledger.rows())
    with pytest.raises(CheckpointError, match=sentence):
        load_adapter(model, chip, tmp_path)
    assert same(before, (state(model), None if chip is None else (list(chip.matrices), chip.ledger.rows())))


def test_a_head_on_tiles_and_other_kinds_of_adapters_are_refused(tmp_path: Path, milo: Hardware) -> None:
    model, _, _ = saved("lora with its head", tmp_path)
    chip = map_model(model, milo, exclude=())
    with pytest.raises(CheckpointError, match="classifier.weight' is of a layer on tiles"):
        load_adapter(model, chip, tmp_path)
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "peft_type": "LOHA"}))
    with pytest.raises(CheckpointError, match="peft_type is 'LOHA'"):
        load_adapter(model, chip, tmp_path)
    with pytest.raises(CheckpointError, match="does not exist"):
        load_adapter(model, chip, tmp_path / "nothing")


PROMPTED = {
    "prompts in front": (lambda: peft.PromptTuningConfig(num_virtual_tokens=2, **CAUSAL), "in front of the text"),
    "made by a network": (lambda: peft.PromptEncoderConfig(num_virtual_tokens=2, **CAUSAL), "a network of its own"),
    "a prefix of every layer": (lambda: peft.PrefixTuningConfig(num_virtual_tokens=2, **CAUSAL), "keys and values"),
}
CAUSAL = {"task_type": "CAUSAL_LM"}


@pytest.mark.parametrize("case", PROMPTED)
def test_prompts_are_refused_with_what_they_do_that_no_method_does(case: str, tmp_path: Path) -> None:
    config, why = PROMPTED[case]
    peft.get_peft_model(BY_NAME["gpt2"].model(), config()).save_pretrained(tmp_path)
    model = BY_NAME["gpt2"].model()
    before = state(model)
    with pytest.raises(CheckpointError, match=f"{why}.*LoRA, DoRA and VeRA can be loaded") as refused:
        load_adapter(model, None, tmp_path)
    assert len(str(refused.value)) <= 400 and same(before, state(model))
