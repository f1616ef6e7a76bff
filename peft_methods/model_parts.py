"""The parts of a model that methods change: linear layers, blocks, the head."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeGuard

import torch
from torch import nn

from crossbar_sim import MappedLinear
from crossbar_sim.chip.matrix import Matrix
from crossbar_sim.layers.convolution import MappedConvolution
from crossbar_sim.layers.linear import is_transposed, rows_of
from crossbar_sim.layers.model import HEADS, head_name
from peft_methods.errors import MethodError
from peft_methods.patterns import matches
from peft_methods.placement import product_of

LinearLike = nn.Linear | MappedLinear
"""A linear layer; at run time also Hugging Face's Conv1D, whose weight is (inputs, outputs): see `is_linear`."""
ConvolutionLike = nn.Conv1d | nn.Conv2d | MappedConvolution
"""A convolution, digital or on tiles."""
READ_BY_OWNER = "weight a digital nn.MultiheadAttention reads itself"
LARGEST_TRAINED = 1e9
"""No trained value is larger in size: products of two of them, and the squares of these, stay finite in float32."""
LARGEST_CHANGE = 1e15
"""No weight is changed by more: the squares of a row of such changes stay finite in float32."""
FULL = torch.float32.itemsize
"""Bytes of a number that can be trained; those of smaller types are trained in float32."""


def product(base: LinearLike, x: torch.Tensor) -> torch.Tensor:
    """x W^T without the bias, on tiles or digital, in the type of x."""
    if isinstance(base, MappedLinear):
        on_tiles: torch.Tensor = base.matrix(x)
        return on_tiles
    return product_of(x, weight_of(base))


def weight_of(base: LinearLike) -> torch.Tensor:
    """The float copy (outputs, inputs) of a layer's weight; float32 where the model is in half precision."""
    weight: torch.Tensor = base.matrix.master if isinstance(base, MappedLinear) else rows_of(base)
    return weight.float() if weight.element_size() < FULL else weight


def safe_squares(squares: torch.Tensor, frozen: torch.Tensor) -> torch.Tensor:
    """Squared row norms of a changed weight, from sums that cancel: at least what rounding may leave of the frozen
    ones, and never zero."""
    limits = torch.finfo(squares.dtype)
    return torch.maximum(squares, limits.eps * frozen).clamp_min(limits.tiny)


def row_squares(base: LinearLike) -> torch.Tensor:
    """||w_o||^2 of every output (d_out,)."""
    return weight_of(base).detach().square().sum(dim=1)


def merged_row_squares(
    base: LinearLike, squares: torch.Tensor, a: torch.Tensor, b: torch.Tensor, scaling: float
) -> torch.Tensor:
    """||w_o||^2 + 2 s b_o . c_o + s^2 b_o^T (A A^T) b_o, the squared row norms of W + s B A, where c = W A^T is read
    through the layer, one vector per rank; `squares` are the ||w_o||^2. Digital: `merged_row_operations`."""
    c = product(base, a).T
    added = ((2 * c + scaling * b @ (a @ a.T)) * b).sum(dim=1)
    return safe_squares(squares + scaling * added, squares)


def merged_row_operations(a: torch.Tensor, b: torch.Tensor) -> int:
    """Multiply-accumulates of `merged_row_squares` beside the reads."""
    (outputs, rank), inputs = b.shape, a.shape[1]
    return rank * rank * (inputs + outputs) + 2 * rank * outputs


def uniform(outputs: int, inputs: int, bound: float, generator: torch.Generator, like: torch.Tensor) -> torch.Tensor:
    """A matrix (outputs, inputs) uniform in +-bound, of the type and on the device of `like`."""
    if like.device.type == "meta":
        return like.new_empty(outputs, inputs)
    return torch.empty(outputs, inputs).uniform_(-bound, bound, generator=generator).to(like)


def check_rank(name: str, weight: torch.Tensor, rank: int) -> None:
    """MethodError if a layer has no room for a product of this rank."""
    outputs, inputs = weight.shape
    if rank > min(outputs, inputs):
        raise MethodError(f"{name} is {outputs} x {inputs}: rank must be at most {min(outputs, inputs)}, got {rank}")


def is_linear(module: nn.Module) -> TypeGuard[LinearLike]:
    """Whether it is a linear layer, on tiles or digital."""
    return isinstance(module, nn.Linear | MappedLinear) or is_transposed(module)


def all_linear_layers(model: nn.Module) -> dict[str, LinearLike]:
    """Every linear layer by dotted name, on tiles or digital."""
    return {name: layer for name, layer in model.named_modules() if is_linear(layer)}


