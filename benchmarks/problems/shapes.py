"""Models too large to simulate, as shapes only: linear layers on torch's meta device under their usual names, and
the order in which tokens pass them. Normalisation, softmax and activations cost nothing here, as in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.problems.backbones import load_backbone
from crossbar_sim import SpecError
from crossbar_sim.spec.spec import nearest
from peft_methods.checkpoints.pool import Pool
from peft_methods.checkpoints.weights import LoRAWeights


@dataclass(frozen=True)
class ModelShape:
    """How to make a model without weights, what one sample is, and the adapter setting of the method papers for it.

    sample: of (samples, tokens), the input of the model; tokens: in one sample, unless told otherwise (None: there is
    no choice); targets: name suffixes that adapters change (None: what each method changes by default); rank and
    pool_size: of its LoRA modules; settings: what methods need beside, by their name in METHODS; digital: layers that
    stay off the tiles (None: those that map_model keeps off).
    """

    build: Callable[[], nn.Module]
    sample: Callable[..., torch.Tensor | Mapping[str, torch.Tensor]]
    tokens: int | None
    targets: tuple[str, ...] | None
    rank: int
    alpha: float
    pool_size: int = 20
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    digital: tuple[str, ...] | None = None


class GatedFeedForward(nn.Module):
    """down(g(gate x) o up x) of T5 and LLaMA."""

    def __init__(self, gate: str, up: str, down: str) -> None:
        super().__init__()
        self.names = gate, up, down

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (samples, tokens, width) -> the same shape."""
        gate, up, down = (self.get_submodule(name) for name in self.names)
        y: torch.Tensor = down(gate(x) * up(x))
        return y


