"""Kernel solvers against scikit-learn, gradient descent and one another."""

from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from peft_methods import MethodError
from peft_methods.ntk.fit import tangent_kernel
from peft_methods.ntk.gradients import KINDS, Kind, gradients, ntk, subspace
from peft_methods.ntk.solvers import Penalty, class_signs, one_hot, solve_asymmetric, solve_logistic, solve_ridge
from tests.conftest import tiny_net


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def per_class(features: torch.Tensor, classes: int) -> torch.Tensor:
    """The kernel (N C, N C) of a linear model with one weight vector per class: x . x' between equal classes."""
    return torch.kron(features @ features.T, torch.eye(classes, dtype=features.dtype))


def labels_of(count: int, classes: int) -> torch.Tensor:
    return torch.randint(0, classes, (count,), generator=torch.Generator().manual_seed(9))


def test_a_ridge_shrinks_and_wrong_settings_are_refused() -> None:
    gram, y = ntk(draw(4, 1, 20)), draw(4, seed=1)
    norm = torch.linalg.matrix_norm(gram, 2)
    expected = torch.linalg.solve(gram + 0.1 * norm * torch.eye(4, dtype=torch.float64), y)
    torch.testing.assert_close(solve_ridge(gram, y, 0.1), expected)
    binary = torch.tensor([0, 1, 1, 0])
    for call, message in (
        (lambda: solve_ridge(gram, y, -1), "ridge must not be negative"),
        (lambda: solve_asymmetric(gram, y, 1.0), "labels must be"),
        (lambda: solve_asymmetric(gram, torch.ones(5), 1.0), "does not fit 5 labels"),
        (lambda: solve_logistic(gram, binary, 0.0), "ridge must be positive"),
        (lambda: solve_logistic(gram, binary + 1, 0.1), "between 0 and 1, got up to 2"),
        (lambda: solve_logistic(gram, torch.tensor([0, 1, 0]), 0.1), "does not fit 3 labels"),
        (lambda: solve_logistic(gram.triu(), binary, 0.1), "penalty='coefficients'"),
    ):
        with pytest.raises(MethodError, match=message):
            call()


@pytest.mark.parametrize("classes", [1, 4])
def test_logistic_regression_of_a_linear_model_is_that_of_scikit_learn(classes: int) -> None:
    """Penalty on the change: K = X X^T per class; the weights X^T alpha are scikit-learn's. One output is binary."""
    features, labels = draw(30, 5), labels_of(30, max(classes, 2))
    gram = per_class(features, classes)
    ridge = 0.02
    shrink = ridge * float(torch.linalg.matrix_norm(gram, 2))
    alpha = solve_logistic(gram, labels, ridge)
    twin = LogisticRegression(C=1 / shrink, fit_intercept=False, tol=1e-12, max_iter=10_000)
    twin.fit(features.numpy(), labels.numpy())
    torch.testing.assert_close(alpha.T @ features, torch.from_numpy(twin.coef_), rtol=0, atol=1e-5)


