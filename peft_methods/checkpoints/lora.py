"""LoRA adapters on disk, in the layout of Hugging Face PEFT.

The tensors of module `blocks.0.attention.query` are called `base_model.model.blocks.0.attention.query.lora_A.weight`
(rank, d_in), `...lora_B.weight` (d_out, rank) and, for DoRA, `...lora_magnitude_vector` (d_out,).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from peft_methods.checkpoints.folder import (
    CONFIG_FILE,
    PREFIX,
    common_config,
    read_config,
    read_tensors,
    write_adapter,
)
from peft_methods.checkpoints.weights import LoRAWeights, pad_rank
from peft_methods.errors import CheckpointError
from peft_methods.patterns import ALLOWED, LONGEST_NAME, is_harmless

SUFFIX_A = ".lora_A.weight"
SUFFIX_B = ".lora_B.weight"
SUFFIX_MAGNITUDE = ".lora_magnitude_vector"
MOST_PATTERNS = 1000
PEFT_DEFAULT_RANK = 8
PEFT_DEFAULT_ALPHA = 8


def save_lora(folder: str | Path, weights: LoRAWeights, base_model_name: str) -> None:
    """Write `weights` into `folder` so that PEFT and `load_lora` can read them; the adapter's name is the folder's.

    Each file is written under a temporary name in the same folder and then renamed; the configuration comes last, so a
    new folder that has one is complete.
    """
    tensors: dict[str, Tensor] = {}
    for module in weights.a:
        tensors[PREFIX + module + SUFFIX_A] = weights.a[module]
        tensors[PREFIX + module + SUFFIX_B] = weights.b[module]
        if weights.magnitude is not None:
            tensors[PREFIX + module + SUFFIX_MAGNITUDE] = weights.magnitude[module]
    alpha = int(weights.alpha) if float(weights.alpha).is_integer() else weights.alpha
    write_adapter(
        folder,
        tensors,
        {
            **common_config(base_model_name, sorted(weights.a)),
            "alpha_pattern": {},
            "init_lora_weights": True,
            "lora_alpha": alpha,
            "lora_dropout": 0.0,
            "peft_type": "LORA",
            "r": weights.rank,
            "rank_pattern": {},
            "use_dora": weights.magnitude is not None,
            "use_rslora": False,
        },
    )


def load_lora(folder: str | Path) -> LoRAWeights:
    """Read the LoRA or DoRA adapter in `folder`; CheckpointError where it cannot be faithful.

    Half-precision tensors become float32. `use_rslora` (scaling alpha / sqrt(rank)) is folded into `alpha`. Modules
    with a rank or alpha of their own (`rank_pattern`, `alpha_pattern`) are zero-padded to the largest rank and their
    ratio of scalings is folded into B; both are exact. Configuration keys that do not change the mathematics of a
    linear layer are ignored. A pattern is a name with at most two each of alternatives `(a|b)` and of `.*`, `.+`,
    `[^.]+` or digits, so that nothing that is loaded makes matching run for ever.
    """
    folder = Path(folder)
    return lora_of(folder, read_config(folder, "LORA"), read_tensors(folder))


def lora_of(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> LoRAWeights:
    """What `load_lora` returns, of a configuration and tensors that were read."""
    a, b, magnitude = _by_factor(folder, tensors)
    if not a and not b:
        raise CheckpointError(f"{folder}: the file holds no LoRA factor; save the adapter again")
    if bool(config.get("use_dora")) != bool(magnitude):
        raise CheckpointError(
            f"{folder}: use_dora is {bool(config.get('use_dora'))} but the file holds {len(magnitude)} magnitude "
            "vectors; correct use_dora or save the adapter again"
        )
    settings = _Settings(folder, config)
    common = settings.scaling(settings.rank, settings.alpha)
    ranks: dict[str, int] = {}
    for module in sorted(set(a) & set(b)):
        rank, scaling = settings.of_module(module)
        _check_factors(folder, module, a[module], b[module], rank)
        ranks[module] = rank
        if scaling != common:
            b[module] = b[module] * (scaling / common)
    largest = max(ranks.values(), default=settings.rank)
    for module in ranks:
        a[module], b[module] = pad_rank(a[module], b[module], largest)
    # Without anything to fold alpha stays as written: a saved adapter comes back bit for bit.
    unfolded = largest == settings.rank and not settings.rank_stabilised
    alpha = settings.alpha if unfolded else common * largest
    return LoRAWeights(folder.resolve().name, largest, alpha, a, b, magnitude or None)


class _Settings:
    """Rank and alpha of `adapter_config.json`, common to all modules or of one module."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self.folder = folder
        self.config = config
        self.rank = _positive_integer(folder, "r", config.get("r", PEFT_DEFAULT_RANK))
        self.alpha = _positive_number(folder, "lora_alpha", config.get("lora_alpha", PEFT_DEFAULT_ALPHA))
        self.rank_stabilised = bool(config.get("use_rslora"))

    def scaling(self, rank: int, alpha: float) -> float:
        """The factor in front of B A."""
        return alpha / math.sqrt(rank) if self.rank_stabilised else alpha / rank

    def of_module(self, module: str) -> tuple[int, float]:
        """Rank and scaling of one module."""
        rank = _positive_integer(self.folder, "rank_pattern", self._from_pattern("rank_pattern", module, self.rank))
        alpha = _positive_number(self.folder, "alpha_pattern", self._from_pattern("alpha_pattern", module, self.alpha))
        return rank, self.scaling(rank, alpha)

    def _from_pattern(self, key: str, module: str, default: object) -> object:
        """The value of the first pattern that matches the end of `module`, as PEFT resolves it."""
        patterns = self.config.get(key) or {}
        if not isinstance(patterns, dict):
            raise CheckpointError(f"{self.folder}: {key} is not an object of pattern: value; correct it")
        if len(patterns) > MOST_PATTERNS:
            raise CheckpointError(f"{self.folder}: {key} has more than {MOST_PATTERNS} patterns; take wider ones")
        if patterns and len(module) > LONGEST_NAME:
            raise CheckpointError(
                f"{self.folder}: module {module[:60]!r}... has a name of more than {LONGEST_NAME} characters, too long "
                f"to match {key} with; rename it"
            )
        for pattern, value in patterns.items():
            if not is_harmless(pattern):
                raise CheckpointError(
                    f"{self.folder}: {key} has the pattern {pattern[:60]!r}, which may take for ever to match or is no "
                    f"regular expression; write {ALLOWED}"
                )
            if re.match(rf"(.*\.)?({pattern})$", module):
                return value
        return default


