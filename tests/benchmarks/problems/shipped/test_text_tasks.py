"""Text tasks: parts are disjoint, doubtful texts are left out, and the files of the data sets are read as they are."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.problems.fetching import missing
from benchmarks.problems.shipped.minilm_text import NAME
from benchmarks.problems.shipped.text_tasks import (
    TEST,
    TEXT_TASKS,
    VALIDATION,
    TextTask,
    articles,
    candidates,
    questions,
    ratings,
    spam,
    split,
    unambiguous,
)

ROWS = [(f"text {place}", "ab"[place % 2]) for place in range(1200)]
HEAD = "Text\tCategory\nstring\tdiscrete\nmeta\tclass\n"


def test_parts_have_their_sizes_and_share_no_text() -> None:
    parts = split(ROWS)
    assert (len(parts.test), len(parts.validation)) == (TEST, VALIDATION)
    assert sorted(parts.train + parts.validation + parts.test) == sorted(ROWS)


def test_a_test_part_of_its_own_is_kept_and_taken_out_of_training() -> None:
    parts = split(ROWS, [("text 0", "a"), ("other", "b")])
    assert sorted(parts.test) == [("other", "b"), ("text 0", "a")]
    assert len(parts.validation) == VALIDATION
    assert "text 0" not in [text for text, _ in parts.train + parts.validation]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("xyz"))))
def test_every_text_is_left_once_if_its_label_is_certain(rows: list[tuple[str, str]]) -> None:
    kept = unambiguous(rows)
    certain = {text for text, _ in rows if len({label for other, label in rows if other == text}) == 1}
    assert {text for text, _ in kept} == certain
    assert len(kept) == len(certain) and set(kept) <= set(rows)


def test_questions_are_labelled_by_the_coarse_type(tmp_path: Path) -> None:
    path = tmp_path / "questions"
    path.write_bytes("NUM:date When was it ?\nHUM:ind Who is Ren\xe9 ?\n\n".encode("latin-1"))
    assert questions(path)[0] == [("When was it ?", "NUM"), ("Who is Ren\xe9 ?", "HUM")]


def test_messages_are_spam_or_ham(tmp_path: Path) -> None:
    path = tmp_path / "messages.csv"
    path.write_text('number,spam,text\n0,0,"hello, you"\n1,1,win\n')
    assert spam(path)[0] == [("hello, you", "ham"), ("win", "spam")]


def test_ratings_near_zero_and_broken_lines_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "ratings"
    path.write_text("1\t2.5\tgood\n2\t-1\tbad \n3\t0.5\tunclear\nid\trating\ttext\n4\t1\n")
    assert ratings(path)[0] == [("good", "positive"), ("bad", "negative")]


def test_articles_of_other_groups_and_without_text_are_left_out(tmp_path: Path) -> None:
    train, test = tmp_path / "train", tmp_path / "test"
    train.write_text(HEAD + "one\tx.a\ntwo\ty.b\n\tx.a\n")
    test.write_text(HEAD + '"a ""quoted"" one"\tx.a\n')
    assert articles(train, test, ("x.a",)) == ([("one", "x.a")], [('a "quoted" one', "x.a")])
    assert articles(train, test)[0] == [("one", "x.a"), ("two", "y.b")]


def test_tweets_lose_their_addresses_and_short_ones_go(tmp_path: Path) -> None:
    path = tmp_path / "tweets"
    path.write_text(
        "Author\tContent\nd\ts\n\t\nA\tWe will be in Ohio tomorrow https://t.co/x\nB\tThank you! https://t.co/y\n"
    )
    assert candidates(path)[0] == [("We will be in Ohio tomorrow", "A")]


def test_there_are_enough_tasks_of_each_kind() -> None:
    kinds = [task.kind for task in TEXT_TASKS]
    assert kinds.count("source") >= 8 and kinds.count("related") >= 2 and kinds.count("unrelated") >= 1
    assert len({task.digest for task in TEXT_TASKS}) == len(TEXT_TASKS)


@pytest.mark.skipif(bool(missing(NAME)), reason=f"needs what `xbar problem fetch {NAME}` gets")
@pytest.mark.parametrize("task", TEXT_TASKS, ids=lambda task: task.name)
def test_real_tasks_have_their_classes_in_disjoint_parts(task: TextTask) -> None:
    parts = task.parts(NAME)
    assert len(parts.train) >= 1500 and len(parts.validation) == VALIDATION and len(parts.test) == TEST
    for rows in (parts.train, parts.test):
        assert {label for _, label in rows} == set(task.labels)
    texts = [text for rows in (parts.train, parts.validation, parts.test) for text, _ in rows]
    assert len(set(texts)) == len(texts)
    if task.kind != "source":
        assert min(sum(label == own for _, label in parts.train) for own in task.labels) >= 64
