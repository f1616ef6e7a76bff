"""Families whose members register themselves: importing the room of a family is all it takes to know them."""

from __future__ import annotations

import pkgutil
from importlib import import_module


def import_members(room: str, first: tuple[str, ...]) -> None:
    """Import every module of a package: those named in `first` in that order, then the others by alphabet.

    Members register when they are imported, so this is their order in tables. ImportError if a name has no module.
    """
    found = sorted(module.name for module in pkgutil.iter_modules(import_module(room).__path__))
    for name in (*first, *(name for name in found if name not in first)):
        import_module(f"{room}.{name}")
