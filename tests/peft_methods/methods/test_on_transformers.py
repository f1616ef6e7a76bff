"""Every method on every shape of Hugging Face transformer, small and random: it works, or says why not."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from crossbar_sim import Hardware, SpecError, map_model, unmap
from peft_methods import (
    IA3,
    METHODS,
    PASTA,
    VPT,
    BitFit,
    Bottleneck,
    LoRA,
    Method,
    MethodError,
    Pool,
    VeRA,
    fine_tune,
)
from peft_methods.checkpoints.weights import LoRAWeights
from peft_methods.methods.pooled import with_pool
from peft_methods.model_parts import linear_layers, weight_of
from tests.peft_methods.methods.zoo import CLS, FAMILIES, SEP, TOKENS, Family

pytest.importorskip("transformers", reason="needs transformers (pip install crossbar-sim[hf])")
NO_TOKENS = "does not show them: of Hugging Face it takes the encoders bert, roberta"
REFUSED = {
    ("llama", "bitfit"): "none of the 14 target layers of LlamaForCausalLM has a bias; BitFit has nothing to train",
    ("t5", "bitfit"): "none of the 32 target layers of T5ForConditionalGeneration has a bias",
    **{(family, method): NO_TOKENS for family in ("gpt2", "llama", "qwen2", "t5") for method in ("vpt", "pasta")},
}
"""What a method cannot do with a model, in its own sentence; everything else works."""
BY_NAME = {family.name: family for family in FAMILIES}
SAMPLED = ("bert", "vit", "gpt2", "llama")
EVERYWHERE = ("lora", "pasta", "bitfit")
PAIRS = [
    pytest.param(
        family,
        name,
        id=f"{family.name}-{name}",
        marks=() if family.name in SAMPLED or name in EVERYWHERE else pytest.mark.whole,
    )
    for family in FAMILIES
    for name in METHODS
]
"""Every method on every family; in CI every method on some, and some methods on all."""


def pool_of(model: nn.Module) -> Pool:
    """Three random modules of rank 2 on what LoRA changes by default."""
    layers = linear_layers(model, LoRA().named(model, "targets", "updates"))

    def module(seed: int) -> LoRAWeights:
        generator = torch.Generator().manual_seed(seed)
        sizes = {name: weight_of(layer).shape for name, layer in layers.items()}
        a = {name: 0.1 * torch.randn(2, inputs, generator=generator) for name, (_, inputs) in sizes.items()}
        b = {name: 0.1 * torch.randn(outputs, 2, generator=generator) for name, (outputs, _) in sizes.items()}
        return LoRAWeights(f"module{seed}", 2, 4.0, a, b)

    return Pool([module(seed) for seed in range(2)])


def state(model: nn.Module) -> list[Any]:
    return [
        [(name, id(module), module.training, len(module._forward_pre_hooks)) for name, module in model.named_modules()],
        [(name, value.requires_grad, value.clone()) for name, value in model.named_parameters()],
        list(model.named_buffers()),
    ]


def same(before: Any, after: Any) -> bool:
    if isinstance(before, list | tuple):
        return len(before) == len(after) and all(map(same, before, after))
    return bool((before == after).all()) if isinstance(before, torch.Tensor) else bool(before == after)


@pytest.mark.parametrize(("family", "name"), PAIRS)
def test_a_method_trains_a_transformer_and_gives_it_back_or_says_why_not(family: Family, name: str) -> None:
    model = family.model()
    before = state(model)
    method = with_pool(METHODS[name]() if name == "frozen" else METHODS[name](steps=2), lambda: pool_of(model))
    if (family.name, name) in REFUSED:
        with pytest.raises(MethodError, match=REFUSED[family.name, name]):
            method.attach(model)
    else:
        adapter = method.attach(model)
        inputs, labels = family.data()
        history = fine_tune(model, adapter, inputs, labels, loss=family.loss)
        assert len(history.loss) == method.steps and all(map(math.isfinite, history.loss))
        assert (adapter.trained_values > 0) == (name != "frozen")
        adapter.detach()
    assert same(before, state(model))


CUSTOMARY = {
    "bert": ({"query", "value"}, {"key", "value", "output.dense"}),
    "vit": ({"q_proj", "v_proj"}, {"k_proj", "v_proj", "mlp.fc2"}),
    "gpt2": ({"attn.c_attn"}, {"attn.c_attn", "mlp.c_proj"}),
    "llama": ({"q_proj", "v_proj"}, {"k_proj", "v_proj", "down_proj"}),
    "t5": ({"q", "v"}, {"k", "v", "wo"}),
}


@pytest.mark.parametrize("name", CUSTOMARY)
def test_default_targets_are_the_customary_ones_of_the_architecture(name: str) -> None:
    for method, ends in zip((LoRA(), IA3()), CUSTOMARY[name], strict=True):
        found = method.attach(BY_NAME[name].model()).layers
        assert {end for end in ends for layer in found if layer.endswith("." + end)} == ends
        assert all(any(layer.endswith("." + end) for end in ends) for layer in found)
        assert not any("attention.output" in layer for layer in found)


SELECTED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a wildcard": ({"targets": ("*.layer.1.*.query",)}, ["1.attention.self.query"]),
    "a wildcard of any block": (
        {"targets": "*.query"},
        ["0.attention.self.query", "1.attention.self.query"],
    ),
    "an end": ({"targets": "output.dense"}, [f"{n}.{part}output.dense" for n in "01" for part in ("attention.", "")]),
    "a regular expression": (
        {"targets": r"re:.*layer\.\d+\.output\.dense"},
        ["0.output.dense", "1.output.dense"],
    ),
    "a block": (
        {"targets": ("query", "value"), "layers_to_transform": 1},
        ["1.attention.self.query", "1.attention.self.value"],
    ),
    "an exclusion": (
        {"targets": "*.dense", "exclude_targets": ("attention.output.dense", "re:.*pooler.*", "*.intermediate.*")},
        ["0.output.dense", "1.output.dense"],
    ),
}


@pytest.mark.parametrize("case", SELECTED)
def test_targets_are_named_by_ends_wildcards_and_expressions(case: str) -> None:
    settings, expected = SELECTED[case]
    adapter = LoRA(**settings).attach(BY_NAME["bert"].model())
    assert [name.removeprefix("bert.encoder.layer.") for name in adapter.layers] == expected


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an end of nothing": ({"targets": "q_proj"}, "no linear layer ends in 'q_proj'; the model has classifier, dense"),
    "a wildcard for nothing": ({"targets": "*.q_proj"}, r"no linear layer matches '\*.q_proj'"),
    "an exclusion of nothing": ({"exclude_targets": "key"}, "no target ends in 'key'; they are bert.encoder"),
    "an exclusion of all": ({"exclude_targets": "*"}, "exclude_targets leaves LoRA no layer"),
    "a block that is not there": ({"layers_to_transform": (1, 2)}, "inside a block 2; blocks with targets are 0, 1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_targets_that_find_nothing_are_refused(case: str) -> None:
    settings, sentence = WRONG[case]
    with pytest.raises(MethodError, match=sentence):
        LoRA(**settings).attach(BY_NAME["bert"].model())


@pytest.mark.parametrize("pattern", ["re:(a+)+b", "re:.*.*.*x", "re:(", "re:" + "a" * 300])
def test_expressions_that_may_never_end_are_refused(pattern: str) -> None:
    with pytest.raises(SpecError, match="may take for ever to match"):
        LoRA(targets=(pattern,))


@pytest.mark.parametrize(
    "method", [LoRA(), BitFit(), VeRA(), IA3(), Bottleneck(), PASTA()], ids=lambda method: method.name
)
def test_settings_that_came_later_are_in_no_digest_unless_they_are_set(method: Method) -> None:
    later = type(method).unstated
    assert later and not later & set(method.table())
    changed = method.replace(**{"token_ids": (1,)} if isinstance(method, PASTA) else {"exclude_targets": ("x",)})
    assert changed.digest() != method.digest() and type(method)(**changed.model_dump()) == changed


@pytest.mark.parametrize("name", ["bert", "gpt2", "vit", "dinov2", "llama", "t5"])
def test_a_mapped_transformer_says_what_the_digital_one_says(name: str, milo: Hardware) -> None:
    family = BY_NAME[name]
    model, (inputs, _) = family.model(), family.data()
    before = state(model)
    expected = model(**inputs).logits
    chip = map_model(model, milo.ideal())
    torch.testing.assert_close(model(**inputs).logits, expected, rtol=1e-3, atol=1e-4)
    if name == "gpt2":
        assert len(chip.matrices) == 8 and chip.matrices["transformer.h.0.attn.c_attn"].master.shape == (48, 16)
        assert model.transformer.h[0].attn.c_attn.weight.shape == (16, 48)
        adapter = LoRA(rank=2, steps=1).attach(model, chip)
        fine_tune(model, adapter, *family.data(), loss=family.loss)
        adapter.detach()
    unmap(model, weights="master")
    model.eval()
    assert torch.equal(model(**inputs).logits, expected)
    assert [name for name, *_ in before[0]] == [name for name, _ in model.named_modules()]


@pytest.mark.parametrize("name", ["bert", "roberta", "vit", "dinov2"])
@pytest.mark.parametrize("deep", [False, True])
def test_prompts_stand_behind_the_class_token_and_leave_behind_the_last_block(name: str, deep: bool) -> None:
    family = BY_NAME[name]
    model, (inputs, _) = family.model(), family.data()
    adapter = VPT(prompts=2, deep=deep).attach(model)
    lengths: list[int] = []
    for _, block in adapter.tokens.blocks:
        block.register_forward_hook(lambda _, args, result: lengths.append(args[0].shape[1]))
    last = model.get_submodule(adapter.tokens.blocks[-1][0])
    last.register_forward_hook(lambda _, args, result: lengths.append(result.shape[1]))
    model(**inputs)
    tokens = TOKENS if "attention_mask" in inputs else 1 + 4
    assert lengths == [tokens + 2, tokens + 2, tokens]
    # padded columns of a row change nothing that the row says, with prompts too
    if "attention_mask" in inputs:
        alone = {key: value[3:, :4] for key, value in inputs.items()}
        torch.testing.assert_close(model(**alone).logits, model(**inputs).logits[3:])


def test_prompts_that_no_token_attends_to_change_nothing() -> None:
    from peft_methods.methods.token_models import grown

    mask = torch.tensor([[1.0, 1, 0]])[:, None, None].log()
    assert grown(mask, 2).tolist() == [[[[0, 0, 0, 0, -math.inf]]]]
    square = torch.tensor([[True, False], [True, True]])[None, None]
    wide = [[True, True, True, False], [True, True, True, False], [True, True, True, False], [True] * 4]
    assert grown(square, 2).tolist() == [[wide]]


def test_special_tokens_are_found_in_every_row_by_their_ids() -> None:
    family = BY_NAME["bert"]
    model, (inputs, _) = family.model(), family.data()
    expected = model(**inputs, output_hidden_states=True).hidden_states[0]
    adapter = PASTA(token_ids=(CLS, SEP), positions=(0, 1, 2), initial="normal").attach(model)
    reached: list[torch.Tensor] = []
    first = adapter.model.get_submodule("bert.encoder.layer.0")
    first.base.register_forward_pre_hook(lambda _, args: reached.append(args[0]))
    model(**inputs)
    added = (reached[0] - expected).detach()
    vectors = adapter.editor.vectors[0].detach()
    for row, ids in enumerate(inputs["input_ids"].tolist()):
        special = [place for place, token in enumerate(ids) if token in (CLS, SEP)]
        for place in range(len(ids)):
            want = vectors[special.index(place)] if place in special else torch.zeros(16)
            torch.testing.assert_close(added[row, place], want, atol=1e-6, rtol=0)
    adapter.detach()
    assert torch.equal(model(**inputs, output_hidden_states=True).hidden_states[0], expected)


def test_token_ids_need_text_that_holds_them() -> None:
    with pytest.raises(MethodError, match="reads none; give positions"):
        PASTA(token_ids=(CLS,)).attach(BY_NAME["vit"].model())
    model, (inputs, _) = BY_NAME["bert"].model(), BY_NAME["bert"].data()
    PASTA(token_ids=(999,)).attach(model)
    with pytest.raises(MethodError, match="none of the token_ids"):
        model(**inputs)
