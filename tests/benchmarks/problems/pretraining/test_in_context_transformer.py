"""The shipped in-context transformer: causal, as good as its header says, and on tiles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks.cli import main
from benchmarks.problems.pretraining.in_context import (
    IN_CONTEXT_FOLDER,
    LinearPrompts,
    RegressionTransformer,
    excess_error,
    load_regression_transformer,
)
from benchmarks.problems.pretraining.pretrain_in_context import InContextRecipe, pretrain
from benchmarks.problems.weight_files import AssetError
from benchmarks.reporting.figures.in_context import against_the_posterior
from benchmarks.reporting.figures.style import svg
from crossbar_sim import Hardware, map_model

SHIPPED = IN_CONTEXT_FOLDER / "linear_regression.safetensors"


def test_predictions_do_not_see_what_comes_later() -> None:
    model, _ = load_regression_transformer()
    x, y, _ = LinearPrompts().draw(3, torch.Generator().manual_seed(0))
    before = model(x, y).detach()
    changed_x, changed_y = x.clone(), y.clone()
    changed_x[:, 11:] += 1
    changed_y[:, 10:] -= 2  # y_10 itself must not enter its own prediction
    after = model(changed_x, changed_y).detach()
    torch.testing.assert_close(after[:, :11], before[:, :11], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(after[:, 11:], before[:, 11:], atol=0.1)
    torch.testing.assert_close(model(x[:, :7], y[:, :7]).detach(), before[:, :7], rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="reads at most 40"):
        model(torch.zeros(1, 41, 4), torch.zeros(1, 41))


def test_the_transformer_comes_close_to_the_exact_posterior() -> None:
    """Excess error over that of the posterior mean: at most 1.35 everywhere, as the header says to within 10 %."""
    model, facts = load_regression_transformer()
    recipe = InContextRecipe(**json.loads(facts["recipe"]))
    error = excess_error(model, recipe.prompts, 1000, seed=5)
    reached = {int(t): ratio for t, ratio in json.loads(facts["excess_error_over_bayes"]).items()}
    print({t: round(float(error.ratio[t]), 3) for t in reached})
    assert error.ratio[0] == pytest.approx(1, abs=0.01)  # nothing is known and 0 is the best answer
    assert error.ratio.max() < 1.35
    assert float(error.ratio.mean()) < 1.25
    for t, ratio in reached.items():
        assert float(error.ratio[t]) == pytest.approx(ratio, rel=0.1)
    assert error.bayes[39] < 0.02 * error.bayes[0]
    assert SHIPPED.stat().st_size < 2**20


def test_on_tiles(milo: Hardware) -> None:
    """Ideal tiles are the digital model; a real chip's errors cost more the more examples there are to use."""
    prompts, ratios = LinearPrompts(), {}
    digital, _ = load_regression_transformer()
    ratios["digital"] = excess_error(digital, prompts, 250, seed=3)
    for name, hardware in (("ideal", milo.ideal()), ("milo2021", milo)):
        model, _ = load_regression_transformer()
        chip = map_model(model, hardware)
        programmed = chip.ledger.writes()
        ratios[name] = excess_error(model, prompts, 250, seed=3)
        assert chip.ledger.writes() == programmed  # learning in context writes no cell
        assert chip.ledger.energy("infer") > 0 and chip.ledger.energy("adapt") == 0
    torch.testing.assert_close(ratios["ideal"].model, ratios["digital"].model, rtol=1e-3, atol=1e-4)
    found = ratios["milo2021"].ratio
    print({t: round(float(found[t]), 2) for t in (0, 4, 8, 16, 39)})
    assert float(found[30:].mean()) > float(found[1:5].mean()) > 1
    assert float(found.max()) < 6
    figure = svg(against_the_posterior(ratios))
    assert figure == svg(against_the_posterior(ratios)) and "milo2021" in figure


def test_pretraining_repeats_and_leaves_the_global_generator_alone() -> None:
    recipe = InContextRecipe(steps=3, batch_size=4, width=16, heads=2, depth=1, mlp_width=16, examples=6)
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    first = pretrain(recipe).state_dict()
    assert torch.equal(torch.rand(1), expected)
    second = pretrain(recipe).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_command_writes_what_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["pretrain", "in-context", "--steps", "5", "--output", str(tmp_path / "short.safetensors")])
    assert "39 examples: excess error" in capsys.readouterr().out
    model, facts = load_regression_transformer("short", tmp_path)
    assert isinstance(model, RegressionTransformer) and json.loads(facts["recipe"])["steps"] == 5
    assert [entry.name for entry in tmp_path.iterdir()] == ["short.safetensors"]


def test_missing_and_broken_files_are_explained(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="xbar pretrain in-context"):
        load_regression_transformer("quadratic", tmp_path)
    for kept in (0, 100, -1):
        (tmp_path / "broken.safetensors").write_bytes(SHIPPED.read_bytes()[:kept])
        with pytest.raises(AssetError, match="not a readable in-context transformer"):
            load_regression_transformer("broken", tmp_path)
