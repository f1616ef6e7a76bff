"""LoRAWeights: one LoRA adapter as tensors, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from peft_methods.errors import CheckpointError
from peft_methods.model_parts import LARGEST_CHANGE, largest_of


@dataclass(frozen=True, eq=False)
class LoRAWeights:
    """One LoRA adapter: W -> W + scaling B A for each named module.

    `a[module]` is (rank, d_in), `b[module]` is (d_out, rank), both floating point and finite; `scaling` = alpha / rank.
    scaling B A and magnitudes are at most LARGEST_CHANGE.
    `magnitude[module]` (d_out,) is DoRA's row norm; None for LoRA. CheckpointError if these do not fit together.
    """

    name: str
    rank: int
    alpha: float
    a: Mapping[str, Tensor]
    b: Mapping[str, Tensor]
    magnitude: Mapping[str, Tensor] | None = None

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise self._error(f"rank is {self.rank}; choose an integer of at least 1")
        if not (math.isfinite(self.alpha) and self.alpha > 0):
            raise self._error(f"alpha is {self.alpha}; choose a positive finite number")
        if not self.a and not self.b:
            raise self._error("it targets no module; give A and B for at least one linear layer")
        self._check_same_modules("A", self.a, "B", self.b)
        if self.magnitude is not None:
            self._check_same_modules("A", self.a, "magnitude", self.magnitude)
        for module, a in self.a.items():
            self._check_shape("A", module, a, (self.rank, None))
            self._check_shape("B", module, self.b[module], (None, self.rank))
            self._check_size("change", module, self.scaling * self.rank * largest_of(a) * largest_of(self.b[module]))
            if self.magnitude is not None:
                rows = self.b[module].shape[0]
                self._check_shape("magnitude", module, self.magnitude[module], (rows,))
                self._check_size("magnitude", module, largest_of(self.magnitude[module]))

    @property
    def scaling(self) -> float:
        """alpha / rank, the factor in front of B A."""
        return self.alpha / self.rank

    def weight_change(self, module: str) -> Tensor:
        """scaling B A of `module`, shape (d_out, d_in)."""
        return self.scaling * (self.b[module] @ self.a[module])

    def _error(self, sentence: str) -> CheckpointError:
        return CheckpointError(f"adapter {self.name!r}: {sentence}")

    def _check_same_modules(
        self, first: str, left: Mapping[str, Tensor], second: str, right: Mapping[str, Tensor]
    ) -> None:
        for module in sorted(set(left) ^ set(right)):
            has, lacks = (first, second) if module in left else (second, first)
            raise self._error(f"module {module!r} has {has} but no {lacks}; the file is incomplete, save it again")

    def _check_size(self, what: str, module: str, largest: float) -> None:
        if largest > LARGEST_CHANGE:
            raise self._error(
                f"the {what} of module {module!r} may be {largest:.3g}, more than the {LARGEST_CHANGE:g} that can be "
                "computed with; the file is damaged or its training diverged, save or train it again"
            )

    def _check_shape(self, factor: str, module: str, tensor: Tensor, wanted: tuple[int | None, ...]) -> None:
        shape = tuple(tensor.shape)
        fits = len(shape) == len(wanted) and all(
            length > 0 if want is None else length == want for length, want in zip(shape, wanted, strict=True)
        )
        if not fits:
            names = ["any" if want is None else str(want) for want in wanted]
            raise self._error(
                f"{factor} of module {module!r} has shape {shape}, expected ({', '.join(names)}) at rank {self.rank}; "
                "only linear layers of one rank are supported, correct the rank or the file"
            )
        if not tensor.is_floating_point():
            raise self._error(
                f"{factor} of module {module!r} holds {tensor.dtype}; convert it to a floating-point type"
            )
        if tensor.device.type != "meta" and not bool(torch.isfinite(tensor).all()):
            raise self._error(
                f"{factor} of module {module!r} holds NaN or infinite values; the training diverged, train it again "
                "with a lower learning rate"
            )


def pad_rank(a: Tensor, b: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Pad A (r, d_in) by zero rows and B (d_out, r) by zero columns; B A is unchanged."""
    missing = rank - a.shape[0]
    if missing == 0:
        return a, b
    return (
        torch.cat([a, a.new_zeros(missing, a.shape[1])], dim=0),
        torch.cat([b, b.new_zeros(b.shape[0], missing)], dim=1),
    )
