"""A path is a str or a Path at every public door."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import crossbar_sim
import peft_methods
from benchmarks.problems.model_file import read_model
from benchmarks.reporting.figures.draw import draw_to
from benchmarks.reporting.report import Report
from crossbar_sim import Chip, DeviceModel, Hardware, Ledger, map_model
from crossbar_sim.devices.fit import example
from crossbar_sim.devices.pulse_data import read_pulses
from crossbar_sim.library import shelf_path
from peft_methods import LoRA, LoRAFusion, Pool
from peft_methods.checkpoints.lora import load_lora, save_lora
from peft_methods.checkpoints.pool import find_pool
from peft_methods.checkpoints.prompts import load_prompts, save_prompts
from peft_methods.checkpoints.vera import VeRAWeights, load_vera, save_vera
from peft_methods.saving import load_native, save_native
from tests.benchmarks.reporting.results import make_result
from tests.conftest import tiny_net, tiny_pool

Place = str | Path


def chip(folder: Place) -> None:
    map_model(tiny_net(), "milo2021_128x128").save(folder)
    Chip.load(folder, tiny_net())


def ledger(path: Place) -> None:
    Ledger().to_csv(path)
    Ledger().to_json(path)
    Ledger.from_json(path)


def toml(path: Place) -> None:
    Path(path).write_text(DeviceModel.load("wan2022").to_toml())
    DeviceModel.from_toml(path)
    path = f"{path}.toml" if isinstance(path, str) else path.with_suffix(".toml")
    Path(path).write_text(Hardware.load(shelf_path("hardware", "hermes")).to_toml())
    Hardware.load(path)
    Hardware.from_toml(path)
    map_model(tiny_net(), path)


def pulses(path: Place) -> None:
    Path(path).write_text(example("wu2018", 2))
    read_pulses(path)


def model_file(path: Place) -> None:
    Path(path).write_text('name = "m"\ntokens = 2\n[[layers]]\nname = "l"\ninputs = 4\noutputs = 4\n')
    read_model(path)


def lora(folder: Place) -> None:
    save_lora(folder, tiny_pool(tiny_net()).members[0], "tiny")
    load_lora(folder)


def vera(folder: Place) -> None:
    a, b, ones = torch.ones(2, 3), torch.ones(4, 2), {"m": torch.ones(2)}
    save_vera(folder, VeRAWeights("v", a, b, ones, ones), "tiny")
    load_vera(folder)


def prompts(folder: Place) -> None:
    save_prompts(folder, torch.ones(2, 3), "tiny")
    load_prompts(folder)


def native(folder: Place) -> None:
    save_native(folder, LoRA(rank=2).attach(tiny_net()), "tiny")
    load_native(folder, tiny_net())


def pool(folder: Place) -> None:
    for weights in tiny_pool(tiny_net()).members:
        save_lora(Path(folder) / weights.name, weights, "tiny")
    assert Pool.load(folder) == find_pool(folder)
    LoRAFusion(pool=folder).attach(tiny_net())  # type: ignore[arg-type]


def report(path: Place) -> None:
    Report([make_result("LoRA (SRAM)")]).save(path)


def figure(path: Place) -> None:
    draw_to(f"{path}.svg" if isinstance(path, str) else path.with_suffix(".svg"), DeviceModel.load("wan2022"))


DOORS = (chip, ledger, toml, pulses, model_file, lora, vera, prompts, native, pool, report, figure)


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_a_path_is_text_or_a_path(door: Callable[[Place], None], kind: type[Any], tmp_path: Path) -> None:
    door(kind(tmp_path / "there"))


def public(found: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    """A function, or the public methods of a class."""
    if inspect.isclass(found):
        for key, method in inspect.getmembers(found, lambda one: inspect.isfunction(one) or inspect.ismethod(one)):
            if not key.startswith("_"):
                yield f"{found.__name__}.{key}", method
    elif inspect.isfunction(found):
        yield found.__name__, found


@pytest.mark.parametrize(
    "found", [Report, *(getattr(storey, name) for storey in (crossbar_sim, peft_methods) for name in storey.__all__)]
)
def test_no_name_at_the_root_takes_a_path_and_no_text(found: Any) -> None:
    for name, function in public(found):
        wanted = {hint for key, hint in function.__annotations__.items() if key != "return"}
        assert not wanted & {"Path", "Path | None"}, f"{name} takes a Path and no str"
