"""wnut_ner: tweets are read whole, and the first token of a word alone carries its tag."""

from pathlib import Path

import pytest
import torch

from benchmarks.problems.fetching import CACHE_VARIABLE, missing
from benchmarks.problems.problem import ProblemError
from benchmarks.problems.shipped.wnut_ner import NAME, TAGS, TASK, problem, read_tweets, tokenised
from crossbar_sim.spec.citations import reference
from peft_methods.training.losses import IGNORED

fetched = pytest.mark.skipif(bool(missing(NAME)), reason=f"needs what `xbar problem fetch {NAME}` gets")


def test_a_line_without_a_word_ends_a_tweet(tmp_path: Path) -> None:
    path = tmp_path / "tweets"
    path.write_text("Ohio\tB-geo-loc\nwins\tO\n\t\n\n:)\tO\n", encoding="utf-8")
    assert read_tweets(path) == [(("Ohio", "B-geo-loc"), ("wins", "O")), ((":)", "O"),)]


def test_without_its_files_it_can_be_shown_and_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    empty = problem()
    assert len(TAGS) == 21 == len(empty.task(TASK).labels)
    assert all(reference(key) for key in empty.papers)
    with pytest.raises(ProblemError, match="xbar problem fetch wnut_ner"):
        empty.task(TASK).data(None, 0)


@fetched
def test_the_first_token_of_a_word_carries_its_tag() -> None:
    pytest.importorskip("tokenizers")
    samples = tokenised([(("unaffordability", "B-other"), ("!", "O")), (("hi", "O"),)])
    labels = samples.labels
    assert [int(label) for label in labels[0] if label != IGNORED] == [TAGS.index("B-other"), 0]
    assert labels[0, 1] == TAGS.index("B-other") and labels[0, 2] == IGNORED
    assert (labels[1] != IGNORED).sum() == 1


@fetched
def test_parts_are_disjoint() -> None:
    pytest.importorskip("tokenizers")
    data = problem().task(TASK).data(None, 0)
    parts = [{tuple(row.tolist()) for row in part.by_name()["input_ids"]} for part in (data.train, data.test)]
    assert (len(data.train), len(data.validation), len(data.test)) == (1495, 300, 500)
    assert len(parts[0] & parts[1]) <= 3
    assert data.train.labels.max() == len(TAGS) - 1
    assert torch.equal(data.train.labels == IGNORED, data.train.labels < 0)
