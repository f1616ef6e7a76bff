"""GuardedWeight: the weight of a layer on tiles, or with an adapter, to look at; no way past either."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from crossbar_sim.spec.errors import MappingError

PRODUCTS = frozenset(
    {
        functional.linear,
        functional.bilinear,
        functional.embedding,
        functional.multi_head_attention_forward,
        functional.conv1d,
        functional.conv2d,
        torch.conv1d,
        torch.conv2d,
        torch.matmul,
        torch.Tensor.matmul,
        torch.Tensor.__matmul__,
        torch.Tensor.__rmatmul__,
        torch.mm,
        torch.Tensor.mm,
        torch.mv,
        torch.Tensor.mv,
        torch.addmm,
        torch.einsum,
        torch.tensordot,
    }
)
"""What a layer's forward pass would do with its weight."""


class GuardedWeight(torch.Tensor):
    """The values of a weight, to look at and to change; a product with it is refused, since it would be neither read
    from tiles nor billed. What is computed of it, `weight.detach()` to begin with, is an ordinary tensor.
    """

    layer: str

    @classmethod
    def of(cls, layer: str, values: torch.Tensor) -> GuardedWeight:
        """A view of `values`; layer: whose weight they are."""
        guarded: GuardedWeight = torch.Tensor._make_subclass(cls, values.detach(), values.requires_grad)
        guarded.layer = layer
        return guarded

    def __deepcopy__(self, memo: dict[int, Any]) -> torch.Tensor:
        return self.detach().clone()

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in PRODUCTS:
            named = (*args, *(kwargs or {}).values())
            layer = next((one.layer for one in named if isinstance(one, GuardedWeight)), "a layer")
            raise MappingError(
                f"{layer}: a product with its weight would go past its tiles or its adapter, unread and unbilled; call "
                "the layer itself, keep it digital, or take weight.detach() to compute with the float copy"
            )
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))
