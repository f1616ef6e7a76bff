"""Hardware storey: devices, crossbars, tiles, converters and the ledger. Knows no method and no task."""

from crossbar_sim.chip import Chip, Plan
from crossbar_sim.devices import DeviceModel
from crossbar_sim.errors import CrossbarError, MappingError, SpecError
from crossbar_sim.hardware import Hardware
from crossbar_sim.layers import MappedLinear, map_model
from crossbar_sim.ledger import Ledger

__all__ = [
    "Chip", "CrossbarError", "DeviceModel", "Hardware", "Ledger", "MappedLinear", "MappingError", "Plan",
    "SpecError", "map_model",
]  # fmt: skip
