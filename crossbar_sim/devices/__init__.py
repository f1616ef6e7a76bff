"""Memory devices: the model, its laws, its programming kernel and the library of published devices."""

from crossbar_sim.devices.base import DeviceModel, device_names
from crossbar_sim.devices.current_voltage import CurrentVoltage
from crossbar_sim.devices.laws import ConductancePolynomial, Lifetime
from crossbar_sim.devices.retention import LogRelaxation, PowerLawDrift, StateLaw, relaxed

__all__ = [
    "ConductancePolynomial", "CurrentVoltage", "DeviceModel", "Lifetime", "LogRelaxation", "PowerLawDrift", "StateLaw",
    "device_names", "relaxed",
]  # fmt: skip
