"""Memory devices: the model, its programming kernel and the library of published devices."""

from crossbar_sim.devices.base import ConductancePolynomial, DeviceModel, device_names

__all__ = ["ConductancePolynomial", "DeviceModel", "device_names"]
