"""Models too large to simulate, as shapes only: linear layers on torch's meta device under their usual names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

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
    pool_size: of its LoRA modules; settings: what methods need beside, by their name in METHODS.
    """

    build: Callable[[], nn.Module]
    targets: tuple[str, ...] | None
    rank: int
    alpha: float
    pool_size: int = 20
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)


class TokenShape(nn.Module):
    """A transformer without weights that says how its tokens would look (peft_methods.tokens.TokenModel)."""

    before_block: nn.Module | None

    def __init__(self, width: int, depth: int, patch_values: int) -> None:
        super().__init__()
        self.width, self.depth, self.patch_values = width, depth, patch_values
        self.register_module("before_block", None)

    def remember(self, block: int, tokens: torch.Tensor | None) -> None:
        """Nothing to compute without weights."""


def nested(layers: dict[str, tuple[int, int]], bias: bool = False, root: nn.Module | None = None) -> nn.Module:
    """A module tree with one nn.Linear per dotted name, below `root` if given; sizes are (outputs, inputs)."""
    root = nn.Module() if root is None else root
    for name, (outputs, inputs) in layers.items():
        owner, (*path, last) = root, name.split(".")
        for part in path:
            if part not in owner._modules:
                owner.add_module(part, nn.Module())
            owner = owner.get_submodule(part)
        owner.add_module(last, nn.Linear(inputs, outputs, bias=bias, device="meta"))
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


def encoder(prefix: str, attention: str, width: int, depth: int, patch_values: int) -> nn.Module:
    """The blocks of ViT, BERT and RoBERTa under their names in transformers; four times as wide inside the MLP.

    Embeddings, pooler and head are left out: they stay digital.
    """
    layers = {}
    for index in range(depth):
        block = f"{prefix}.encoder.layer.{index}"
        for projection in ("query", "key", "value"):
            layers[f"{block}.attention.{attention}.{projection}"] = (width, width)
        layers |= {f"{block}.attention.output.dense": (width, width), f"{block}.intermediate.dense": (4 * width, width),
                   f"{block}.output.dense": (width, 4 * width)}  # fmt: skip
    return nested(layers, bias=True, root=TokenShape(width, depth, patch_values))


def llama_7b() -> nn.Module:
    """LLaMA-7B (Touvron et al. 2023): 32 blocks, width 4096, gated feed-forward 11008."""
    width, inner = 4096, 11008
    layers: dict[str, tuple[int, int]] = {}
    for index in range(32):
        block = f"model.layers.{index}"
        layers |= {f"{block}.self_attn.{projection}_proj": (width, width) for projection in "qkvo"}
        layers |= {f"{block}.mlp.gate_proj": (inner, width), f"{block}.mlp.up_proj": (inner, width),
                   f"{block}.mlp.down_proj": (width, inner)}  # fmt: skip
    return nested(layers)


def encoder_shape(
    prefix: str, attention: str, width: int, depth: int, patch_values: int,
    targets: tuple[str, ...], vera_rank: int, wegeft_rank: int,
) -> ModelShape:  # fmt: skip
    """ViT, BERT or RoBERTa with the settings of the method papers; the head has no shape here and is not trained."""
    mlp_ends = tuple(f"layer.{index}.output.dense" for index in range(depth))
    build = partial(encoder, prefix, attention, width, depth, patch_values)
    settings: dict[str, dict[str, Any]] = {
        "bitfit": {"targets": None}, "vera": {"rank": vera_rank}, "wegeft": {"rank": wegeft_rank},
        "ia3": {"targets": ("key", "value"), "feed_forward": mlp_ends}, "adapters": {"targets": mlp_ends},
        "vpt": {"train_head": False}, "pasta": {"train_head": False},
    }  # fmt: skip
    return ModelShape(build, targets, rank=8, alpha=16.0, settings=settings)


SHAPES: dict[str, ModelShape] = {
    "flan-t5-large": ModelShape(flan_t5_large, ("q", "v"), rank=16, alpha=32.0, settings={
        "vera": {"rank": 128}, "ia3": {"targets": ("k", "v"), "feed_forward": ("wo",)},
        "adapters": {"targets": ("DenseReluDense",)}}),
    "vit-b-16": encoder_shape("vit", "attention", 768, 12, 3 * 16 * 16, ("attention.output.dense",), 256, 16),
    "bert-large": encoder_shape("bert", "self", 1024, 24, 1024, ("query", "value"), 256, 32),
    "roberta-base": encoder_shape("roberta", "self", 768, 12, 768, ("query", "value"), 1024, 32),
    "roberta-large": encoder_shape("roberta", "self", 1024, 24, 1024, ("query", "value"), 256, 32),
    "llama-7b": ModelShape(
        llama_7b, ("q_proj", "k_proj", "v_proj", "up_proj", "down_proj"), rank=32, alpha=64.0, settings={
        "vera": {"rank": 128}, "wegeft": {"targets": ("q_proj", "v_proj"), "rank": 64},
        "ia3": {"targets": ("k_proj", "v_proj"), "feed_forward": ("down_proj",)}, "adapters": {"targets": ("mlp",)}}),
    "digits-vit": ModelShape(digits_vit, None, rank=4, alpha=8.0, pool_size=12, settings={
        "vera": {"rank": 16}, "ia3": {"targets": ("key", "value")}, "adapters": {"targets": ("mlp",)}}),
}  # fmt: skip


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
