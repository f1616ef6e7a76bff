"""Regression on an NTK: ridge, logistic (softmax), and least squares where it is not symmetric.

All three work on the flattened problem of Malladi et al. (ICML 2023): N examples with C outputs each make a matrix
(N C, N C), example by example, so that the classes share what they learn. The gradients and the NTK itself are in
`ntk.gradients`. Everything is digital and in double precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from peft_methods.errors import MethodError

Penalty = Literal["change", "coefficients"]
NEWTON_STEPS = 100
HALVINGS = 40
CONVERGED = 1e-10
"""Of the gradient's norm, relative to that at the start."""


def one_hot(labels: Tensor, classes: int, size: float = 1.0) -> Tensor:
    """Targets (N, C): `size` (1 - 1/C) for the label's class and -size/C for the others, so that rows sum to zero."""
    return size * (nn.functional.one_hot(labels, classes).float() - 1 / classes)


def class_signs(labels: Tensor, classes: int) -> Tensor:
    """+1 for the label's class and -1 for the others, (N, C): the labels of `solve_asymmetric` for several classes."""
    return 2.0 * nn.functional.one_hot(labels, classes).double() - 1


def solve_ridge(gram: Tensor, targets: Tensor, ridge: float = 0.0) -> Tensor:
    """alpha with (K + ridge ||K|| I) alpha = targets; ||K|| is the spectral norm.

    ridge = 0: the least-squares solution of smallest norm, which full-batch gradient descent from zero
    approaches if K = <grad f, grad f> of a linear model.
    """
    if ridge < 0:
        raise MethodError(f"ridge must not be negative, got {ridge:g}")
    if ridge == 0:
        # pinv keeps the minimum norm of a singular matrix
        return torch.linalg.pinv(gram, rtol=1e-10) @ targets
    shift = ridge * torch.linalg.matrix_norm(gram, 2)
    return torch.linalg.solve(gram + shift * torch.eye(len(gram), dtype=gram.dtype), targets)


def solve_logistic(
    gram: Tensor, labels: Tensor, ridge: float, start: Tensor | None = None, penalty: Penalty = "change"
) -> Tensor:
    """alpha (N, C) of least cross-entropy: sum_n H(y_n, softmax(f_n)) + ridge ||K||/2 |.|^2 with f = start + K alpha.

    gram (N C, N C); labels (N,) of classes 0 to C - 1; start (N, C): the outputs that the change is added to, 0 by
    default. One output (gram (N, N), labels 0 or 1) is the binary case, f the logit of class 1; alpha is then (N, 1).
    penalty 'change': of alpha^T K alpha, which is the squared change of the parameters; for a symmetric K.
    'coefficients': of |alpha|^2 (||K||^2 then stands for ||K||), logistic regression on the rows of K; for any K.
    Newton's method with step halving; MethodError if it does not converge or the arguments do not fit.
    """
    examples = len(labels)
    outputs, left = divmod(len(gram), examples)
    if left or outputs == 0 or gram.shape[0] != gram.shape[1]:
        raise MethodError(f"an NTK of shape {tuple(gram.shape)} does not fit {examples} labels; it must be (N C, N C)")
    if int(labels.min()) < 0 or int(labels.max()) >= max(outputs, 2):
        raise MethodError(f"labels must lie between 0 and {max(outputs, 2) - 1}, got up to {int(labels.max())}")
    if ridge <= 0:
        raise MethodError(f"ridge must be positive, got {ridge:g}: without one, separable examples have no solution")
    matrix = gram.double()
    norm = torch.linalg.matrix_norm(matrix, 2)
    offset = torch.zeros(examples, outputs).double() if start is None else start.double().view(examples, outputs)
    if penalty == "coefficients":
        return _newton(matrix, labels, ridge * norm**2, offset).view(examples, outputs)
    if not torch.allclose(matrix, matrix.T, rtol=1e-6, atol=1e-9 * float(norm)):
        raise MethodError("this NTK is not symmetric; use penalty='coefficients'")
    values, vectors = torch.linalg.eigh(matrix)
    kept = values > 1e-12 * values[-1]
    root = values[kept].sqrt()
    moved = _newton(vectors[:, kept] * root, labels, ridge * norm, offset)
    return (vectors[:, kept] / root @ moved).view(examples, outputs)


