"""Problems stated in a file: every type of task is loaded, checked, trained and scored; what is wrong is a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch

from benchmarks.experiments.experiment import Experiment, Result
from benchmarks.experiments.suites import load_comparison
from benchmarks.problems.find import find_problem
from benchmarks.problems.problem import Problem, ProblemError
from benchmarks.problems.sheet import check
from crossbar_sim import CrossbarError, Hardware, map_model
from peft_methods import Frozen, LinearProbe, LoRA
from tests.benchmarks.problems.hugging import write_examples, write_models

TEXT = {"model": "bert", "task_type": "text-classification"}
PROMPTED = {"template": "the film : {text} :", "verbaliser": {"pos": "yes", "neg": "no"}}
ASKED = {"model": "llama", "task_type": "prompted-classification", **PROMPTED}
TYPES: dict[str, tuple[dict[str, Any], str, str, int | None]] = {
    "text-classification": ({"model": "bert"}, "csv", "accuracy", 2),
    "text-regression": ({"model": "bert", "label": "number"}, "jsonl", "mean squared error", None),
    "token-classification": ({"model": "bert"}, "conll", "token accuracy", 2),
    "causal-language-modelling": ({"model": "llama"}, "csv", "perplexity", None),
    "prompted-classification": ({"model": "llama", **PROMPTED}, "csv", "accuracy", 2),
}
"""type of task -> settings, ending of its files, score, classes"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("problem")
    write_models(made)
    write_examples(made)
    return made


def write(folder: Path, settings: dict[str, Any], ending: str = "csv", **task: Any) -> Path:
    """A problem's file in the folder."""
    files = {"name": "films", "train": f"train.{ending}", "test": f"test.{ending}", **task}
    path = folder / "problem.toml"
    path.write_text(tomli_w.dumps({"name": "mine", **settings, "tasks": [files]}))
    return path


def of_type(folder: Path, kind: str) -> Problem:
    settings, ending, _, _ = TYPES[kind]
    return find_problem(str(write(folder, {"task_type": kind, **settings}, ending)))


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_of_task_is_checked_trained_and_scored(folder: Path, kind: str) -> None:
    problem = of_type(folder, kind)
    task = problem.task("films")
    _, _, score, classes = TYPES[kind]
    found = check(problem, task)
    assert (found.score_name, len(task.labels) or None) == (score, classes)
    assert found.train == 48
    assert found.validation == 12
    assert found.test == 20
    assert found.layers_on_tiles >= 12
    targets = {"bert": ("query", "value"), "llama": ("q_proj",)}[TYPES[kind][0]["model"]]
    method = LoRA(placement="sram", targets=targets, steps=3)
    result = Experiment(method=method, problem=problem, seeds=(0,)).run(folder / "runs")
    record = result.record()
    assert (record.problem, record.score_name) == ("mine", score)
    assert record.accuracy_mean >= 0
    assert result.seeds[0].standard_error is not None


@pytest.mark.parametrize("kind", TYPES)
def test_on_ideal_hardware_a_problem_equals_its_digital_model(folder: Path, kind: str) -> None:
    problem = of_type(folder, kind)
    task = problem.task("films")
    test = task.data(None, 0).test
    digital, mapped = problem.fresh_model(task), problem.fresh_model(task)
    map_model(mapped, Hardware.load(problem.hardware).ideal(), exclude=problem.exclude)
    with torch.no_grad():
        expected, found = (getattr(out, "logits", out) for out in (test.outputs_of(digital), test.outputs_of(mapped)))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_language_model_is_asked_with_solved_examples_and_without_any_update(folder: Path) -> None:
    asked = {**ASKED, "max_tokens": 200, "examples_in_prompt": 2, "hardware": "falcone2025_128x128"}
    problem = find_problem(str(write(folder, asked)))
    task = problem.task("films")
    data = task.data(None, 0)
    assert len(data.train) + len(data.validation) == 60 - 2 * 2
    ids = data.test.by_name()["input_ids"]
    shown = int((ids == ids[0]).all(0).long().cumprod(0).sum())
    yes, no = 14, 15
    assert [word for word in ids[0, :shown].tolist() if word in (yes, no)] == [no, yes] * 2
    result = Experiment(method=Frozen(), problem=problem, seeds=(0,)).run(folder / "runs")
    assert (result.record().trained_values, result.record().adapt_cells_written) == (0, 0)


def test_long_prompts_are_cut_at_their_beginning(folder: Path) -> None:
    problem = find_problem(str(write(folder, {**ASKED, "max_tokens": 8})))
    samples = problem.task("films").data(None, 0).test
    ends = samples.by_name()["attention_mask"].sum(1) - 1
    assert (samples.by_name()["input_ids"][torch.arange(len(ends)), ends - 1] == 16).all()  # the template's last word


