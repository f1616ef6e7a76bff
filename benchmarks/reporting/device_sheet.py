"""What `xbar device` shows: datasheets and records of devices."""

from __future__ import annotations

from typing import Any

from benchmarks.record import Record
from crossbar_sim.devices import DeviceModel, device_names
from crossbar_sim.spec.spec import Sourced
from crossbar_sim.spec.units import engineering


class SourcedNumber(Record):
    """A number of a device with its source."""

    name: str
    """Of the field."""
    value: str
    """With its unit; a law as text."""
    source: str
    """Citation key, 'assumption' or 'own_data'."""
    where: str
    """In the source."""
    kind: str
    """measured, fitted or assumed."""
    valid: str
    """Range the number is stated for; empty if none is."""


class DeviceSheet(Record):
    """A device: every field in SI units, every number with its source."""

    device: DeviceModel
    """Its fields."""
    numbers: tuple[SourcedNumber, ...]
    """With their sources."""
    sources: tuple[str, ...]
    """Citation keys."""

    def as_json(self) -> dict[str, Any]:
        """The fields of the device beside `numbers` and `sources`."""
        fields = self.device.model_dump(mode="json", exclude={"provenance"})
        return {**fields, **self.model_dump(mode="json", exclude={"device"})}

    def __str__(self) -> str:
        """The device in a few lines, then one line per number with its source."""
        rows = [(row.name, row.value, row.kind, row.source) for row in self.numbers]
        widths = [max(len(row[column]) for row in rows) for column in range(3)] if rows else [0, 0, 0]
        lines = [
            "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows
        ]
        return "\n".join([str(self.device), "", *(f"  {line}" for line in lines)])


class DeviceEntry(Record):
    """A device in the list."""

    name: str
    """Of the device."""
    description: str
    """In a sentence."""
    g_min: float
    """Siemens."""
    g_max: float
    """Siemens."""
    levels: int | None
    """None: any conductance."""
    programming: str
    """write_verify or open_loop."""
    sources: tuple[str, ...]
    """Citation keys."""


def sheet_of(device: DeviceModel) -> DeviceSheet:
    """Everything that is known of a device."""
    return DeviceSheet(device=device, numbers=numbers(device), sources=tuple(device.sources()))


def numbers(device: DeviceModel) -> tuple[SourcedNumber, ...]:
    """One record per number and law."""

    def number(name: str, value: str, note: Sourced) -> SourcedNumber:
        return SourcedNumber(
            name=name, value=value, source=note.source, where=note.where, kind=note.kind, valid=note.valid
        )

    stated = [
        number(name, engineering(getattr(device, name), device.unit_of(name)), note)
        for name, note in device.provenance.items()
    ]
    return tuple(stated + [number(name, str(law), law) for name, law in device.laws().items()])


def catalogue() -> list[DeviceEntry]:
    """One record per device that can be named."""
    return [
        DeviceEntry(
            name=device.name,
            description=device.description,
            g_min=device.g_min,
            g_max=device.g_max,
            levels=device.levels,
            programming=device.programming,
            sources=tuple(device.sources()),
        )
        for device in map(DeviceModel.load, device_names())
    ]


def verdict(device: DeviceModel) -> str:
    """That a device is valid, what it assumes, and which of its numbers have no source."""
    found = numbers(device)
    assumed = [row.name for row in found if row.kind == "assumed"]
    sourced = {row.name for row in found} | {"name", "description", "programming", "provenance"}
    bare = sorted(key for key in device.model_fields_set - sourced if getattr(device, key) is not None)
    lines = [f"{device.name} is valid", f"assumed: {', '.join(assumed) or 'nothing'}"]
    return "\n".join([*lines, f"without a source: {', '.join(bare) or 'nothing'}"])
