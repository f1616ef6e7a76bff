"""Kernel regression against fine-tuning, and one write against many steps, on the digits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.cli import main
from benchmarks.problems.backbones import load_backbone
from benchmarks.problems.tasks import few_shot, get_task
from benchmarks.studies import one_write
from benchmarks.studies.ntk_against_fine_tuning import (
    COMPARISONS,
    PREDICTORS,
    KernelFindings,
    Predictor,
    compare,
    share_right,
)
from crossbar_sim import Hardware
from peft_methods import accuracy
from peft_methods.ntk.fit import tangent_kernel
from peft_methods.ntk.gradients import subspace, write_once


def few(name: str, **settings: tuple[float, ...]) -> Predictor:
    """A predictor with fewer settings to try."""
    one = PREDICTORS[name]
    return Predictor(one.name, one.kind, one.solver, {**one.settings, **settings})


def test_settings_come_from_the_tuning_seeds_and_rows_are_complete() -> None:
    head = next(one for one in COMPARISONS if one.name == "head")
    predictors = [few("sgd", ridge=(1e-3, 1e-2), start_share=(0.03,)), few("two-sided", gamma=(1.0, 10.0))]
    rows = compare(head, predictors, "fliplr+dim", 2, [0], tuning_seeds=[100])
    assert [row.predictor for row in rows] == ["sgd", "two-sided"]
    for row in rows:
        assert row.kernel == row.kernel_by_seed[0] > 0.2  # chance is 0.1
        assert row.fine_tuning == rows[0].fine_tuning
        assert set(row.setting) == set(PREDICTORS[row.predictor].settings)
    assert len(str(KernelFindings(tuple(rows))).splitlines()) == 3


def test_the_command_writes_what_it_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.json"
    arguments = ["--parameters", "head", "--kernels", "logistic", "--seeds", "0", "--shots", "1"]
    main(["study", "ntk-against-fine-tuning", *arguments, "--json", str(path)])
    (row,) = json.loads(path.read_text())
    assert row["difference_points"] == pytest.approx(100 * (row["kernel"] - row["fine_tuning"]))
    assert "logistic" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="did you mean 'fliplr") as stopped:
        main(["study", "ntk-against-fine-tuning", "--task", "fliplr+bright"])
    assert "fliplr+dim" in str(stopped.value)
    with pytest.raises(SystemExit, match="did you mean 'logistic'"):
        main(["study", "ntk-against-fine-tuning", "--kernels", "logistics"])


@pytest.mark.slow
def test_one_write_stands_beside_its_fine_tuning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.json"
    main(["study", "one-write", "--written", "head", "--seeds", "0", "--shots", "1", "--json", str(path)])
    once, steps = json.loads(path.read_text())
    assert once["max_task_writes_per_cell"] == steps["max_task_writes_per_cell"] == 0
    printed = capsys.readouterr().out
    assert "one write: head" in printed and "75 steps: linear probe" in printed


def test_one_write_is_one_write(milo: Hardware) -> None:
    """LoRA's B on fresh tiles: every cell is written once, and the bill names the digital solution."""
    record = one_write.one_write("lora", "fliplr+dim", 1, 0, milo)
    assert record.max_task_writes_per_cell == 1
    assert record.adapt_cells_written == 2 * record.trained_values == record.cells_written_per_step
    assert record.pool_cells_written > 0  # the random A
    assert record.accuracy > 0.3
    assert record.adaptations_until_wearout == int(milo.device.endurance)
    assert 0 < record.reprogramming_energy_J < record.energy_by_phase_J["adapt"]


@pytest.mark.whole
def test_kernels_reach_fine_tuning_where_the_embeddings_stay() -> None:
    """Two seeds of fliplr+dim, five images per class, digital: head, LoRA and blocks within 3 points of fine-tuning or
    above it; the kernel of all parameters, which the embeddings dominate, is further below than that of the blocks."""
    rows = {
        one.name: compare(one, [few("sgd", ridge=(1e-3, 1e-2), start_share=(0.03,))], "fliplr+dim", 5, [0, 1])[0]
        for one in COMPARISONS
        if one.name in ("head", "lora", "blocks", "all")
    }
    for name in ("head", "lora", "blocks"):
        assert rows[name].difference_points > -3, rows[name]
    assert rows["all"].kernel < rows["blocks"].kernel - 0.02


@pytest.mark.slow
def test_the_solution_is_too_long_a_way_for_the_weights_themselves() -> None:
    """The linearised network is right, the network with the same change in its weights is not (validation images)."""
    data = few_shot(get_task("fliplr+dim"), 5, 100)
    images, labels = data.validation.tensor, data.validation.labels
    model = load_backbone()
    parameters = subspace(model, "blocks")
    fit = tangent_kernel(model, data.train.tensor, parameters).ridge(data.train.labels, 1e-3, size=30)
    linear = share_right(fit, model, parameters, images, labels)
    write_once(model, parameters, fit.written())
    assert linear > 0.65 > 0.5 > accuracy(model, images, labels)
