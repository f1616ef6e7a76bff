"""In-context learning against exact posteriors: regret, attention as a posterior mean, decay and floors."""

from __future__ import annotations

import math

import pytest
import torch

from benchmarks.problems.pretraining.in_context import LinearPrompts, noise_floor, noise_floor_on_tiles
from benchmarks.reporting.figures.in_context import noise_floors
from benchmarks.reporting.figures.style import svg
from crossbar_sim import Hardware
from peft_methods import MethodError
from peft_methods.in_context import (
    attn_dagger,
    gram,
    imperfect,
    linear_posterior,
    mislabel,
    model_average,
    posterior_mean,
    regret,
)

TASKS = 16
DIMENSION = 4
SPREAD = 0.5


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def discrete_prompt(length: int, seed: int, wrong: float = 0.0) -> torch.Tensor:
    """log p(r_t | z), (length, tasks), of r = z . c + noise with z one of 16 (it is number 0)."""
    z = draw(TASKS, DIMENSION, seed=7)
    c = draw(length, DIMENSION, seed=seed)
    noise = draw(length, seed=seed + 10**6)
    r = mislabel(c @ z[0] + SPREAD * noise, wrong, torch.Generator().manual_seed(seed))
    square = (r[:, None] - c @ z.T).square() / SPREAD**2
    return -0.5 * square - math.log(SPREAD * math.sqrt(2 * math.pi))


def test_one_step_predictions_multiply_up_to_the_marginal() -> None:
    """I11: the sum of the log predictions is the log marginal."""
    likelihood = discrete_prompt(50, 0)
    average = model_average(likelihood)
    marginal = (likelihood.sum(0) - math.log(TASKS)).logsumexp(0)
    torch.testing.assert_close(average.log_predictive.sum(), marginal, rtol=0, atol=1e-9)
    by_hand = (average.log_posterior[9].exp() * likelihood[9].exp()).sum().log()
    torch.testing.assert_close(average.log_predictive[9], by_hand)
    torch.testing.assert_close(average.log_posterior.exp().sum(1), torch.ones(51, dtype=torch.float64))


def test_regret_is_bounded_on_every_path() -> None:
    """I11: t regret_t <= log Z for all t of 200 prompts; once the task is identified, the mean is log 16 = 2.7726."""
    steps = torch.arange(1, 201, dtype=torch.float64)
    paths = []
    for seed in range(200):
        likelihood = discrete_prompt(200, seed)
        paths.append(steps * regret(likelihood, model_average(likelihood).log_predictive))
    total = torch.stack(paths)
    assert total.min() > -1e-9
    assert total.max() <= math.log(TASKS) + 1e-9
    assert total[:, 0].mean() < 2.2
    assert total[:, -1].mean() == pytest.approx(2.7726, abs=1e-3)


def test_a_prior_that_knows_the_task_regrets_less() -> None:
    likelihood = discrete_prompt(60, 1)
    prior = torch.full((TASKS,), 0.5 / (TASKS - 1), dtype=torch.float64)
    prior[0] = 0.5
    average = model_average(likelihood, prior.log())
    assert 60 * regret(likelihood, average.log_predictive)[-1] <= math.log(2) + 1e-9


@pytest.mark.parametrize("share", [0.0, 0.05, 0.2])
def test_imperfect_pretraining_leaves_a_floor(share: float) -> None:
    found = []
    for seed in range(50):
        likelihood = discrete_prompt(400, seed)
        average = model_average(likelihood)
        prior = (likelihood - math.log(TASKS)).logsumexp(1)  # blind to the examples
        found.append(regret(likelihood, imperfect(average.log_predictive, prior, share))[-1])
        assert found[-1] <= math.log(TASKS) / 400 - math.log1p(-share) + 1e-12
    mean = float(torch.stack(found).mean())
    print(share, mean)
    assert mean == pytest.approx(0.0069, abs=1e-4) if share == 0 else mean > 0.4 * -math.log1p(-share)
    with pytest.raises(MethodError, match=r"share must lie in \[0, 1\)"):
        imperfect(average.log_predictive, prior, 1.0)


def test_wrong_labels_delay_the_identification_and_do_not_stop_it() -> None:
    """Probability of every wrong task, mean over 40 prompts with a fifth of the labels wrong: it falls with t."""
    doubt = []
    for seed in range(40):
        doubt.append(-torch.expm1(model_average(discrete_prompt(200, seed, wrong=0.2)).log_posterior[:, 0]))
    mean = torch.stack(doubt).mean(0)
    print([round(float(mean[t]), 4) for t in (0, 5, 20, 60, 200)])
    assert mean[0] == pytest.approx(15 / 16)
    assert mean[5] > mean[60] > mean[200]
    assert mean[200] < 0.05


def test_attention_is_the_posterior_mean() -> None:
    """I11."""
    keys = draw(40, 8)
    values = draw(40, 3, seed=1)
    queries = draw(9, 8, seed=2)
    mean, _ = linear_posterior(keys, values, 0.25, 2.0).predict(queries)
    torch.testing.assert_close(attn_dagger(queries, keys, values, 0.25 / 2.0), mean, rtol=0, atol=1e-8)
    with pytest.raises(MethodError, match="valid: linear, rbf"):
        gram(keys, keys, "cubic")  # type: ignore[arg-type]


