"""Tasks: the 1797 digits of scikit-learn seen through domain shifts.

Images are split once into five disjoint parts. `base` trains the backbone on unshifted digits, `source` trains one
LoRA module of the pool per source task, `target` is where few-shot training images of a task are drawn, `validation`
chooses hyper-parameters and `test` is only reported.

A source task is a single shift. A related target composes two shifts of which the pool knows each alone; an unrelated
target is a shift that no source resembles. Targets never enter the pool.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional

from benchmarks.problems.problem import TaskData, TaskKind
from crossbar_sim import CrossbarError
from crossbar_sim.spec.spec import nearest
from peft_methods.training.samples import Samples

CLASSES = 10
SPLIT_SIZES = {"target": 160, "base": 600, "source": 500, "test": 400, "validation": 137}
SHOTS_PER_CLASS_LIMIT = SPLIT_SIZES["target"] // CLASSES

Transform = Callable[[Tensor, np.random.RandomState], Tensor]
"""Images (n, 8, 8) in [0, 1] and a stream of random numbers in; images of the same shape out."""


class TaskError(CrossbarError, ValueError):
    """A task, seed or number of shots that does not exist."""


@dataclass(frozen=True)
class DigitTask:
    """Digits under one shift; `kind` says how the task stands to the pool."""

    name: str
    kind: TaskKind
    transform: Transform


def rot90(images: Tensor, _: np.random.RandomState) -> Tensor:
    """Turn by 90 degrees counter-clockwise."""
    return torch.rot90(images, 1, (1, 2))


def rot180(images: Tensor, _: np.random.RandomState) -> Tensor:
    """Turn by 180 degrees."""
    return torch.rot90(images, 2, (1, 2))


def rot270(images: Tensor, _: np.random.RandomState) -> Tensor:
    """Turn by 90 degrees clockwise."""
    return torch.rot90(images, 3, (1, 2))


def fliplr(images: Tensor, _: np.random.RandomState) -> Tensor:
    """Mirror left and right."""
    return images.flip(2)


def flipud(images: Tensor, _: np.random.RandomState) -> Tensor:
    """Mirror up and down."""
    return images.flip(1)


def transpose(images: Tensor, _: np.random.RandomState) -> Tensor:
    """Exchange rows and columns of the image."""
    return images.transpose(1, 2).contiguous()


def invert(images: Tensor, _: np.random.RandomState) -> Tensor:
    """Dark ink on a bright page: 1 - image."""
    return 1 - images


def dim(images: Tensor, _: np.random.RandomState) -> Tensor:
    """Three tenths of the brightness."""
    return 0.3 * images


def blur(images: Tensor, _: np.random.RandomState) -> Tensor:
    """Mean over 3 x 3 pixels, black outside the image."""
    return functional.avg_pool2d(images[:, None], 3, stride=1, padding=1)[:, 0]


def noise(images: Tensor, stream: np.random.RandomState) -> Tensor:
    """Add Gaussian noise of standard deviation 0.25 to every pixel, then clip to [0, 1]."""
    drawn = torch.from_numpy(stream.standard_normal(tuple(images.shape))).to(images.dtype)
    return (images + 0.25 * drawn).clamp(0, 1)


def shift(images: Tensor, _: np.random.RandomState) -> Tensor:
    """Move by one pixel right and one down; black enters, the last row and column leave."""
    return functional.pad(images, (1, 0, 1, 0))[:, :-1, :-1]


def thicken(images: Tensor, _: np.random.RandomState) -> Tensor:
    """Bolder strokes: the maximum over 2 x 2 pixels (grey dilation)."""
    return functional.max_pool2d(functional.pad(images, (1, 0, 1, 0))[:, None], 2, stride=1)[:, 0]


def occlude(images: Tensor, _: np.random.RandomState) -> Tensor:
    """Black out the three upper rows."""
    return images * (torch.arange(images.shape[1]) > 2)[:, None]


def shuffle_patches(images: Tensor, _: np.random.RandomState) -> Tensor:
    """Put the sixteen 2 x 2 patches of every image in another order, the same for all images."""
    order = torch.from_numpy(np.random.RandomState(7).permutation(16))
    patches = images.reshape(-1, 4, 2, 4, 2).transpose(2, 3).reshape(-1, 16, 2, 2)
    return patches[:, order].reshape(-1, 4, 4, 2, 2).transpose(2, 3).reshape(-1, 8, 8)


def compose(first: Transform, second: Transform) -> Transform:
    """Apply `first`, then `second`, on one stream of random numbers."""
    return lambda images, stream: second(first(images, stream), stream)


_ALL_TASKS = (
    DigitTask("rot90", "source", rot90),
    DigitTask("rot180", "source", rot180),
    DigitTask("rot270", "source", rot270),
    DigitTask("fliplr", "source", fliplr),
    DigitTask("flipud", "source", flipud),
    DigitTask("transpose", "source", transpose),
    DigitTask("invert", "source", invert),
    DigitTask("dim", "source", dim),
    DigitTask("blur", "source", blur),
    DigitTask("noise", "source", noise),
    DigitTask("shift", "source", shift),
    DigitTask("thicken", "source", thicken),
    DigitTask("fliplr+dim", "related", compose(fliplr, dim)),
    DigitTask("flipud+blur", "related", compose(flipud, blur)),
    DigitTask("rot180+noise", "related", compose(rot180, noise)),
    DigitTask("rot90+invert", "related", compose(rot90, invert)),
    DigitTask("transpose+thicken", "related", compose(transpose, thicken)),
    DigitTask("rot270+dim", "related", compose(rot270, dim)),
    DigitTask("occlude", "unrelated", occlude),
    DigitTask("shuffle_patches", "unrelated", shuffle_patches),
)
TASKS: dict[str, DigitTask] = {task.name: task for task in _ALL_TASKS}


def get_task(name: str) -> DigitTask:
    """The task called `name`; TaskError names the nearest."""
    if name not in TASKS:
        raise TaskError(f"no task '{name}'{nearest(name, list(TASKS))}")
    return TASKS[name]


def base_data() -> TaskData:
    """Unshifted digits: the 600 images of the base split, with unshifted validation and test images."""
    return _task_data(None, "base", None)


def source_data(task: DigitTask) -> TaskData:
    """All 500 images of the source split under a source task, to train one module of the pool.

    TaskError for a target task: a pool that has seen it would measure nothing.
    """
    if task.kind != "source":
        raise TaskError(
            f"task '{task.name}' is a target ({task.kind}) and must stay out of the pool; train the pool on source "
            f"tasks: {', '.join(t.name for t in _ALL_TASKS if t.kind == 'source')}"
        )
    return _task_data(task, "source", None)


def few_shot(task: DigitTask, shots_per_class: int, seed: int) -> TaskData:
    """`shots_per_class` training images of each class from the target split, 1 to 16.

    The choice follows `seed` alone, so every task and every method of one seed sees the same digits. Validation and
    test images are whole splits. TaskError for a count or seed out of range.
    """
    if not 1 <= shots_per_class <= SHOTS_PER_CLASS_LIMIT:
        raise TaskError(
            f"shots_per_class is {shots_per_class}; the target split has {SHOTS_PER_CLASS_LIMIT} images of each "
            f"class, so choose 1 to {SHOTS_PER_CLASS_LIMIT}"
        )
    if not 0 <= seed < 2**32:
        raise TaskError(f"seed is {seed}; choose an integer from 0 to 2**32 - 1")
    stream = np.random.RandomState(seed)
    _, labels = _split("target")
    chosen = [stream.permutation(np.flatnonzero(labels.numpy() == label))[:shots_per_class] for label in range(CLASSES)]
    return _task_data(task, "target", torch.from_numpy(np.concatenate(chosen)))


def _task_data(task: DigitTask | None, train_split: str, chosen: Tensor | None) -> TaskData:
    train = Samples(*_shifted(task, train_split))
    if chosen is not None:
        train = train.take(chosen)
    return TaskData(train, Samples(*_shifted(task, "validation")), Samples(*_shifted(task, "test")))


def _shifted(task: DigitTask | None, split: str) -> tuple[Tensor, Tensor]:
    """A whole split under `task`; its random numbers depend on task and split alone."""
    images, labels = _split(split)
    if task is not None:
        key = hashlib.sha256(f"{task.name}/{split}".encode()).digest()[:4]
        images = task.transform(images, np.random.RandomState(int.from_bytes(key, "little")))
    return images.clone(), labels.clone()


@cache
def _split(name: str) -> tuple[Tensor, Tensor]:
    """Images and labels of one split, cut from an order in which the ten classes take turns."""
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(labels))
    turn = np.empty(len(labels), dtype=int)
    for label in range(CLASSES):
        members = order[labels[order] == label]
        turn[members] = np.arange(len(members))
    order = np.lexsort((labels, turn))
    names = list(SPLIT_SIZES)
    start = sum(SPLIT_SIZES[earlier] for earlier in names[: names.index(name)])
    rows = order[start : start + SPLIT_SIZES[name]]
    images = torch.from_numpy(pixels[rows].reshape(-1, 8, 8) / 16.0).to(torch.float32)
    return images, torch.from_numpy(labels[rows]).to(torch.int64)
