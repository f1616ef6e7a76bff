"""Kernels of fine-tuning: gradients, laws of the three kernels, solvers, LoRA's kernel, one write, the digits."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.cli import main
from benchmarks.problems.backbones import load_backbone
from benchmarks.problems.tasks import base_data
from benchmarks.reporting.figures.ntk import lora_kernel_figure
from benchmarks.reporting.figures.style import svg
from benchmarks.studies.ntk_on_chip import ERROR_AT_ONE, lora_kernel_errors, lora_kernel_findings
from crossbar_sim import Chip, Hardware, MappedLinear, map_model
from peft_methods import LoRA, MethodError
from peft_methods.ntk.fit import tangent_kernel
from peft_methods.ntk.gradients import (
    KINDS,
    Kind,
    adapter_subspace,
    gradients,
    linearised_change,
    ntk,
    split,
    subspace,
    without_noise,
    write_once,
)
from peft_methods.ntk.solvers import one_hot
from tests.conftest import TinyNet, tiny_net, tiny_transformer


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def linear_model(inputs: int = 12, outputs: int = 2) -> nn.Module:
    model = nn.Linear(inputs, outputs, bias=False).double()
    with torch.no_grad():
        model.weight.zero_()
    return model


class Scaled(nn.Module):
    """c f(x)."""

    def __init__(self, model: nn.Module, factor: float) -> None:
        super().__init__()
        self.model, self.factor = model, factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.factor * self.model(x)
        return y


def test_gradients_equal_backward_passes_one_by_one() -> None:
    model, x = tiny_net(dtype=torch.float64), draw(3, 6)
    parameters = subspace(model, "all")
    rows = gradients(model, x, parameters)
    assert rows.shape == (3, 3, sum(p.numel() for p in parameters.values()))
    for n in range(3):
        for c in range(3):
            parts = torch.autograd.grad(model(x[n : n + 1])[0, c], list(parameters.values()))
            torch.testing.assert_close(rows[n, c], torch.cat([part.flatten() for part in parts]))
    change = draw(rows.shape[2], seed=1)
    torch.testing.assert_close(linearised_change(model, x, parameters, change), rows @ change)


def test_gradients_on_ideal_tiles_are_the_digital_ones_and_their_reads_are_billed(ideal: Hardware) -> None:
    digital, x = tiny_net(), draw(4, 6, dtype=torch.float32)
    mapped = copy.deepcopy(digital)
    chip = map_model(mapped, ideal)
    cells = chip.ledger.writes()
    expected = gradients(digital, x, subspace(digital))
    parameters = subspace(mapped)
    found = gradients(mapped, x, parameters, chip)
    by_name = dict(zip(subspace(digital), expected.split([p.numel() for p in digital.parameters()], 2), strict=True))
    sizes = [p.numel() for p in parameters.values()]
    for name, part in zip(parameters, found.split(sizes, 2), strict=True):
        torch.testing.assert_close(part, by_name[name.replace(".matrix.master", ".weight")], rtol=1e-4, atol=1e-5)
    counts = {
        (row["phase"], row["place"]): row["count"] for row in chip.ledger.rows() if row["component"] == "cell reads"
    }
    assert counts[("adapt/forward", "blocks.1.mix")] == 4
    assert counts[("adapt/backward", "blocks.1.mix")] == 4 * 3  # one transposed read per input and output
    assert chip.ledger.writes() == cells
    assert not any(p.requires_grad for name, p in mapped.named_parameters() if name.endswith("master"))


@pytest.mark.parametrize("kind", ["sgd", "sign"])
def test_symmetric_kernels_are_positive_semi_definite(kind: Kind) -> None:
    """I10."""
    model = tiny_net(dtype=torch.float64)
    gram = ntk(gradients(model, draw(9, 6), subspace(model)), kind=kind)
    torch.testing.assert_close(gram, gram.T)
    assert torch.linalg.eigvalsh(gram).min() > -1e-10 * torch.linalg.matrix_norm(gram, 2)


def test_the_kernel_of_sign_descent_is_not_symmetric_and_its_right_side_is_the_training_example() -> None:
    model = tiny_net(dtype=torch.float64)
    rows = gradients(model, draw(5, 6), subspace(model))
    gram = ntk(rows, kind="asymmetric")
    assert not torch.allclose(gram, gram.T, rtol=0.01)
    torch.testing.assert_close(gram[3, 7], rows.flatten(0, 1)[3] @ rows.flatten(0, 1)[7].sign())


@pytest.mark.parametrize(("kind", "power"), [("sgd", 2), ("asymmetric", 1), ("sign", 0)])
def test_scaling_the_outputs(kind: Kind, power: int) -> None:
    model, x = tiny_net(dtype=torch.float64), draw(4, 6)
    plain = ntk(gradients(model, x, subspace(model)), kind=kind)
    scaled = Scaled(model, 3.0)
    torch.testing.assert_close(ntk(gradients(scaled, x, subspace(scaled)), kind=kind), 3.0**power * plain)


def test_the_diagonal_of_the_sign_kernel_counts_gradient_entries() -> None:
    model = tiny_net(dtype=torch.float64)
    rows = gradients(model, draw(4, 6), subspace(model))
    assert torch.equal(ntk(rows, kind="sign").diagonal(), (rows != 0).sum(2).flatten().double())


def test_adams_first_step_is_a_sign_step() -> None:
    """I10: -eta sign(g), up to eps / |g|."""
    model = tiny_net(dtype=torch.float64)
    rate = 1e-3
    eps = 1e-8
    before = [p.detach().clone() for p in model.parameters()]
    model(draw(1, 6))[0, 1].backward()
    torch.optim.Adam(model.parameters(), lr=rate, eps=eps).step()
    for start, parameter in zip(before, model.parameters(), strict=True):
        gradient = parameter.grad
        assert gradient is not None
        moved = parameter.detach() - start
        assert ((moved + rate * gradient.sign()).abs() <= rate * eps / gradient.abs().clamp(min=1e-30) + 1e-15).all()


def test_sign_steps_of_a_linear_model_are_predicted_exactly() -> None:
    """I10."""
    model, x = linear_model(), draw(6, 12)
    parameters = subspace(model)
    rows, rate = gradients(model, x, parameters), 0.01
    start = model(x).detach()
    with torch.no_grad():
        model.weight.sub_(rate * split(parameters, rows[2, 1])["weight"].sign())  # descend f_1 at example 2
    predicted = -rate * ntk(rows, rows[2:3], "asymmetric")[:, 1].view(6, 2)
    torch.testing.assert_close(model(x).detach() - start, predicted, rtol=0, atol=1e-14)


def test_kernel_regression_of_a_linear_model_is_the_limit_of_gradient_descent() -> None:
    model = linear_model()
    x = draw(5, 12)
    y = draw(5, 2, seed=1)
    parameters, probes = subspace(model), draw(7, 12, seed=2)
    predicted = tangent_kernel(model, x, parameters).regress(y, 0.0).predict(model, probes, parameters)
    rate = 1 / torch.linalg.matrix_norm(x, 2).item() ** 2
    with torch.no_grad():
        for _ in range(4000):
            model.weight.sub_(rate * (model(x) - y).T @ x)
    torch.testing.assert_close(predicted, model(probes).detach(), rtol=0, atol=1e-9)


# LoRA's kernel (B = 0): s^2 (delta . delta') (A x . A x') per layer


@pytest.mark.parametrize(("rank", "modules"), [(4, 1), (16, 1), (64, 1), (256, 1), (8, 24), (16, 24), (8, 144)])
def test_error_of_the_lora_kernel_falls_with_rank_and_modules(rank: int, modules: int) -> None:
    """I9: relative Frobenius error with A ~ N(0, 1/r), 32 inputs and width 64: 1.55 / sqrt(r M) within 15 %."""
    draws = 12 if modules == 1 else 2
    mean = lora_kernel_errors([rank], [modules], draws)[rank, modules]
    assert mean * math.sqrt(rank * modules) == pytest.approx(ERROR_AT_ONE, rel=0.15)


def test_the_figure_of_loras_kernel_shows_the_law() -> None:
    found = lora_kernel_findings([4, 16], [1, 8], 1)
    text = svg(lora_kernel_figure(found))
    assert text == svg(lora_kernel_figure(found)) and "8 layers" in text and "1.55 / √(r M)" in text


def test_the_study_of_loras_kernel_prints_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure, numbers = tmp_path / "lora.svg", tmp_path / "lora.json"
    arguments = ["lora", "--ranks", "4", "16", "--layers", "1", "--figure", str(figure), "--json", str(numbers)]
    main(["study", "ntk-on-chip", *arguments])
    records = json.loads(numbers.read_text())
    assert [record["rank"] for record in records] == [4, 16]
    assert records[0]["relative_error"] > records[1]["relative_error"]
    assert figure.read_text().startswith("<svg") and "rank 16" in capsys.readouterr().out


def test_mean_lora_kernel_is_the_full_kernel_scaled() -> None:
    """I9: E K_LoRA = s^2 r sigma_A^2 K with sigma_A^2 = 1 / (3 d_in), through attached adapters."""
    model = tiny_net()
    x = draw(5, 6, dtype=torch.float32)
    rank = 4
    weights = {name: p for name, p in model.named_parameters() if name.endswith("up.weight")}
    full = ntk(gradients(model, x, weights))
    method, total = LoRA(rank=rank, alpha=2.0 * rank, targets=("up",)), torch.zeros_like(full)
    for seed in range(120):
        adapter = method.attach(model, seed=seed)
        parameters = adapter_subspace(adapter)
        assert [name.rpartition(".")[0][-1] for name in parameters] == ["a", "b"] * 2
        total += ntk(gradients(model, x, parameters))
        adapter.detach()
    expected = 2.0**2 * rank / (3 * 6) * full
    assert (total / 120 - expected).norm() / expected.norm() < 0.1


# one write


def test_one_write_of_a_linear_head_is_the_linearised_prediction(ideal: Hardware) -> None:
    model, x = tiny_net(), draw(8, 6, dtype=torch.float32)
    chip = map_model(model, ideal)
    head = model.head
    with chip.ledger.phase("deploy"):
        matrix = chip.matrix("head", head.weight, scale=torch.full((3,), 50.0).double().numpy())
    model.head = MappedLinear(matrix, head.bias)  # type: ignore[assignment]
    parameters = subspace(model, "head")
    solution = tangent_kernel(model, x, parameters, chip=chip).ridge(torch.arange(8) % 3, 1e-3)
    probes = draw(20, 6, seed=4, dtype=torch.float32)
    predicted = solution.predict(model, probes, parameters, chip).detach()
    mark = chip.mark_writes()
    assert chip.ledger.writes("adapt") == 0  # fitting reads and does not write
    written = write_once(model, parameters, solution.written(), chip)
    torch.testing.assert_close(model(probes).detach(), predicted, rtol=1e-4, atol=1e-4)
    changed = chip.writes_since(mark)["head"]
    assert written == chip.ledger.writes("adapt") == changed.sum() > 0 and changed.max() == 1
    assert written <= 2 * 18  # two cells per weight, each at most once
    assert chip.ledger.energy("adapt/update", ("SET pulses",)) > 0


def test_the_blocks_leave_out_embeddings_and_head() -> None:
    model = tiny_transformer()
    assert all(name.startswith("blocks.") for name in subspace(model, "blocks"))
    assert all(name.endswith("bias") for name in subspace(model, "biases"))
    assert set(subspace(model, "all")) - set(subspace(model, "blocks")) == {
        "class_token",
        "positions",
        "embed.weight",
        "embed.bias",
        "norm.weight",
        "norm.bias",
        "head.weight",
        "head.bias",
    }
    with pytest.raises(MethodError, match="no parameters in the subspace"):
        subspace(linear_model(), "biases")
    with pytest.raises(MethodError, match="valid: sgd, sign, asymmetric"):
        ntk(draw(1, 1, 2), kind="adam")  # type: ignore[arg-type]


def test_the_head_and_the_biases_are_deployed_without_a_write(milo: Hardware) -> None:
    model, x = tiny_net(), draw(6, 6, dtype=torch.float32)
    chip: Chip = map_model(model, milo)
    for which in ("head", "biases"):
        parameters = subspace(model, which)  # type: ignore[arg-type]
        solution = tangent_kernel(model, x, parameters, chip=chip).ridge(torch.arange(6) % 3, 1e-2)
        assert write_once(model, parameters, solution.written(), chip) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_every_kernel_fits_its_training_examples(kind: Kind) -> None:
    model: TinyNet = tiny_net(dtype=torch.float64)
    x, parameters = draw(6, 6), subspace(model)
    targets = one_hot(torch.arange(6) % 3, 3).double()
    solution = tangent_kernel(model, x, parameters, kind).regress(targets, 0.0)
    torch.testing.assert_close(solution.predict(model, x, parameters), targets, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["sign", "asymmetric"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_signs_of_gradients_that_are_rounding_alone_do_not_count(kind: Kind, dtype: torch.dtype) -> None:
    """Key biases have no gradient, by the shift invariance of softmax."""
    model, images = load_backbone().to(dtype), base_data().train.tensor[:4].to(dtype)
    biases = subspace(model, "biases")
    others = {name: value for name, value in biases.items() if not name.endswith("key.bias")}
    with_keys = gradients(model, images, biases)
    assert len(others) == len(biases) - 3 and not torch.equal(without_noise(with_keys, biases), with_keys)
    expected = tangent_kernel(model, images, others, kind).gram
    torch.testing.assert_close(tangent_kernel(model, images, biases, kind).gram, expected, rtol=1e-5, atol=1e-5)
    assert float((ntk(with_keys, kind="sign") - ntk(gradients(model, images, others), kind="sign")).abs().max()) > 10
    kept = gradients(model, images, others)
    assert without_noise(kept, others) is kept
