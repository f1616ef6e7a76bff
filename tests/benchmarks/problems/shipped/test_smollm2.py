"""smollm2_text and smollm2_perplexity: cheap until asked for; prompts end as the template does."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.problems.fetching import CACHE_VARIABLE
from benchmarks.problems.problem import Problem, ProblemError
from benchmarks.problems.shipped import smollm2_perplexity, smollm2_text
from benchmarks.problems.shipped.smollm2_text import IN_CONTEXT, MOST_WORDS, PROMPTS
from benchmarks.problems.shipped.text_tasks import TEXT_TASKS
from crossbar_sim.spec.citations import reference


@pytest.mark.parametrize("make", [smollm2_text.problem, smollm2_perplexity.problem])
def test_without_its_files_it_can_be_shown_and_says_how_to_get_them(
    make: Callable[[], Problem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    empty = make()
    digests = {empty.task(task.name).digest() for task in empty.tasks}
    assert len(digests) == len(empty.tasks)
    assert all(reference(key) for key in empty.papers)
    with pytest.raises(ProblemError, match=f"xbar problem fetch {empty.name}"):
        empty.tasks[0].data(None, 0)


def test_every_class_has_a_word_and_long_texts_do_not_cut_the_prompt() -> None:
    for task in TEXT_TASKS:
        if task.name in PROMPTS:
            assert len(PROMPTS[task.name].words) == len(task.labels)
    filled = PROMPTS["movie"].filled("word " * 100)
    assert filled.count("word") == MOST_WORDS and filled.endswith("\nSentiment:")


def test_every_task_is_there_with_and_without_examples_in_the_prompt() -> None:
    names = [task.name for task in smollm2_text.problem().tasks]
    plain = [name for name in names if not name.endswith(IN_CONTEXT)]
    assert names == plain + [name + IN_CONTEXT for name in plain]
