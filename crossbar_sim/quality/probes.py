"""Probes: watch what the matrices of a model read, and compare a read with the exact product."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from crossbar_sim.chip.matrix import Matrix
from crossbar_sim.chip.simulated import SimulatedMatrix, simulated
from crossbar_sim.spec.errors import MappingError

Batch = torch.Tensor | Mapping[str, torch.Tensor]
"""What a model is called with: a tensor, or tensors by the name of the argument."""
Batches = Batch | Iterable[Batch]
"""One batch of inputs of a model, or several."""
Loss = Callable[[Any], torch.Tensor]
See = Callable[[SimulatedMatrix, torch.Tensor, bool], None]


@dataclass
class Watched:
    """What was read: per (matrix, transposed) the vectors (vectors, inputs), one tensor per read."""

    reads: dict[tuple[SimulatedMatrix, bool], list[torch.Tensor]] = field(default_factory=dict)

    def __call__(self, matrix: SimulatedMatrix, x: torch.Tensor, transposed: bool) -> None:
        self.reads.setdefault((matrix, transposed), []).append(x.detach().float())

    def vectors(self) -> dict[tuple[SimulatedMatrix, bool], torch.Tensor]:
        """All vectors of each matrix and direction."""
        return {key: torch.cat(parts) for key, parts in self.reads.items()}


def matrices_of(model: nn.Module) -> list[SimulatedMatrix]:
    """Every matrix of the model that is on tiles. Raises MappingError if there is none, or one is only counted."""
    matrices = [simulated(module) for module in model.modules() if isinstance(module, Matrix)]
    if not matrices:
        raise MappingError(f"{type(model).__name__} has nothing on tiles; map_model(model, hardware) puts it there")
    return matrices


@contextmanager
def unbilled(matrices: Iterable[SimulatedMatrix]) -> Iterator[None]:
    """Nothing that these matrices do inside is billed."""
    with ExitStack() as stack:
        for ledger in {id(matrix.ledger): matrix.ledger for matrix in matrices}.values():
            stack.enter_context(ledger.paused())
        yield


def watch(model: nn.Module, data: Batches, see: See, loss: Loss | None = None) -> None:
    """Run `data` through the model in evaluation mode and call see(matrix, vectors, transposed) before every read.

    With a loss of the model's output the gradients are read too, back to every parameter that requires one; they are
    not accumulated. Raises MappingError if the data holds no vector, or nothing requires a gradient.
    """

    vectors = 0

    def before_forward(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        assert isinstance(module, SimulatedMatrix)
        nonlocal vectors
        rows = _rows(arguments[0])
        vectors += len(rows)
        if len(rows):
            see(module, rows, False)

    def before_backward(module: nn.Module, gradients: Any) -> None:
        assert isinstance(module, SimulatedMatrix)
        see(module, _rows(gradients[0]), True)

    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if loss is not None and not trained:
        raise MappingError("nothing in the model requires a gradient, so nothing is read transposed; attach a method")
    modes = [(module, module.training) for module in model.modules()]
    hooks = []
    for matrix in matrices_of(model):
        hooks.append(matrix.register_forward_pre_hook(before_forward))
        if loss is not None:
            hooks.append(matrix.register_full_backward_pre_hook(before_backward))
    try:
        model.eval()
        for batch in [data] if isinstance(data, torch.Tensor | Mapping) else data:
            with torch.set_grad_enabled(loss is not None):
                output = model(**batch) if isinstance(batch, Mapping) else model(batch)
                if loss is not None:
                    torch.autograd.grad(loss(output), trained, allow_unused=True)
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes:
            module.training = training
    if not vectors:
        raise MappingError("no data: give a batch of inputs that reaches a layer on tiles, or several")


def _rows(x: torch.Tensor) -> torch.Tensor:
    return x.detach().reshape(-1, x.shape[-1])


@dataclass(frozen=True)
class Comparison:
    """Reads against exact products: signal-to-noise ratio (dB; None where signal or error is nothing), share of
    clipped conversions, and the largest |current| in units of the ADC range, a mean over tiles (None: an exact ADC)."""

    snr: float | None
    clipped: float
    adc_use: float | None


def compare(matrix: SimulatedMatrix, x: torch.Tensor, transposed: bool = False) -> Comparison:
    """Read x (vectors, inputs) once more and compare with the float master copy; counters and registers stay."""
    path, before = matrix.path(transposed), matrix.read_state()
    conversions = path.registers.conversions
    result = path.read(x, tracking=False)
    assert path.registers.ranges is not None
    clipped = int(result.clipped.sum()) / max(path.registers.conversions - conversions, 1)
    converted = path.adc_steps > 0 and result.peaks.shape == path.registers.ranges.shape
    use = float(np.mean(result.peaks / path.registers.ranges)) if converted else None
    matrix.restore_reads(before)
    master = matrix.master.detach().double()
    exact = x.double() @ (master if transposed else master.T)
    return Comparison(snr(exact, result.output.double()), clipped, use)


def snr(exact: torch.Tensor, noisy: torch.Tensor) -> float | None:
    """10 log10 of (sum of exact^2 / sum of (noisy - exact)^2), dB; None if one of the two sums is zero."""
    signal, noise = float(exact.square().sum()), float((noisy - exact).square().sum())
    return 10 * math.log10(signal / noise) if signal > 0 and noise > 0 else None


def decibels(value: float | None) -> str:
    """For printing."""
    return "-" if value is None else f"{value:.1f} dB"
