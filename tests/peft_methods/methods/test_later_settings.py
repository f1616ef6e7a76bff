"""Settings that came later: dropout of low-rank updates, the L1 term of LoRAFusion, IA3's gain on the bias."""

from __future__ import annotations

import pytest
import torch

from peft_methods import IA3, DoRA, LoRA, LoRAFA, LoRAFusion, Method, fine_tune
from tests.conftest import tiny_net, tiny_pool


@pytest.mark.parametrize("method", [LoRA(dropout=0.5), DoRA(dropout=0.5), LoRAFA(dropout=0.5)], ids=lambda m: m.name)
def test_dropout_drops_inputs_of_the_update_in_training_and_repeats(method: Method) -> None:
    x, losses = torch.randn(8, 6, generator=torch.Generator().manual_seed(0)), []
    for _ in range(2):
        model = tiny_net()
        adapter = method.replace(steps=4).attach(model, seed=3)
        losses.append(fine_tune(model, adapter, x, torch.arange(8) % 3).loss)
        model.eval()
        assert torch.equal(model(x), model(x))
        model.train()
        assert not torch.equal(model(x), model(x))
    assert losses[0] == losses[1]


def test_the_l1_term_is_added_to_the_loss_and_pulls_coefficients_to_zero() -> None:
    x, sums = torch.randn(8, 6, generator=torch.Generator().manual_seed(0)), []
    first = []
    for l1 in (0.0, 3.0):
        model = tiny_net()
        adapter = LoRAFusion(pool=tiny_pool(model), l1=l1, steps=20).attach(model)
        size = adapter.coefficients.detach().abs().mean()
        first.append(fine_tune(model, adapter, x, torch.arange(8) % 3).loss[0] - l1 * float(size))
        sums.append(float(adapter.coefficients.detach().abs().mean()))
    assert first[0] == pytest.approx(first[1], abs=1e-5) and sums[1] < sums[0]


def test_a_gain_on_the_bias_scales_the_whole_output() -> None:
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    for on_bias in (False, True):
        model = tiny_net()
        plain = model.blocks[0]["up"]
        adapter = IA3(targets=("up",), feed_forward=(), gain_on_bias=on_bias).attach(model)
        layer = adapter.layers["blocks.0.up"]
        with torch.no_grad():
            layer.gain.copy_(torch.linspace(0.5, 2, 10))
        expected = layer.gain * plain(x) if on_bias else layer.gain * (plain(x) - plain.bias) + plain.bias
        torch.testing.assert_close(layer(x), expected)