def _newton(features: Tensor, labels: Tensor, shrink: Tensor, offset: Tensor) -> Tensor:
    """w of least sum_n H(y_n, offset_n + (features w)_n) + shrink/2 |w|^2; features (N C, P)."""
    moved = torch.zeros(features.shape[1], dtype=features.dtype)
    stacked = features.view(*offset.shape, -1)

    def objective(w: Tensor) -> Tensor:
        logits = offset + stacked @ w
        return _cross_entropy(logits, labels) + shrink / 2 * w @ w

    first, value = None, objective(moved)
    for _ in range(NEWTON_STEPS):
        slope, curvature = _derivatives(offset + stacked @ moved, labels)
        gradient = features.T @ slope.flatten() + shrink * moved
        size = float(gradient.norm())
        first = size if first is None else first
        if size <= CONVERGED * first:
            return moved
        bent = (curvature @ stacked).flatten(0, 1)
        hessian = features.T @ bent + shrink * torch.eye(len(moved), dtype=moved.dtype)
        step = torch.linalg.solve(hessian, gradient)
        for halving in range(HALVINGS):
            tried = moved - step / 2**halving
            reached = objective(tried)
            if reached <= value - 1e-4 / 2**halving * (gradient @ step) or float(gradient @ step) < 1e-14 * value:
                break
        if torch.equal(tried, moved):
            return moved
        moved, value = tried, reached
    raise MethodError(f"logistic regression did not converge in {NEWTON_STEPS} steps; raise the ridge")


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    if logits.shape[1] == 1:
        return nn.functional.binary_cross_entropy_with_logits(logits[:, 0], labels.double(), reduction="sum")
    return nn.functional.cross_entropy(logits, labels, reduction="sum")


def _derivatives(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Of the cross-entropy by the logits (N, C): slope (N, C) and curvature (N, C, C)."""
    if logits.shape[1] == 1:
        share = logits.sigmoid()
        return share - labels[:, None], (share * (1 - share))[:, :, None]
    share = logits.softmax(1)
    slope = share - nn.functional.one_hot(labels, logits.shape[1])
    return slope, torch.diag_embed(share) - share[:, :, None] * share[:, None]


@dataclass(frozen=True)
class AsymmetricFit:
    """Two sets of coefficients: a weighs K(x_i, x), b weighs K(x, x_i). labels are +-1; all (N C,)."""

    a: Tensor
    b: Tensor
    labels: Tensor

    def predict(self, from_training: Tensor, to_training: Tensor, balance: float = 0.5) -> Tensor:
        """f(x) = balance sum_i a_i y_i K(x_i, x) + (1 - balance) sum_i b_i y_i K(x, x_i).

        from_training (n, m) holds K(x_i, x) with the training example first, to_training (m, n) K(x, x_i).
        """
        one = from_training.T @ (self.a * self.labels)
        other = to_training @ (self.b * self.labels)
        return balance * one + (1 - balance) * other


def solve_asymmetric(gram: Tensor, labels: Tensor, gamma: float) -> AsymmetricFit:
    """Least-squares classification with an NTK that is not symmetric.

    Solves [[I/gamma, H], [H^T, I/gamma]] [a; b] = 1 with H_ij = y_i K_ij y_j for labels y = +-1 (n,). A symmetric K
    gives a = b and ridge regression with ridge 1/gamma. K (n, n) is `ntk(..., kind="asymmetric")`; with C
    classes n = N C, the labels are `class_signs` and the class of the largest prediction wins.
    """
    signs = labels.flatten().to(gram)
    if gamma <= 0 or not bool((signs.abs() == 1).all()):
        raise MethodError(f"labels must be +1 or -1 and gamma positive, got gamma {gamma:g}")
    if gram.shape != (len(signs), len(signs)):
        raise MethodError(f"an NTK {tuple(gram.shape)} does not fit {len(signs)} labels")
    h = signs[:, None] * gram * signs
    diagonal = torch.eye(len(gram), dtype=gram.dtype) / gamma
    system = torch.cat([torch.cat([diagonal, h], dim=1), torch.cat([h.T, diagonal], dim=1)])
    solution = torch.linalg.solve(system, torch.ones(2 * len(gram), dtype=gram.dtype))
    return AsymmetricFit(solution[: len(gram)], solution[len(gram) :], signs)
