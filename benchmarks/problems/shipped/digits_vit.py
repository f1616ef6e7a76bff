"""`digits_vit`: a small vision transformer on the digits of scikit-learn under domain shifts; ships whole."""

from __future__ import annotations

import hashlib
from functools import cache, partial

from benchmarks.problems.backbones import BACKBONE_FOLDER, VisionTransformer, backbone_path, load_backbone
from benchmarks.problems.catalogue import SHIPPED
from benchmarks.problems.problem import CALIBRATION_SAMPLES, Problem, Task, TaskData
from benchmarks.problems.tasks import CLASSES, SHOTS_PER_CLASS_LIMIT, TASKS, DigitTask, base_data, few_shot, source_data
from peft_methods.training.samples import Samples

NAME = "digits_vit"
SHOTS = 5
UNSHIFTED = DigitTask("digits", "source", lambda images, _: images)
"""What the backbone was trained for: digits without any shift."""


def problem() -> Problem:
    """The backbone that ships, its pool of twelve LoRA modules, and a task for every shift."""
    return Problem(
        name=NAME,
        model=_model,
        tasks=tuple(map(_task, TASKS.values())),
        pool=BACKBONE_FOLDER.parent / "pools" / NAME,
        shots_per_class=SHOTS,
        calibration=_calibration,
        home=_task(UNSHIFTED),
        papers=("alpaydin1998", "dosovitskiy2021"),
        about=SHIPPED[NAME].about,
        weights_digest=_weights_digest,
        reference=NAME,
    )


def _model(_: Task) -> VisionTransformer:
    return load_backbone(NAME)


def _task(task: DigitTask) -> Task:
    def data(shots: int | None, seed: int) -> TaskData:
        if shots is not None:
            return few_shot(task, shots, seed)
        return source_data(task) if task.kind == "source" else few_shot(task, SHOTS_PER_CLASS_LIMIT, seed)

    return Task(
        task.name,
        task.kind,
        data,
        partial(_task_digest, task.name),
        tuple(map(str, range(CLASSES))),
        (task.transform.__doc__ or "").strip().partition("\n")[0],
    )


def _task_digest(name: str) -> str:
    """The splits are made by this package's code from scikit-learn's digits; the record format stands for the code."""
    return hashlib.sha256(f"{NAME}/{name}".encode()).hexdigest()


@cache
def _weights_digest() -> str:
    return hashlib.sha256(backbone_path(NAME).read_bytes()).hexdigest()


def _calibration() -> Samples:
    return base_data().train.take(slice(0, CALIBRATION_SAMPLES))
