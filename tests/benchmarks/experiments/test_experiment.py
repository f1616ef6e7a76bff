"""Experiments: the same seed gives the same record bit for bit, results are files, a killed run resumes."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path

import pytest

from benchmarks.experiments import experiment as module
from benchmarks.experiments.comparison import Comparison
from benchmarks.experiments.experiment import Experiment, Result
from benchmarks.experiments.record import RunRecord
from benchmarks.experiments.running import run_all
from benchmarks.experiments.suites import load_comparison, load_experiment, suite_names
from crossbar_sim import Hardware, SpecError
from crossbar_sim.hardware.components import PROGRAMMING
from peft_methods import Frozen, LinearProbe, LoRA, LoRAFusion
from peft_methods.training.loop import learning_rate_factor

QUICK = {"seeds": (0, 1), "curve_points": 2}


def quick(**changes: object) -> Experiment:
    return Experiment(**{"method": LoRA(steps=6), **QUICK, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return quick().run(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The record of a short run on disk."""
    experiment, runs = quick(method=LinearProbe(steps=2), seeds=(0,)), tmp_path_factory.mktemp("stored")
    experiment.run(runs)
    return experiment.files(runs).path(0)


def test_the_bill_adds_up(result: Result) -> None:
    for record in result.seeds:
        total = record.total_energy_J
        assert total == pytest.approx(sum(record.energy_by_phase_J.values()))
        assert total == pytest.approx(sum(record.energy_by_component_J.values()))
        assert total == pytest.approx(sum(row.energy_J for row in record.ledger))
        adapt = record.adapt_energy_by_component_J
        assert record.reprogramming_energy_J == pytest.approx(sum(adapt[name] for name in PROGRAMMING))
        assert record.curve[-1].write_energy_J == record.reprogramming_energy_J
        assert record.max_writes_per_cell >= record.p99_writes_per_cell >= record.mean_writes_per_cell > 0
        endurance = Hardware.load("milo2021_128x128").device.endurance
        assert record.adaptations_until_wearout == endurance // record.max_task_writes_per_cell
        assert max(map(max, record.worn_tile.writes)) == record.max_task_writes_per_cell


def test_the_frozen_model_is_a_row_of_zeros_beside_what_it_reaches(tmp_path: Path) -> None:
    found = quick(method=Frozen(), seeds=(0,)).run(tmp_path)
    row, (run,) = found.record(), found.seeds
    zeros = (row.trained_values, row.cells_written_per_step, row.adapt_cells_written, row.reprogramming_energy_J)
    assert zeros == (0, 0, 0, 0) and row.energy_by_phase_J["adapt"] == 0
    assert row.adaptations_until_wearout is None and row.accuracy_mean > 0.1 and not run.loss
    assert [point.step for point in run.curve] == [0] and run.curve[0].validation_accuracy == run.validation_accuracy
    assert Result.load(found.experiment.folder(tmp_path) / "result.json") == found


def test_records_for_scripts_have_the_promised_keys(result: Result) -> None:
    assert {
        "method",
        "task",
        "task_kind",
        "seeds",
        "trained_values",
        "accuracy_mean",
        "accuracy_sd",
        "cells_written_per_step",
        "pool_cells_written",
        "reprogramming_energy_J",
        "total_energy_J",
        "energy_by_phase_J",
        "energy_by_component_J",
        "max_writes_per_cell",
        "p99_writes_per_cell",
        "adaptations_until_wearout",
    } <= set(result.record().as_json())
    assert json.loads(json.dumps(result.record().as_json(), allow_nan=False)) == result.record().as_json()
    assert len(str(result).splitlines()) <= 15 and "nan" not in str(result)


def test_lorafusion_writes_its_pool_once_and_no_cell_while_it_adapts(tmp_path: Path) -> None:
    record = quick(method=LoRAFusion(steps=4), seeds=(0,)).run(tmp_path).record()
    assert record.cells_written_per_step == 0 and record.reprogramming_energy_J == 0
    assert record.pool_cells_written > 0 and record.max_writes_per_cell == 1
    assert record.adaptations_until_wearout is None
    assert record.energy_by_phase_J["pool"] > 0


def test_any_number_of_workers_gives_the_same_bits(tmp_path: Path, result: Result) -> None:
    (parallel,) = run_all([quick()], workers=2, runs=tmp_path, progress=False)
    assert parallel.seeds == result.seeds


