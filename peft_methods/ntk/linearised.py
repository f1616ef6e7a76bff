"""The linearised network on a chip: f_0(x) + grad f(x) . change, with the change programmed once on tiles of its own.

The change of an NTK predictor is too large to be added to the weights: the network is not linear over that distance.
Its linearisation is read exactly with two more products per changed layer. Beside its value y = W x + b every layer
carries the tangent

    y' = W x' + dW x + db,        x' = 0 at the input

and the digital layers between carry it by their own derivatives (forward-mode differentiation). The cells of W are not
touched; those of dW are fresh and written once.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from peft_methods.model_parts import LinearLike, product, weight_of

Product = Callable[[Tensor], Tensor]


class LinearisedLayer(nn.Module):
    """A linear layer that carries tangents; `change` gives dW x for x (..., inputs), `bias_change` is db (outputs,)."""

    def __init__(self, base: LinearLike, change: Product | None, bias_change: Tensor | None = None) -> None:
        super().__init__()
        self.base = base
        self.change = change
        self.bias_change = bias_change

    def forward(self, x: Tensor) -> Tensor:
        """x (..., inputs) -> (..., outputs), with its tangent."""
        y: Tensor = _CarryTangent.apply(x, self)
        return y

    def tangent(self, x: Tensor, along: Tensor) -> Tensor:
        """W x' + dW x + db. The read of x' is scaled to the size of x, for which the converters' ranges are set."""
        y = torch.zeros(*x.shape[:-1], weight_of(self.base).shape[0], dtype=x.dtype)
        size, usual = along.abs().max(), x.abs().max()
        if size > 0 and usual > 0:
            y = y + product(self.base, along * (usual / size)) * (size / usual)
        if self.change is not None:
            y = y + self.change(x)
        return y if self.bias_change is None else y + self.bias_change


class _CarryTangent(torch.autograd.Function):
    """Value: the base layer. Tangent: `LinearisedLayer.tangent`."""

    @staticmethod
    def forward(x: Tensor, layer: LinearisedLayer) -> Tensor:
        y: Tensor = layer.base(x)
        return y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, LinearisedLayer], output: Tensor) -> None:
        x, ctx.layer = inputs
        ctx.save_for_forward(x)

    @staticmethod
    def jvp(ctx: Any, along: Tensor, _: None) -> Tensor:
        (x,) = ctx.saved_tensors
        y: Tensor = ctx.layer.tangent(x, along)
        return y


class LinearisedModel(nn.Module):
    """f_0(x) + grad f(x) . change of a model whose layers were exchanged by `linearise`."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Inputs (n, ...) -> outputs (n, C)."""
        with forward_ad.dual_level(), warnings.catch_warnings():
            # torch compiles its own derivatives at first use and warns that it will do so in another way one day
            warnings.filterwarnings("ignore", message=".*torch.jit.script", category=DeprecationWarning)
            dual: Any = forward_ad.unpack_dual(self.model(forward_ad.make_dual(x, torch.zeros_like(x))))
            outputs: Tensor = dual.primal if dual.tangent is None else dual.primal + dual.tangent
            return outputs.clone()


def linearise(
    model: nn.Module,
    layers: Mapping[str, LinearLike],
    changes: Mapping[str, Product],
    bias_changes: Mapping[str, Tensor] | None = None,
) -> LinearisedModel:
    """Exchange the linear layers of a model, in place, for layers that carry tangents.

    layers: every linear layer by dotted name, without adapters; changes, bias_changes: by the same names, where there
    are any. Layers of other kinds must be torch's own, whose derivatives torch knows.
    """
    for name, base in layers.items():
        parent, _, child = name.rpartition(".")
        change, shift = changes.get(name), (bias_changes or {}).get(name)
        setattr(model.get_submodule(parent), child, LinearisedLayer(base, change, shift))
    return LinearisedModel(model)
