"""Weights and inputs that no layer expects: NaN, infinity, zeros, huge numbers, other number types, odd shapes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crossbar_sim import CrossbarError, Hardware, map_model
from crossbar_sim.hardware.hardware import hardware_names
from tests.fuzz.draw import pick
from tests.fuzz.run import Unsound

DTYPES = (torch.float32,) * 5 + (torch.float64, torch.float16, torch.bfloat16, torch.complex64)
REFUSED_ALLOWED = ("nan", "inf", "huge", "complex")


@cache
def designs() -> dict[str, Hardware]:
    """Every shipped design that a small layer is quick on, and variants of one that read in other ways."""
    milo = Hardware.load("milo2021_128x128")
    wired = milo.tile.replace(word_line_resistance=1.0, bit_line_resistance=1.0)
    return {
        **{name: Hardware.load(name) for name in hardware_names()},
        "wires": milo.replace(tile=wired),
        "offset": milo.replace(tile=milo.tile.replace(mapping="offset")),
        "bit serial": milo.replace(dac=milo.dac.replace(drive="bit_serial")),
        "small tiles": milo.replace(tile=milo.tile.replace(rows=8, columns=8)),
        "ideal": milo.ideal(),
        "calibrated drive": milo.replace(dac=milo.dac.replace(range="calibrated")),
    }


def tensor(draw: np.random.Generator, shape: tuple[int, ...]) -> tuple[Tensor, str]:
    """Numbers of some kind, and whether something is wrong with them ('' if not)."""
    values = torch.from_numpy(draw.standard_normal(shape)).float()
    kind = pick(
        draw, ["plain", "plain", "zero", "rows", "tiny", "large", "huge", "nan", "inf", "one value", "denormal"]
    )
    if kind == "zero":
        values.zero_()
    elif kind == "rows" and values.ndim > 1 and values.numel():
        values[int(draw.integers(shape[0]))] = 0
        values[:, int(draw.integers(shape[1])) :] = 0
    elif kind in SCALES:
        values *= SCALES[kind]
    elif kind in ("nan", "inf") and values.numel():
        values.view(-1)[int(draw.integers(values.numel()))] = float(kind) * pick(draw, [1, -1])
    elif kind == "one value":
        values.fill_(pick(draw, [1.0, -3.0, 1e-20]))
    return values, kind if kind in REFUSED_ALLOWED else ""


SCALES = {"tiny": 1e-20, "large": 1e4, "huge": 1e37, "denormal": 1e-41}


def layer(draw: np.random.Generator) -> tuple[nn.Module, tuple[int, ...]]:
    """A small layer and the shape of its input."""
    kind = pick(draw, ["linear", "linear", "convolution", "attention", "recurrent", "cell"])
    batch = pick(draw, [0, 1, 3, 3, 5])
    if kind == "linear":
        return nn.Linear(20, 12, bias=bool(draw.integers(2))), pick(draw, [(batch, 20), (2, batch, 20), (20,), (4, 19)])
    if kind == "convolution":
        return nn.Conv2d(2, 3, 3, padding=1), (batch, 2, 5, 5)
    if kind == "attention":
        return nn.MultiheadAttention(8, 2, batch_first=True), (batch, 4, 8)
    return (nn.GRU(6, 5, batch_first=True), (batch, 4, 6)) if kind == "recurrent" else (nn.LSTMCell(6, 5), (batch, 6))


class Net(nn.Module):
    """A layer of any kind; one tensor in, one out."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.looks_at_itself = isinstance(inner, nn.MultiheadAttention)

    def forward(self, x: Tensor) -> Tensor:
        y: Any = self.inner(x, x, x) if self.looks_at_itself else self.inner(x)
        return y[0] if isinstance(y, tuple) else y