def test_a_model_of_a_file_is_the_same_each_time_with_its_new_head(folder: Path) -> None:
    problem = of_type(folder, "text-classification")
    first, second = (problem.fresh_model(problem.task("films")).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_comparison_states_its_problem_in_the_same_file_and_its_results_are_read_again(folder: Path) -> None:
    problem = {"name": "mine", **TEXT, "tasks": [{"name": "films", "train": "train.csv", "test": "test.csv"}]}
    methods = [{"name": "linear-probe", "steps": 3}]
    path = folder / "comparison.toml"
    path.write_text(tomli_w.dumps({"name": "mine", "methods": methods, "seeds": [0], "problem": problem}))
    (experiment,) = load_comparison(str(path)).experiments()
    assert (experiment.task, experiment.problem.name) == ("films", "mine")
    experiment.run(folder / "runs")
    again = Result.load(experiment.folder(folder / "runs") / "result.json")
    assert again.experiment.digest() == experiment.digest()
    assert again.record().accuracy_mean == experiment.run(folder / "runs").record().accuracy_mean


def test_a_change_of_the_data_is_another_result(folder: Path) -> None:
    def digest() -> str:
        problem = of_type(folder, "text-classification")
        return problem.digest(problem.task("films"))

    before = digest()
    assert digest() == before
    text = (folder / "test.csv").read_text()
    (folder / "test.csv").write_text(text.replace("film", "plot", 1))
    assert digest() != before
    (folder / "test.csv").write_text(text)


@pytest.mark.parametrize(
    ("settings", "task", "why"),
    [
        ({**TEXT, "model": "nothing/here"}, {}, "no model can be had from 'nothing/here'"),
        ({**TEXT, "task_type": "translation"}, {}, "task_type"),
        ({**TEXT, "text": "words"}, {}, "no column 'words'; it has text, label"),
        (TEXT, {"train": "missing.csv"}, "missing.csv does not exist"),
        (TEXT, {"labels": ["pos"]}, "class 'neg' is none of the training file's: pos"),
        ({**TEXT, "verbaliser": {"pos": "yes"}}, {}, "only with it"),
        ({**TEXT, "score": "beauty"}, {}, "score: there is no 'beauty'"),
        ({**ASKED, "template": "x"}, {}, "where the text goes"),
        ({**ASKED, "verbaliser": {"pos": "yes"}}, {}, "no word for the class 'neg'"),
        ({**ASKED, "verbaliser": {"pos": "yes"}, "examples_in_prompt": 1}, {}, "no word for the class 'neg'"),
        (
            {**ASKED, "examples_in_prompt": 30},
            {},
            "class 'neg' has 30 examples, and examples_in_prompt = 30",
        ),
        ({**ASKED, "examples_in_prompt": 9}, {}, "the longest prompt has .* and max_tokens is 64; raise max_tokens to"),
        ({**TEXT, "examples_in_prompt": 1}, {}, "goes with 'prompted-classification'"),
        ({**TEXT, "task_type": "token-classification", "tokens": "text", "tags": "label"}, {}, "list of words"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_sentence(
    folder: Path, settings: dict[str, Any], task: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "/" in settings["model"]:
        hub = pytest.importorskip("huggingface_hub")
        monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)  # the variable is read once, by the first import
    path = write(folder, settings, **task)
    with pytest.raises(CrossbarError, match=why) as refused:
        problem = find_problem(str(path))
        check(problem, problem.task("films"))
    assert len(str(refused.value)) <= 400


def test_a_missing_file_is_named() -> None:
    with pytest.raises(CrossbarError, match="nowhere.toml"):
        find_problem("nowhere.toml")


def test_probe_of_a_decoder_trains_the_head_that_transformers_adds(folder: Path) -> None:
    problem = find_problem(str(write(folder, {**TEXT, "model": "llama"})))
    found = Experiment(method=LinearProbe(steps=2), problem=problem, seeds=(0,)).run(folder / "runs")
    assert found.record().trained_values == 2 * 32


def test_problems_of_a_program_are_described_where_they_cannot_run(folder: Path) -> None:
    table = {"name": "gone", "score": "entity F1", "tasks": [{"name": "a", "kind": "related"}]}
    experiment = Experiment(method=LinearProbe(), problem=table, hardware="milo2021_128x128", shots_per_class=3)
    assert (experiment.task, experiment.problem.scoring.name) == ("a", "entity F1")
    with pytest.raises(ProblemError, match="made in a Python program"):
        experiment.run(folder / "runs")
