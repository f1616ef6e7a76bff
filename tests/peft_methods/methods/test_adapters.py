"""Facts of DoRA, VeRA, LoRA-FA, rsLoRA, IA3, bottleneck adapters, mixed modules and LoRAHub."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from crossbar_sim import Hardware, map_model
from peft_methods import (
    IA3,
    BitFit,
    Bottleneck,
    DoRA,
    LinearProbe,
    LoRA,
    LoRAFA,
    LoRAFusion,
    LoRAHub,
    MethodError,
    Pool,
    VeRA,
    fine_tune,
)
from peft_methods.base import Adapter
from peft_methods.methods.dora import DoRALinear
from peft_methods.methods.mixture_norms import SummedNorm
from peft_methods.training.search import minimise
from tests.conftest import tiny_net, tiny_pool, tiny_transformer


def move(adapter: Adapter) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in adapter.trained_parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator).to(parameter))
    adapter.write()


def test_dora_norm_without_the_merged_weight() -> None:
    """I6: the Gram form equals ||W + s B A||_row, and takes no gradient."""
    model = tiny_net(dtype=torch.float64)
    adapter = DoRA(rank=3).attach(model)
    move(adapter)
    for layer in adapter.layers.values():
        assert isinstance(layer, DoRALinear)
        merged = layer.base.weight + adapter.method.scaling * layer.b.master @ layer.a.master
        torch.testing.assert_close(layer.norm, merged.detach().norm(dim=1), rtol=1e-12, atol=1e-12)
        assert not layer.norm.requires_grad


def test_dora_reads_w_once_per_row_of_a_and_step(milo: Hardware) -> None:
    model = tiny_net()
    chip = map_model(model, milo)
    adapter = DoRA(rank=3, steps=2).attach(model, chip)
    x, y = torch.randn(4, 6, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0])
    fine_tune(model, adapter, x, y)
    rows = [row for row in chip.ledger.rows() if row["phase"] == "adapt/update" and row["component"] == "cell reads"]
    assert {row["place"] for row in rows} == {name for name in chip.matrices if "lora" not in name}
    assert all(row["count"] == 2 * 3 for row in rows)


def test_rank_stabilised_scaling() -> None:
    assert LoRA(rank=4, alpha=8).scaling == 2
    assert LoRA(rank=4, alpha=8, rank_stabilised=True).scaling == 4
    adapter = LoRA(rank=4, rank_stabilised=True).attach(tiny_net())
    move(adapter)
    for name, delta in adapter.delta_weights().items():
        torch.testing.assert_close(adapter.export("one").weight_change(name), delta)


def test_lora_fa_never_moves_a(milo: Hardware) -> None:
    model = tiny_net()
    chip = map_model(model, milo)
    adapter = LoRAFA(rank=2, steps=5).attach(model, chip)
    before = {name: layer.a.master.detach().clone() for name, layer in adapter.layers.items()}
    pool_cells = chip.ledger.writes("pool")
    assert pool_cells == 2 * 2 * 2 * (6 + 10 + 6)
    fine_tune(model, adapter, torch.randn(4, 6), torch.tensor([0, 1, 2, 0]))
    assert all(torch.equal(layer.a.master, before[name]) for name, layer in adapter.layers.items())
    assert chip.ledger.writes("pool") == pool_cells and chip.ledger.writes("adapt") == 0


def test_vera_starts_and_shares(milo: Hardware) -> None:
    model = tiny_net()
    chip = map_model(model, milo)
    adapter = VeRA(rank=5).attach(model, chip)
    assert adapter.a.master.shape == (5, 10) and adapter.b.master.shape == (10, 5)
    assert adapter.a.master.abs().max() <= math.sqrt(6 / 10) and adapter.b.master.abs().max() <= math.sqrt(6 / 5)
    assert chip.ledger.writes("pool") == 2 * 2 * 5 * 10
    for layer in adapter.layers.values():
        assert layer.a is adapter.a and (layer.lambda_d == 0.1).all() and (layer.lambda_b == 0).all()


def test_gains_of_ia3_may_stand_before_the_bias() -> None:
    model = tiny_net(dtype=torch.float64)
    adapter = IA3(targets=("up",), feed_forward=("down",), gain_on_bias=False).attach(model)
    move(adapter)
    x = torch.randn(3, 6, dtype=torch.float64)
    up, down = adapter.layers["blocks.0.up"], adapter.layers["blocks.0.down"]
    torch.testing.assert_close(up(x), up.gain * (x @ up.base.weight.T) + up.base.bias)
    h = torch.randn(3, 10, dtype=torch.float64)
    torch.testing.assert_close(down(h), (down.gain * h) @ down.base.weight.T + down.base.bias)


def test_adapter_with_both_matrices_at_zero_is_dead() -> None:
    """I17: only the last bias would ever get a gradient, which is why W_down starts at random."""
    gradients = []
    for dead in (True, False):
        model = tiny_transformer()
        adapter = Bottleneck(rank=2).attach(model)
        layer = model.get_submodule("blocks.1.mlp")
        if dead:
            with torch.no_grad():
                layer.down.master.zero_()
        nn.functional.cross_entropy(model(torch.randn(4, 4, 4)), torch.tensor([0, 1, 2, 0])).backward()
        parts = (layer.down.master, layer.down_bias, layer.up.master, layer.up_bias)
        gradients.append([float(part.grad.abs().max()) > 0 for part in parts])
        assert adapter.trained_values == 2 * (2 * 2 * 6 + 2 + 6)
    assert gradients == [[False, False, False, True], [False, False, True, True]]


def test_houlsby_is_pfeiffer_with_one_more_target() -> None:
    model = tiny_transformer()
    adapter = Bottleneck(rank=2, targets=("attention", "mlp")).attach(model)
    assert adapter.trained_values == 2 * 2 * (2 * 2 * 6 + 2 + 6)
    with pytest.raises(MethodError, match=r"no module inside a block ends in 'ffn'; the blocks have attention"):
        Bottleneck(targets=("ffn",)).attach(tiny_transformer())


def test_mixed_modules_are_the_sum_of_modules() -> None:
    """dW = s sum_i w_i B_i A_i: linear in w, so w = 0 is a fine start; its export has rank N r."""
    model = tiny_net(dtype=torch.float64)
    pool = tiny_pool(model)
    adapter = LoRAFusion(fusion="modules", magnitude="none", pool=pool).attach(model)
    for name, delta in adapter.delta_weights().items():
        w = adapter.layers[name].weights.detach()
        expected = sum(w[i] * member.weight_change(name).double() for i, member in enumerate(pool.members))
        torch.testing.assert_close(delta, expected, rtol=1e-6, atol=1e-8)
        torch.testing.assert_close(adapter.export("one").weight_change(name), delta)
    assert adapter.export("one").rank == 3 * 2
    with torch.no_grad():
        adapter.coefficients.zero_()
    model(torch.randn(4, 6, dtype=torch.float64)).square().sum().backward()
    assert adapter.coefficients.grad is not None and adapter.coefficients.grad.abs().min() > 0


def test_norm_of_mixed_modules() -> None:
    generator = torch.Generator().manual_seed(2)
    n = 5
    r = 3
    d_in = 11
    d_out = 6
    s = 1.7
    weight, a, b, w = (
        torch.randn(*shape, generator=generator, dtype=torch.float64)
        for shape in ((d_out, d_in), (n, r, d_in), (n, d_out, r), (n,))
    )
    norm = SummedNorm(weight, a.flatten(0, 1), b.permute(1, 0, 2).flatten(1), s, n)
    merged = weight + s * torch.einsum("n,nor,nri->oi", w, b, a)
    torch.testing.assert_close(norm(w), merged.norm(dim=1), rtol=1e-12, atol=1e-12)


def test_search_finds_a_minimum_within_its_bounds_and_budget() -> None:
    points = []

    def bowl(point: np.ndarray) -> float:
        points.append(point)
        return float(((point - 0.5) ** 2).sum()) if len(points) % 7 else math.nan

    values = [value for value, _ in minimise(bowl, 4, 1.0, 0.3, 120, seed=0)]
    assert len(points) == 120 and np.abs(points).max() <= 1.0 and (points[1] == 0).all()
    assert values == sorted(values, reverse=True) and values[-1] < 0.05 < values[0]
    again = [value for value, _ in minimise(lambda p: float(((p - 0.5) ** 2).sum()), 4, 1.0, 0.3, 5, seed=0)]
    assert again == [value for value, _ in minimise(lambda p: float(((p - 0.5) ** 2).sum()), 4, 1.0, 0.3, 5, seed=0)]


def test_lorahub_reads_forward_only_and_never_ends_above_its_start(milo: Hardware) -> None:
    model = tiny_net()
    pool = tiny_pool(model)
    chip = map_model(model, milo)
    adapter = LoRAHub(pool=pool).attach(model, chip)
    x, y = torch.randn(6, 6, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0, 1, 2])
    history = fine_tune(model, adapter, x, y)
    assert len(history.loss) == 40 and history.loss == sorted(history.loss, reverse=True)
    phases = {row["phase"] for row in chip.ledger.rows()}
    assert "adapt/forward" in phases and "adapt/backward" not in phases
    assert adapter.coefficients.abs().max() <= 1.5


def test_refusals() -> None:
    model = tiny_net()
    with pytest.raises(MethodError, match="none of the 2 target layers of Sequential has a bias"):
        layers = nn.ModuleDict({str(index): nn.Linear(2, 2, bias=False) for index in range(2)})
        BitFit().attach(nn.Sequential(layers))
    with pytest.raises(MethodError, match="at least two LoRA modules"):
        LoRAHub(pool=Pool(tiny_pool(model).members[:1])).attach(model)
    with pytest.raises(MethodError, match="train_head must stay false"):
        LoRAHub(train_head=True, pool=tiny_pool(model)).attach(model)
    assert LinearProbe(train_head=True).attach(tiny_net()).trained_values == 21
