"""Hardware storey: devices, cells, tiles, converters and the ledger. Knows no method and no task."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from crossbar_sim.spec.errors import CrossbarError, MappingError, SpecError, WireError

if TYPE_CHECKING:
    from crossbar_sim.chip.chip import Chip
    from crossbar_sim.chip.plan import Plan
    from crossbar_sim.devices import DeviceModel
    from crossbar_sim.hardware import Hardware
    from crossbar_sim.layers import MappedLinear, map_model, unmap
    from crossbar_sim.ledger.ledger import Ledger
    from crossbar_sim.quality.calibration import calibrate
    from crossbar_sim.spec.citations import bibtex
    from crossbar_sim.wires.exact import effective_conductance

__all__ = [
    "Chip",
    "CrossbarError",
    "DeviceModel",
    "Hardware",
    "Ledger",
    "MappedLinear",
    "MappingError",
    "Plan",
    "SpecError",
    "WireError",
    "bibtex",
    "calibrate",
    "effective_conductance",
    "map_model",
    "unmap",
]

_HOMES = {
    "Chip": "layers",
    "DeviceModel": "devices",
    "Hardware": "hardware",
    "Ledger": "ledger.ledger",
    "MappedLinear": "layers",
    "Plan": "chip.plan",
    "bibtex": "spec.citations",
    "calibrate": "quality.calibration",
    "effective_conductance": "wires.exact",
    "map_model": "layers",
    "unmap": "layers",
}


def __getattr__(name: str) -> Any:
    """Import on first use: reading a TOML file or printing help does not load torch."""
    if name in _HOMES:
        return getattr(import_module(f"crossbar_sim.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'crossbar_sim' has no attribute '{name}'")
