"""ShapesOnly: torch's operations on its meta device, where an operation on known shapes is not worked out again."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

META = torch.device("meta")
MOST_KNOWN = 50_000
"""Operations on shapes that are remembered in one process."""
Known = tuple[torch.Size, tuple[int, ...], torch.dtype] | None
"""Shape, strides and type of one result; None: no tensor."""


class ShapesOnly(TorchDispatchMode):
    """While it is active, an operation on meta tensors whose shapes, strides, types and other arguments were met before
    gives empty tensors of the shapes that torch gave then: many of its rules for them are written in Python and slow.

    Operations that change or alias an argument, and those of other libraries, are always torch's.
    """

    known: dict[Any, tuple[Known, ...] | Known] = {}  # noqa: RUF012
    """Of the whole process: operation and arguments -> results."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """A hook of torch: no, for nothing is compiled here, and skipping imports the compiler."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not _is_pure(func):
            return func(*args, **kwargs)
        try:
            key = func, _key(args), _key(tuple(kwargs.items()))
            found = self.known.get(key, _UNKNOWN)
        except _NotKnown:
            return func(*args, **kwargs)
        if found is not _UNKNOWN:
            return _empty(found)
        result = func(*args, **kwargs)
        described = _described(result)
        if described is not _UNKNOWN and len(self.known) < MOST_KNOWN:
            self.known[key] = described
        return result


class _NotKnown(Exception):
    """Arguments that say more than their shapes."""


_UNKNOWN: Any = object()
_PURE: dict[Any, bool] = {}


def _is_pure(func: Any) -> bool:
    """Whether the results of an operation of torch's own are new tensors, and its arguments stay as they are."""
    if func not in _PURE:
        schema = func._schema
        aliased = any(one.alias_info is not None for one in (*schema.arguments, *schema.returns))
        _PURE[func] = func.namespace == "aten" and not aliased and torch.Tag.data_dependent_output not in func.tags
    return _PURE[func]


def _key(value: Any) -> Any:
    """What the shapes of results depend on."""
    if isinstance(value, torch.Tensor):
        if value.device != META or type(value) not in (torch.Tensor, torch.nn.Parameter):
            raise _NotKnown
        return value.shape, value.stride(), value.dtype
    if isinstance(value, list | tuple):
        return tuple(map(_key, value))
    if value is None or isinstance(value, bool | int | float | str | torch.dtype | torch.device | torch.layout):
        return type(value), value
    if isinstance(value, torch.memory_format):
        return str(value)
    raise _NotKnown


def _described(result: Any) -> Any:
    """Shapes of a result, or of several; _UNKNOWN: it is something else."""
    if isinstance(result, torch.Tensor):
        plain = result.device == META and type(result) is torch.Tensor
        return (result.shape, result.stride(), result.dtype) if plain else _UNKNOWN
    if result is None:
        return None
    if isinstance(result, tuple):
        parts = [_described(one) for one in result]
        return _UNKNOWN if _UNKNOWN in parts else parts
    return _UNKNOWN


def _empty(described: Any) -> Any:
    """New tensors of these shapes."""
    if isinstance(described, list):
        return tuple(map(_empty, described))
    if described is None:
        return None
    shape, stride, dtype = described
    return torch.empty_strided(shape, stride, dtype=dtype, device=META)
