"""Backbones: small pre-trained transformers that a simulated chip can carry.

The one here is a pre-norm vision transformer (Dosovitskiy et al., ICLR 2021) for the 8 x 8 digits of scikit-learn.
Every matrix product with a trained weight is an `nn.Linear` of its own, so each can be put on tiles, targeted by a
method or left digital by its dotted name:

`embed`, `blocks.{i}.attention.query|key|value|output`, `blocks.{i}.mlp.up|down`, `head`.

Layer normalisation, softmax, GELU, the class token and the position table are digital arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.problems.weight_files import AssetError, constructor_of, read_header, read_weights, save_weights
from crossbar_sim import CrossbarError
from crossbar_sim.spec.spec import nearest

BACKBONE_FOLDER = Path(__file__).parent / "assets" / "backbones"


class BackboneError(CrossbarError, ValueError):
    """A backbone cannot be built like this, or cannot read this."""


class Attention(nn.Module):
    """Multi-head self-attention: softmax(Q K^T / sqrt(width per head)) V, then a projection."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.remembered: tuple[Tensor, Tensor] | None = None

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens of shape (n, tokens, width) in and out."""
        queries = self.query(tokens)
        keys = self.key(tokens)
        values = self.value(tokens)
        if self.remembered is not None:
            further_keys, further_values = (column.expand(len(tokens), -1, -1) for column in self.remembered)
            keys, values = torch.cat([keys, further_keys], dim=1), torch.cat([values, further_values], dim=1)
        query, key, value = (
            projected.unflatten(-1, (self.heads, -1)).transpose(1, 2) for projected in (queries, keys, values)
        )
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1])
        mixed = scores.softmax(-1) @ value
        attended: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return attended


class MultilayerPerceptron(nn.Module):
    """Two layers with a GELU between them, applied to every token alone."""

    def __init__(self, width: int, mlp_width: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, mlp_width)
        self.down = nn.Linear(mlp_width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens of shape (n, tokens, width) in and out."""
        processed: Tensor = self.down(nn.functional.gelu(self.up(tokens)))
        return processed


class Block(nn.Module):
    """One pre-norm transformer block: x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, width: int, heads: int, mlp_width: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = MultilayerPerceptron(width, mlp_width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens of shape (n, tokens, width) in and out."""
        attended: Tensor = tokens + self.attention(self.attention_norm(tokens))
        processed: Tensor = attended + self.mlp(self.mlp_norm(attended))
        return processed