def linear_layers(model: nn.Module, targets: tuple[str, ...] | None) -> dict[str, LinearLike]:
    """The linear layers a method changes, in the order of the model.

    targets: as `patterns.matches` takes them; None: every linear layer inside a numbered block that is not in the head.
    Raises MethodError if a target matches nothing, or none is named.
    """
    if targets is not None and not targets:
        raise MethodError("targets names no layer; name at least one, or leave it out for all inside numbered blocks")
    layers = all_linear_layers(model)
    if targets is None:
        head = f"{head_name(model)}."
        chosen = {
            name: layer for name, layer in layers.items() if block_of(name) is not None and not name.startswith(head)
        }
        if not chosen:
            raise MethodError(f"{type(model).__name__} has no linear layer inside a numbered block; name the targets")
        return chosen
    for target in targets:
        if not any(matches(name, target) for name in layers):
            known = sorted({name.rpartition(".")[2] for name in layers})
            raise MethodError(f"no linear layer {like(target)}; the model has {', '.join(known)}")
    return {name: layer for name, layer in layers.items() if any(matches(name, target) for target in targets)}


def convolutions(model: nn.Module, targets: tuple[str, ...] | None) -> dict[str, ConvolutionLike]:
    """The convolutions that targets name; None: none. MethodError for one with groups, whose update has no rank."""
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, ConvolutionLike)}
    chosen = {name: layer for name, layer in layers.items() if any(matches(name, target) for target in targets or ())}
    for name, layer in chosen.items():
        groups = len(layer.of_group) if isinstance(layer, MappedConvolution) else layer.groups
        if groups > 1:
            raise MethodError(f"{name} is a convolution of {groups} groups, to which no update goes; leave it out")
    return chosen


def kernels_of(base: ConvolutionLike) -> torch.Tensor:
    """The float copy (channels out, channels in x kernel area) of a convolution without groups."""
    if isinstance(base, MappedConvolution):
        (matrix,) = base.of_group
        assert isinstance(matrix, Matrix)
        weight: torch.Tensor = matrix.master
    else:
        weight = base.weight.flatten(1)
    return weight.float() if weight.element_size() < FULL else weight


def like(target: str) -> str:
    """What a name must be like to match a target, in words."""
    return f"matches '{target}'" if set(target) & set("*?[:") else f"ends in '{target}'"


def replaceable_layers(model: nn.Module, targets: tuple[str, ...] | None) -> dict[str, LinearLike]:
    """As `linear_layers`, for a method that puts a layer of its own in their place, without those `left_out`.

    Raises MethodError if a target matches nothing, or no layer is left.
    """
    unchanged = left_out(model, targets)
    layers = {name: layer for name, layer in linear_layers(model, targets).items() if name not in unchanged}
    if not layers:
        raise MethodError(
            f"{type(model).__name__} has no linear layer to change in a numbered block but {unchanged[0]}, whose "
            f"{READ_BY_OWNER}; put the attention on tiles, or name the targets"
        )
    return layers


def left_out(model: nn.Module, targets: tuple[str, ...] | None) -> tuple[str, ...]:
    """Linear layers inside numbered blocks whose weight a digital nn.MultiheadAttention reads itself: it would not call
    what a method puts in their place. None where targets are named: those are refused by name."""
    if targets is not None:
        return ()
    owners = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.MultiheadAttention)]
    return tuple(
        f"{name}.{child}"
        for name, owner in owners
        if block_of(name) is not None
        for child, layer in owner.named_children()
        if isinstance(layer, nn.Linear)
    )


def block_of(name: str) -> str | None:
    """The transformer block of a layer: its dotted name up to the first number ('blocks.1.mlp.up' -> 'blocks.1')."""
    match = re.match(r"(.*?\.\d+)(\.|$)", name)
    return match.group(1) if match else None


def head_of(model: nn.Module) -> nn.Module:
    """The digital head, whatever its name and layers; MethodError if there is none, or if it is on tiles."""
    name = head_name(model)
    if name is None:
        raise MethodError(
            f"{type(model).__name__} has no head to train ({', '.join(HEADS)}); call its last layer so, or train "
            "without the head"
        )
    head = model.get_submodule(name)
    if any(isinstance(part, Matrix) for part in head.modules()):
        raise MethodError(f"the head '{name}' is on tiles; map_model(..., exclude=('{name}',)) keeps it digital")
    return head


def largest_of(values: torch.Tensor) -> float:
    """The largest |value|, NaN if one is; 0 of no values or of shapes alone."""
    if values.device.type == "meta" or not values.numel():
        return 0.0
    exact = values.detach() if values.is_floating_point() and values.element_size() >= FULL else values.float()
    return float(exact.abs().max())


def difference(wanted: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> str | None:
    """What is wrong with the first tensor that does not fit to be loaded, if any."""
    for name in sorted(set(wanted) ^ set(found)):
        lacking = "the model trains and the values lack"
        where = lacking if name in wanted else "the values have and the model does not train"
        return f"{name!r} is a tensor that {where}; attach it to the backbone it was saved from"
    for name, value in wanted.items():
        if value.shape != found[name].shape:
            return f"{name!r} has shape {tuple(found[name].shape)}, the model needs {tuple(value.shape)}"
        if not largest_of(found[name]) <= LARGEST_TRAINED:
            return (
                f"{name!r} holds NaN, infinite values or some of more than {LARGEST_TRAINED:g} in size; train it again "
                "with a lower learning rate"
            )
    return None
