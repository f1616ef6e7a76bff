"""The TOML files that ship with the package: published devices and the hardware built from them."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from crossbar_sim.spec.errors import SpecError
from crossbar_sim.spec.spec import nearest


def shelf_names(shelf: str) -> list[str]:
    """Names on one shelf ('devices' or 'hardware')."""
    folder = resources.files("crossbar_sim.library") / shelf
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def shelf_path(shelf: str, name: str) -> Path:
    """Path of one TOML file of a shelf; SpecError names the nearest valid name."""
    known = shelf_names(shelf)
    if name not in known:
        raise SpecError(f"nothing called '{name}' among the {shelf}{nearest(name, known)}, or a path ending in .toml")
    return Path(str(resources.files("crossbar_sim.library") / shelf / f"{name}.toml"))
