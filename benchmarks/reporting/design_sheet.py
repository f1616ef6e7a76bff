"""What `xbar hardware` shows: records of the chip designs."""

from __future__ import annotations

from benchmarks.record import Record
from crossbar_sim.hardware.hardware import Hardware, hardware_names
from crossbar_sim.ledger.datasheet import datasheet


class LevelRecord(Record):
    """A part of the chip with everything below it, all its arrays reading without pause."""

    level: str
    """array, core, tile or chip."""
    arrays: int
    """In it."""
    power_W: float
    """Reading without pause."""
    area_m2: float
    """0: not stated."""
    operations_per_s: float
    """A multiply and an add are two."""
    mvm_energy_J: float
    """Of one vector on one full array, with all circuits up to this level."""
    mvm_energy_by_component_J: dict[str, float]
    """The same by component of the ledger."""


class DesignNumber(Record):
    """A number of a chip design with its source."""

    part: str
    """device, tile, dac, adc, ..."""
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


class DesignRecord(Record):
    """A design: what one vector on one full array costs, every level, every number with its source."""

    name: str
    """Of the design."""
    device: str
    """Name of its cells."""
    accounting: str
    """physical or neurosim."""
    adc_energy_model: str
    """Where the energy of a conversion comes from."""
    unbilled: tuple[str, ...]
    """Components of the ledger that the design does not describe."""
    mvm_time_s: float
    """Of one vector on one full array."""
    mvm_operations: int
    """Of one vector on one full array; a multiply and an add are two."""
    levels: tuple[LevelRecord, ...]
    """From the array to the largest part described."""
    numbers: tuple[DesignNumber, ...]
    """With their sources."""
    sources: tuple[str, ...]
    """Citation keys."""


class DesignEntry(Record):
    """A design in the list."""

    name: str
    """Of the design."""
    device: str
    """Name of its cells."""
    rows: int
    """Of an array, cells."""
    columns: int
    """Of an array, cells."""
    level: str
    """The largest part described."""
    arrays: int
    """In it."""
    power_W: float
    """Reading without pause."""
    area_m2: float
    """0: not stated."""
    sources: tuple[str, ...]
    """Citation keys."""


def record(hardware: Hardware) -> DesignRecord:
    """A design as a record."""
    sheet = datasheet(hardware)
    return DesignRecord(
        name=hardware.name,
        device=hardware.device.name,
        accounting=hardware.accounting,
        adc_energy_model=hardware.adc.energy_model,
        unbilled=tuple(hardware.unbilled),
        mvm_time_s=sheet.mvm_time,
        mvm_operations=sheet.mvm_operations,
        levels=tuple(
            LevelRecord(
                level=level.level,
                arrays=level.arrays,
                power_W=level.power,
                area_m2=level.area,
                operations_per_s=level.operations_per_second,
                mvm_energy_J=sheet.energy(level.level),
                mvm_energy_by_component_J=sheet.mvm_energy[level.level],
            )
            for level in sheet.levels
        ),
        numbers=tuple(DesignNumber(**row) for row in hardware.provenance()),
        sources=tuple(hardware.sources()),
    )


def catalogue() -> list[DesignEntry]:
    """One record per design that ships."""
    records = []
    for name in hardware_names():
        hardware = Hardware.load(name)
        top = datasheet(hardware).levels[-1]
        records.append(
            DesignEntry(
                name=name,
                device=hardware.device.name,
                rows=hardware.tile.rows,
                columns=hardware.tile.columns,
                level=top.level,
                arrays=top.arrays,
                power_W=top.power,
                area_m2=top.area,
                sources=tuple(hardware.sources()),
            )
        )
    return records
