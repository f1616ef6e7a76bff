"""LoRAFusion's identities: one-hot, scaling, gradient, norm without the merged weight, stacked tiles, export."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.estimates.counted import Workload
from benchmarks.estimates.estimate import estimate
from crossbar_sim import Hardware, SpecError, map_model
from peft_methods import LoRAFusion, fine_tune
from peft_methods.checkpoints.lora import load_lora, save_lora
from peft_methods.methods.fused import FusedLinear, Mixture, Stack
from peft_methods.methods.mixture_norms import FusedNorm
from peft_methods.methods.pooled import PoolAdapter
from peft_methods.placement import DIGITAL, SramMatrix
from tests.conftest import tiny_net, tiny_pool

TOLERANCE = {"rtol": 1e-9, "atol": 1e-12}


def adapter_for(magnitude: str = "vector", seed: int = 0, **settings: Any) -> PoolAdapter:
    model = tiny_net(dtype=torch.float64)
    settings = {"magnitude": magnitude, "pool": tiny_pool(model), **settings}
    return LoRAFusion(**settings).attach(model, seed=seed)


def set_coefficients(adapter: PoolAdapter, value: torch.Tensor) -> None:
    with torch.no_grad():
        adapter.coefficients.copy_(value)


def test_one_hot_coefficients_reproduce_the_module() -> None:
    """I4: w = e_j in every block gives s B_j A_j exactly."""
    adapter = adapter_for("none")
    for index, member in enumerate(adapter.pool.members):
        one_hot = torch.zeros_like(adapter.coefficients)
        one_hot[index] = 1
        set_coefficients(adapter, one_hot)
        for name, delta in adapter.delta_weights().items():
            expected = member.scaling * member.b[name].double() @ member.a[name].double()
            torch.testing.assert_close(delta, expected, **TOLERANCE)


def test_update_is_quadratic_in_the_coefficients() -> None:
    """I4: dW(c w) = c^2 dW(w)."""
    adapter = adapter_for("none")
    before = adapter.delta_weights()
    set_coefficients(adapter, 3 * adapter.coefficients.detach())
    for name, delta in adapter.delta_weights().items():
        torch.testing.assert_close(delta, 9 * before[name], **TOLERANCE)


def test_zero_coefficients_are_a_saddle() -> None:
    """I4: dW = 0 and no gradient at w = 0, which is why w does not start there."""
    adapter = adapter_for("none")
    set_coefficients(adapter, torch.zeros_like(adapter.coefficients))
    adapter.model(torch.randn(4, 6, dtype=torch.float64)).square().sum().backward()
    assert adapter.coefficients.grad is not None
    assert adapter.coefficients.grad.abs().max() == 0
    assert all(delta.abs().max() == 0 for delta in adapter.delta_weights().values())


def test_start_is_the_papers_uniform_and_not_zero() -> None:
    model = tiny_net(dtype=torch.float64)
    adapter = LoRAFusion(initial="xavier", pool=tiny_pool(model)).attach(model)
    bound = math.sqrt(6 / (3 + 2))
    w = adapter.coefficients.detach()
    assert w.shape == (3, 2) and 0 < w.abs().max() <= bound and w.abs().min() > 0
    for layer in adapter.layers.values():
        torch.testing.assert_close(layer.magnitude.detach(), layer.base.weight.detach().norm(dim=1), **TOLERANCE)


def test_gradient_equals_three_other_ways_to_compute_it() -> None:
    """I5: dL/dw_i = sum q_i . h + Q . a_i = <G_A, A_i> + <G_B, B_i> = finite differences; 2 w <G, .> is wrong."""
    generator = torch.Generator().manual_seed(1)
    n = 4
    r = 3
    d_in = 7
    d_out = 5
    s = 2.0
    weight, x, delta = (
        torch.randn(*shape, generator=generator, dtype=torch.float64)
        for shape in ((d_out, d_in), (9, d_in), (9, d_out))
    )
    a = torch.randn(n, r, d_in, generator=generator, dtype=torch.float64)
    b = torch.randn(n, d_out, r, generator=generator, dtype=torch.float64)
    base = nn.Linear(d_in, d_out, bias=False, dtype=torch.float64)
    base.weight = nn.Parameter(weight, requires_grad=False)
    w = nn.Parameter(torch.randn(n, 1, generator=generator, dtype=torch.float64))
    layer = FusedLinear(
        base,
        Stack(SramMatrix("a", a.flatten(0, 1), DIGITAL), SramMatrix("b", b.permute(1, 0, 2).flatten(1), DIGITAL), s),
        Mixture("none", "factors"),
        w,
        0,
        DIGITAL,
    )
    (layer(x) * delta).sum().backward()
    assert w.grad is not None
    autograd = w.grad[:, 0]
    w0 = w.detach()[:, 0]
    a_x, q = torch.einsum("nri,ti->tnr", a, x), s * torch.einsum("nor,to->tnr", b, delta)
    h, big_q = torch.einsum("n,tnr->tr", w0, a_x), torch.einsum("n,tnr->tr", w0, q)
    tokens = torch.einsum("tnr,tr->n", q, h) + torch.einsum("tnr,tr->n", a_x, big_q)
    torch.testing.assert_close(autograd, tokens, **TOLERANCE)
    a_w, b_w = torch.einsum("n,nri->ri", w0, a), torch.einsum("n,nor->or", w0, b)
    g = delta.T @ x  # dL/dW'
    inner = torch.einsum("ri,nri->n", s * b_w.T @ g, a) + torch.einsum("or,nor->n", s * g @ a_w.T, b)
    torch.testing.assert_close(autograd, inner, **TOLERANCE)

    def loss(value: torch.Tensor) -> torch.Tensor:
        mixed_a, mixed_b = torch.einsum("n,nri->ri", value, a), torch.einsum("n,nor->or", value, b)
        return (x @ (weight + s * mixed_b @ mixed_a).T * delta).sum()

    step = 1e-6 * torch.eye(n, dtype=torch.float64)
    finite = torch.stack([(loss(w0 + e) - loss(w0 - e)) / 2e-6 for e in step])
    torch.testing.assert_close(autograd, finite, rtol=1e-7, atol=1e-6)
    released = 2 * w0 * inner
    assert ((released * autograd < 0) == (w0 < 0)).all()


def test_norm_without_the_merged_weight() -> None:
    """I6: the Gram form equals ||W + s B_w A_w||_row."""
    generator = torch.Generator().manual_seed(2)
    n = 5
    r = 3
    d_in = 11
    d_out = 6
    s = 1.7
    weight = torch.randn(d_out, d_in, generator=generator, dtype=torch.float64)
    a = torch.randn(n, r, d_in, generator=generator, dtype=torch.float64)
    b = torch.randn(n, d_out, r, generator=generator, dtype=torch.float64)
    w = torch.randn(n, generator=generator, dtype=torch.float64)
    norm = FusedNorm(weight, a.flatten(0, 1), b.permute(1, 0, 2).flatten(1), s, n)
    merged = weight + s * torch.einsum("n,nor->or", w, b) @ torch.einsum("n,nri->ri", w, a)
    torch.testing.assert_close(norm(w), merged.norm(dim=1), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(norm.frozen(), weight.norm(dim=1), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("magnitude", ["vector", "gain", "none"])
def test_stacked_dataflow_equals_the_merged_weight(magnitude: str) -> None:
    """I6 and I2: two stacked products and a gain are one merged matrix."""
    adapter = adapter_for(magnitude)
    x = torch.randn(8, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    layer = adapter.layers["blocks.0.up"]
    merged = layer.base.weight + adapter.delta_weights()["blocks.0.up"]
    torch.testing.assert_close(layer(x), x @ merged.T + layer.base.bias, rtol=1e-12, atol=1e-12)


def test_vector_and_gain_are_the_same_function_at_the_start_of_the_gain() -> None:
    vector, gain = adapter_for("vector"), adapter_for("gain")
    x = torch.randn(8, 6, dtype=torch.float64)
    torch.testing.assert_close(vector.model(x), gain.model(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("magnitude", ["vector", "none"])
def test_export_is_a_plain_lora_with_the_same_weights(tmp_path: Path, magnitude: str) -> None:
    """I16: saved as LoRA (or DoRA, if there is a magnitude), loaded, merged: the same dW to 1e-6."""
    adapter = adapter_for(magnitude)
    save_lora(tmp_path / "fused", adapter.export("fused"), "tiny")
    loaded = load_lora(tmp_path / "fused")
    for name, delta in adapter.delta_weights().items():
        weight = adapter.layers[name].base.weight.detach()
        merged = weight + loaded.scaling * loaded.b[name].double() @ loaded.a[name].double()
        if loaded.magnitude is not None:
            merged = (loaded.magnitude[name].double() / merged.norm(dim=1))[:, None] * merged
        torch.testing.assert_close(merged - weight, delta, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("fusion", ["factors", "modules"])
def test_norms_read_through_the_tiles_are_those_of_the_tables(fusion: str) -> None:
    """At the start and after every update, so that both ways train the same values."""
    tables, reads = (adapter_for(fusion=fusion, norms=norms, steps=3) for norms in ("tables", "reads"))
    x = torch.rand(12, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(12) % 3
    for trained in (False, True):
        for adapter in (tables, reads) if trained else ():
            fine_tune(adapter.model, adapter, x, labels)
        for name, layer in reads.layers.items():
            torch.testing.assert_close(layer.norm(), tables.layers[name].norm(), rtol=1e-11, atol=1e-12)
            torch.testing.assert_close(layer.magnitude, tables.layers[name].magnitude, rtol=1e-9, atol=1e-10)
        torch.testing.assert_close(reads.coefficients, tables.coefficients, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("fusion", "rank"), [("factors", 2), ("modules", 2 * 3)])
def test_norms_read_through_the_tiles_take_three_reads_per_rank_and_update(
    milo: Hardware, fusion: str, rank: int
) -> None:
    model = tiny_net()
    chip = map_model(model, milo)
    method = LoRAFusion(pool=tiny_pool(model), norms="reads", fusion=fusion, steps=4)  # type: ignore[arg-type]
    adapter = method.attach(model, chip)
    fine_tune(model, adapter, torch.rand(12, 6), torch.arange(12) % 3)
    rows = [row for row in chip.ledger.rows() if row["component"] == "cell reads" and row["phase"] == "adapt/update"]
    assert sum(row["count"] for row in rows) == 3 * rank * len(adapter.layers) * (1 + 4)
    assert chip.ledger.writes("adapt") == 0


def test_what_is_kept_for_norms_is_what_the_way_needs() -> None:
    """A gain needs none, reads two values per output, tables grow with pool and rank."""
    kept: dict[str, int] = {}
    for settings in ({"magnitude": "none"}, {"magnitude": "gain"}, {"norms": "reads"}, {}):
        record = estimate("digits-vit", "lorafusion", "milo2021_128x128", settings, workload=Workload(calibration=0))
        kept[str(settings)] = record.sram_bytes_by_use["kept"]
    outputs = 1380 - 36  # of the layers; the other trained values are coefficients
    assert kept["{'magnitude': 'none'}"] == kept["{'magnitude': 'gain'}"] == 0
    assert kept["{'norms': 'reads'}"] == 4 * 2 * outputs < kept["{}"] / 10


@pytest.mark.parametrize("magnitude", ["gain", "none"])
def test_norms_without_a_use_are_refused(magnitude: str) -> None:
    with pytest.raises(SpecError, match="leave norms out, or choose magnitude = 'vector'"):
        LoRAFusion(magnitude=magnitude, norms="reads")  # type: ignore[arg-type]
