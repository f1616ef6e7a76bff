"""Training a pool: one module per source task, kept one by one, whole or not there, never trained twice."""

from pathlib import Path

import pytest
import torch

from benchmarks.problems import train_pool as training_of_pools
from benchmarks.problems.pool_training import PoolTraining
from benchmarks.problems.pools import folder_for
from benchmarks.problems.problem import Problem, ProblemError, Task
from benchmarks.problems.train_pool import train_pool
from peft_methods import LoRA, LoRAFusion, Pool
from tests.conftest import tiny_net

SETTINGS = PoolTraining(LoRA(rank=2, placement="sram", train_head=True, steps=3), samples=20)


def silent(_: str) -> None:
    """Say nothing."""


def task(name: str, kind: str = "source") -> Task:
    generator = torch.Generator().manual_seed(len(name))
    x = torch.randn(40, 6, generator=generator)
    return Task.of(name, (x[:30], torch.arange(30) % 3), (x[30:], torch.arange(10) % 3), kind=kind)  # type: ignore[arg-type]


def problem(folder: Path, *tasks: Task, training: PoolTraining | None = SETTINGS) -> Problem:
    given = tasks or (task("a"), task("bb"), task("ccc", "related"))
    return Problem("tiny", tiny_net(), given, pool=folder / "pool", pool_training=training)


def test_every_source_task_gets_a_module_and_no_target_does(tmp_path: Path) -> None:
    scores = train_pool(problem(tmp_path), say=silent)
    pool = Pool.load(tmp_path / "pool")
    assert pool.names == ("a", "bb") == tuple(scores) and pool.rank == 2
    assert all(member.b[module].any() for member in pool.members for module in pool.modules)
    assert [path.name for path in tmp_path.iterdir()] == ["pool"]


def test_all_modules_start_alike_and_come_out_the_same_again(tmp_path: Path) -> None:
    train_pool(problem(tmp_path / "one"), say=silent)
    train_pool(problem(tmp_path / "two"), say=silent)
    assert Pool.load(tmp_path / "one" / "pool") == Pool.load(tmp_path / "two" / "pool")


def test_what_is_trained_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = train_pool(problem(tmp_path), say=silent)
    monkeypatch.setattr(training_of_pools, "fine_tune", None)
    assert train_pool(problem(tmp_path), say=silent) == first


def test_what_is_stopped_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[str] = []
    save = training_of_pools.save_lora

    def stopped(folder: Path, *arguments: object) -> None:
        if folder.name == "bb" and len(trained) == 1:
            trained.append("stopped")
            raise KeyboardInterrupt
        trained.append(folder.name)
        save(folder, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(training_of_pools, "save_lora", stopped)
    with pytest.raises(KeyboardInterrupt):
        train_pool(problem(tmp_path), say=silent)
    assert not (tmp_path / "pool").exists()
    train_pool(problem(tmp_path), say=silent)
    assert trained == ["a", "stopped", "bb"]
    assert Pool.load(tmp_path / "pool").names == ("a", "bb")


def test_other_settings_take_the_place_of_the_pool(tmp_path: Path) -> None:
    train_pool(problem(tmp_path), say=silent)
    other = PoolTraining(SETTINGS.method.replace(rank=3), samples=20)
    train_pool(problem(tmp_path), other, say=silent)
    assert Pool.load(tmp_path / "pool").rank == 3


@pytest.mark.parametrize(
    ("tasks", "training", "message"),
    [((task("t", "related"),), SETTINGS, "no source task"), ((task("a"),), None, "no settings to train it with")],
)
def test_what_cannot_be_trained_is_a_sentence(
    tmp_path: Path, tasks: tuple[Task, ...], training: PoolTraining | None, message: str
) -> None:
    with pytest.raises(ProblemError, match=message):
        train_pool(problem(tmp_path, *tasks, training=training), say=silent)


def test_a_method_that_needs_the_pool_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="`xbar problem train-pool tiny`"):
        folder_for(LoRAFusion(), problem(tmp_path))
    assert folder_for(LoRA(), problem(tmp_path)) is None
    train_pool(problem(tmp_path), say=silent)
    assert folder_for(LoRAFusion(), problem(tmp_path)) == tmp_path / "pool"
