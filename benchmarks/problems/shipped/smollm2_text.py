"""`smollm2_text`: a small language model that is asked for the class of a text; fetched, not shipped.

A class is a word, and its score the logit of that word's first token after the prompt, so that nothing new is trained
to begin with: a task can be done without any example, with examples in the prompt and no update (`..._in_context`), or
fine-tuned.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor, nn

from benchmarks.problems.catalogue import SHIPPED
from benchmarks.problems.drawing import draw
from benchmarks.problems.fetching import check_fetched
from benchmarks.problems.from_file.huggingface import PromptedClassifier
from benchmarks.problems.problem import Problem, ProblemError, Task, TaskData
from benchmarks.problems.shipped.sentence_encoder import HARDWARE, with_mask
from benchmarks.problems.shipped.smollm2 import TIED_HEAD, digest, language_model, parts_of, token_ids, weights_digest
from benchmarks.problems.shipped.text_tasks import TEXT_TASKS, Labelled, TextTask
from peft_methods.training.samples import Samples

NAME = "smollm2_text"
SHOTS = 16
MOST_WORDS = 40
"""Texts are cut to so many words, so that the end of the prompt is never cut."""
EXAMPLES = 4
"""Of each class, in the prompts of the tasks in context; the same for every seed."""
IN_CONTEXT = "_in_context"


@dataclass(frozen=True)
class Prompt:
    """template: with {text}. words: one for each label, in the order of the labels."""

    template: str
    words: tuple[str, ...]

    def filled(self, text: str) -> str:
        """The prompt of one text."""
        return self.template.replace("{text}", " ".join(text.split()[:MOST_WORDS]))


SENTIMENT = Prompt("Review: {text}\nSentiment:", (" negative", " positive"))
QUESTION = Prompt(
    "Question: {text}\nThe answer is a", (" short", " description", " thing", " person", " place", " number")
)
PROMPTS = {"movie": SENTIMENT, "tweets": SENTIMENT, "amazon": SENTIMENT, "nyt": SENTIMENT, "trec6": QUESTION}


def problem() -> Problem:
    """The language model, sentiment of four kinds of texts and types of questions, each with and without examples in
    the prompt. Nothing is read until a model or a task is asked for."""
    chosen = [task for task in TEXT_TASKS if task.name in PROMPTS]
    return Problem(
        name=NAME,
        model=_model,
        tasks=tuple(_task(task, context) for context in (False, True) for task in chosen),
        shots_per_class=SHOTS,
        exclude=(f"language_model.{TIED_HEAD}",),
        hardware=HARDWARE,
        papers=("benallal2025", "hutto2014", "li2002"),
        about=SHIPPED[NAME].about,
        weights_digest=weights_digest,
        reference=NAME,
    )


def _model(task: Task) -> nn.Module:
    check_fetched(NAME)
    return PromptedClassifier(language_model(NAME), words(PROMPTS[task.name.removesuffix(IN_CONTEXT)]))


def words(prompt: Prompt) -> Tensor:
    """The first token of each word; ProblemError where two are the same."""
    first = [token_ids(NAME, word)[0] for word in prompt.words]
    if len(set(first)) < len(first):
        raise ProblemError(f"of the words {', '.join(prompt.words)} two begin with the same token; choose others")
    return torch.tensor(first)


def _task(task: TextTask, context: bool) -> Task:
    name = task.name + IN_CONTEXT * context
    about = f"{task.about}, with {EXAMPLES} examples of each class in the prompt" if context else task.about
    facts = (name, task.digest, PROMPTS[task.name], MOST_WORDS, EXAMPLES)
    return Task(name, "unrelated", partial(_data, task.name, context), partial(digest, *facts), task.labels, about)


def _data(name: str, context: bool, shots: int | None, seed: int) -> TaskData:
    return _samples(name, context).few(shots, seed)


@cache
def _samples(name: str, context: bool) -> TaskData:
    parts, prompt = parts_of(NAME, name), PROMPTS[name]
    task = next(task for task in TEXT_TASKS if task.name == name)
    codes = torch.tensor([task.labels.index(label) for _, label in parts.train])
    shown = draw(Samples(codes, codes), EXAMPLES, 0).view(-1, EXAMPLES).T.flatten().tolist() if context else []
    said = dict(zip(task.labels, prompt.words, strict=True))
    before = "".join(prompt.filled(text) + said[label] + "\n\n" for text, label in (parts.train[one] for one in shown))
    left = [row for place, row in enumerate(parts.train) if place not in shown]

    def samples(rows: list[Labelled]) -> Samples:
        ids = [token_ids(NAME, before + prompt.filled(text)) for text, _ in rows]
        return Samples(with_mask(ids), torch.tensor([task.labels.index(label) for _, label in rows]))

    return TaskData(samples(left), samples(parts.validation), samples(parts.test))
