"""VPT (Jia et al., ECCV 2022): trained tokens, called prompts, between the class token and the patches."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import nn

from crossbar_sim.chip.interface import AnyChip
from peft_methods.base import Method
from peft_methods.methods.tokens import Dropout, PatchModel, TokenAdapter, like_of, patch_model
from peft_methods.model_parts import uniform
from peft_methods.phases import UPDATE
from peft_methods.placement import Placement, bill_sram
from peft_methods.tuning import Range, Ranges

MOST_PROMPTS = 1000
"""Per block: each is one more token of every sample, and attention grows with their square."""


class VPT(Method):
    """Block i reads [class token, prompts, patches]; the prompts (and the head) are trained, the network is frozen.

    Shallow: `prompts` tokens enter before the first block. `deep`: every block gets its own, in place of what
    the block before made of its prompts; they do not depend on the input, so after training their keys and
    values are computed once and kept. Prompts carry no position and start uniform in
    +-sqrt(6 / (values per patch + width)). With no prompts at all this is the linear probe. `dropout`: of the prompts
    of every sample, while training (the paper has 0.1).
    """

    name: ClassVar[str] = "vpt"
    label: ClassVar[str] = "VPT"
    papers: ClassVar[tuple[str, ...]] = ("jia2022",)
    writes_cells: ClassVar[bool] = False
    transposed_reads: ClassVar[bool] = True
    extra_reads: ClassVar[str] = "one vector per prompt, block and sample (deep: in training only)"
    searched: ClassVar[Ranges] = {"learning_rate": Range(1e-3, 2e-1), "prompts": Range(1, 16)}

    prompts: Annotated[int, Field(ge=0, le=MOST_PROMPTS)] = 4
    deep: bool = True
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    train_head: bool = True
    learning_rate: Annotated[float, Field(gt=0)] = 1e-2

    @property
    def display_name(self) -> str:
        return f"VPT ({'deep' if self.deep else 'shallow'})"

    def placements(self) -> dict[str, Placement]:
        return {"prompts": "sram"}

    def make_adapter(self, model: nn.Module, chip: AnyChip, seed: int) -> VPTAdapter:
        tokens = patch_model(model, self.label)
        adapter = VPTAdapter(self, model, chip, tokens, seed)
        if self.prompts:
            adapter.train(list(adapter.editor.parameters()), self.learning_rate, self.weight_decay)
        return adapter


class Prompts(nn.Module):
    """Inserts the prompts before block 0 and, if there are more of them, replaces them before every later block."""

    def __init__(self, start: list[torch.Tensor], chip: AnyChip, dropout: Dropout) -> None:
        super().__init__()
        self.prompts = nn.ParameterList(nn.Parameter(values, requires_grad=False) for values in start)
        self.chip, self.dropout = chip, dropout
        self.kept_as_keys_and_values = False
        self.type_of_tokens = start[0].dtype if start else torch.float32

    def forward(self, index: int, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens of shape (n, tokens, width) in and out."""
        if self.kept_as_keys_and_values or index >= len(self.prompts):
            return tokens
        self.type_of_tokens = tokens.dtype
        prompts = self.prompts[index].to(tokens.dtype)
        bill_sram(self.chip, "prompts", reads=len(tokens) * prompts.numel())
        others = tokens[:, 1:] if index == 0 else tokens[:, 1 + len(prompts) :]
        inserted = self.dropout(prompts.expand(len(tokens), -1, -1), self.training)
        return torch.cat([tokens[:, :1], inserted, others], dim=1)


class VPTAdapter(TokenAdapter):
    """Prompts of one model."""

    method: VPT

    def __init__(self, method: VPT, model: nn.Module, chip: AnyChip, tokens: PatchModel, seed: int) -> None:
        super().__init__(method, model, chip)
        self.tokens = tokens
        bound, generator = math.sqrt(6 / (tokens.patch_values + tokens.width)), torch.Generator().manual_seed(seed)
        like = like_of(model)
        start = [
            uniform(method.prompts, tokens.width, bound, generator, like)
            for _ in range(tokens.depth if method.deep else 1)
            if method.prompts
        ]
        self.editor = Prompts(start, chip, Dropout(method.dropout, seed))
        self.edit_tokens(self.editor)

    @torch.no_grad()
    def finish(self) -> None:
        """Deep: compute the keys and values of the prompts once, so that inference reads no prompt any more."""
        if self.method.deep and self.method.prompts:
            with self.chip.ledger.phase(UPDATE):
                for block, prompts in enumerate(self.editor.prompts):
                    self.tokens.remember(block, prompts.to(self.editor.type_of_tokens))
            self.editor.kept_as_keys_and_values = True

    def resume(self) -> None:
        """Undo `finish`, to train on."""
        for block in range(self.tokens.depth):
            self.tokens.remember(block, None)
        self.editor.kept_as_keys_and_values = False

    def detach(self) -> None:
        self.resume()
        super().detach()
