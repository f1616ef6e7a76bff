"""ShapesOnly: elementwise operations and sums on torch's meta device, by their shapes alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

ATEN = torch.ops.aten


class ShapesOnly(TorchDispatchMode):
    """While it is active, the operations of RULES on floating meta tensors of one type give an empty tensor of the
    right shape at once: torch's own kernels for them are written in Python and slow. Everything else, and every
    argument of another kind, goes to torch."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """A hook of torch: no, for nothing is compiled here, and skipping imports the compiler."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        rule = RULES.get(func)
        if rule is not None and not kwargs:
            shape = rule(args)
            if shape is not None:
                return args[0].new_empty(shape)
        return func(*args, **(kwargs or {}))


def _plain(*tensors: Any) -> bool:
    first = tensors[0]
    return (
        isinstance(first, torch.Tensor)
        and first.is_meta
        and first.is_floating_point()
        and all(isinstance(one, torch.Tensor) and one.is_meta and one.dtype == first.dtype for one in tensors)
    )


def _broadcast(args: Any) -> tuple[int, ...] | None:
    """Two tensors, or a tensor and a number."""
    one, other = args[:2]
    if isinstance(other, int | float) and _plain(one):
        return tuple(one.shape)
    if len(args) > 2 or not _plain(one, other):
        return None
    first, second = tuple(one.shape), tuple(other.shape)
    length = max(len(first), len(second))
    pairs = zip((1,) * (length - len(first)) + first, (1,) * (length - len(second)) + second, strict=True)
    shape = []
    for left, right in pairs:
        if left != right and 1 not in (left, right):
            return None
        shape.append(right if left == 1 else left)
    return tuple(shape)


def _same(args: Any) -> tuple[int, ...] | None:
    """One tensor, and numbers."""
    return tuple(args[0].shape) if _plain(args[0]) and not any(isinstance(x, torch.Tensor) for x in args[1:]) else None


def _sum(args: Any) -> tuple[int, ...] | None:
    """A tensor, some of its axes, and whether they stay as ones."""
    if not _plain(args[0]) or not args[1]:
        return None
    size, keep = args[0].shape, len(args) > 2 and args[2]
    gone = {axis % len(size) for axis in args[1]}
    return tuple(1 if axis in gone else length for axis, length in enumerate(size) if keep or axis not in gone)


RULES: dict[Any, Callable[[Any], tuple[int, ...] | None]] = {
    **dict.fromkeys(
        (ATEN.mul.Tensor, ATEN.add.Tensor, ATEN.sub.Tensor, ATEN.div.Tensor, ATEN.maximum.default), _broadcast
    ),
    **dict.fromkeys((ATEN.pow.Tensor_Scalar, ATEN.clamp_min.default, ATEN.sqrt.default, ATEN.neg.default), _same),
    ATEN.sum.dim_IntList: _sum,
}
"""By operation, the shape of its result from its arguments; None: ask torch."""
