"""Models too large to simulate, as shapes only: linear layers on torch's meta device under their usual names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from benchmarks.backbones import VisionTransformer
from crossbar_sim import SpecError
from crossbar_sim.spec import nearest
from peft_methods.checkpoint import LoRAWeights
from peft_methods.pool import Pool


@dataclass(frozen=True)
class ModelShape:
    """How to make a model without weights, and the adapter setting of the method papers for it.

    targets: name suffixes that adapters change (None: every linear layer inside a block); rank and
    pool_size: of its LoRA modules.
    """

    build: Callable[[], nn.Module]
    targets: tuple[str, ...] | None
    rank: int
    alpha: float
    pool_size: int


def nested(layers: dict[str, tuple[int, int]]) -> nn.Module:
    """A module tree with one nn.Linear (bias-free) per dotted name; sizes are (outputs, inputs)."""
    root = nn.Module()
    for name, (outputs, inputs) in layers.items():
        owner, (*path, last) = root, name.split(".")
        for part in path:
            if part not in owner._modules:
                owner.add_module(part, nn.Module())
            owner = owner.get_submodule(part)
        owner.add_module(last, nn.Linear(inputs, outputs, bias=False, device="meta"))
    return root


def flan_t5_large() -> nn.Module:
    """FLAN-T5-large (Chung et al. 2022): 24 + 24 blocks, width 1024, gated feed-forward 2816; 717,225,984 weights.

    The language-model head and the embeddings are left out: they stay digital.
    """
    width, inner, layers = 1024, 2816, {}
    for side, attentions in (("encoder", ["SelfAttention"]), ("decoder", ["SelfAttention", "EncDecAttention"])):
        for block in range(24):
            for index, attention in enumerate(attentions):
                for projection in "qkvo":
                    layers[f"{side}.block.{block}.layer.{index}.{attention}.{projection}"] = (width, width)
            feed_forward = f"{side}.block.{block}.layer.{len(attentions)}.DenseReluDense"
            layers |= {f"{feed_forward}.wi_0": (inner, width), f"{feed_forward}.wi_1": (inner, width),
                       f"{feed_forward}.wo": (width, inner)}  # fmt: skip
    return nested(layers)


def digits_vit() -> nn.Module:
    """The default backbone."""
    with torch.device("meta"):
        return VisionTransformer()


SHAPES: dict[str, ModelShape] = {
    "flan-t5-large": ModelShape(flan_t5_large, ("q", "v"), rank=16, alpha=32.0, pool_size=20),
    "digits-vit": ModelShape(digits_vit, None, rank=4, alpha=8.0, pool_size=12),
}


def get_shape(name: str) -> ModelShape:
    """The shape called `name`; SpecError names the nearest."""
    if name not in SHAPES:
        raise SpecError(f"no model '{name}'{nearest(name, list(SHAPES))}")
    return SHAPES[name]


def pool_shape(layers: dict[str, tuple[int, int]], shape: ModelShape) -> Pool:
    """A pool of the right shapes without weights; `layers` maps names to (outputs, inputs)."""

    def member(index: int) -> LoRAWeights:
        return LoRAWeights(
            name=f"module{index}", rank=shape.rank, alpha=shape.alpha,
            a={name: torch.empty(shape.rank, inputs, device="meta") for name, (_, inputs) in layers.items()},
            b={name: torch.empty(outputs, shape.rank, device="meta") for name, (outputs, _) in layers.items()},
        )  # fmt: skip

    return Pool(tuple(member(index) for index in range(shape.pool_size)))
