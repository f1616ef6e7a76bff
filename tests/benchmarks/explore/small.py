"""A small problem for explorations: three linear layers and forty samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from benchmarks.explore.exploration import Exploration
from benchmarks.problems.problem import Problem, Task
from crossbar_sim import Hardware
from peft_methods import LoRA
from tests.conftest import tiny_net

TILE = {"tile.rows": [4, 8, 16], "tile.columns": "tile.rows"}
BITS = {"adc.bits": {"from": 4, "to": 7}}
ERROR = {"device.programming_error": {"from": 0.5, "to": 4, "times": True, "log": True}}


def problem() -> Problem:
    """Which of three inputs is the largest."""
    drawn = torch.Generator().manual_seed(0)
    x = torch.randn(80, 6, generator=drawn)
    data = x[:40], x[:40, :3].argmax(1)
    task = Task.of("largest", data, (x[40:], x[40:, :3].argmax(1)), data)
    return Problem("tiny", tiny_net(), tasks=(task,), shots_per_class=4)


def exploration(**changes: Any) -> Exploration:
    """Twelve designs on two rungs, two steps in all."""
    stated: dict[str, Any] = {
        "name": "small",
        "vary": TILE | BITS,
        "problem": problem(),
        "hardware": Hardware.load("milo2021_128x128"),
        "method": LoRA(rank=1, steps=2),
        "tasks": ("largest",),
        "seeds": (0, 1),
        "rungs": ({"steps": 1, "seeds": 1}, {}),
        "search": {"designs": 12, "batch": 4},
        "pilot": 3,
    }
    return Exploration(**{**stated, **changes})


def of_chips(**changes: Any) -> Exploration:
    """Judged by the datasheet alone: designs that take a millisecond each."""
    stated: dict[str, Any] = {
        "vary": {
            "tile.rows": {"from": 16, "to": 300},
            "tile.columns": {"from": 16, "to": 300},
            "adc.bits": {"from": 3, "to": 10},
            "adc.columns_per_adc": [1, 2, 4, 8, 16, 32],
        },
        "objectives": {"array_operations_per_J": "max", "chip_operations_per_s": "max"},
        "search": {"designs": 48, "batch": 8, "sampler": "nsga2"},
    }
    return exploration(**{**stated, **changes})


def content(folder: Path) -> dict[str, bytes]:
    """Everything that an exploration wrote, but for what says how long it took."""
    return {
        str(path.relative_to(folder)): b"" if path.name.startswith("seed_") else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