class VisionTransformer(nn.Module):
    """A vision transformer for square images of one channel.

    Arguments are counts: pixels per image side, pixels per patch side, values per token, blocks, attention heads,
    hidden values of the perceptron, classes. BackboneError if the patches do not tile the image or the heads do not
    divide the width.

    `before_block`, if there is one, maps (block index, tokens) to the tokens that block reads; see
    `peft_methods.methods.tokens.TokenModel`.
    """

    before_block: nn.Module | None

    def __init__(
        self,
        image_size: int = 8,
        patch_size: int = 2,
        width: int = 64,
        depth: int = 3,
        heads: int = 4,
        mlp_width: int = 128,
        classes: int = 10,
    ) -> None:
        super().__init__()
        self.constructor_arguments = {
            "image_size": image_size,
            "patch_size": patch_size,
            "width": width,
            "depth": depth,
            "heads": heads,
            "mlp_width": mlp_width,
            "classes": classes,
        }
        for argument, count in self.constructor_arguments.items():
            if count < 1:
                raise BackboneError(f"{argument} is {count}; it is a count and must be at least 1")
        if image_size % patch_size:
            raise BackboneError(
                f"patch_size {patch_size} does not tile image_size {image_size}; choose a divisor of {image_size}"
            )
        if width % heads:
            raise BackboneError(f"heads {heads} do not divide width {width}; choose a divisor of {width}")
        self.image_size = image_size
        self.patch_size = patch_size
        self.width = width
        self.depth = depth
        self.patch_values = patch_size**2
        self.register_module("before_block", None)
        patches = (image_size // patch_size) ** 2
        self.embed = nn.Linear(patch_size**2, width)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, patches + 1, width))
        self.blocks = nn.ModuleList(Block(width, heads, mlp_width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def patches(self, images: Tensor) -> Tensor:
        """Cut images (n, side, side) into patches (n, patches, pixels per patch), row by row."""
        if images.dim() != 3 or images.shape[1:] != (self.image_size, self.image_size):
            raise BackboneError(
                f"images have shape {tuple(images.shape)}; this backbone reads "
                f"(n, {self.image_size}, {self.image_size})"
            )
        side = self.patch_size
        return images.unfold(1, side, side).unfold(2, side, side).flatten(1, 2).flatten(2)

    def tokens(self, images: Tensor) -> Tensor:
        """What the first block reads, (n, 1 + patches, width): the class token, then the patches, with positions."""
        patches = self.embed(self.patches(images))
        class_token = self.class_token.expand(len(images), -1, -1)
        return torch.cat([class_token, patches], dim=1) + self.positions

    def remember(self, block: int, tokens: Tensor | None) -> None:
        """Let a block attend to further constant tokens (count, width), as keys and values that are computed now
        and kept; None: forget them.
        """
        chosen = self.blocks[block]
        assert isinstance(chosen, Block)
        attention = chosen.attention
        attention.remembered = None
        if tokens is not None:
            normalised = chosen.attention_norm(tokens)
            attention.remembered = attention.key(normalised), attention.value(normalised)

    def features(self, images: Tensor) -> Tensor:
        """The normalised class token, shape (n, width), of images (n, side, side)."""
        tokens = self.tokens(images)
        for index, block in enumerate(self.blocks):
            if self.before_block is not None:
                tokens = self.before_block(index, tokens)
            tokens = block(tokens)
        normalised: Tensor = self.norm(tokens)
        return normalised[:, 0]

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, side, side)."""
        logits: Tensor = self.head(self.features(images))
        return logits


def save_backbone(path: Path, model: VisionTransformer, facts: Mapping[str, str]) -> None:
    """Write `model` to `path` as safetensors; the header carries the constructor arguments and `facts`."""
    save_weights(path, model, model.constructor_arguments, facts)


def backbone_names(folder: Path = BACKBONE_FOLDER) -> list[str]:
    """Names of the backbones in a folder."""
    return sorted(path.stem for path in folder.glob("*.safetensors"))


def backbone_path(name: str, folder: Path = BACKBONE_FOLDER) -> Path:
    """The file of a backbone; AssetError names the nearest."""
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        raise AssetError(
            f"no backbone named '{name}': {path} does not exist{nearest(name, backbone_names(folder))}; "
            "`xbar pretrain backbone` writes 'digits_vit'"
        )
    return path


def read_backbone_facts(name: str = "digits_vit", folder: Path = BACKBONE_FOLDER) -> dict[str, str]:
    """The header of a shipped backbone: constructor arguments (JSON), test accuracy, recipe."""
    path = backbone_path(name, folder)
    try:
        return read_header(path)
    except AssetError as error:
        raise _unreadable(path, error) from error


def load_backbone(name: str = "digits_vit", folder: Path = BACKBONE_FOLDER) -> VisionTransformer:
    """The pre-trained backbone `name` from `folder`, in float32 and evaluation mode.

    AssetError if the file is missing, truncated, or holds other tensors than its header promises.
    """
    path = backbone_path(name, folder)
    try:
        model = _built(constructor_of(read_header(path)))
        read_weights(path, model)
    except AssetError as error:
        raise _unreadable(path, error) from error
    return model.eval()


def _built(arguments: Mapping[str, int]) -> VisionTransformer:
    try:
        return VisionTransformer(**arguments)
    except (TypeError, BackboneError) as error:
        raise AssetError(f"its constructor arguments are wrong: {error}") from error


def _unreadable(path: Path, reason: AssetError) -> AssetError:
    return AssetError(
        f"{path} is not a readable backbone: {reason}; restore the file from the package, or write it again with "
        "`xbar pretrain backbone`"
    )