def test_the_posterior_along_a_prompt() -> None:
    x, y = draw(3, 20, 4), draw(3, 20, seed=1)
    mean, error = posterior_mean(x, y, 0.25, 1.5)
    for t in (0, 1, 7, 19):
        posterior = linear_posterior(x[1, :t], y[1, :t, None], 0.25, 1.5)
        expected, variance = posterior.predict(x[1, t : t + 1])
        torch.testing.assert_close(mean[1, t], expected[0, 0])
        torch.testing.assert_close(error[1, t], variance[0] - 0.25)


def test_excess_error_falls_as_d_s2_over_t() -> None:
    """I12: d = 8, s2 = 1/4: excess error x t/(d s2) is within 10 % of 1 at t = 256 with 95 % confidence."""
    prompts = LinearPrompts(8, 257)
    x, y, _ = prompts.draw(600, torch.Generator().manual_seed(0))
    _, error = posterior_mean(x.double(), y.double(), 0.25, 1.0)
    scaled = {t: error[:, t] * t / (8 * 0.25) for t in (16, 64, 256)}
    mean = {t: float(values.mean()) for t, values in scaled.items()}
    standard_error = float(scaled[256].std()) / math.sqrt(600)
    print(mean, standard_error)
    assert abs(mean[256] - 1) + 2 * standard_error < 0.1  # 95 % confidence
    assert mean[16] > 1.5 > mean[64] > mean[256]


def test_cumulative_log_loss_is_the_information() -> None:
    """I12: E sum_i [log p(y_i | z) - log p(y_i | before)] = E 1/2 log det(I + (lam/s2) X^T X), and about (d/2) log."""
    prompts = LinearPrompts(8, 129)
    x, y, clean = (part.double() for part in prompts.draw(500, torch.Generator().manual_seed(1)))
    mean, error = posterior_mean(x, y, 0.25, 1.0)
    true = -0.5 * (y - clean).square() / 0.25 - 0.5 * math.log(0.25)
    predicted = -0.5 * (y - mean).square() / (0.25 + error) - 0.5 * (0.25 + error).log()
    gap = (true - predicted)[:, :128].sum(1)
    precision = torch.eye(8, dtype=x.dtype) + x[:, :128].mT @ x[:, :128] / 0.25
    expected = 0.5 * torch.linalg.slogdet(precision).logabsdet
    assert float(expected.mean()) == pytest.approx(24.8, abs=0.3)
    assert float(expected.mean()) == pytest.approx(4 * math.log1p(128 / 0.25), rel=0.02)
    standard_error = float((gap - expected).std()) / math.sqrt(500)
    assert abs(float((gap - expected).mean())) < 3 * standard_error < 0.8


def test_softmax_attention_has_the_direction_of_attn_dagger_on_the_sphere() -> None:
    """Keys and values on the unit sphere, a linear task: mean cosine above .998 at T = 1000."""
    cosines = {}
    for length in (100, 1000):
        keys = torch.nn.functional.normalize(draw(length, 3, seed=length), dim=1)
        task = torch.linalg.qr(draw(3, 3, seed=3))[0]
        values = torch.nn.functional.normalize(keys @ task + 0.1 * draw(length, 3, seed=length + 1), dim=1)
        queries = torch.nn.functional.normalize(draw(200, 3, seed=5), dim=1)
        exact = attn_dagger(queries, keys, values, length**0.75, "rbf", 0.5)
        soft = (queries @ keys.T / 0.5**2).softmax(-1) @ values
        cosines[length] = float(torch.nn.functional.cosine_similarity(exact, soft, dim=1).mean())
    print(cosines)
    assert cosines[1000] > 0.998


def test_fixed_distortion_leaves_no_floor_and_read_noise_does() -> None:
    """I12."""
    prompts = LinearPrompts(8)
    result = noise_floor(prompts, (48, 160), 160, 0)
    ideal, fixed = result.errors["ideal"], result.errors["fixed distortion 10%"]
    print(result.errors)
    assert fixed == pytest.approx(ideal, rel=0.03)
    for size in (0.05, 0.1):
        floor = 8 * size**2
        found, error = result.errors[f"read noise {size:.0%}"][1], result.standard_error[f"read noise {size:.0%}"][1]
        assert found > ideal[1] + 0.5 * floor
        assert abs(found - ideal[1] - floor) < 4 * error + 0.2 * floor
    text = svg(noise_floors(result, prompts))
    assert text == svg(noise_floors(result, prompts))
    assert "read noise 10%" in text and "d s² / t" in text


def test_the_same_on_tiles(milo: Hardware) -> None:
    """Keys from a chip: programming error and levels change nothing, read noise (four times milo's) leaves a floor."""
    device, ideal = milo.device, milo.ideal()
    assert device.read_noise is not None
    louder = device.read_noise.replace(sigma_scale=4 * device.read_noise.sigma_scale)
    designs = {
        "ideal": ideal,
        "programming error": milo.without("read_noise", "dac", "adc"),
        "read noise": ideal.replace(device=ideal.device.replace(read_noise=louder)),
    }
    errors = noise_floor_on_tiles(LinearPrompts(8), designs, (48, 160), 120, 0).errors
    print(errors)
    assert errors["programming error"] == pytest.approx(errors["ideal"], rel=0.05)
    assert errors["read noise"][1] > errors["ideal"][1] + 0.01
