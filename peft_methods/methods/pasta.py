"""PASTA (Yang et al., EACL 2023): one trained vector per block and special token, added to that token."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, field_validator
from torch import nn

from crossbar_sim import SpecError
from crossbar_sim.chip.interface import AnyChip
from peft_methods.base import Method
from peft_methods.errors import MethodError
from peft_methods.methods.dropout import Dropout
from peft_methods.methods.token_models import HuggingFaceTokens, SeenIds
from peft_methods.methods.tokens import TokenAdapter, TokenModel, like_of, token_model
from peft_methods.placement import Placement, bill_arithmetic, bill_sram
from peft_methods.tuning import Range, Ranges

RELEASED_SPREAD = 0.02
"""Standard deviation of `initial = 'normal'`."""


class PASTA(Method):
    """h_p <- h_p + e_l,p at the input of every block l, residual path included, for every special token p.

    `positions`: where the special tokens stand, 0 for the class token, negative numbers count from the end.
    `token_ids`: in text, their ids; positions then count the special tokens of each row, 0 for the
    first.
    e starts at zero, or (initial = 'normal') from N(0, 0.02^2). `dropout`: of e, for every sample, while training (the
    paper's code has 0.1). Trained: e and the head.
    """

    name: ClassVar[str] = "pasta"
    label: ClassVar[str] = "PASTA"
    papers: ClassVar[tuple[str, ...]] = ("yang2023",)
    writes_cells: ClassVar[bool] = False
    transposed_reads: ClassVar[bool] = True
    extra_reads: ClassVar[str] = "none"
    searched: ClassVar[Ranges] = {"learning_rate": Range(1e-3, 2e-1)}
    unstated: ClassVar[frozenset[str]] = frozenset({"token_ids"})

    positions: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    token_ids: tuple[Annotated[int, Field(ge=0)], ...] = ()
    initial: Literal["zero", "normal"] = "zero"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    train_head: bool = True
    learning_rate: Annotated[float, Field(gt=0)] = 1e-2

    @field_validator("positions")
    @classmethod
    def _once_each(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) < len(value):
            raise SpecError(f"positions: every special token has one vector per block, but {value} repeats one")
        return value

    def placements(self) -> dict[str, Placement]:
        return {"special-token vectors": "sram"}

    def make_adapter(self, model: nn.Module, chip: AnyChip, seed: int) -> PASTAAdapter:
        adapter = PASTAAdapter(self, model, chip, token_model(model, self.label), seed)
        adapter.train([adapter.editor.vectors], self.learning_rate, self.weight_decay)
        return adapter


class SpecialTokens(nn.Module):
    """Adds vectors (blocks, positions, width) to the special tokens."""

    def __init__(self, vectors: torch.Tensor, positions: tuple[int, ...], chip: AnyChip, dropout: Dropout) -> None:
        super().__init__()
        self.vectors = nn.Parameter(vectors, requires_grad=False)
        self.positions = positions
        self.chip = chip
        self.dropout = dropout

    def forward(self, index: int, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens of shape (n, tokens, width) in and out."""
        count = tokens.shape[1]
        if not all(-count <= position < count for position in self.positions):
            raise MethodError(f"PASTA: positions {self.positions} do not all exist in a sequence of {count} tokens")
        values = len(tokens) * self.vectors[index].numel()
        bill_sram(self.chip, "special tokens", reads=values)
        bill_arithmetic(self.chip, "special tokens", adds=values)
        places = torch.tensor(self.positions, device=tokens.device) % count
        added = self.dropout(self.vectors[index].to(tokens.dtype).expand(len(tokens), -1, -1), self.training)
        return tokens.index_add(1, places, added)


class FoundTokens(SpecialTokens):
    """Adds vectors (blocks, positions, width) to the special tokens of each row, found by their ids."""

    def __init__(
        self,
        vectors: torch.Tensor,
        positions: tuple[int, ...],
        chip: AnyChip,
        dropout: Dropout,
        ids: tuple[int, ...],
        seen: SeenIds,
    ) -> None:
        super().__init__(vectors, positions, chip, dropout)
        self.ids = ids
        self._seen = (seen,)  # in a tuple, where torch does not look for submodules

    def forward(self, index: int, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens of shape (n, tokens, width) in and out."""
        places = self._places(tokens)
        values = places.numel() // places.shape[1] if places.is_meta else int(places.sum())
        bill_sram(self.chip, "special tokens", reads=values * tokens.shape[2])
        bill_arithmetic(self.chip, "special tokens", adds=values * tokens.shape[2])
        added = self.dropout(self.vectors[index].to(tokens.dtype).expand(len(tokens), -1, -1), self.training)
        return tokens + places.to(tokens.dtype) @ added

    def _places(self, tokens: torch.Tensor) -> torch.Tensor:
        """Whether the token (n, tokens, positions) is the special token of a position."""
        (seen,) = self._seen
        if seen.ids is None or seen.ids.shape != tokens.shape[:2]:
            raise MethodError("PASTA: token_ids are looked up in input_ids; call the model with them")
        special = torch.isin(seen.ids, torch.tensor(self.ids, device=tokens.device))
        if not special.is_meta and not bool(special.any()):
            raise MethodError(f"PASTA: none of the token_ids {self.ids} is in the batch; give those of its tokenizer")
        order, count = special.cumsum(1) - 1, special.sum(1, keepdim=True)
        wanted = torch.tensor(self.positions, device=tokens.device).expand(len(tokens), -1)
        wanted = torch.where(wanted < 0, wanted + count, wanted)
        return special[..., None] & (order[..., None] == wanted[:, None])


class PASTAAdapter(TokenAdapter):
    """Special-token vectors of one model."""

    def __init__(self, method: PASTA, model: nn.Module, chip: AnyChip, tokens: TokenModel, seed: int) -> None:
        super().__init__(method, model, chip)
        vectors = like_of(model).new_zeros(tokens.depth, len(method.positions), tokens.width)
        if method.initial == "normal" and vectors.device.type != "meta":
            generator = torch.Generator().manual_seed(seed)
            vectors += RELEASED_SPREAD * torch.randn(vectors.shape, generator=generator)
        settings = (vectors, method.positions, chip, Dropout(method.dropout, seed))
        if not method.token_ids:
            self.editor = SpecialTokens(*settings)
        elif isinstance(tokens, HuggingFaceTokens):
            self.editor = FoundTokens(*settings, method.token_ids, tokens.watch(self.replace, method.label))
        else:
            raise MethodError(f"PASTA: token_ids are looked up in text of Hugging Face, not in {type(model).__name__}")
        self.edit_tokens(tokens, self.editor)
