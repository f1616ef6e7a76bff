"""Splits, shifts and few-shot draws: disjoint, balanced, repeatable."""

import itertools

import pytest
import torch

from benchmarks.problems.problem import TaskData
from benchmarks.problems.tasks import TASKS, base_data, few_shot, get_task, rot90, source_data
from benchmarks.problems.tasks import shuffle_patches as shuffle

KINDS = {kind: [t for t in TASKS.values() if t.kind == kind] for kind in ("source", "related", "unrelated")}


def rows(images: torch.Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}


def test_splits_have_their_sizes_and_share_no_image() -> None:
    base = base_data()
    source = source_data(get_task("fliplr"))
    target = few_shot(get_task("fliplr"), 16, seed=0)
    splits = {
        "base": base.train.tensor,
        "source": source.train.tensor.flip(2),
        "target": target.train.tensor.flip(2),
        "validation": base.validation.tensor,
        "test": base.test.tensor,
    }
    assert {name: len(images) for name, images in splits.items()} == {
        "base": 600,
        "source": 500,
        "target": 160,
        "validation": 137,
        "test": 400,
    }
    for first, second in itertools.combinations(splits.values(), 2):
        assert not rows(first) & rows(second)


def test_splits_are_balanced_by_class() -> None:
    base, source = base_data(), source_data(get_task("blur"))
    for labels, each in (
        (base.train.labels, 60),
        (source.train.labels, 50),
        (base.test.labels, 40),
    ):
        assert labels.bincount(minlength=10).tolist() == [each] * 10
    assert base.validation.labels.bincount(minlength=10).min() >= 8


def test_there_are_enough_tasks_of_each_kind() -> None:
    assert len(KINDS["source"]) >= 8
    assert len(KINDS["related"]) >= 3
    assert len(KINDS["unrelated"]) >= 2
    for task in KINDS["related"]:
        assert all(TASKS[part].kind == "source" for part in task.name.split("+"))


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_every_shift_changes_images_and_keeps_their_form(task) -> None:
    shifted, plain = few_shot(task, 2, seed=3), few_shot(get_task("fliplr"), 2, seed=3)
    again = few_shot(task, 2, seed=3)
    assert shifted.train.tensor.shape == (20, 8, 8)
    assert shifted.train.tensor.dtype == torch.float32
    assert shifted.train.tensor.min() >= 0
    assert shifted.train.tensor.max() <= 1
    assert torch.equal(shifted.train.tensor, again.train.tensor)
    assert torch.equal(shifted.train.labels, plain.train.labels)
    if task.name != "fliplr":
        assert not torch.equal(shifted.test.tensor, plain.test.tensor)
    assert not torch.equal(shifted.test.tensor, base_data().test.tensor)


@pytest.mark.parametrize("task", KINDS["related"], ids=lambda task: task.name)
def test_related_targets_compose_their_sources(task) -> None:
    first, second = task.name.split("+")
    if second == "noise":
        pytest.skip("a target draws its own noise")
    once = TASKS[first].transform(base_data().test.tensor, None)
    expected = TASKS[second].transform(once, None)
    assert torch.equal(few_shot(task, 1, seed=0).test.tensor, expected)


def test_shifts_do_what_their_names_say() -> None:
    image = torch.arange(64.0).view(1, 8, 8)
    assert rot90(image, None)[0, 0, 0] == image[0, 0, -1]
    shuffled = shuffle(image, None)
    assert sorted(shuffled.flatten().tolist()) == sorted(image.flatten().tolist())
    patches = {tuple(p.flatten().tolist()) for p in image[0].unfold(0, 2, 2).unfold(1, 2, 2).flatten(0, 1)}
    after = {tuple(p.flatten().tolist()) for p in shuffled[0].unfold(0, 2, 2).unfold(1, 2, 2).flatten(0, 1)}
    assert patches == after
    assert not TASKS["occlude"].transform(image, None)[0, :3].any()
    assert TASKS["shift"].transform(image, None)[0, 1, 1] == image[0, 0, 0]


def test_noise_depends_on_task_and_split_only() -> None:
    def noise_of(data: TaskData, plain: TaskData, part: str) -> torch.Tensor:
        return getattr(data, part).tensor - getattr(plain, part).tensor

    source, base = get_task("noise"), base_data()
    large, small = few_shot(source, 16, seed=0), few_shot(source, 2, seed=1)
    assert torch.equal(large.test.tensor, small.test.tensor)
    assert rows(small.train.tensor) <= rows(large.train.tensor)
    test_noise = noise_of(large, base, "test")[:137]
    assert not torch.equal(test_noise, noise_of(large, base, "validation"))
    other = few_shot(get_task("rot180+noise"), 2, seed=0).test.tensor
    assert not torch.equal(torch.rot90(other, 2, (1, 2)), large.test.tensor)


@pytest.mark.parametrize("shots", [1, 5, 16])
def test_few_shot_is_balanced_repeatable_and_paired_across_tasks(shots: int) -> None:
    draws = [few_shot(get_task(name), shots, seed=4) for name in ("fliplr+dim", "occlude")]
    for data in draws:
        assert data.train.labels.bincount(minlength=10).tolist() == [shots] * 10
    assert torch.equal(draws[0].train.labels, draws[1].train.labels)
    fliplr, flipud = (few_shot(get_task(name), shots, seed=4) for name in ("fliplr", "flipud"))
    assert torch.equal(fliplr.train.tensor.flip(2), flipud.train.tensor.flip(1))
    if shots < 16:
        other = few_shot(get_task("fliplr"), shots, seed=5)
        assert not torch.equal(fliplr.train.tensor, other.train.tensor)


def test_returned_tensors_may_be_changed_without_harm() -> None:
    base_data().test.tensor.zero_()
    assert base_data().test.tensor.any()


@pytest.mark.parametrize("shots", [0, 17, -1])
def test_shots_out_of_range(shots: int) -> None:
    with pytest.raises(ValueError, match=f"shots_per_class is {shots}.*choose 1 to 16"):
        few_shot(get_task("occlude"), shots, seed=0)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seed_out_of_range(seed: int) -> None:
    with pytest.raises(ValueError, match=f"seed is {seed}"):
        few_shot(get_task("occlude"), 1, seed)


def test_unknown_task_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"no task 'fliplr\+dum'; did you mean 'fliplr\+dim'\?"):
        get_task("fliplr+dum")


@pytest.mark.parametrize("name", ["fliplr+dim", "occlude"])
def test_targets_stay_out_of_the_pool(name: str) -> None:
    with pytest.raises(ValueError, match="must stay out of the pool"):
        source_data(get_task(name))
