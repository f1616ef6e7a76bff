"""In-context learning as Bayesian model averaging: exact posteriors, attention as a posterior mean, regret.

Zhang, Zhang, Yang and Wang, *What and how does in-context learning learn?*, AISTATS 2025 (arXiv:2305.19420). A prompt
of t examples with one hidden task z is answered by averaging over the tasks,

    p(r | prompt) = sum_z p(r | z) p(z | prompt).

Nothing is trained and nothing is written to cells; a chip reads the examples as it reads any input.

Two families have exact answers. Finitely many tasks: `model_average`, `regret`. Gaussian linear regression, v = Z k + e
with the entries of Z ~ N(0, prior_variance) and of e ~ N(0, noise_variance): `linear_posterior` in d x d (primal) and
`attn_dagger` in t x t (dual) are the same posterior mean. Shapes: t examples, keys (t, d), values (t, m).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from peft_methods.errors import MethodError

Similarity = Literal["linear", "rbf"]


@dataclass(frozen=True)
class ModelAverage:
    """log_predictive (T,): log p(r_t | the examples before t); log_posterior (T + 1, Z) after 0..T examples."""

    log_predictive: Tensor
    log_posterior: Tensor


def model_average(log_likelihood: Tensor, log_prior: Tensor | None = None) -> ModelAverage:
    """Bayesian model averaging over Z tasks from log p(r_t | z), (T, Z); the prior is uniform by default.

    The one-step predictions multiply up to the marginal: sum_t log p(r_t | before) = log sum_z p(z) p(all | z).
    """
    tasks = log_likelihood.shape[1]
    prior = torch.full((tasks,), -math.log(tasks), dtype=log_likelihood.dtype) if log_prior is None else log_prior
    joint = torch.cat([prior[None], prior + log_likelihood.cumsum(0)])
    marginal = joint.logsumexp(1)
    return ModelAverage(marginal.diff(), joint - marginal[:, None])


def regret(log_likelihood: Tensor, log_predictive: Tensor) -> Tensor:
    """(T,): (1/t) [max_z sum_{i<=t} log p(r_i | z) - sum_{i<=t} log p^(r_i)] of any predictor p^.

    For Bayesian model averaging over Z tasks with a uniform prior, t regret_t <= log Z on every single path.
    """
    best = log_likelihood.cumsum(0).max(1).values
    steps = torch.arange(1, len(log_predictive) + 1, dtype=log_predictive.dtype)
    return (best - log_predictive.cumsum(0)) / steps


def imperfect(log_predictive: Tensor, log_other: Tensor, share: float) -> Tensor:
    """log[(1 - share) p + share p_other]: a predictor that pre-training left wrong with probability `share`.

    p_other ignores the examples (the prior's prediction, for instance). It loses at most -log(1 - share) per example, a
    floor of the average regret that more examples do not lower.
    """
    if not 0 <= share < 1:
        raise MethodError(f"share must lie in [0, 1), got {share:g}")
    if share == 0:
        return log_predictive
    return torch.logaddexp(log_predictive + math.log1p(-share), log_other + math.log(share))


def mislabel(values: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Values (t, ...) of which each, with probability `share`, is replaced by that of an example drawn at random."""
    wrong = torch.rand(len(values), generator=generator) < share
    others = torch.randint(len(values), (len(values),), generator=generator)
    return torch.where(wrong.view(-1, *[1] * (values.ndim - 1)), values[others], values)


@dataclass(frozen=True)
class LinearPosterior:
    """Z | examples: mean (m, d); covariance (d, d) of every row."""

    mean: Tensor
    covariance: Tensor
    noise_variance: float

    def predict(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (q, m) and variance (q,) of v at queries (q, d)."""
        spread = ((queries @ self.covariance) * queries).sum(-1)
        return queries @ self.mean.T, self.noise_variance + spread


def linear_posterior(keys: Tensor, values: Tensor, noise_variance: float, prior_variance: float) -> LinearPosterior:
    """Posterior of Z: covariance (K^T K / s2 + I / lam)^-1, mean V^T K covariance / s2."""
    eye = torch.eye(keys.shape[1], dtype=keys.dtype)
    covariance = torch.linalg.inv(keys.T @ keys / noise_variance + eye / prior_variance)
    return LinearPosterior(values.T @ keys @ covariance / noise_variance, covariance, noise_variance)


def gram(left: Tensor, right: Tensor, similarity: Similarity = "linear", bandwidth: float = 1.0) -> Tensor:
    """l . r ('linear') or exp(-|l - r|^2 / (2 bandwidth^2)) ('rbf'); (..., l, d), (..., r, d) -> (..., l, r)."""
    if similarity == "linear":
        return left @ right.mT
    if similarity == "rbf":
        return (-torch.cdist(left, right).square() / (2 * bandwidth**2)).exp()
    raise MethodError(f"no similarity '{similarity}'; valid: linear, rbf")


def attn_dagger(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    ridge: float,
    similarity: Similarity = "linear",
    bandwidth: float = 1.0,
) -> Tensor:
    """V^T (K(K, K) + ridge I)^-1 K(K, q): attention whose weights undo the correlation of the keys; (..., q, m).

    With ridge = noise_variance / prior_variance it is the posterior mean of Gaussian linear regression in the
    features of the similarity K. Leading dimensions of queries, keys and values are a batch.
    """
    weights = gram(keys, keys, similarity, bandwidth)
    weights = weights + ridge * torch.eye(keys.shape[-2], dtype=keys.dtype)
    solved = torch.cholesky_solve(values, torch.linalg.cholesky(weights))
    return gram(queries, keys, similarity, bandwidth) @ solved


def posterior_mean(x: Tensor, y: Tensor, noise_variance: float, prior_variance: float) -> tuple[Tensor, Tensor]:
    """The best prediction of y_t from x_t and the examples before it, for every t of n prompts at once.

    x (n, T, d), y (n, T). Returns the means (n, T) and their expected squared errors x_t^T covariance x_t (n, T), the
    noise of y_t itself not included.
    """
    outer = x[..., :, None] * x[..., None, :]
    precision = torch.zeros_like(outer)
    precision[:, 1:] = outer[:, :-1].cumsum(1) / noise_variance
    precision = precision + torch.eye(x.shape[-1], dtype=x.dtype) / prior_variance
    moment = torch.zeros_like(x)
    moment[:, 1:] = (x * y[..., None])[:, :-1].cumsum(1) / noise_variance
    solved = torch.cholesky_solve(torch.stack([moment, x], dim=-1), torch.linalg.cholesky(precision))
    return (x * solved[..., 0]).sum(-1), (x * solved[..., 1]).sum(-1)