def attend(
    owner: nn.Module,
    names: tuple[str, str, str, str],
    x: torch.Tensor,
    seen: torch.Tensor,
    further: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> torch.Tensor:
    """Attention of x to `seen` (and to `further` keys and values) with the products of any number of heads; names of
    query, key, value and output in `owner`. Keys narrower than queries are shared by groups of heads."""
    query, key, value = (owner.get_submodule(name) for name in names[:3])
    queries = query(x)
    keys = key(seen)
    values = value(seen)
    if further is not None:
        keys, values = (
            torch.cat([one, more.expand(len(x), -1, -1)], 1) for one, more in zip((keys, values), further, strict=True)
        )
    groups = queries.shape[-1] // keys.shape[-1]
    if groups > 1:
        keys, values = keys.repeat(1, 1, groups), values.repeat(1, 1, groups)
    mixed: torch.Tensor = owner.get_submodule(names[3])((queries @ keys.transpose(1, 2)) @ values)
    return mixed


class EncoderShape(nn.Module):
    """ViT, BERT or RoBERTa without weights; shows its tokens (peft_methods.methods.tokens.TokenModel)."""

    before_block: nn.Module | None
    head: nn.Linear | None

    def __init__(self, prefix: str, attention: str, width: int, depth: int, patch_values: int) -> None:
        super().__init__()
        self.prefix = prefix
        self.names = (
            f"attention.{attention}.query",
            f"attention.{attention}.key",
            f"attention.{attention}.value",
            "attention.output.dense",
        )
        self.width = width
        self.depth = depth
        self.patch_values = patch_values
        self.remembered: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self.register_module("before_block", None)
        self.register_module("head", None)

    def add_head(self, classes: int) -> None:
        """A digital classifier of the first token."""
        self.head = nn.Linear(self.width, classes, device="meta")

    def block(self, index: int) -> nn.Module:
        """One transformer block."""
        return self.get_submodule(f"{self.prefix}.encoder.layer.{index}")

    def remember(self, block: int, tokens: torch.Tensor | None) -> None:
        """Keys and values of constant tokens, computed once."""
        self.remembered.pop(block, None)
        if tokens is not None:
            key, value = (self.block(block).get_submodule(name) for name in self.names[1:3])
            self.remembered[block] = key(tokens), value(tokens)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """tokens (samples, tokens, width) -> the same shape, or logits (samples, classes)."""
        for index in range(self.depth):
            if self.before_block is not None:
                tokens = self.before_block(index, tokens)
            block = self.block(index)
            tokens = tokens + attend(block, self.names, tokens, tokens, self.remembered.get(index))
            hidden = block.get_submodule("intermediate.dense")(tokens)
            tokens = tokens + block.get_submodule("output.dense")(hidden)
        return tokens if self.head is None else self.head(tokens[:, 0])


class T5Shape(nn.Module):
    """Encoder and decoder of T5 without weights; as many tokens go out as come in."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """tokens (samples, tokens, width) -> the same shape."""
        names = ("q", "k", "v", "o")
        inputs, outputs = tokens, tokens
        for block in self.get_submodule("encoder.block").children():
            inputs = inputs + attend(block.get_submodule("layer.0.SelfAttention"), names, inputs, inputs)
            inputs = inputs + block.get_submodule("layer.1.DenseReluDense")(inputs)
        for block in self.get_submodule("decoder.block").children():
            outputs = outputs + attend(block.get_submodule("layer.0.SelfAttention"), names, outputs, outputs)
            outputs = outputs + attend(block.get_submodule("layer.1.EncDecAttention"), names, outputs, inputs)
            outputs = outputs + block.get_submodule("layer.2.DenseReluDense")(outputs)
        return outputs


class LlamaShape(nn.Module):
    """Decoder of LLaMA without weights."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """tokens (samples, tokens, width) -> the same shape."""
        for block in self.get_submodule("model.layers").children():
            names = ("q_proj", "k_proj", "v_proj", "o_proj")
            tokens = tokens + attend(block.get_submodule("self_attn"), names, tokens, tokens)
            tokens = tokens + block.get_submodule("mlp")(tokens)
        return tokens


def nested(
    layers: dict[str, tuple[int, int]],
    bias: bool = False,
    root: nn.Module | None = None,
    kinds: Mapping[str, Callable[[], nn.Module]] | None = None,
) -> nn.Module:
    """A module tree with one nn.Linear per dotted name, below `root` if given; sizes are (outputs, inputs).

    kinds: what to make for modules of that last name, instead of a plain nn.Module.
    """
    root = nn.Module() if root is None else root
    for name, (outputs, inputs) in layers.items():
        owner, (*path, last) = root, name.split(".")
        for part in path:
            if part not in owner._modules:
                owner.add_module(part, (kinds or {}).get(part, nn.Module)())
            owner = owner.get_submodule(part)
        owner.add_module(last, nn.Linear(inputs, outputs, bias=bias, device="meta"))
    return root


def embeddings(width: int, samples: int, tokens: int) -> torch.Tensor:
    """Embedded tokens (samples, tokens, width) without values."""
    return torch.empty(samples, tokens, width, device="meta")


def digit_images(samples: int, tokens: int) -> torch.Tensor:
    """Images (samples, 8, 8) without values; their number of patches is fixed."""
    return torch.empty(samples, 8, 8, device="meta")


def flan_t5_large() -> nn.Module:
    """FLAN-T5-large (Chung et al. 2022): 24 + 24 blocks, width 1024, gated feed-forward 2816; 717,225,984 weights.

    The language-model head and the embeddings are left out: they stay digital.
    """
    width, inner = 1024, 2816
    layers = {}
    for side, attentions in (("encoder", ["SelfAttention"]), ("decoder", ["SelfAttention", "EncDecAttention"])):
        for block in range(24):
            for index, attention in enumerate(attentions):
                for projection in "qkvo":
                    layers[f"{side}.block.{block}.layer.{index}.{attention}.{projection}"] = (width, width)
            feed_forward = f"{side}.block.{block}.layer.{len(attentions)}.DenseReluDense"
            layers |= {
                f"{feed_forward}.wi_0": (inner, width),
                f"{feed_forward}.wi_1": (inner, width),
                f"{feed_forward}.wo": (width, inner),
            }
    return nested(layers, root=T5Shape(), kinds={"DenseReluDense": partial(GatedFeedForward, "wi_0", "wi_1", "wo")})


def encoder(prefix: str, attention: str, width: int, depth: int, patch_values: int) -> nn.Module:
    """The blocks of ViT, BERT and RoBERTa under their names in transformers; four times as wide inside the MLP.

    Embeddings, pooler and head are left out: they stay digital.
    """
    layers = {}
    for index in range(depth):
        block = f"{prefix}.encoder.layer.{index}"
        for projection in ("query", "key", "value"):
            layers[f"{block}.attention.{attention}.{projection}"] = (width, width)
        layers |= {
            f"{block}.attention.output.dense": (width, width),
            f"{block}.intermediate.dense": (4 * width, width),
            f"{block}.output.dense": (width, 4 * width),
        }
    return nested(layers, bias=True, root=EncoderShape(prefix, attention, width, depth, patch_values))


def llama(width: int, depth: int, inner: int) -> nn.Module:
    """LLaMA (Touvron et al. 2023): blocks of attention and a gated feed-forward network."""
    layers: dict[str, tuple[int, int]] = {}
    for index in range(depth):
        block = f"model.layers.{index}"
        layers |= {f"{block}.self_attn.{projection}_proj": (width, width) for projection in "qkvo"}
        layers |= {
            f"{block}.mlp.gate_proj": (inner, width),
            f"{block}.mlp.up_proj": (inner, width),
            f"{block}.mlp.down_proj": (width, inner),
        }
    kinds = {"mlp": partial(GatedFeedForward, "gate_proj", "up_proj", "down_proj")}
    return nested(layers, root=LlamaShape(), kinds=kinds)


def llama_shape(width: int, depth: int, inner: int) -> ModelShape:
    """LLaMA with the settings of the method papers."""
    return ModelShape(
        partial(llama, width, depth, inner),
        partial(embeddings, width),
        512,
        ("q_proj", "k_proj", "v_proj", "up_proj", "down_proj"),
        rank=32,
        alpha=64.0,
        settings={
            "vera": {"rank": 128},
            "wegeft": {"targets": ("q_proj", "v_proj"), "rank": 64},
            "ia3": {"targets": ("k_proj", "v_proj"), "feed_forward": ("down_proj",)},
            "adapters": {"targets": ("mlp",)},
        },
    )


def encoder_shape(
    prefix: str,
    attention: str,
    width: int,
    depth: int,
    *,
    patch_values: int,
    tokens: int,
    targets: tuple[str, ...],
    vera_rank: int,
    wegeft_rank: int,
) -> ModelShape:
    """ViT, BERT or RoBERTa with the settings of the method papers; the head has no shape here and is not trained."""
    mlp_ends = tuple(f"layer.{index}.output.dense" for index in range(depth))
    build = partial(encoder, prefix, attention, width, depth, patch_values)
    settings: dict[str, dict[str, Any]] = {
        "bitfit": {"targets": None},
        "vera": {"rank": vera_rank},
        "wegeft": {"rank": wegeft_rank},
        "ia3": {"targets": ("key", "value"), "feed_forward": mlp_ends},
        "adapters": {"targets": mlp_ends},
        "vpt": {"train_head": False},
        "pasta": {"train_head": False},
    }
    return ModelShape(build, partial(embeddings, width), tokens, targets, rank=8, alpha=16.0, settings=settings)


def text_encoder_shape(prefix: str, width: int, depth: int, *, vera_rank: int) -> ModelShape:
    """BERT or RoBERTa with 128 tokens; adapters change queries and values."""
    return encoder_shape(
        prefix,
        "self",
        width,
        depth,
        patch_values=width,
        tokens=128,
        targets=("query", "value"),
        vera_rank=vera_rank,
        wegeft_rank=32,
    )


SHAPES: dict[str, ModelShape] = {
    "flan-t5-large": ModelShape(
        flan_t5_large,
        partial(embeddings, 1024),
        128,
        ("q", "v"),
        rank=16,
        alpha=32.0,
        settings={
            "vera": {"rank": 128},
            "ia3": {"targets": ("k", "v"), "feed_forward": ("wo",)},
            "adapters": {"targets": ("DenseReluDense",)},
        },
    ),
    "vit-b-16": encoder_shape(
        "vit",
        "attention",
        768,
        12,
        patch_values=3 * 16 * 16,
        tokens=197,
        targets=("attention.output.dense",),
        vera_rank=256,
        wegeft_rank=16,
    ),
    "bert-large": text_encoder_shape("bert", 1024, 24, vera_rank=256),
    "roberta-base": text_encoder_shape("roberta", 768, 12, vera_rank=1024),
    "roberta-large": text_encoder_shape("roberta", 1024, 24, vera_rank=256),
    "llama-7b": llama_shape(4096, 32, 11008),
    "llama-65b": llama_shape(8192, 80, 22016),
    "digits-vit": ModelShape(
        load_backbone,
        digit_images,
        17,
        None,
        rank=4,
        alpha=8.0,
        pool_size=12,
        settings={"vera": {"rank": 16}, "ia3": {"targets": ("key", "value")}, "adapters": {"targets": ("mlp",)}},
    ),
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
            name=f"module{index}",
            rank=shape.rank,
            alpha=shape.alpha,
            a={name: torch.empty(shape.rank, inputs, device="meta") for name, (_, inputs) in layers.items()},
            b={name: torch.empty(outputs, shape.rank, device="meta") for name, (outputs, _) in layers.items()},
        )

    return Pool(tuple(member(index) for index in range(shape.pool_size)))