def test_logistic_regression_on_the_rows_of_any_kernel_is_that_of_scikit_learn() -> None:
    rows = draw(25, 1, 12)
    gram = ntk(rows, kind="asymmetric")
    labels = labels_of(25, 2)
    ridge = 1e-4
    shrink = ridge * float(torch.linalg.matrix_norm(gram, 2)) ** 2
    alpha = solve_logistic(gram, labels, ridge, penalty="coefficients")
    twin = LogisticRegression(C=1 / shrink, fit_intercept=False, tol=1e-12, max_iter=10_000)
    twin.fit(gram.numpy(), labels.numpy())
    torch.testing.assert_close(alpha[:, 0], torch.from_numpy(twin.coef_[0]), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("penalty", ["change", "coefficients"])
def test_logistic_regression_is_where_gradient_descent_ends(penalty: Penalty) -> None:
    """Coupled classes and a start: the gradient of the stated objective by alpha is zero, and every move costs."""
    rows = gradients(tiny_net(dtype=torch.float64), draw(6, 6), subspace(tiny_net(dtype=torch.float64)))
    gram = ntk(rows)
    labels = labels_of(6, 3)
    start = draw(6, 3, seed=4)
    ridge = 1e-3
    norm = float(torch.linalg.matrix_norm(gram, 2))

    def objective(alpha: torch.Tensor) -> torch.Tensor:
        moved = gram @ alpha.flatten()
        loss = nn.functional.cross_entropy(start + moved.view(6, 3), labels, reduction="sum")
        size = alpha.flatten() @ moved if penalty == "change" else norm * alpha.square().sum()
        return loss + ridge * norm / 2 * size

    alpha = solve_logistic(gram, labels, ridge, start, penalty).requires_grad_(True)
    value = objective(alpha)
    (slope,) = torch.autograd.grad(value, alpha)
    assert slope.norm() < 1e-6 * norm
    for seed in range(5):
        assert objective(alpha.detach() + 1e-2 * alpha.detach().norm() * draw(6, 3, seed=seed)) > value
    if penalty == "change":  # the dual form of the optimum: ridge ||K|| alpha = [c = y] - softmax_c
        share = (start + (gram @ alpha.detach().flatten()).view(6, 3)).softmax(1)
        expected = (nn.functional.one_hot(labels, 3) - share) / (ridge * norm)
        torch.testing.assert_close(alpha.detach(), expected, rtol=1e-6, atol=1e-9)


def test_the_asymmetric_solver_with_a_symmetric_kernel_is_ridge_regression() -> None:
    """I10: with ridge 1 / gamma."""
    rows, probes = draw(8, 1, 30), draw(5, 1, 30, seed=1)
    labels, gamma = torch.tensor([1.0, -1, -1, 1, 1, -1, 1, -1], dtype=torch.float64), 3.0
    gram, across = ntk(rows), ntk(probes, rows)
    solution = solve_asymmetric(gram, labels, gamma)
    torch.testing.assert_close(solution.a, solution.b, rtol=0, atol=1e-12)
    ridge = across @ torch.linalg.solve(gram + torch.eye(8, dtype=torch.float64) / gamma, labels)
    for balance in (0.0, 0.3, 1.0):
        torch.testing.assert_close(solution.predict(across.T, across, balance), ridge, rtol=0, atol=1e-12)


def test_with_several_classes_it_is_ridge_regression_on_signs() -> None:
    model, x = tiny_net(dtype=torch.float64), draw(7, 6)
    gram = ntk(gradients(model, x, subspace(model)))
    labels = labels_of(7, 3)
    gamma = 0.1
    solution = solve_asymmetric(gram, class_signs(labels, 3), gamma)
    found = solution.predict(gram, gram)
    signs = class_signs(labels, 3).flatten()
    expected = gram @ torch.linalg.solve(gram + torch.eye(21, dtype=torch.float64) / gamma, signs)
    torch.testing.assert_close(found, expected)
    assert torch.equal(class_signs(labels, 3).argmax(1), labels)


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_the_two_sided_predictor_classifies_its_training_examples(balance: float) -> None:
    """Several classes, through gradients of new inputs; it equals the prediction from both kernels."""
    model = tiny_net(dtype=torch.float64)
    x = draw(9, 6)
    probes = draw(4, 6, seed=2)
    labels = labels_of(9, 3)
    parameters = subspace(model)
    looked = tangent_kernel(model, x, parameters, "asymmetric")
    fitted = looked.two_sided(labels, 1e5, balance)
    assert torch.equal(fitted.predict(model, x, parameters).argmax(1), labels)
    norm = float(torch.linalg.matrix_norm(looked.gram, 2))
    solution = solve_asymmetric(looked.gram / norm, class_signs(labels, 3), 1e5)
    ahead = gradients(model, probes, parameters)
    slow = solution.predict(
        ntk(looked.rows, ahead, "asymmetric") / norm, ntk(ahead, looked.rows, "asymmetric") / norm, balance
    )
    torch.testing.assert_close(fitted.predict(model, probes, parameters).flatten(), slow, rtol=1e-6, atol=1e-8)
    with pytest.raises(MethodError, match="only a predictor that starts"):
        fitted.written()
    with pytest.raises(MethodError, match="for the kind 'asymmetric'"):
        tangent_kernel(model, x, parameters).two_sided(labels, 1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_logistic_predictors_classify_their_training_examples(kind: Kind) -> None:
    model = tiny_net(dtype=torch.float64)
    x = draw(9, 6)
    labels = labels_of(9, 3)
    parameters = subspace(model)
    looked = tangent_kernel(model, x, parameters, kind)
    fitted = looked.logistic(labels, 1e-5, penalty="coefficients" if kind == "asymmetric" else "change")
    assert torch.equal(fitted.predict(model, x, parameters).argmax(1), labels)


def test_a_start_and_the_size_of_targets_scale_together() -> None:
    """Share 1/4 with targets of size 1 is share 1 with targets of size 4: the same classes and the same change."""
    model = tiny_net(dtype=torch.float64)
    x = draw(9, 6)
    labels = labels_of(9, 3)
    parameters = subspace(model)
    looked = tangent_kernel(model, x, parameters)
    small, large = looked.ridge(labels, 1e-2, start_share=0.25), looked.ridge(labels, 1e-2, size=4.0)
    torch.testing.assert_close(small.written(), large.written(), rtol=1e-6, atol=1e-9)
    assert one_hot(labels, 3).sum(1).abs().max() < 1e-6
