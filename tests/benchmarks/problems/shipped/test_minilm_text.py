"""minilm_text: cheap until it is asked for; with its files, the encoder is the published one and draws are balanced."""

from pathlib import Path

import pytest
import torch

from benchmarks.problems.fetching import CACHE_VARIABLE, missing
from benchmarks.problems.problem import ProblemError
from benchmarks.problems.shipped.minilm_text import NAME, problem
from crossbar_sim.spec.citations import reference
from peft_methods.model_parts import linear_layers
from peft_methods.training.samples import MASK

fetched = pytest.mark.skipif(bool(missing(NAME)), reason=f"needs what `xbar problem fetch {NAME}` gets")


def test_without_its_files_it_can_be_shown_and_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    empty = problem()
    task = empty.task("trec6")
    assert len(task.labels) == 6 and len(empty.digest(task)) == 64
    assert all(reference(key) for key in empty.papers)
    with pytest.raises(ProblemError, match="xbar problem fetch minilm_text"):
        empty.fresh_model(task)


@fetched
def test_the_encoder_knows_what_is_similar() -> None:
    pytest.importorskip("transformers")
    found = problem()
    model = found.fresh_model(found.task("nyt"))
    assert sum(parameter.numel() for parameter in model.parameters()) == 22_566_146
    layers = linear_layers(model, None)
    assert len(layers) == 36 and sum(layer.weight.numel() for layer in layers.values()) == 10_616_832
    from benchmarks.problems.shipped.minilm_text import tokenised

    texts = ["A man is eating food.", "A man eats a meal.", "Stock markets fell sharply on Monday."]
    samples = tokenised([(text, "x") for text in texts], ("x",))
    model.head = torch.nn.Identity()
    with torch.no_grad():
        states = torch.nn.functional.normalize(samples.outputs_of(model), dim=1)
    first, other = (states @ states.T)[0, 1:].tolist()
    assert first == pytest.approx(0.908, abs=2e-3) and abs(other) < 0.15


@fetched
def test_draws_are_balanced_and_only_they_follow_the_seed() -> None:
    pytest.importorskip("tokenizers")
    task = problem().task("trec6")
    first, again, other = task.data(4, 0), task.data(4, 0), task.data(4, 1)
    assert first.train.labels.bincount().tolist() == [4] * 6
    assert torch.equal(first.train.by_name()["input_ids"], again.train.by_name()["input_ids"])
    assert first.train.by_name()["input_ids"].tolist() != other.train.by_name()["input_ids"].tolist()
    assert first.test is other.test and first.validation is other.validation
    assert bool((first.train.by_name()["input_ids"][first.train.by_name()[MASK] == 0] == 0).all())
