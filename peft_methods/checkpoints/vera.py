"""VeRA adapters on disk, in the layout of Hugging Face PEFT (`peft_type` VERA, projections saved)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from peft_methods.checkpoints.folder import (
    PREFIX,
    common_config,
    read_config,
    read_tensors,
    write_adapter,
)
from peft_methods.errors import CheckpointError
from peft_methods.model_parts import LARGEST_CHANGE, largest_of

KEY_A = "base_model.vera_A"
KEY_B = "base_model.vera_B"
SUFFIX_B = ".vera_lambda_b"
SUFFIX_D = ".vera_lambda_d"


@dataclass(frozen=True, eq=False)
class VeRAWeights:
    """W -> W + diag(lambda_b) B diag(lambda_d) A for each module, with the corner of the shared A and B that fits.

    `a` (rank, largest d_in), `b` (largest d_out, rank), `lambda_b[module]` (d_out,), `lambda_d[module]`
    (rank,). CheckpointError if these do not fit together.
    """

    name: str
    a: Tensor
    b: Tensor
    lambda_b: Mapping[str, Tensor]
    lambda_d: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        if self.a.dim() != 2 or self.b.dim() != 2 or self.a.shape[0] != self.b.shape[1]:
            raise CheckpointError(
                f"adapter {self.name!r}: vera_A {tuple(self.a.shape)} and vera_B {tuple(self.b.shape)} have no rank in "
                "common; save the adapter again"
            )
        if not self.lambda_b or set(self.lambda_b) != set(self.lambda_d):
            raise CheckpointError(
                f"adapter {self.name!r}: every module needs both lambda_b and lambda_d, and there must be at least "
                "one; save the adapter again"
            )
        for module, vector in self.lambda_d.items():
            outputs = self.lambda_b[module].numel()
            if vector.shape != (self.rank,) or self.lambda_b[module].dim() != 1 or outputs > self.b.shape[0]:
                raise CheckpointError(
                    f"adapter {self.name!r}: module {module!r} has lambda_d {tuple(vector.shape)} and lambda_b "
                    f"{tuple(self.lambda_b[module].shape)}, expected ({self.rank},) and at most ({self.b.shape[0]},)"
                )
            parts = (self.a, self.b, vector, self.lambda_b[module])
            if not self.rank * math.prod(map(largest_of, parts)) <= LARGEST_CHANGE:
                raise CheckpointError(
                    f"adapter {self.name!r}: the change of module {module!r} is not finite, or may be more than the "
                    f"{LARGEST_CHANGE:g} that can be computed with; train it again with a lower learning rate"
                )

    @property
    def rank(self) -> int:
        """Rows of A, columns of B."""
        return self.a.shape[0]

    def weight_change(self, module: str, inputs: int) -> Tensor:
        """What is added to the weight (d_out, inputs) of `module`."""
        lambda_b = self.lambda_b[module]
        return lambda_b[:, None] * (self.b[: len(lambda_b)] * self.lambda_d[module]) @ self.a[:, :inputs]


def save_vera(folder: str | Path, weights: VeRAWeights, base_model_name: str) -> None:
    """Write `weights` so that PEFT and `load_vera` can read them; the adapter's name is the folder's."""
    tensors = {KEY_A: weights.a, KEY_B: weights.b}
    for module in weights.lambda_b:
        tensors[PREFIX + module + SUFFIX_B] = weights.lambda_b[module]
        tensors[PREFIX + module + SUFFIX_D] = weights.lambda_d[module]
    write_adapter(
        folder,
        tensors,
        {
            **common_config(base_model_name, sorted(weights.lambda_b)),
            "d_initial": 0.1,
            "init_weights": True,
            "peft_type": "VERA",
            "projection_prng_key": 0,
            "r": weights.rank,
            "save_projection": True,
            "vera_dropout": 0.0,
        },
    )


def load_vera(folder: str | Path) -> VeRAWeights:
    """Read the VeRA adapter in `folder`; CheckpointError where it cannot be faithful."""
    folder = Path(folder)
    config, tensors = read_config(folder, "VERA"), read_tensors(folder)
    if KEY_A not in tensors or KEY_B not in tensors:
        raise CheckpointError(
            f"{folder}: the shared projections are not in the file (save_projection is "
            f"{config.get('save_projection')}); save the adapter again with save_projection=True"
        )
    a, b = tensors.pop(KEY_A).float(), tensors.pop(KEY_B).float()
    groups: dict[str, dict[str, Tensor]] = {SUFFIX_B: {}, SUFFIX_D: {}}
    for key, tensor in sorted(tensors.items()):
        suffix = next((suffix for suffix in groups if key.endswith(suffix)), None)
        if suffix is None or not key.startswith(PREFIX):
            raise CheckpointError(
                f"{folder}: tensor {key!r} is not part of VeRA; save the adapter with bias='none' and no "
                "modules_to_save"
            )
        groups[suffix][key.removeprefix(PREFIX).removesuffix(suffix)] = tensor.float()
    return VeRAWeights(folder.resolve().name, a, b, groups[SUFFIX_B], groups[SUFFIX_D])
