"""GuardedWeight: the weight of a layer on tiles, or with an adapter, to look at; no way past either."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
        torch.Tensor.addmm,
        torch.addmv,
        torch.bmm,
        torch.Tensor.bmm,
        torch.baddbmm,
        torch.inner,
        torch.dot,
        torch.Tensor.dot,
        torch.chain_matmul,
        torch.linalg.multi_dot,
        torch.einsum,
        torch.tensordot,
    }
)
"""What a layer's forward pass would do with its weight."""
ELEMENTWISE = frozenset(
    {
        torch.mul,
        torch.multiply,
        torch.Tensor.mul,
        torch.Tensor.multiply,
        torch.Tensor.__mul__,
        torch.Tensor.__rmul__,
        torch.addcmul,
        torch.Tensor.addcmul,
    }
)
"""What becomes a product with a layer's input once it is summed. With numbers, other weights, and tensors of the shape
of the weight, such as masks, it is no such product."""
VIEWS = frozenset(
    {
        *(getattr(torch.Tensor, turned).__get__ for turned in ("T", "mT", "H", "mH")),
        torch.Tensor.__getitem__,
        torch.Tensor.t,
        torch.t,
        torch.Tensor.transpose,
        torch.transpose,
        torch.Tensor.permute,
        torch.permute,
        torch.Tensor.view,
        torch.Tensor.reshape,
        torch.reshape,
        torch.Tensor.flatten,
        torch.flatten,
        torch.Tensor.unflatten,
        torch.Tensor.squeeze,
        torch.squeeze,
        torch.Tensor.unsqueeze,
        torch.unsqueeze,
        torch.Tensor.chunk,
        torch.chunk,
        torch.Tensor.split,
        torch.split,
        torch.Tensor.unbind,
        torch.unbind,
        torch.Tensor.narrow,
        torch.narrow,
        torch.Tensor.expand,
        torch.Tensor.expand_as,
        torch.Tensor.view_as,
        torch.Tensor.contiguous,
        torch.Tensor.to,
        torch.Tensor.type_as,
        torch.Tensor.type,
        torch.Tensor.float,
        torch.Tensor.double,
        torch.Tensor.half,
        torch.Tensor.bfloat16,
        torch.Tensor.cpu,
    }
)
"""What gives the same numbers in another shape or type, before a product as a rule."""


class GuardedWeight(torch.Tensor):
    """The values of a weight, to look at and to change; a product with it is refused, since it would be neither read
    from tiles nor billed. So is one with its transpose, a part of it or its values in another type, and one element by
    element with a tensor of another shape. What else is computed of it, `weight.detach()` to begin with, is an ordinary
    tensor.
    """

    layer: str

    @classmethod
    def of(cls, layer: str, values: torch.Tensor) -> GuardedWeight:
        """A view of `values`, to which gradients lead back; layer: whose weight they are."""
        guarded: GuardedWeight = values.as_subclass(cls)
        guarded.layer = layer
        return guarded

    def __deepcopy__(self, memo: dict[int, Any]) -> torch.Tensor:
        return self.detach().clone()

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = (*args, *(kwargs or {}).values())
        if func in PRODUCTS or (func in ELEMENTWISE and _meets_other_shapes(named)):
            layer = next((one.layer for one in named if isinstance(one, GuardedWeight)), "a layer")
            raise MappingError(
                f"{layer}: a product with its weight would go past its tiles or its adapter, unread and unbilled; call "
                "the layer itself, keep it digital, or take weight.detach() to compute with the float copy"
            )
        with torch._C.DisableTorchFunctionSubclass():
            found = func(*args, **(kwargs or {}))
            return _guarded(found, args[0].layer) if func in VIEWS and isinstance(args[0], GuardedWeight) else found


def _meets_other_shapes(operands: Iterable[Any]) -> bool:
    """Whether a guarded weight stands beside an ordinary tensor, of one dimension or more, of another shape."""
    tensors = [one for one in operands if isinstance(one, torch.Tensor) and one.ndim]
    shapes = {one.shape for one in tensors if isinstance(one, GuardedWeight)}
    return any(one.shape not in shapes for one in tensors if not isinstance(one, GuardedWeight))


def _guarded(found: Any, layer: str) -> Any:
    """A view, or several, of a guarded weight."""
    if isinstance(found, torch.Tensor):
        if found.ndim and not isinstance(found, GuardedWeight):
            return GuardedWeight.of(layer, found)
        return found
    return tuple(_guarded(one, layer) for one in found)
