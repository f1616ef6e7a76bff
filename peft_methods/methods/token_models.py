"""The encoders of Hugging Face transformers as models that show their tokens: a layer around every block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from peft_methods.adapted_layer import AdaptedLayer
from peft_methods.customary import configured_part
from peft_methods.errors import MethodError

TEXT = ("bert", "roberta", "xlm-roberta", "camembert", "electra")
IMAGES = ("vit", "deit", "dinov2", "dinov2_with_registers")
FIRST = "hidden_states"
MASK = "attention_mask"


class HuggingFaceTokens:
    """The token sequence (n, tokens, width) of an encoder, the class token first.

    patch_values: how many numbers a patch is embedded from; of text the width, that of the embedding.
    """

    before_block: nn.Module | None = None

    def __init__(self, model: nn.Module, encoder: nn.Module) -> None:
        config: Any = encoder.config
        self.model = model
        self.width = int(config.hidden_size)
        self.depth = int(config.num_hidden_layers)
        self.is_text = config.model_type in TEXT
        self.patch_values = self.width if self.is_text else int(config.num_channels) * int(config.patch_size) ** 2
        self.blocks = _blocks(model, self.depth)
        self.embedding = encoder.get_input_embeddings() if self.is_text else None  # type: ignore[operator]

    def edit(self, replace: Callable[[str, nn.Module], None], editor: nn.Module) -> None:
        """Have `editor(index, tokens)` change what every block reads; replace: as `Adapter.replace`."""
        flow = Flow()
        for index, (name, block) in enumerate(self.blocks):
            replace(name, EditedBlock(block, editor, index, index == self.depth - 1, flow))

    def watch(self, replace: Callable[[str, nn.Module], None], label: str) -> SeenIds:
        """What the ids of the tokens are, from now on, at every call; MethodError if the model reads no text."""
        for name in [name for name, module in self.model.named_modules() if module is self.embedding]:
            seen = SeenIds(self.model.get_submodule(name))
            replace(name, seen)
            return seen
        raise MethodError(f"{label}: token_ids are of text, and {type(self.model).__name__} reads none; give positions")


def hugging_face_tokens(model: nn.Module) -> HuggingFaceTokens | None:
    """The tokens of the model, or of the first part of it that has a configuration; None if it is no encoder that is
    known here."""
    part = configured_part(model)
    return HuggingFaceTokens(model, part[0]) if part is not None and part[1] in TEXT + IMAGES else None


class Flow:
    """What the blocks of one forward pass have in common: how many tokens came in."""

    tokens = 0


class EditedBlock(AdaptedLayer):
    """A block that reads edited tokens; a mask grows with the sequence, and behind the last block further tokens go."""

    def __init__(self, base: nn.Module, editor: nn.Module, index: int, last: bool, flow: Flow) -> None:
        super().__init__(base)
        self.editor = editor
        self.index = index
        self.last = last
        self.flow = flow

    def forward(self, *inputs: Any, **named: Any) -> Any:
        tokens = inputs[0] if inputs else named.pop(FIRST)
        if self.index == 0:
            self.flow.tokens = tokens.shape[1]
        edited, further = self.adapted(tokens), inputs[1:]
        added = edited.shape[1] - self.flow.tokens
        if added and further and isinstance(further[0], Tensor):
            further = (grown(further[0], added), *further[1:])
        if added and isinstance(named.get(MASK), Tensor):
            named[MASK] = grown(named[MASK], added)
        outputs = self.base(edited, *further, **named)
        if not self.last or not added:
            return outputs
        return (_cut(outputs[0], added), *outputs[1:]) if isinstance(outputs, tuple) else _cut(outputs, added)

    def adapted(self, x: Tensor) -> Tensor:
        edited: Tensor = self.editor(self.index, x)
        return edited


class SeenIds(AdaptedLayer):
    """The embedding of words; `ids` (n, tokens) are the last that it was asked for."""

    ids: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        return self.adapted(x)

    def adapted(self, x: Tensor) -> Tensor:
        self.ids = x
        embedded: Tensor = self.base(x)
        return embedded


def grown(mask: Tensor, added: int) -> Tensor:
    """A mask (n, ..., tokens) or (n, ..., tokens, tokens) in which tokens behind the first are attended to by all."""
    free = True if mask.dtype == torch.bool else (0 if mask.is_floating_point() else 1)
    square = mask.ndim > 2 and mask.shape[-2] == mask.shape[-1] and mask.shape[-1] > 1
    wide = _insert(mask, mask.new_full((*mask.shape[:-1], added), free), -1)
    if not square:
        return wide
    rows = wide.narrow(-2, 0, 1).expand(*wide.shape[:-2], added, wide.shape[-1])
    return _insert(wide, rows, -2)


def _insert(mask: Tensor, between: Tensor, axis: int) -> Tensor:
    """`between` behind the first entry along an axis."""
    return torch.cat([mask.narrow(axis, 0, 1), between, mask.narrow(axis, 1, mask.shape[axis] - 1)], dim=axis)


def _cut(tokens: Tensor, added: int) -> Tensor:
    return torch.cat([tokens[:, :1], tokens[:, 1 + added :]], dim=1)


def _blocks(model: nn.Module, depth: int) -> list[tuple[str, nn.Module]]:
    """The blocks of the encoder by name: the first list of as many modules as there are blocks."""
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == depth:
            return [(f"{name}.{index}", block) for index, block in enumerate(module)]
    raise MethodError(f"{type(model).__name__} has no list of {depth} blocks")
