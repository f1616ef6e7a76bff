"""Models of Hugging Face are counted from their configurations alone: masks, tied heads, heads of any name."""

from __future__ import annotations

import pytest
import torch

from benchmarks.estimates.counted import Counted, count
from crossbar_sim import Hardware
from peft_methods import PASTA, VPT, FullFineTuning, LoRA, Method
from peft_methods.training.samples import MASK
from tests.peft_methods.methods.zoo import CLS, FAMILIES, Family

pytest.importorskip("transformers", reason="needs transformers (pip install crossbar-sim[hf])")
every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


def counted(family: Family, method: Method, milo: Hardware, *, masked: bool = True) -> Counted:
    inputs, _ = family.data()

    def sample(n: int) -> dict[str, torch.Tensor]:
        wanted = {name: one for name, one in inputs.items() if masked or name != MASK}
        return {name: one.new_empty(n, *one.shape[1:], device="meta") for name, one in wanted.items()}

    return count(family.model(), method, milo, sample)


@every_family
def test_an_attention_mask_changes_no_count(family: Family, milo: Hardware) -> None:
    bills = [counted(family, LoRA(steps=2), milo, masked=masked).chip.ledger.rows() for masked in (True, False)]
    assert bills[0] == bills[1]


@every_family
def test_tied_heads_are_counted_once_and_heads_stay_digital(family: Family, milo: Hardware) -> None:
    found = counted(family, FullFineTuning(steps=1), milo)
    assert found.trained_values == sum(parameter.numel() for parameter in family.model().parameters())
    assert not any(name.startswith(("classifier", "lm_head")) for name in found.matrices)


def test_prompts_and_special_tokens_are_counted(milo: Hardware) -> None:
    for family in FAMILIES[:5]:
        methods: list[Method] = [VPT(steps=1), PASTA(steps=1)]
        methods += [PASTA(steps=1, token_ids=(CLS,))] if "bert" in family.name else []
        for method in methods:
            assert counted(family, method, milo).chip.ledger.energy() > 0
