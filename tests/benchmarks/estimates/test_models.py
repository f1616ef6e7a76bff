"""A model to count has many names: a configuration, a folder, a problem, a function; what names none is told how."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.estimates.counted import Workload
from benchmarks.estimates.estimate import estimate
from benchmarks.estimates.models import find_shape
from benchmarks.estimates.record import EstimateRecord
from crossbar_sim import CrossbarError, SpecError
from tests.benchmarks.problems.hugging import write_examples, write_models
from tests.peft_methods.methods.zoo import FAMILIES, Family

SHORT = Workload(steps=2, batch=3, calibration=2, inferences=2)


def bill(model: str, method: str = "lora", workload: Workload = SHORT, **settings: Any) -> EstimateRecord:
    return estimate(model, method, "milo2021_128x128", settings, workload=workload)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_configuration_of_transformers_is_enough(family: Family, tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="needs transformers (pip install crossbar-sim[hf])")
    model: Any = family.model()
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(tmp_path)
    whole = bill(str(tmp_path), "full-fine-tuning")
    assert whole.trained_values == sum(parameter.numel() for parameter in model.parameters())  # tied ones once
    again = bill(str(tmp_path / "config.json"), "full-fine-tuning")
    assert whole.as_json() == {**again.as_json(), "model": whole.model}
    pooled = bill(str(tmp_path), "lorafusion")
    assert pooled.pool_cells > 0 and pooled.cells_written_per_step == 0


def test_tokens_are_asked_for_or_those_of_the_model(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    llama, vit = (next(one for one in FAMILIES if one.name == name) for name in ("llama", "vit"))
    folders = []
    for family in (llama, vit):
        folders.append(str(tmp_path / family.name))
        family.model().config.save_pretrained(folders[-1])  # type: ignore[operator, union-attr]
    short, long = (bill(folders[0], workload=SHORT.replace(tokens=tokens)).reads_by_phase for tokens in (8, 32))
    assert 4 * short["infer"] == long["infer"]
    assert bill(folders[0]).reads_by_phase["infer"] == 16 * short["infer"]
    assert bill(folders[1]).reads_by_phase["infer"] > 0
    with pytest.raises(SpecError, match="inputs of one size; leave the number of tokens out"):
        bill(folders[1], workload=SHORT.replace(tokens=8))


def test_a_problem_is_counted_with_its_masks_and_what_it_keeps_off_the_tiles(tmp_path: Path) -> None:
    write_models(tmp_path)
    write_examples(tmp_path)
    files = {"name": "films", "train": "train.csv", "test": "test.csv"}
    tomli_w = pytest.importorskip("tomli_w")
    asked = {"template": "{text} :", "verbaliser": {"pos": "yes", "neg": "no"}}
    for model, kind, more in (
        ("bert", "text-classification", {}),
        ("llama", "prompted-classification", {**asked, "exclude": ["language_model.lm_head", "*.mlp.*"]}),
    ):
        path = tmp_path / "problem.toml"
        path.write_text(tomli_w.dumps({"name": "mine", "model": model, "task_type": kind, **more, "tasks": [files]}))
        found = bill(str(path))
        per_block = 4 * 32 * 32 + 2 * 32 * 64 if model == "bert" else 2 * 32 * 32 + 2 * 16 * 32
        assert found.backbone_weights - 2 * per_block in (0, 32 * 32)  # and BERT's pooler
    assert bill("digits_vit").backbone_weights == bill("digits-vit").backbone_weights


OWN = """
import torch
from torch import nn
from benchmarks.problems.shipped.digits_vit import problem

def pair():
    return nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 2)), torch.zeros(1, 6)

def named():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList([nn.Linear(6, 4)])
        def forward(self, x, attention_mask):
            return self.blocks[0](x) * attention_mask[..., None]
    return Two(), {"x": torch.zeros(1, 5, 6), "attention_mask": torch.ones(1, 5)}

def wrong():
    return nn.Linear(2, 2)

number = 3
"""


def test_a_function_returns_a_model_with_inputs_or_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "counted_here.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    assert bill("counted_here:pair", targets=["0"], rank=2).backbone_weights == 6 * 8 + 8 * 2
    assert bill("counted_here:named", rank=2).reads_by_phase["infer"] == 2 * 5 * 3
    assert bill("counted_here:problem").trained_values == bill("digits_vit").trained_values
    for name, why in (
        ("counted_here:wrong", "gives a Linear; it must be a function"),
        ("counted_here:number", "gives a NoneType; it must be a function"),
        ("counted_here:missing", "has no attribute 'missing'; give module:function"),
        ("not_here_at_all:f", "No module named 'not_here_at_all'; give module:function"),
    ):
        with pytest.raises(SpecError, match=why):
            find_shape(name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("bert-larg", "no model 'bert-larg'; did you mean 'bert-large'.*module:function"),
        ("digit_vit", "did you mean 'digits_vit'"),
        ("missing.toml", "missing.toml"),
    ],
)
def test_what_names_no_model_is_told_what_does(name: str, why: str) -> None:
    with pytest.raises(CrossbarError, match=why) as refused:
        find_shape(name)
    assert len(str(refused.value)) <= 400


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ("{", "no configuration of transformers can be had"),
        (json.dumps({"model_type": "nothing"}), "no configuration of transformers can be had"),
        (json.dumps({"model_type": "llama", "num_hidden_layers": 10**6}), "a model has at most 1000 blocks"),
        (json.dumps({"model_type": "bert", "hidden_size": 7, "num_attention_heads": 2}), "cannot build this model"),
        (json.dumps({"model_type": "whisper"}), "reads input_features, and only token ids and square images"),
    ],
    ids=["damaged", "unknown", "endless", "impossible", "sound"],
)
def test_configurations_that_describe_no_model_are_refused(config: str, why: str, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(CrossbarError, match=why) as refused:
        find_shape(str(tmp_path / "config.json"))
    assert len(str(refused.value)) <= 400 and "\n" not in str(refused.value)


def test_counting_builds_no_weights(tmp_path: Path) -> None:
    """A model of seven thousand million weights takes no memory for them."""
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32}
    transformers.LlamaConfig(**sizes, vocab_size=32000, architectures=["LlamaForCausalLM"]).save_pretrained(tmp_path)
    model = find_shape(str(tmp_path)).build()
    assert all(parameter.device == torch.device("meta") for parameter in model.parameters())
    assert sum(parameter.numel() for parameter in model.parameters()) == 6_738_415_616
