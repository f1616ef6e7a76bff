"""Memory devices: the model, its laws, its programming kernel and the library of published devices."""

from crossbar_sim.devices.amplitude import IncrementalAmplitude
from crossbar_sim.devices.current_voltage import CurrentVoltage
from crossbar_sim.devices.device_model import DeviceModel, device_names
from crossbar_sim.devices.disturbance import Disturbance
from crossbar_sim.devices.laws import ConductancePolynomial, Lifetime, StateLaw
from crossbar_sim.devices.read_noise import FlickerNoise, TelegraphNoise
from crossbar_sim.devices.retention import Arrhenius, LogRelaxation, PowerLawDrift, relaxed

__all__ = [
    "Arrhenius",
    "ConductancePolynomial",
    "CurrentVoltage",
    "DeviceModel",
    "Disturbance",
    "FlickerNoise",
    "IncrementalAmplitude",
    "Lifetime",
    "LogRelaxation",
    "PowerLawDrift",
    "StateLaw",
    "TelegraphNoise",
    "device_names",
    "relaxed",
]
