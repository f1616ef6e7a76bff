"""Methods on small models: hostile settings, targets, data and values; attached, trained, detached, each twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crossbar_sim import CrossbarError, Hardware, map_model
from peft_methods import METHODS, Adapter, Method, accuracy, fine_tune
from peft_methods.checkpoints.pool import Pool
from peft_methods.methods.pooled import with_pool
from peft_methods.saving import load_native, save_native
from tests.conftest import tiny_net, tiny_pool, tiny_transformer
from tests.fuzz.draw import changed, pick
from tests.fuzz.run import Unsound

SETTINGS: dict[str, dict[str, Any]] = {"adapters": {"targets": ("mlp",)}, "ia3": {"targets": ("query",)}}
TARGETS = (None, (), ("",), ("*",), ("query",), ("no such layer",), ("head",), ("blocks.0.*",), ("norm",), "query", 3)
SEEDS = (0, 1, 2**31, 2**64, -1)


def method_of(draw: np.random.Generator) -> Method:
    """A method with some of its settings changed."""
    kind = METHODS[pick(draw, sorted(METHODS))]
    settings: dict[str, Any] = {"steps": 2, "batch_size": 3, **SETTINGS.get(kind.name, {})}
    if draw.random() < 0.6:
        for _ in range(int(draw.integers(1, 3))):
            name = pick(draw, sorted(kind.model_fields))
            default = kind.model_fields[name].default
            settings[name] = pick(draw, TARGETS) if "targets" in name else changed(draw, default)
    if isinstance(settings["steps"], int) and settings["steps"] > 50:
        settings["steps"] = 2
    return kind(**settings)


def data(draw: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Images and labels; hostile ones now and then."""
    count = pick(draw, [0, 1, 5, 5, 5, 5])
    images = torch.from_numpy(draw.standard_normal((count, 4, 4))).float()
    labels = torch.from_numpy(draw.integers(0, 3, count))
    kind = pick(draw, ["plain"] * 8 + ["nan", "huge", "shape", "labels", "complex", "count"])
    if kind == "nan" and count:
        images[0, 0, 0] = float("nan")
    elif kind == "huge":
        images *= 1e38
    elif kind == "shape":
        images = images[:, :3]
    elif kind == "labels":
        labels = labels + pick(draw, [5, -5])
    elif kind == "complex":
        images = images.to(torch.complex64)
    elif kind == "count":
        labels = labels[:-1]
    return images, labels


def flat(images: Tensor) -> Tensor:
    """For the net of linear layers: six numbers of each image."""
    return images.flatten(1)[:, :6]


def state_of(model: nn.Module) -> dict[str, Any]:
    """What `detach` must give back."""
    return {
        "layers": {name: id(module) for name, module in model.named_modules()},
        "values": {name: value.clone() for name, value in model.state_dict().items()},
        "flags": {name: parameter.requires_grad for name, parameter in model.named_parameters()},
    }


def same(one: dict[str, Any], other: dict[str, Any]) -> str:
    """What differs; '' if nothing."""
    for key in ("layers", "flags"):
        if one[key] != other[key]:
            return key
    values = other["values"]
    if one["values"].keys() != values.keys():
        return "the names of tensors"
    return next((name for name, value in one["values"].items() if not torch.equal(value, values[name])), "")


def adapters(draw: np.random.Generator, folder: Path) -> None:
    """One method on one model."""
    transformer = draw.random() < 0.7
    model: nn.Module = tiny_transformer() if transformer else tiny_net()
    pool = tiny_pool(model)
    chip = None
    if draw.random() < 0.6:
        chip = map_model(model, Hardware.load(pick(draw, ["milo2021_128x128", "wan2022_256x256"])))
    before = state_of(model)
    try:
        method = with_pool(method_of(draw), lambda: pick(draw, [pool, pool, hostile_pool(draw, pool)]))
        adapter = method.attach(model, chip, pick(draw, SEEDS) if draw.random() < 0.2 else 0)
    except CrossbarError:
        if found := same(before, state_of(model)):
            raise Unsound(f"a refused attach changed {found}") from None
        raise
    try:
        train(draw, model, adapter, transformer, folder)
    finally:
        adapter.detach()
        if chip is None and (found := same(before, state_of(model))):
            raise Unsound(f"{method.display_name}: detach did not give back {found}")
    refuses(adapter.detach, "a second detach")
    method.attach(model, chip).detach()


def hostile_pool(draw: np.random.Generator, pool: Pool) -> Pool:
    """A pool with one tensor changed."""
    member = pool.members[0]
    name = pick(draw, sorted(member.a))
    member.a[name] = member.a[name].clone() * pick(draw, [float("nan"), float("inf"), 3e38, 0.0])
    return Pool(pool.members)


def train(draw: np.random.Generator, model: nn.Module, adapter: Adapter, images_in: bool, folder: Path) -> None:
    """Train, save, load and read; the method itself refuses a second one."""
    refuses(lambda: adapter.method.attach(model, adapter.chip if adapter.chip.matrices else None), "a second attach")
    if draw.random() < 0.3:
        loaded(draw, adapter)
    images, labels = data(draw)
    x = images if images_in else flat(images)
    history = fine_tune(model, adapter, x, labels)
    if not all(np.isfinite(history.loss)):
        raise Unsound("a loss is not finite")
    with torch.no_grad():
        y = model(x)
    if not bool(y.isfinite().all()):
        raise Unsound("the trained model gives NaN or infinity")
    accuracy(model, x, labels)
    if draw.random() < 0.3:
        save_native(folder / "saved", adapter, "tiny")
        refuses(lambda: load_native(folder / "saved", model), "loading onto a model with a method")


def loaded(draw: np.random.Generator, adapter: Adapter) -> None:
    """Values from outside, some of them hostile."""
    values = {name: value.detach().clone() for name, value in adapter.trained_by_name().items()}
    if values:
        name = pick(draw, sorted(values))
        kind = pick(draw, ["same", "missing", "shape", "nan", "unknown", "type"])
        if kind == "missing":
            del values[name]
        elif kind == "shape":
            values[name] = torch.zeros(*values[name].shape, 2)
        elif kind == "nan":
            values[name] = torch.full_like(values[name], float("nan"))
        elif kind == "unknown":
            values["no such tensor"] = torch.zeros(1)
        elif kind == "type":
            values[name] = values[name].double()
    adapter.load(values)


def refuses(act: Any, what: str) -> None:
    """What must be refused."""
    try:
        act()
    except CrossbarError:
        return
    raise Unsound(f"{what} is not refused")
