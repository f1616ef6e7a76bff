"""Who works on a model: as long as somebody does, its layers are neither put on tiles nor taken from them."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from torch import nn

_USERS: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()
"""By module of a model that is in use, by whom."""


def user_of(model: nn.Module) -> str | None:
    """Who works on the model or on a part of it; None: nobody."""
    return next((_USERS[module] for module in model.modules() if module in _USERS), None)


def use(model: nn.Module, user: str) -> None:
    """From now on `user` works on the model."""
    for module in model.modules():
        _USERS[module] = user


def leave(model: nn.Module) -> None:
    """Nobody works on the model any more."""
    for module in model.modules():
        _USERS.pop(module, None)
