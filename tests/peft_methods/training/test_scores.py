"""Losses and scores: against torch, scikit-learn and sums by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score
from torch import Tensor
from torch.nn import functional

from peft_methods.errors import DataError
from peft_methods.training.losses import (
    IGNORED,
    classification,
    logits_of,
    next_token,
    regression,
    token_classification,
)
from peft_methods.training.scores import (
    ACCURACY,
    EXACT_MATCH,
    MEAN_SQUARED_ERROR,
    PERPLEXITY,
    TOKEN_ACCURACY,
    Score,
    entities,
    entity_f1,
)


def measured(score: Score, outputs: object, labels: Tensor) -> tuple[float, float | None]:
    """Value and standard error."""
    found = score.measure(score.rows(outputs, labels).double().numpy())
    return found.value, found.standard_error


def some(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "wrap", [lambda t: t, lambda t: {"logits": t}, lambda t: SimpleNamespace(logits=t), lambda t: (t, 1)]
)
def test_logits_are_found_in_whatever_a_model_returns(wrap: object) -> None:
    logits = some(3, 4)
    assert logits_of(wrap(logits)) is logits  # type: ignore[operator]


@pytest.mark.parametrize("outputs", [None, {"hidden": some(2)}, (), "text", SimpleNamespace(loss=some(1))])
def test_outputs_without_logits_are_refused(outputs: object) -> None:
    with pytest.raises(DataError, match="without logits"):
        logits_of(outputs)


def test_token_losses_leave_ignored_labels_out_and_shift_by_one() -> None:
    logits, labels = some(2, 5, 7), torch.tensor([[1, 2, IGNORED, 6, 0], [3, IGNORED, IGNORED, IGNORED, 2]])
    by_hand = [-logits[n, t].log_softmax(-1)[labels[n, t]] for n in range(2) for t in range(5) if labels[n, t] >= 0]
    torch.testing.assert_close(token_classification(logits, labels), torch.stack(by_hand).mean())
    following = [
        -logits[n, t].log_softmax(-1)[labels[n, t + 1]] for n in range(2) for t in range(4) if labels[n, t + 1] >= 0
    ]
    torch.testing.assert_close(next_token(logits, labels), torch.stack(following).mean())
    perplexity = measured(PERPLEXITY, logits, labels)[0]
    assert perplexity == pytest.approx(math.exp(torch.stack(following).mean()), rel=1e-6)


def test_regression_takes_any_shape_of_as_many_numbers_and_no_other() -> None:
    values, labels = some(6, 1), some(6, seed=1)
    assert regression(values, labels) == functional.mse_loss(values[:, 0], labels)
    assert measured(MEAN_SQUARED_ERROR, values, labels)[0] == pytest.approx(float(regression(values, labels)), rel=1e-6)
    with pytest.raises(DataError, match="numbers"):
        regression(some(6, 2), labels)


@given(st.integers(2, 60), st.integers(2, 5), st.integers(0, 1000))
@settings(deadline=None, max_examples=30)
def test_accuracy_is_scikit_learns_and_its_error_that_of_a_mean(n: int, classes: int, seed: int) -> None:
    logits = some(n, classes, seed=seed)
    labels = torch.randint(classes, (n,), generator=torch.Generator().manual_seed(seed))
    value, error = measured(ACCURACY, logits, labels)
    assert value == accuracy_score(labels, logits.argmax(1))
    right = (logits.argmax(1) == labels).double().numpy()
    assert error == pytest.approx(right.std(ddof=1) / math.sqrt(n), abs=1e-12)


def test_accuracy_of_tokens_counts_those_that_have_a_label() -> None:
    labels = torch.tensor([[0, 1, IGNORED], [1, IGNORED, IGNORED]])
    logits = functional.one_hot(torch.tensor([[0, 0, 1], [1, 0, 0]]), 2).float()
    assert measured(TOKEN_ACCURACY, logits, labels)[0] == pytest.approx(2 / 3)


def test_one_sample_has_no_standard_error() -> None:
    assert measured(ACCURACY, some(1, 3), torch.tensor([0]))[1] is None


def test_exact_match_wants_every_labelled_token() -> None:
    labels = torch.tensor([[9, 1, 2], [9, 1, IGNORED], [9, 2, 2]])
    logits = functional.one_hot(torch.tensor([[1, 2, 0], [1, 0, 0], [1, 2, 0]]), 10).float()
    assert measured(EXACT_MATCH, logits, labels)[0] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        (["O", "B-a", "I-a", "O"], {("a", 1, 3)}),
        (["B-a", "B-a"], {("a", 0, 1), ("a", 1, 2)}),
        (["I-a", "I-b", "I-b"], {("a", 0, 1), ("b", 1, 3)}),
        (["O", "O"], set()),
        (["B-a", "I-b"], {("a", 0, 1), ("b", 1, 2)}),
    ],
)
def test_entities_are_those_of_conlleval(tags: list[str], found: set[tuple[str, int, int]]) -> None:
    assert entities(tags) == found


def test_entity_f1_counts_whole_entities_over_all_samples() -> None:
    tags = ("O", "B-a", "I-a")
    labels = torch.tensor([[1, 2, 0, IGNORED], [0, 1, IGNORED, IGNORED]])
    guessed = torch.tensor([[1, 2, 1, 2], [0, 0, 1, 1]])
    value, error = measured(entity_f1(tags), functional.one_hot(guessed, 3).float(), labels)
    assert value == pytest.approx(2 * 1 / (2 + 2))  # right 1, found 2, true 2
    assert error is not None and error > 0


def test_the_jackknife_covers_the_truth_of_a_ratio() -> None:
    """Perplexity of many samples of few tokens: 95 % intervals hold the truth in 92 to 98 % of 400 draws."""
    stream, held = np.random.default_rng(0), 0
    for _ in range(400):
        tokens = stream.integers(1, 6, 200)
        nats = np.array([stream.exponential(1.0, count).sum() for count in tokens])
        found = PERPLEXITY.measure(np.stack([nats, tokens], axis=1))
        assert found.standard_error is not None
        held += abs(found.value - math.e) < 1.96 * found.standard_error
    assert 0.92 < held / 400 < 0.98


def test_classification_is_torchs_cross_entropy() -> None:
    logits, labels = some(4, 3), torch.tensor([0, 2, 1, 1])
    assert torch.equal(classification({"logits": logits}, labels), functional.cross_entropy(logits, labels))
