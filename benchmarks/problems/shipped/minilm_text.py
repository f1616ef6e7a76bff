"""`minilm_text`: the sentence encoder all-MiniLM-L6-v2 and twelve real text tasks; fetched, not shipped."""

from __future__ import annotations

import hashlib
from functools import cache, partial

import torch
from torch import nn

from benchmarks.problems.catalogue import SHIPPED
from benchmarks.problems.fetching import cache_folder, check_fetched
from benchmarks.problems.pool_training import PoolTraining
from benchmarks.problems.problem import Problem, Task, TaskData
from benchmarks.problems.shipped.sentence_encoder import (
    HARDWARE,
    MOST_TOKENS,
    SentenceClassifier,
    encoder,
    encoder_digest,
    tokenizer,
    tokenizer_digest,
    with_mask,
)
from benchmarks.problems.shipped.text_tasks import TEXT_TASKS, Labelled, TextTask
from peft_methods import LoRA
from peft_methods.training.samples import Samples

NAME = "minilm_text"
SHOTS = 16
POOL_TRAINING = PoolTraining(
    LoRA(
        rank=8,
        alpha=16,
        targets=("query", "value"),
        placement="sram",
        train_head=True,
        learning_rate=1.5e-3,
        steps=220,
        batch_size=16,
    )
)
"""220 steps of 16: nearly two passes over the 2000 texts of a task at most."""


def problem() -> Problem:
    """The encoder with a new head, eight source tasks for a pool, three related targets and an unrelated one. Nothing
    is read until a model or a task is asked for."""
    return Problem(
        name=NAME,
        model=_model,
        tasks=tuple(map(_task, TEXT_TASKS)),
        pool=cache_folder() / "pools" / NAME,
        shots_per_class=SHOTS,
        hardware=HARDWARE,
        papers=(
            "wang2020minilm",
            "reimers2019",
            "hutto2014",
            "li2002",
            "almeida2011",
            "lang1995",
            "lewis1997",
            "cachopo2007",
        ),
        about=SHIPPED[NAME].about,
        weights_digest=encoder_digest,
        reference=NAME,
        pool_training=POOL_TRAINING,
    )


def _model(task: Task) -> nn.Module:
    check_fetched(NAME)
    return SentenceClassifier(encoder(NAME), len(task.labels))


def _task(task: TextTask) -> Task:
    return Task(task.name, task.kind, partial(_data, task.name), partial(_digest, task), task.labels, task.about)


def _data(name: str, shots: int | None, seed: int) -> TaskData:
    return _samples(name).few(shots, seed)


def _digest(task: TextTask) -> str:
    return hashlib.sha256(f"{task.digest} {tokenizer_digest()}".encode()).hexdigest()


@cache
def _samples(name: str) -> TaskData:
    """All samples of a task as token ids; read once per process."""
    check_fetched(NAME)
    task = next(task for task in TEXT_TASKS if task.name == name)
    parts = task.parts(NAME)
    return TaskData(*(tokenised(rows, task.labels) for rows in (parts.train, parts.validation, parts.test)))


def tokenised(rows: list[Labelled], labels: tuple[str, ...]) -> Samples:
    """Token ids, their mask, and the number of every label."""
    encode = tokenizer(NAME).encode
    ids = [encode(" ".join(text.split()[:MOST_TOKENS])).ids for text, _ in rows]  # a word is a token or more
    return Samples(with_mask(ids), torch.tensor([labels.index(label) for _, label in rows]))
