"""The non-idealities of a design: whether each is on, and the design without it. A new one is one entry here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from crossbar_sim.devices import DeviceModel
from crossbar_sim.hardware.converters import ADC, DAC
from crossbar_sim.hardware.tile import TileSpec


class Parts(NamedTuple):
    """The parts of a design that are not ideal."""

    device: DeviceModel
    tile: TileSpec
    dac: DAC
    adc: ADC


class NonIdeality(NamedTuple):
    """One non-ideality: whether it is on, and the parts with it off."""

    is_on: Callable[[Parts], bool]
    without: Callable[[Parts], Parts]


def _device(is_on: Callable[[DeviceModel], bool], without: Callable[[DeviceModel], DeviceModel]) -> NonIdeality:
    return NonIdeality(lambda parts: is_on(parts.device), lambda parts: parts._replace(device=without(parts.device)))


def _stated(field: str) -> NonIdeality:
    """A field of the device that is None when it is off."""
    off: dict[str, Any] = {field: None}
    return _device(lambda device: getattr(device, field) is not None, lambda device: device.replace(**off))


NON_IDEALITIES: Mapping[str, NonIdeality] = MappingProxyType(
    {
        "levels": _stated("levels"),
        "programming_error": _device(
            lambda device: not device.programs_exactly, lambda device: device.without_programming_error()
        ),
        "read_noise": _stated("read_noise"),
        "telegraph_noise": _stated("telegraph_noise"),
        "retention": _stated("retention"),
        "disturbance": _stated("disturbance"),
        "faults": _device(
            lambda device: bool(device.stuck_at_lrs or device.stuck_at_hrs or device.lifetime),
            lambda device: device.replace(stuck_at_lrs=None, stuck_at_hrs=None, lifetime=None),
        ),
        "wires": NonIdeality(
            lambda parts: parts.tile.wired, lambda parts: parts._replace(tile=parts.tile.without_wires())
        ),
        "dac": NonIdeality(
            lambda parts: not parts.dac.exact, lambda parts: parts._replace(dac=parts.dac.replace(exact=True))
        ),
        "adc": NonIdeality(
            lambda parts: not parts.adc.exact, lambda parts: parts._replace(adc=parts.adc.replace(exact=True))
        ),
    }
)
