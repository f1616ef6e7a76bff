"""map_model: the only way to put a torch model on tiles; MappedLinear: what its linear layers become."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

import torch
from torch import nn

from crossbar_sim.chip import Chip
from crossbar_sim.errors import MappingError
from crossbar_sim.hardware import Hardware
from crossbar_sim.matrix import MappedMatrix


class MappedLinear(nn.Module):
    """y = x W^T + b with W on tiles and the bias added digitally."""

    def __init__(self, matrix: MappedMatrix, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.matrix = matrix
        self.bias = bias

    @property
    def weight(self) -> nn.Parameter:
        """The float master copy of the weights (outputs, inputs); the tiles hold its levels."""
        return self.matrix.master

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (..., inputs) -> (..., outputs)."""
        y: torch.Tensor = self.matrix(x)
        return y if self.bias is None else y + self.bias


def map_model(
    model: nn.Module, hardware: Hardware, *, seed: int = 0, exclude: Iterable[str] = ("head",),
    make_chip: Callable[[Hardware, int], Chip] = Chip,
) -> Chip:  # fmt: skip
    """Move every nn.Linear of `model` onto tiles, in place, and return the chip that holds them.

    exclude: dotted names or patterns ('blocks.0.*') that stay digital; make_chip: makes another kind of chip from
    hardware and seed. Programming is billed to the ledger phase 'deploy'. Raises MappingError if nothing can be
    mapped or a weight is not finite; the model is then left as it was.
    """
    patterns = tuple(exclude)
    chip = make_chip(hardware, seed)
    replacements: list[tuple[nn.Module, str, MappedLinear]] = []
    attention = [name for name, module in model.named_modules() if isinstance(module, nn.MultiheadAttention)]
    with chip.ledger.phase("deploy"):
        for name, module in model.named_modules():
            reason = _reason_to_skip(name, module, patterns, attention)
            if reason is not None:
                chip.skipped.append((name, reason))
            elif type(module) is nn.Linear:
                parent, _, child = name.rpartition(".")
                mapped = MappedLinear(chip.matrix(name, module.weight), module.bias)
                replacements.append((model.get_submodule(parent), child, mapped))
    if not replacements:
        raise MappingError(
            f"{type(model).__name__} has no nn.Linear to map; excluded: {', '.join(patterns) or 'nothing'}"
        )
    for owner, child, mapped in replacements:
        setattr(owner, child, mapped)
    return chip


def _reason_to_skip(name: str, module: nn.Module, patterns: tuple[str, ...], attention: list[str]) -> str | None:
    own = [parameter for parameter in module.parameters(recurse=False)]
    if not own:
        return None
    if any(name == inside or name.startswith(inside + ".") for inside in attention):
        return "nn.MultiheadAttention reads its weights itself; write its projections as nn.Linear"
    if type(module) is not nn.Linear:
        kind = type(module).__name__
        return f"{kind} is digital: only nn.Linear goes on tiles"
    matching = [pattern for pattern in patterns if fnmatchcase(name, pattern)]
    return f"kept digital by request ('{matching[0]}')" if matching else None
