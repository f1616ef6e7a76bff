"""Streams: the same record on any number of workers; one task is an experiment; pools are paid once, tiles per task."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.cli import main
from benchmarks.experiments.experiment import Experiment, simulate
from benchmarks.experiments.running import run_all
from benchmarks.problems.problem import Problem, ProblemError, Task
from benchmarks.reporting.stream_report import StreamReport
from benchmarks.reporting.summary import ReportError
from benchmarks.streams.break_even import break_even
from benchmarks.streams.choosing import choose, with_endurance
from benchmarks.streams.comparison import StreamComparison
from benchmarks.streams.stream import Stream, StreamResult
from benchmarks.streams.suites import load_streams
from crossbar_sim import Hardware, SpecError
from crossbar_sim.hardware.components import COMPONENTS
from peft_methods import FullFineTuning, LinearProbe, LoRA, LoRAFusion
from tests.conftest import tiny_net

TASKS = ("fliplr+dim", "occlude", "fliplr+dim")
METHODS = (LoRA(steps=4), LoRAFusion(steps=4), FullFineTuning(steps=2))


def comparison(**changes: object) -> StreamComparison:
    given = {"name": "test", "methods": METHODS, "tasks": TASKS, "requests": ("occlude", "fliplr+dim"), "seeds": (0,)}
    return StreamComparison(**{**given, "own_tiles": ("lora",), **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("streams")


@pytest.fixture(scope="module")
def results(runs: Path) -> list[StreamResult]:
    return run_all(comparison().streams(), workers=1, runs=runs, progress=False)


def by_name(results: list[StreamResult]) -> dict[str, StreamResult]:
    return {one.name: one for one in results}


def test_one_task_is_an_experiment(results: list[StreamResult]) -> None:
    """The first task of a stream: accuracy, energies and writes of the experiment with this method, task and seed, and
    the copy of what was learned."""
    for one in results:
        run = simulate(Experiment(method=one.stream.method, task=TASKS[0], curve_points=0), 0)
        step = one.seeds[0].steps[0]
        assert step.accuracy == run.accuracy
        assert step.cumulative_reprogramming_energy_J == run.reprogramming_energy_J
        more = {
            name: step.cumulative_energy_by_component_J[name] - run.energy_by_component_J[name] for name in COMPONENTS
        }
        copied = more.pop("SRAM")  # of what was learned, for the time when the chip works on another task
        assert set(more.values()) == {0} and 0 <= copied < 1e-2 * run.total_energy_J
        assert (copied == 0) == one.stream.own_tiles
        assert (step.cells_written, step.max_writes_per_cell) == (run.adapt_cells_written, run.max_writes_per_cell)


def test_a_pool_is_paid_once_and_tiles_per_task(results: list[StreamResult]) -> None:
    found = by_name(results)
    fused = found["LoRAFusion"]
    assert {value for value, _ in fused.curve("cumulative_pool_energy_J")} == {fused.once} and fused.once > 0
    assert fused.per_task == 0 and fused.spent_on_programming() == [fused.once] * 3
    for name in ("LoRA (tiles)", "LoRA (tiles per task)", "full fine-tuning"):
        spent = found[name].spent_on_programming()
        assert found[name].once == 0 and 0 < spent[0] < spent[1] < spent[2]


def test_requests_cost_what_stays_makes_them_cost(results: list[StreamResult]) -> None:
    """Overwritten tiles are written again, tiles of their own cost area, a pool costs a copy of its coefficients."""
    found = {name: one.seeds[0] for name, one in by_name(results).items()}
    assert all(request.cells_rewritten > 0 for request in found["LoRA (tiles)"].requests)
    for name in ("LoRA (tiles per task)", "LoRAFusion"):
        assert all(request.cells_rewritten == 0 for request in found[name].requests)
    own, shared = found["LoRA (tiles per task)"], found["LoRA (tiles)"]
    assert [step.tiles for step in shared.steps] == [shared.steps[0].tiles] * 3
    grown = [step.tiles for step in own.steps]
    assert grown[2] - grown[1] == grown[1] - grown[0] > 0
    assert found["LoRAFusion"].requests[0].switching_energy_J > 0
    # the memory of what was learned grows with every new task, and not with one that is learned once more
    memory = [step.sram_bytes for step in shared.steps]
    assert memory[0] < memory[1] == memory[2]


def test_what_is_kept_is_not_forgotten(results: list[StreamResult]) -> None:
    for name, one in by_name(results).items():
        second = one.seeds[0].steps[1]
        assert list(second.accuracies_of_earlier) == [TASKS[0]]
        assert second.forgetting == pytest.approx(one.seeds[0].steps[0].accuracy - second.accuracy_of_earlier)
        if name in ("LoRAFusion", "LoRA (tiles per task)"):
            assert abs(second.forgetting) < 0.06  # other read noise alone
    assert one.seeds[0].steps[0].accuracy_of_earlier is None


def test_the_bill_and_the_wear_only_grow(results: list[StreamResult]) -> None:
    for one in results:
        events = [*one.seeds[0].steps, *one.seeds[0].requests]
        for key in ("cumulative_total_energy_J", "cells_written", "time_s", "max_writes_per_cell"):
            numbers = [getattr(event, key) for event in events]
            assert numbers == sorted(numbers)
        for event in events:
            assert event.cumulative_total_energy_J == pytest.approx(sum(event.cumulative_energy_by_phase_J.values()))
            assert event.cumulative_total_energy_J == pytest.approx(
                sum(event.cumulative_energy_by_component_J.values())
            )


@pytest.mark.usefixtures("forked_workers")
def test_any_number_of_workers_and_a_resumed_run_give_the_same_records(
    runs: Path, results: list[StreamResult], tmp_path: Path
) -> None:
    few = [one.stream for one in results[:2]]
    again = run_all(few, workers=2, runs=tmp_path, progress=False)
    assert [one.seeds for one in again] == [one.seeds for one in results[:2]]
    assert run_all(few, workers=1, runs=runs, progress=False) == results[:2]


def test_the_break_even_is_where_the_lines_cross(results: list[StreamResult]) -> None:
    found = by_name(results)
    fused, lora = found["LoRAFusion"], found["LoRA (tiles)"]
    tasks = break_even(fused, lora)
    assert tasks == pytest.approx(fused.once / lora.per_task) and tasks > 3
    assert break_even(lora, fused) is None or break_even(lora, fused) == 0.0
    assert any("LoRAFusion costs less after" in said for said in StreamReport(results).break_evens())


def test_a_stream_ends_when_its_cells_do(tmp_path: Path) -> None:
    """Cells that live for a dozen writes fail where LoRA writes them; what writes none goes on."""
    tired = with_endurance(Hardware.load("milo2021_128x128"), 12.0)
    assert "changed" in tired.name and tired.device.lifetime is not None
    common = {"tasks": ("occlude",), "hardware": tired, "rounds": 6, "seeds": (0,)}
    writes = Stream(method=LoRA(steps=20, learning_rate=0.0086, b_range=0.52), until_failure=0.1, **common)  # type: ignore[arg-type]
    (record,) = writes.run(tmp_path).seeds
    failed = [step.failed_cells for step in record.steps]
    assert failed == sorted(failed) and failed[-1] > 0
    kept = Stream(method=LinearProbe(steps=4), until_failure=0.1, **common)  # type: ignore[arg-type]
    (still,) = kept.run(tmp_path).seeds
    assert len(still.steps) == 6 and not still.failed
    # every round draws the same images again
    assert max(step.accuracy for step in still.steps) - min(step.accuracy for step in still.steps) < 0.06


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"tasks": ("oclude",)}, "did you mean 'occlude'"),
        ({"tasks": ()}, "tasks"),
        ({"requests": ("flipud+blur",)}, "none of the tasks that the stream learns"),
        ({"own_tiles": ("lorra",)}, "did you mean 'lora'"),
        ({"rounds": 0}, "rounds"),
        ({"until_failure": -0.1}, "until_failure"),
    ],
)
def test_a_stream_that_cannot_be_is_refused(change: dict[str, object], why: str) -> None:
    with pytest.raises(SpecError, match=why):
        comparison(**change).streams()


def test_tasks_of_other_models_do_not_fit_on_one_chip() -> None:
    def data(seed: int) -> tuple[object, object]:
        import torch

        generator = torch.Generator().manual_seed(seed)
        return torch.randn(20, 6, generator=generator), torch.arange(20) % 3

    tasks = tuple(Task.of(name, data(0), data(1)) for name in ("a", "b"))
    problem = Problem("two", lambda task: tiny_net(seed=int(task.name == "b")), tasks)
    with pytest.raises(ProblemError, match="start from different models"):
        Stream(method=LinearProbe(steps=1), problem=problem, tasks=("a", "b"), seeds=(0,)).run()


def test_the_files_that_ship_are_whole_and_can_be_cut() -> None:
    shipped = load_streams("digits")
    assert len(shipped.tasks) == 10 and {"lora", "lorafusion"} <= {method.name for method in shipped.methods}
    assert len(shipped.streams()) == len(shipped.methods) + 1
    few = choose(shipped, tasks=12, methods=("lora",), quick=True)
    assert len(few.tasks) == 12 and few.tasks[4] == few.tasks[0]
    assert {method.name for method in few.methods} == {"lora"} and few.seeds == (0,)
    with pytest.raises(SpecError, match="did you mean 'lora'"):
        choose(shipped, methods=("lorra",))
    with pytest.raises(SpecError, match="1 to"):
        choose(shipped, tasks=0)


def test_a_report_of_streams_stands_alone(results: list[StreamResult], tmp_path: Path) -> None:
    report = StreamReport(results)
    page = report.save(tmp_path / "stream.html").read_text()
    assert "http-equiv" not in page and "<script" not in page and page.count("<svg") == 3
    for name in by_name(results):
        assert name in page and name in report.table()
    assert len(report.save_figures(tmp_path / "figures")) == 6
    with pytest.raises(ReportError, match="at least one"):
        StreamReport([])


def test_the_command_prints_a_table_and_writes_flat_records(
    runs: Path, results: list[StreamResult], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = tmp_path / "mine.toml"
    suite.write_text(
        'name = "mine"\nseeds = [0]\ntasks = ["fliplr+dim", "occlude", "fliplr+dim"]\n'
        'requests = ["occlude", "fliplr+dim"]\nmethods = [{ name = "lora", steps = 4 }]\n'
    )
    arguments = ["stream", str(suite), "--runs", str(runs), "--json", str(tmp_path / "s.json")]
    main([*arguments, "--csv", str(tmp_path / "s.csv"), "--figure", str(tmp_path / "s.svg")])
    assert "LoRA (tiles)" in capsys.readouterr().out
    records = json.loads((tmp_path / "s.json").read_text())
    assert [record["index"] for record in records] == [0, 1, 2]
    promised = {"method", "task", "index", "accuracy", "accuracy_of_earlier", "cumulative_reprogramming_energy_J"}
    promised |= {"cumulative_pool_energy_J", "cells_written", "max_writes_per_cell", "sram_bytes", "time_s", "seed"}
    assert all(promised <= set(record) for record in records)
    lines = (tmp_path / "s.csv").read_text().splitlines()
    assert lines[0].split(",")[:2] == ["method", "problem"] and len(lines) == 4
    assert (tmp_path / "s.svg").read_text().startswith("<svg")