def _check_factors(folder: Path, module: str, a: Tensor, b: Tensor, rank: int) -> None:
    """CheckpointError if A and B are not the factors (rank, d_in) and (d_out, rank) of a linear layer."""
    shapes = f"module {module!r} has A {tuple(a.shape)} and B {tuple(b.shape)}"
    if a.dim() != 2 or b.dim() != 2:
        raise CheckpointError(
            f"{folder}: {shapes}; only linear layers are supported, leave convolutions and embeddings out of "
            "target_modules"
        )
    if a.shape[0] != rank or b.shape[-1] != rank:
        raise CheckpointError(
            f"{folder}: {shapes}, but the configuration gives it rank {rank}; set r or rank_pattern to the rank of "
            "the tensors"
        )


def _by_factor(
    folder: Path, tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """Sort tensors into A, B and magnitude by module; refuse any key that is none of these."""
    groups: dict[str, dict[str, Tensor]] = {SUFFIX_A: {}, SUFFIX_B: {}, SUFFIX_MAGNITUDE: {}}
    for key in sorted(tensors):
        suffix = next((suffix for suffix in groups if key.endswith(suffix)), None)
        if suffix is None or not key.startswith(PREFIX):
            raise CheckpointError(
                f"{folder}: tensor {key!r} is not a LoRA factor of a linear layer; save the adapter with bias='none', "
                "no modules_to_save and no embeddings among its targets"
            )
        tensor = tensors[key]
        if tensor.is_floating_point() and tensor.dtype != torch.float64:
            tensor = tensor.to(torch.float32)
        groups[suffix][key.removeprefix(PREFIX).removesuffix(suffix)] = tensor
    return groups[SUFFIX_A], groups[SUFFIX_B], groups[SUFFIX_MAGNITUDE]


def _positive_integer(folder: Path, key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise CheckpointError(
            f"{folder}: {key} is {value!r}; a rank is an integer of at least 1, correct {CONFIG_FILE}"
        )
    return value


def _positive_number(folder: Path, key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise CheckpointError(f"{folder}: {key} is {value!r}; alpha is a positive finite number, correct {CONFIG_FILE}")
    return float(value)
