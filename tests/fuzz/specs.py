"""Chip designs with fields at random and extreme values: built, mapped, read, trained on, aged, printed, saved."""

from __future__ import annotations

import math
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import nn

from crossbar_sim import Chip, DeviceModel, Hardware, map_model
from crossbar_sim.devices import device_names
from crossbar_sim.hardware.hardware import hardware_names
from crossbar_sim.ledger.datasheet import datasheet
from crossbar_sim.spec.spec import Spec
from tests.conftest import OTHER_EFFECTS
from tests.fuzz.draw import at, changed, pick, places, put
from tests.fuzz.run import Unsound


def words(annotation: Any) -> list[str]:
    """Every word that a type allows, Literals inside unions too."""
    return [word for part in get_args(annotation) for word in ([part] if isinstance(part, str) else words(part))]


@cache
def words_of() -> dict[str, list[str]]:
    """By field name, the words that it takes in any part of a design."""
    found: dict[str, list[str]] = {}
    kinds: list[type[Spec]] = [Spec]
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        for name, field in kind.model_fields.items():
            found.setdefault(name, []).extend(words(field.annotation))
    return found


def drawn(draw: np.random.Generator) -> dict[str, Any]:
    """The document of a shipped design with one to three of its fields changed."""
    design = Hardware.load(pick(draw, hardware_names()))
    document = design.model_dump(mode="json")
    if draw.random() < 0.4:
        document["device"] = DeviceModel.load(pick(draw, device_names())).model_dump(mode="json")
    for _ in range(int(draw.integers(1, 4))):
        ways = [way for way in places(document) if "provenance" not in way or draw.random() < 0.02]
        part = pick(draw, ["device", "tile", "adc", "dac", "digital", ""])
        own = [way for way in ways if way[0] == part] or [way for way in ways if len(way) == 1]
        way = pick(draw, own)
        known = words_of().get(str(way[-1]), [])
        effect = OTHER_EFFECTS.get(str(way[-1]))
        if known and draw.random() < 0.8:
            value: Any = pick(draw, known)
        elif effect is not None and draw.random() < 0.5:
            value = dict(effect)
        else:
            value = changed(draw, at(document, way))
        put(document, way, value)
    return document


def specs(draw: np.random.Generator, folder: Path) -> None:
    """One design, through everything that a chip does."""
    document = drawn(draw)
    hardware = Hardware(**document)
    again = Hardware.from_document(tomllib.loads(hardware.to_toml()), "again")
    if again.digest() != hardware.digest():
        raise Unsound(f"TOML gives another design back: {hardware.name}")
    str(hardware), str(datasheet(hardware)), hardware.provenance()
    torch.manual_seed(int(draw.integers(2**31)))
    model = nn.Sequential(nn.Linear(20, 12))
    chip = map_model(model, hardware, seed=int(draw.integers(2**31)))
    x = torch.randn(3, 20, requires_grad=True)
    use(model, x)
    matrix = next(iter(chip.matrices.values()))
    with torch.no_grad():
        matrix.master[3:5] *= -0.9
    matrix.program()
    chip.wait(float(10.0 ** draw.uniform(-3, 8)))
    use(model, x)
    check_bill(chip)
    str(chip.plan), str(chip.ledger), chip.energy_by_tile()
    if draw.random() < 0.3:
        travel(chip, model, x, folder)


def use(model: nn.Module, x: torch.Tensor) -> None:
    """A read and its backward read; both finite."""
    y = model(x)
    if not bool(y.isfinite().all()):
        raise Unsound("an output is not finite")
    (gradient,) = torch.autograd.grad(y.square().mean(), x)
    if not bool(gradient.isfinite().all()):
        raise Unsound("a gradient is not finite")


def check_bill(chip: Chip) -> None:
    """Energies, times and counts are finite and not negative."""
    for row in chip.ledger.rows():
        for key, value in row.items():
            if isinstance(value, int | float) and not (math.isfinite(value) and value >= 0):
                raise Unsound(f"the ledger has {key} = {value} for {row['component']}")


def travel(chip: Chip, model: nn.Module, x: torch.Tensor, folder: Path) -> None:
    """A chip that is saved and loaded reads as the one that was not."""
    chip.save(folder / "chip")
    other = nn.Sequential(nn.Linear(20, 12))
    Chip.load(folder / "chip", other)
    with torch.no_grad():
        if not torch.equal(model(x), other(x)):
            raise Unsound("the loaded chip reads otherwise")