def test_the_second_run_is_served_from_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = quick(method=LinearProbe(steps=2), seeds=(0, 1))
    first = experiment.run(tmp_path)
    (experiment.folder(tmp_path) / "seed_1.json").unlink()  # as if the first run had been killed
    calls = []
    simulate = module.simulate
    monkeypatch.setattr(module, "simulate", lambda spec, seed: calls.append(seed) or simulate(spec, seed))
    assert experiment.run(tmp_path) == first
    assert calls == [1]
    assert not list(tmp_path.rglob(".*"))  # no temporary file is left


def test_two_commands_on_one_folder_share_the_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment, calls, results = quick(method=LinearProbe(steps=2), seeds=(0, 1)), [], []
    simulate = module.simulate
    monkeypatch.setattr(module, "simulate", lambda spec, seed: calls.append(seed) or simulate(spec, seed))

    def command() -> None:
        results.extend(run_all([experiment], workers=1, runs=tmp_path, progress=False))

    commands = [threading.Thread(target=command) for _ in range(2)]
    for one in commands:
        one.start()
    for one in commands:
        one.join()
    assert sorted(calls) == [0, 1]
    assert results[0] == results[1] and not list(tmp_path.rglob(".*"))


def test_results_come_back_from_the_workers_as_they_are_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = quick(method=LinearProbe(steps=2), seeds=(0,))
    with monkeypatch.context() as nothing_is_read:
        nothing_is_read.setattr(RunRecord, "load", lambda path: pytest.fail(f"{path} was read"))
        (result,) = run_all([experiment], workers=1, runs=tmp_path, progress=False)
    assert run_all([experiment], runs=tmp_path, progress=False) == [result]
    assert Result.load(experiment.folder(tmp_path) / "result.json") == result


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("{", ""), "seed_0.json is not a whole result"),
        (('"accuracy"', '"accurracy"'), "seed_0.json is not a result of this version .*did you mean 'accuracy'"),
        (('"seed": 0', '"seed": "first"'), "seed_0.json is not a result of this version .*seed"),
        (('"count": ', '"count": 0.5'), "seed_0.json is not a result of this version .*LedgerRow: count"),
    ],
)
def test_a_damaged_record_is_named_and_simulated_again(
    tmp_path: Path, stored: Path, change: tuple[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = quick(method=LinearProbe(steps=2), seeds=(0,))
    path = experiment.files(tmp_path).path(0)
    path.parent.mkdir()
    path.write_text(stored.read_text(encoding="utf-8").replace(*change, 1), encoding="utf-8")
    experiment.run(tmp_path)
    assert re.search(f"(?s)damaged, simulated again: .*{message}", capsys.readouterr().err)
    assert path.read_bytes() == stored.read_bytes()


def test_the_digest_covers_what_matters() -> None:
    same = Experiment(method=LoRA(steps=6), **QUICK)  # type: ignore[arg-type]
    assert quick().digest() == same.digest()
    others = [
        quick(method=LoRA(steps=7)),
        quick(method=LoRA(steps=6, placement="sram")),
        quick(task="occlude"),
        quick(hardware=Hardware.load("wan2022_256x256")),
        quick(seeds=(0, 2)),
        quick(shots_per_class=4),
    ]
    assert len({experiment.digest() for experiment in [same, *others]}) == 7
    assert Experiment(**json.loads(json.dumps(same.model_dump(mode="json")))) == same


def test_mistakes_are_explained() -> None:
    for changes, message in (
        ({"task": "fliplr+dum"}, r"did you mean 'fliplr\+dim'"),
        ({"method": "lorafuson"}, "did you mean 'lorafusion'"),
        ({"method": {"name": "lora", "rnk": 3}}, "did you mean 'rank'"),
        ({"seeds": ()}, "seeds"),
        ({"hardware": "milo"}, "did you mean 'milo2021_128x128'"),
        ({"backbone": "resnet"}, "backbone"),
    ):
        with pytest.raises(SpecError, match=message):
            quick(**changes)


@pytest.mark.parametrize("name", suite_names())
def test_every_shipped_suite_loads(name: str) -> None:
    try:
        comparison = load_comparison(name)
    except SpecError as error:
        assert "xbar run" in str(error)
        assert load_experiment(name).digest()
    else:
        assert isinstance(comparison, Comparison) and comparison.experiments()
        smaller = load_comparison(name, quick=True)
        assert len(smaller.seeds) == 1 and len(smaller.tasks) <= 2


def test_learning_rate_rises_then_falls() -> None:
    factors = [learning_rate_factor(step, 100) for step in range(101)]
    assert factors[0] == pytest.approx(0.1) and max(factors) == 1.0 and factors[100] == 0.0
    assert factors[:10] == sorted(factors[:10]) and factors[10:] == sorted(factors[10:], reverse=True)
