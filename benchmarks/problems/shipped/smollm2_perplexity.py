"""`smollm2_perplexity`: the language model of `smollm2_text` and how well it foretells the tokens of texts."""

from __future__ import annotations

from functools import cache, partial

from torch import nn

from benchmarks.problems.catalogue import SHIPPED
from benchmarks.problems.fetching import check_fetched
from benchmarks.problems.problem import Problem, Task, TaskData
from benchmarks.problems.shipped.sentence_encoder import HARDWARE, with_mask
from benchmarks.problems.shipped.smollm2 import TIED_HEAD, digest, language_model, parts_of, token_ids, weights_digest
from benchmarks.problems.shipped.text_tasks import TEXT_TASKS, Labelled, TextTask
from peft_methods.training.losses import IGNORED, next_token
from peft_methods.training.samples import MASK, Samples
from peft_methods.training.scores import PERPLEXITY

NAME = "smollm2_perplexity"
TASKS = ("movie", "tweets", "amazon", "nyt")
MOST_TOKENS = 64
"""Longer texts are cut."""


def problem() -> Problem:
    """The language model and sentences of four kinds, without their labels; runs draw 64 of them."""
    return Problem(
        name=NAME,
        model=_model,
        tasks=tuple(_task(task) for task in TEXT_TASKS if task.name in TASKS),
        loss=next_token,
        score=PERPLEXITY,
        shots_per_class=64,
        exclude=(TIED_HEAD,),
        hardware=HARDWARE,
        papers=("benallal2025", "hutto2014"),
        about=SHIPPED[NAME].about,
        weights_digest=weights_digest,
        reference=NAME,
    )


def _model(_: Task) -> nn.Module:
    check_fetched(NAME)
    return language_model(NAME)


def _task(task: TextTask) -> Task:
    about = task.about.replace("Sentiment of", "Tokens of")
    facts = partial(digest, NAME, task.digest, MOST_TOKENS)
    return Task(task.name, "unrelated", partial(_data, task.name), facts, (), about)


def _data(name: str, shots: int | None, seed: int) -> TaskData:
    """shots: how many texts to train on."""
    return _samples(name).few(shots, seed)


@cache
def _samples(name: str) -> TaskData:
    parts = parts_of(NAME, name)
    return TaskData(*map(_tokens, (parts.train, parts.validation, parts.test)))


def _tokens(rows: list[Labelled]) -> Samples:
    """Texts of two tokens or more, whose every token but the first is to be foretold."""
    ids = [tokens[:MOST_TOKENS] for text, _ in rows if len(tokens := token_ids(NAME, text)) > 1]
    inputs = with_mask(ids)
    return Samples(inputs, inputs["input_ids"].masked_fill(inputs[MASK] == 0, IGNORED))
