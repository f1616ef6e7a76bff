"""TokenModel, PatchModel: what a transformer must show of itself so that a method can change its token sequence."""

from __future__ import annotations

from typing import Protocol, cast, runtime_checkable

import torch
from torch import nn

from peft_methods.base import Adapter
from peft_methods.errors import MethodError
from peft_methods.methods.token_models import IMAGES, TEXT, HuggingFaceTokens, hugging_face_tokens
from peft_methods.model_parts import FULL


@runtime_checkable
class TokenModel(Protocol):
    """A transformer whose blocks read a sequence (n, tokens, width).

    `before_block`, None at first, is called with (index of the block, tokens) before every block and returns
    the tokens that the block reads.
    """

    width: int
    depth: int
    before_block: nn.Module | None


@runtime_checkable
class PatchModel(TokenModel, Protocol):
    """A TokenModel of images, its class token first. `patch_values` is how many numbers a patch is embedded from."""

    patch_values: int

    def remember(self, block: int, tokens: torch.Tensor | None) -> None:
        """Let a block attend to further constant tokens (count, width), as keys and values computed once;
        None: forget them."""


def token_model(model: nn.Module, label: str) -> TokenModel:
    """The model, if it shows its tokens and no other method changes them already, or what shows those of an encoder of
    Hugging Face; else MethodError."""
    if not isinstance(model, TokenModel):
        found = hugging_face_tokens(model)
        if found is not None:
            return found
        raise MethodError(
            f"{label} changes the tokens between blocks, but {type(model).__name__} does not show them: of Hugging "
            f"Face it takes the encoders {', '.join(TEXT + IMAGES)}; give another what "
            "peft_methods.methods.tokens.TokenModel asks for"
        )
    if model.before_block is not None:
        raise MethodError(f"{label} cannot be attached: another method changes this model's tokens; detach it first")
    return cast(TokenModel, model)


def patch_model(model: nn.Module, label: str) -> PatchModel | HuggingFaceTokens:
    """The model, if it shows its tokens and they are patches of images, or an encoder of Hugging Face; else
    MethodError."""
    tokens = token_model(model, label)
    if isinstance(tokens, HuggingFaceTokens):
        return tokens
    if not isinstance(model, PatchModel):
        raise MethodError(
            f"{label} puts its prompts between the class token and the patches of an image, but {type(model).__name__} "
            "reads no patches; PASTA works on text, or give it what peft_methods.methods.tokens.PatchModel asks for"
        )
    return cast(PatchModel, model)


def like_of(model: nn.Module) -> torch.Tensor:
    """A floating-point parameter of the model, for its type and device; float32 where the model is in half."""
    found = next(parameter for parameter in model.parameters() if parameter.is_floating_point())
    return found.float() if found.element_size() < FULL else found


class TokenAdapter(Adapter):
    """An adapter that sits in `before_block`, or around the blocks of a model of Hugging Face."""

    def edit_tokens(self, tokens: TokenModel, editor: nn.Module) -> None:
        """Put `editor(index, tokens)` in front of every block."""
        if isinstance(tokens, HuggingFaceTokens):
            tokens.edit(self.replace, editor)
        else:
            self.replace("before_block", editor)