def tensors(draw: np.random.Generator, _: Path) -> None:
    """One layer on one design: mapped, read, read backward, written."""
    inner, shape = layer(draw)
    wrong = []
    with torch.no_grad():
        for parameter in inner.parameters():
            values, what = tensor(draw, tuple(parameter.shape)) if draw.random() < 0.5 else (parameter.clone(), "")
            parameter.copy_(values)
            wrong.append(what)
    dtype = pick(draw, DTYPES)
    if dtype != torch.complex64:
        inner = inner.to(dtype)
    model = Net(inner)
    x, what = tensor(draw, shape)
    digital = twin(model, x, dtype)
    steep = steepest(model, x, dtype)
    chip = map_model(model, pick(draw, list(designs().values())), seed=int(draw.integers(100)))
    good = torch.from_numpy(draw.standard_normal(shape)).to(torch.float32).to(dtype)
    try:
        check(model, x.to(dtype), digital, steep, "the output")
    except CrossbarError:
        plain = not what and not any(wrong) and dtype != torch.complex64 and shape[-1] != 19
        if plain and digital is not None and bool(digital.isfinite().all()):
            raise Unsound(f"plain numbers of {dtype} and shape {shape} are refused") from None
    if dtype == torch.complex64 or shape[-1] == 19:
        return
    check(model, good, digital if not what else None, steep, "the output of plain numbers afterwards")
    written(draw, chip)


def twin(model: nn.Module, x: Tensor, dtype: torch.dtype) -> Tensor | None:
    """What torch gives; None where torch refuses."""
    try:
        with torch.no_grad():
            y: Tensor = model(x.to(dtype))
            return y
    except (RuntimeError, ValueError, IndexError):
        return None


def steepest(model: nn.Module, x: Tensor, dtype: torch.dtype) -> float:
    """The largest gradient that torch gives; infinity where torch refuses."""
    x = x.to(dtype).requires_grad_(True)
    try:
        (gradient,) = torch.autograd.grad(model(x).sum(), x)
    except (RuntimeError, ValueError, IndexError):
        return float("inf")
    return float(gradient.abs().nan_to_num(torch.inf).max()) if gradient.numel() else 0.0


def check(model: nn.Module, x: Tensor, digital: Tensor | None, steep: float, what: str) -> None:
    """Read and read backward; the output has the type of the digital one, and it and the gradient are finite where
    those have room: in their type, and in the float32 that tiles are read in."""
    x = x.detach().clone().requires_grad_(True)
    y = model(x)
    if digital is not None and y.dtype != digital.dtype:
        raise Unsound(f"{what} is {y.dtype}, the digital one {digital.dtype}")
    room = min(torch.finfo(y.dtype).max, torch.finfo(torch.float32).max) / 1e3
    fits = digital is not None and bool(digital.abs().le(room).all()) and bool(x.abs().le(room).all())
    if fits and not bool(y.isfinite().all()):
        raise Unsound(f"{what} is not finite, the digital one is")
    if y.numel():
        (gradient,) = torch.autograd.grad(y.sum(), x)
        if fits and steep <= room and not bool(gradient.isfinite().all()):
            raise Unsound(f"the gradient of {what} is not finite")


def written(draw: np.random.Generator, chip: Any) -> None:
    """New weights and an outer product; what is refused writes nothing."""
    matrix = pick(draw, list(chip.matrices.values()))
    values, _ = tensor(draw, tuple(matrix.master.shape))
    before = matrix.cells.present.copy()
    with torch.no_grad():
        matrix.master.copy_(values)
    try:
        matrix.program()
    except CrossbarError:
        if not np.array_equal(before, matrix.cells.present):
            raise Unsound("a refused program changed cells") from None
    if not bool(matrix.weight().isfinite().all()):
        raise Unsound("the weights on the cells are not finite")
    outputs, inputs = matrix.master.shape
    x, error = tensor(draw, (2, inputs))[0], tensor(draw, (2, outputs))[0]
    before = matrix.cells.present.copy()
    try:
        matrix.update(x, error, pick(draw, [0.01, 1e-12, 1e6, 0.0, float("nan")]))
    except CrossbarError:
        if not np.array_equal(before, matrix.cells.present):
            raise Unsound("a refused update changed cells") from None
    if not bool(matrix.weight().isfinite().all()):
        raise Unsound("the weights on the cells are not finite after an update")
