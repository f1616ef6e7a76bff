"""Scores: how outputs and labels become a number to report, with its uncertainty.

Every score here is a function of sums over samples: each sample adds its row of numbers, and the score is computed from
the sums. Its standard error is that of the jackknife, which leaves out one sample at a time (Efron and Stein, Annals of
Statistics 9, 586, 1981); for a mean it is the sample standard deviation over the square root of n.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from peft_methods.training.losses import IGNORED, logits_of, shifted

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """A score over some samples and its standard error; None for a single sample."""

    value: float
    standard_error: float | None


@dataclass(frozen=True)
class Score:
    """name: in tables. rows: (outputs, labels) -> numbers (n, k), a row per sample. value: sums (..., k) -> (...)."""

    name: str
    rows: Callable[[Any, Tensor], Tensor]
    value: Callable[[Numbers], Numbers]
    higher_is_better: bool = True

    def measure(self, rows: Numbers) -> Measured:
        """The score of all samples, rows (n, k)."""
        total, n = rows.sum(0), len(rows)
        value = float(self.value(total))
        if n < 2:
            return Measured(value, None)
        without = self.value(total - rows)
        variance = (n - 1) / n * float(np.square(without - without.mean()).sum())
        return Measured(value, float(np.sqrt(variance)))


def ratio(sums: Numbers) -> Numbers:
    """First sum over the second; 0 of nothing."""
    return np.divide(sums[..., 0], sums[..., 1], out=np.zeros_like(sums[..., 0]), where=sums[..., 1] > 0)


def _correct(outputs: Any, labels: Tensor) -> Tensor:
    right, known = logits_of(outputs).argmax(dim=1) == labels, labels != IGNORED
    right, known = (part.reshape(len(labels), -1) for part in (right & known, known))
    return torch.stack([right.sum(1), known.sum(1)], dim=1)


def _correct_tokens(outputs: Any, labels: Tensor) -> Tensor:
    return _correct(logits_of(outputs).transpose(1, 2), labels)


def _squares(outputs: Any, labels: Tensor) -> Tensor:
    errors = (logits_of(outputs).reshape(labels.shape) - labels).reshape(len(labels), -1)
    return torch.stack([errors.square().sum(1), torch.full((len(errors),), float(errors.shape[1]))], dim=1)


def _surprise(outputs: Any, labels: Tensor) -> Tensor:
    scores, following = shifted(outputs, labels)
    nats = functional.cross_entropy(scores.transpose(1, 2).float(), following, reduction="none")
    return torch.stack([nats.sum(1), (following != IGNORED).sum(1)], dim=1)


def _whole(outputs: Any, labels: Tensor) -> Tensor:
    scores, following = shifted(outputs, labels)
    wrong = (scores.argmax(-1) != following) & (following != IGNORED)
    return torch.stack([(~wrong.any(1)).float(), torch.ones(len(labels))], dim=1)


ACCURACY = Score("accuracy", _correct, ratio)
"""Share of correct labels; logits (n, classes, ...)."""
TOKEN_ACCURACY = Score("token accuracy", _correct_tokens, ratio)
"""Share of correct labels of tokens; logits (n, tokens, classes)."""
MEAN_SQUARED_ERROR = Score("mean squared error", _squares, ratio, higher_is_better=False)
"""Mean square of the difference to the labels."""
PERPLEXITY = Score("perplexity", _surprise, lambda sums: np.exp(ratio(sums)), higher_is_better=False)
"""exp of the mean nats per next token."""
EXACT_MATCH = Score("exact match", _whole, ratio)
"""Share of samples whose every labelled token greedy decoding would give: it does if each is the likeliest after the
right ones before it."""


@dataclass(frozen=True)
class _Entities:
    """Rows (right, found, true) of the entities of every sample, by the tags' names in BIO notation."""

    tags: tuple[str, ...]

    def __call__(self, outputs: Any, labels: Tensor) -> Tensor:
        guessed = logits_of(outputs).argmax(-1)
        rows = [self._row(*pair) for pair in zip(guessed.tolist(), labels.tolist(), strict=True)]
        return torch.tensor(rows, dtype=torch.float64)

    def _row(self, guessed: list[int], labels: list[int]) -> tuple[int, int, int]:
        kept = [place for place, label in enumerate(labels) if label != IGNORED]
        found = entities([self.tags[guessed[place]] for place in kept])
        true = entities([self.tags[labels[place]] for place in kept])
        return len(found & true), len(found), len(true)


def entities(tags: list[str]) -> set[tuple[str, int, int]]:
    """(type, first, after the last) of every entity; an I- that follows no entity of its type begins one, as in
    conlleval (Tjong Kim Sang and Buchholz, CoNLL 2000)."""
    found: set[tuple[str, int, int]] = set()
    start, kind = 0, ""
    for place, tag in enumerate([*tags, "O"]):
        mark, _, name = tag.partition("-")
        if kind and (mark != "I" or name != kind):
            found.add((kind, start, place))
            kind = ""
        if mark in ("B", "I") and not kind:
            start, kind = place, name
    return found


def entity_f1(tags: tuple[str, ...]) -> Score:
    """2 right / (found + true), over whole entities; tags: names by label, 'O', 'B-person', 'I-person' ..."""

    def f1(sums: Numbers) -> Numbers:
        return ratio(np.stack([2 * sums[..., 0], sums[..., 1] + sums[..., 2]], axis=-1))

    return Score("entity F1", _Entities(tags), f1)


SCORES: dict[str, Score] = {
    score.name: score for score in (ACCURACY, TOKEN_ACCURACY, MEAN_SQUARED_ERROR, PERPLEXITY, EXACT_MATCH)
}
"""The scores that files name."""
